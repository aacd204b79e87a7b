package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"ockam/transports"
	"ockam/tunnel/wire"
)

// directSize is the payload from which on a message is written straight from
// its own buffer when the link is idle; smaller ones are gathered in the queue.
const directSize = 8 << 10

// A Link is a connection to another node as a path and as an origin. Any number
// of goroutines may send on it. Its owner calls Serve, which reads until the
// connection ends and then tells whoever is attached to the link's origin.
type Link struct {
	router *Router
	conn   transports.Conn
	traits transports.Traits
	origin *Origin
	reg    *Registration
	queue  queue

	borrowFn func(n int) []byte
	rx       *wire.Buffer   // the frame being received
	spent    []*wire.Buffer // earlier, smaller buffers for the same frame

	mu      sync.Mutex
	serving bool
}

// NewLink makes a link of conn, which it owns from now on. Group is the listener
// that accepted it; nil if this node dialed. It does nothing until Serve is
// called, but messages may already be sent.
func NewLink(r *Router, conn transports.Conn, traits transports.Traits, group *Group) (*Link, error) {
	a := RandomAddress()
	l := &Link{router: r, conn: conn, traits: traits, origin: NewOrigin(a)}
	l.origin.Group, l.origin.Remote = group, conn.RemoteAddr()
	l.borrowFn = l.borrow
	l.queue.init(conn)
	reg, err := r.HandlePath(a, l, l)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l.reg = reg
	return l, nil
}

// Origin is the link as the bringer of messages.
func (l *Link) Origin() *Origin { return l.origin }

// Address returns the address of the link on this node, which routes over it
// begin with.
func (l *Link) Address() Address { return l.reg.Address() }

// RemoteAddr returns the peer's network address, for people.
func (l *Link) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// Serve reads messages and passes them on until the connection ends, ctx ends
// or Close is called. It returns after everything it started has ended, and
// says why the link ended; nil if it was this side that closed it.
func (l *Link) Serve(ctx context.Context) error {
	l.mu.Lock()
	l.serving = true
	l.mu.Unlock()
	stop := context.AfterFunc(ctx, l.Close)
	defer stop()
	err := l.read()
	if cause := l.queue.fail(err); cause != nil {
		err = cause // a failed write says more than the read that it ended
	}
	_ = l.conn.Close()
	l.queue.join()
	l.end(err)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// Shutdown ends the link in good order: it takes nothing new, gives to the
// network what is queued, tells the peer, and closes the link when the peer has
// ended the connection in its turn, or ctx ends. Until then messages still come
// in, since to close a connection with something unread would destroy what is on
// its way to the peer. Somebody must Serve.
func (l *Link) Shutdown(ctx context.Context) {
	l.queue.close()
	flushed := l.queue.flush(ctx) == nil
	if c, ok := l.conn.(transports.WriteCloser); ok && flushed && c.CloseWrite() == nil {
		select {
		case <-l.origin.Done():
		case <-ctx.Done():
		}
	}
	l.Close()
}

// Close ends the link. What is queued is lost. It may be called by anybody.
func (l *Link) Close() {
	_ = l.queue.fail(ErrClosed)
	_ = l.conn.Close()
	l.mu.Lock()
	serving := l.serving
	l.mu.Unlock()
	if !serving {
		l.queue.join()
		l.end(ErrClosed)
	}
}

func (l *Link) end(err error) {
	l.reg.Close()
	l.origin.End(err)
}

// Drain waits until what is queued has been given to the network, ctx ends or
// the link fails.
func (l *Link) Drain(ctx context.Context) error { return l.queue.flush(ctx) }

func (l *Link) read() error {
	for {
		frame, err := l.conn.Receive(l.borrowFn)
		for _, b := range l.spent {
			b.Release()
		}
		l.spent = l.spent[:0]
		buf := l.rx
		l.rx = nil
		if err == nil {
			err = l.deliver(frame, buf)
		} else {
			buf.Release()
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("%w %s", ErrPeerClosed, l.conn.RemoteAddr())
			}
			return fmt.Errorf("tunnel: link to %s: %w", l.conn.RemoteAddr(), err)
		}
	}
}

// borrow gives the connection memory for the frame that it is about to read.
func (l *Link) borrow(n int) []byte {
	if l.rx != nil {
		l.spent = append(l.spent, l.rx)
	}
	l.rx = wire.GetBuffer(n)
	return l.rx.Bytes()
}

// deliver passes a frame on. An error is about the frame and ends the link, but
// where anybody can put a frame in: there it is dropped. That a message finds no
// open address, or that its handler fails, is no error.
func (l *Link) deliver(frame []byte, buf *wire.Buffer) error {
	h, err := wire.ParseMessage(frame)
	if err != nil {
		buf.Release()
		if !l.traits.Reliable {
			l.router.dropped.Add(1)
			return nil
		}
		return err
	}
	if h.Onward.Len() == 0 { // a heartbeat
		buf.Release()
		return nil
	}
	m := NewMessage()
	m.buf = buf
	m.Onward, m.Return, m.Payload, m.Origin = h.Onward, h.Return, h.Payload, l.origin
	m.PrependReturn(l.origin.address)
	_ = l.router.Deliver(m) // dropped in silence, as the peer may not learn why; the router counts
	return nil
}

// HandleMessage sends a message that was routed to the link's address.
func (l *Link) HandleMessage(m *Message) error {
	err := l.Send(m)
	m.Release()
	return err
}

// Send sends m; see Path.
func (l *Link) Send(m *Message) error {
	if len(m.Payload) >= directSize {
		if done, err := l.sendDirect(m); done {
			return err
		}
	}
	claim, err := l.Claim(len(m.Payload))
	if err != nil {
		return err
	}
	d, err := l.Begin(claim, m.Onward, m.Return, len(m.Payload))
	if err != nil {
		return err
	}
	copy(d.Payload, m.Payload)
	l.Commit(d)
	l.Flush()
	return nil
}

// Claim waits for room; see Carrier.
func (l *Link) Claim(n int) (int, error) { return l.queue.claim(n) }

// Unclaim gives room back; see Carrier.
func (l *Link) Unclaim(claim int) { l.queue.unclaim(claim) }

// Begin places a message; see Carrier.
func (l *Link) Begin(claim int, onward, ret Route, n int) (Draft, error) {
	size, err := l.frameSize(onward, ret, n)
	if err != nil {
		l.queue.unclaim(claim)
		return Draft{}, err
	}
	place, seg, err := l.queue.place(claim, l.traits.LengthBytes+size)
	if err != nil {
		return Draft{}, err
	}
	head := l.appendHead(place[:0], size, onward, ret, n)
	end := len(head) + n
	wire.AppendMessageTail(place[end:end])
	return Draft{Payload: place[len(head):end:end], seg: seg}, nil
}

// Commit completes the draft; see Carrier.
func (l *Link) Commit(d Draft) { l.queue.commit(d.seg) }

// Flush writes what is committed; see Carrier.
func (l *Link) Flush() { l.queue.push() }

// TryClaim is Claim for a message that is not worth waiting for: it reports
// whether there was room.
func (l *Link) TryClaim(n int) (claim int, ok bool) { return l.queue.tryClaim(n) }

func (l *Link) frameSize(onward, ret Route, n int) (int, error) {
	if onward.Len() > wire.MaxHops || ret.Len() > wire.MaxHops {
		// A node like this one would close the link, with all that others send over it.
		return 0, wire.ErrTooManyHops
	}
	size := wire.MessageSize(onward, ret, n)
	if size > l.traits.MaxFrame {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, l.traits.MaxFrame)
	}
	return size, nil
}

// appendHead appends all of a frame of size bytes that stands before its payload.
func (l *Link) appendHead(b []byte, size int, onward, ret Route, n int) []byte {
	for i := l.traits.LengthBytes - 1; i >= 0; i-- {
		b = append(b, byte(size>>(8*i)))
	}
	return wire.AppendMessageHead(b, onward, ret, n)
}

// sendDirect writes a large message without copying it, if the link is idle.
func (l *Link) sendDirect(m *Message) (done bool, err error) {
	size, err := l.frameSize(m.Onward, m.Return, len(m.Payload))
	if err != nil {
		return true, err
	}
	if !l.queue.acquire(l.traits.LengthBytes + size) {
		return false, nil
	}
	q := &l.queue
	q.head = l.appendHead(q.head[:0], size, m.Onward, m.Return, len(m.Payload))
	q.writeDirect(m.Payload)
	return true, nil
}
