package udp

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ockam/transports"
)

// Counts are what a socket has dropped, in datagrams unless it says otherwise.
type Counts struct {
	Malformed uint64 // not of this protocol, or too long
	Stray     uint64 // from somebody else, while nobody is accepted
	Lost      uint64 // late or out of order, or with the part before missing
	Overflow  uint64 // no room; whole messages among them
	Unsent    uint64 // messages that the network did not take
}

// A Socket is a UDP socket with the connections over it: those that it accepts,
// and those that it dials. One goroutine reads for all of them, from Bind until
// the socket is closed and the last connection has ended.
type Socket struct {
	t      Transport
	pc     *net.UDPConn
	accept chan *conn
	quit   chan struct{} // closed by Close
	done   chan struct{} // closed when the reader has ended

	malformed, stray, lost, overflow, unsent atomic.Uint64

	mu      sync.Mutex
	peers   map[netip.AddrPort]*conn
	quiet   *list.List // accepted connections, the longest silent first
	number  uint16     // of the next message of a new connection
	held    int        // bytes in assemblies and queues
	deaf    bool       // nothing is accepted
	closing bool       // the last connection takes the socket with it
	closed  bool       // pc is closed
}

func (t Transport) bind(ctx context.Context, addr string) (*Socket, error) {
	network := "udp4"
	if strings.HasPrefix(addr, "[") {
		network = "udp"
	}
	pc, err := (&net.ListenConfig{}).ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	s := &Socket{
		t: t.withDefaults(), pc: pc.(*net.UDPConn), accept: make(chan *conn, backlog), quit: make(chan struct{}), done: make(chan struct{}),
		peers: make(map[netip.AddrPort]*conn), quiet: list.New(),
	}
	_ = s.pc.SetReadBuffer(socketBuffer) // as much of it as we may have
	_ = s.pc.SetWriteBuffer(socketBuffer)
	var first [2]byte
	_, _ = rand.Read(first[:]) // never fails: crypto/rand
	s.number = binary.BigEndian.Uint16(first[:])
	return s, nil
}

func (s *Socket) start() { go s.readLoop() }

// Addr returns where the socket is bound.
func (s *Socket) Addr() net.Addr { return s.pc.LocalAddr() }

// Counts returns what has been dropped so far.
func (s *Socket) Counts() Counts {
	return Counts{
		Malformed: s.malformed.Load(), Stray: s.stray.Load(), Lost: s.lost.Load(),
		Overflow: s.overflow.Load(), Unsent: s.unsent.Load(),
	}
}

// Accept returns the connection of a peer that has sent something.
func (s *Socket) Accept() (transports.Conn, error) {
	for {
		select {
		case <-s.quit:
			return nil, net.ErrClosed
		default:
		}
		select {
		case c := <-s.accept:
			if c.ended() == nil {
				return c, nil
			}
		case <-s.quit:
			return nil, net.ErrClosed
		case <-s.done:
			return nil, net.ErrClosed
		}
	}
}

// Dial makes a connection to addr over this socket. It does not expire. It fails
// if there is a connection to that address already.
func (s *Socket) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	peer, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	return s.connect(peer)
}

func (s *Socket) connect(peer netip.AddrPort) (transports.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.peers[peer] != nil {
		return nil, fmt.Errorf("udp: there is a connection to %v already", peer)
	}
	c := newConn(s, peer)
	s.peers[peer] = c
	return c, nil
}

// Close has the socket accept nothing any more. Connections go on; the last that
// ends takes the socket with it.
func (s *Socket) Close() error {
	s.mu.Lock()
	if !s.closing {
		close(s.quit)
	}
	s.closing, s.deaf = true, true
	waiting := s.takeWaitingLocked()
	s.mu.Unlock()
	for _, c := range waiting {
		c.end(net.ErrClosed)
	}
	s.release()
	return nil
}

// takeWaitingLocked returns the connections that nobody accepted.
func (s *Socket) takeWaitingLocked() (all []*conn) {
	for {
		select {
		case c := <-s.accept:
			s.removeLocked(c)
			all = append(all, c)
		default:
			return all
		}
	}
}

// release closes the socket if nobody needs it, and then waits for the reader.
func (s *Socket) release() {
	if s.closeIfUnused() {
		<-s.done
	}
}

func (s *Socket) closeIfUnused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing && len(s.peers) == 0 && !s.closed {
		s.closed = true
		_ = s.pc.Close()
	}
	return s.closed
}

// removeLocked forgets a connection. What it has waiting is dropped by end.
func (s *Socket) removeLocked(c *conn) {
	if s.peers[c.peer] != c {
		return
	}
	delete(s.peers, c.peer)
	s.giveUpLocked(c)
	if c.place != nil {
		s.quiet.Remove(c.place)
	}
	if n := uint16(c.number.Load()); newer(n, s.number) {
		s.number = n // a peer that comes again takes older ones for late
	}
}

// letGo notes that n bytes are not kept any more.
func (s *Socket) letGo(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= n
}

// mayHold notes that n bytes more are kept, if they may be.
func (s *Socket) mayHold(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held+n > s.t.MaxMemory {
		return false
	}
	s.held += n
	return true
}

// readLoop reads until the socket is closed.
func (s *Socket) readLoop() {
	defer close(s.done)
	var buf [maxDatagram + 1]byte
	var next time.Time
	failures := 0
	for {
		if now := time.Now(); now.After(next) {
			next = now.Add(min(s.t.IdleTimeout, partTimeout) / 4)
			s.sweep(now)
			_ = s.pc.SetReadDeadline(next.Add(time.Millisecond))
		}
		n, from, err := s.pc.ReadFromUDPAddrPort(buf[:])
		switch {
		case err == nil:
			failures = 0
			s.take(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			return
		default: // about something that was sent, on some systems
			if failures++; failures > 1000 {
				s.fail(fmt.Errorf("udp: %w", err))
				return
			}
		}
	}
}

// take deals with a datagram.
func (s *Socket) take(b []byte, from netip.AddrPort) {
	if len(b) > maxDatagram {
		s.malformed.Add(1)
		return
	}
	d, err := parseDatagram(b)
	if err != nil {
		s.malformed.Add(1)
		return
	}
	s.mu.Lock()
	c, out := s.peerLocked(from)
	var message []byte
	if c != nil {
		message = s.assembleLocked(c, d)
	}
	s.mu.Unlock()
	if out != nil {
		out.end(ErrCrowded)
	}
	if message != nil {
		c.deliver(message)
	}
}

// assembleLocked adds a part to what has come of its message, and returns the
// message if that was the last.
func (s *Socket) assembleLocked(c *conn, d datagram) []byte {
	before := cap(c.part.buf)
	message, ok := c.part.add(d, func(more int) bool { return s.makeRoomLocked(c, more) })
	c.partAt = time.Now()
	s.held += cap(c.part.buf) - before
	if !ok {
		s.lost.Add(1)
	}
	return message
}

// peerLocked returns the connection of an address, a new one if it may be; nil if
// not. Out is a connection that had to make room and is to be ended.
func (s *Socket) peerLocked(from netip.AddrPort) (c, out *conn) {
	if c := s.peers[from]; c != nil {
		c.heard = time.Now()
		if c.place != nil {
			s.quiet.MoveToBack(c.place)
		}
		return c, nil
	}
	if s.deaf {
		s.stray.Add(1)
		return nil, nil
	}
	c = newConn(s, from)
	select {
	case s.accept <- c:
	default:
		s.overflow.Add(1)
		return nil, nil
	}
	if s.quiet.Len() >= s.t.MaxPeers {
		out = s.quiet.Front().Value.(*conn)
		s.removeLocked(out)
	}
	c.heard = time.Now()
	c.place = s.quiet.PushBack(c)
	s.peers[from] = c
	return c, out
}

// makeRoomLocked reports whether more bytes may be kept for c. If they may not it
// gives up the largest message that is not complete: somebody keeps it so.
func (s *Socket) makeRoomLocked(c *conn, more int) bool {
	for s.held+more > s.t.MaxMemory {
		largest := c
		for _, p := range s.peers {
			if cap(p.part.buf) > cap(largest.part.buf) {
				largest = p
			}
		}
		s.overflow.Add(1)
		if largest == c {
			return false
		}
		s.giveUpLocked(largest)
	}
	return true
}

// giveUpLocked drops what has come of a message.
func (s *Socket) giveUpLocked(c *conn) {
	if c.part.buf != nil {
		s.held -= cap(c.part.buf)
		c.part.skip()
	}
}

// sweep ends connections that have been silent, and gives up messages of which
// nothing more comes.
func (s *Socket) sweep(now time.Time) {
	var idle []*conn
	s.mu.Lock()
	for e := s.quiet.Front(); e != nil; e = s.quiet.Front() {
		c := e.Value.(*conn)
		if now.Sub(c.heard) < s.t.IdleTimeout {
			break
		}
		s.removeLocked(c)
		idle = append(idle, c)
	}
	for _, c := range s.peers {
		if c.part.buf != nil && now.Sub(c.partAt) > partTimeout {
			s.giveUpLocked(c)
			s.lost.Add(1)
		}
	}
	s.mu.Unlock()
	for _, c := range idle {
		c.end(ErrIdle)
	}
	if len(idle) > 0 {
		s.closeIfUnused()
	}
}

// fail ends the socket, which cannot be read any more, and all connections.
func (s *Socket) fail(err error) {
	s.mu.Lock()
	s.deaf, s.closing, s.closed = true, true, true
	var all []*conn
	for _, c := range s.peers {
		all = append(all, c)
		s.removeLocked(c)
	}
	s.mu.Unlock()
	_ = s.pc.Close()
	for _, c := range all {
		c.end(err)
	}
}
