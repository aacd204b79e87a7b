package udp

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ockam/transports"
)

const (
	// paceBurst datagrams leave at once, and pacePerMs in each further
	// millisecond: what a socket's usual buffer holds, and what a peer reads.
	paceBurst = 64
	pacePerMs = 16
)

// A conn is a peer's address at a socket.
type conn struct {
	s      *Socket
	peer   netip.AddrPort
	number atomic.Uint32 // of the next message that is sent, modulo 2^16

	// Guarded by the socket's lock.
	part   assembly
	partAt time.Time     // when the last part came
	heard  time.Time     // when anything came
	place  *list.Element // in Socket.quiet, if it was accepted

	// Owned by the writer.
	allowance float64 // datagrams that may leave at once
	refilled  time.Time
	scratch   []byte

	mu    sync.Mutex
	ready sync.Cond // for Receive
	queue [][]byte
	bytes int // in queue
	err   error
	gone  chan struct{} // closed with err set
}

// newConn is called with the socket's lock, or before it starts.
func newConn(s *Socket, peer netip.AddrPort) *conn {
	c := &conn{s: s, peer: peer, allowance: paceBurst, refilled: time.Now(), gone: make(chan struct{})}
	c.number.Store(uint32(s.number))
	c.ready.L = &c.mu
	return c
}

// RemoteAddr returns the peer's address.
func (c *conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.peer) }

// Close ends the connection on this side; the peer is not told.
func (c *conn) Close() error {
	c.s.mu.Lock()
	c.s.removeLocked(c)
	c.s.mu.Unlock()
	c.end(net.ErrClosed)
	c.s.release()
	return nil
}

// end has Receive and Write fail. The connection has been removed from the
// socket. Only the first reason counts.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.gone)
	c.ready.Broadcast()
	c.s.letGo(c.bytes)
	c.queue, c.bytes = nil, 0
}

func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// deliver queues a message. It is copied if it is but one part: that lies in the
// memory of the next datagram.
func (c *conn) deliver(message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if len(message) <= maxDatagram {
		message = append(make([]byte, 0, len(message)), message...)
	}
	size := weight(message)
	if len(c.queue) > 0 && c.bytes+size > maxQueue || !c.s.mayHold(size) {
		c.s.overflow.Add(1)
		return
	}
	c.queue = append(c.queue, message)
	c.bytes += size
	c.ready.Signal()
}

// weight is what a message takes while it waits.
func weight(message []byte) int { return cap(message) + 64 }

// Receive returns the next message; see transports.Conn.
func (c *conn) Receive(borrow func(n int) []byte) ([]byte, error) {
	c.mu.Lock()
	for c.err == nil && len(c.queue) == 0 {
		c.ready.Wait()
	}
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	message := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	c.bytes -= weight(message)
	c.s.letGo(weight(message))
	c.mu.Unlock()
	b := borrow(len(message))
	return b[:copy(b, message)], nil
}

// Write sends the messages in batch; see transports.Conn. One that the network
// does not take is lost, as those are that get lost on the way. Many datagrams
// are spread over time.
func (c *conn) Write(batch net.Buffers) error {
	for {
		frame, rest, err := c.next(batch)
		if err != nil || frame == nil {
			return err
		}
		batch = rest
		if err := c.send(frame); err != nil {
			return err
		}
	}
}

// TryWrite sends batch if it need not be spread over time, else nothing.
func (c *conn) TryWrite(batch net.Buffers) (int, error) {
	total := 0
	for _, b := range batch {
		total += len(b)
	}
	if c.refill(); c.allowance < float64(total/maxPart+2*len(batch)+1) {
		return 0, c.ended()
	}
	return total, c.Write(slices.Clone(batch))
}

// next takes the first frame off batch; nil if there is none.
func (c *conn) next(batch net.Buffers) (frame []byte, rest net.Buffers, err error) {
	var head [lengthBytes]byte
	if batch = transports.Advance(batch, 0); len(batch) == 0 {
		return nil, nil, nil
	}
	if batch = copyOut(head[:], batch); batch == nil {
		return nil, nil, errors.New("udp: half a frame to be written")
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > transports.MaxFrame {
		return nil, nil, fmt.Errorf("udp: %w: %d bytes", transports.ErrFrameTooLarge, n)
	}
	if len(batch) > 0 && len(batch[0]) >= n {
		frame = batch[0][:n:n]
		return frame, transports.Advance(batch, n), nil
	}
	if cap(c.scratch) < n || c.scratch == nil {
		c.scratch = make([]byte, n)
	}
	frame = c.scratch[:n]
	if batch = copyOut(frame, batch); batch == nil {
		return nil, nil, errors.New("udp: half a frame to be written")
	}
	return frame, batch, nil
}

// copyOut fills dst from batch and returns what is left, which is not nil; nil
// if there is too little.
func copyOut(dst []byte, batch net.Buffers) net.Buffers {
	for len(dst) > 0 {
		if len(batch) == 0 {
			return nil
		}
		n := copy(dst, batch[0])
		dst = dst[n:]
		batch = transports.Advance(batch, n)
	}
	if batch == nil {
		batch = net.Buffers{}
	}
	return batch
}

// send sends a message in parts.
func (c *conn) send(message []byte) error {
	number := uint16(c.number.Add(1) - 1)
	var buf [maxDatagram]byte
	for offset := 0; ; {
		if err := c.pace(); err != nil {
			return err
		}
		part := message[offset:min(offset+maxPart, len(message))]
		d := datagram{number: number, offset: uint32(offset), last: offset+len(part) == len(message), part: part}
		if ok, err := c.sendDatagram(appendDatagram(buf[:0], d)); err != nil || !ok {
			return err
		}
		if offset += len(part); d.last {
			return nil
		}
	}
}

// sendDatagram sends b. Not ok: the network did not take it, and the rest of the
// message is of no use.
func (c *conn) sendDatagram(b []byte) (ok bool, err error) {
	if err := c.s.pc.SetWriteDeadline(time.Now().Add(c.s.t.StallTimeout)); err != nil {
		return false, err
	}
	_, err = c.s.pc.WriteToUDPAddrPort(b, c.peer)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, net.ErrClosed):
		return false, net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, fmt.Errorf("udp: %w", transports.ErrStalled)
	default:
		c.s.unsent.Add(1)
		return false, nil
	}
}

// refill counts the time since the last datagram.
func (c *conn) refill() {
	now := time.Now()
	c.allowance = min(paceBurst, c.allowance+now.Sub(c.refilled).Seconds()*1000*pacePerMs)
	c.refilled = now
}

// pace waits until the next datagram may leave.
func (c *conn) pace() error {
	if err := c.ended(); err != nil {
		return err
	}
	if c.allowance < 1 {
		c.refill()
	}
	for c.allowance < 1 {
		t := time.NewTimer(time.Millisecond)
		select {
		case <-t.C:
		case <-c.gone:
			t.Stop()
			return c.ended()
		}
		c.refill()
	}
	c.allowance--
	return nil
}
