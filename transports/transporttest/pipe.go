package transporttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ockam/transports"
)

const (
	lengthBytes = 4
	pipeBuffer  = 256 << 10 // what a pipe holds, as a socket's buffers do
	firstBorrow = 1 << 10
)

// Traits describes the connections that Pipe makes: frames with a length of four
// bytes in front, as the TCP transport has.
func Traits() transports.Traits {
	return transports.Traits{
		Name: "pipe", LengthBytes: lengthBytes, MaxFrame: transports.MaxFrame,
		Ordered: true, Reliable: true,
	}
}

// PipeOptions say what a pipe is like. The zero value is a fast, faultless one.
type PipeOptions struct {
	Buffer       int           // bytes that wait in each direction; 0: 256 KiB
	MaxWrite     int           // bytes that TryWrite takes at most; 0: no limit. 1 finds mistakes with partial writes
	MaxRead      int           // bytes that are read at once; 0: no limit
	NoTry        bool          // the ends cannot TryWrite, as with TLS
	StallTimeout time.Duration // 0: transports.StallTimeout
}

// Pipe returns the two ends of a connection in memory. It works in a bubble of
// testing/synctest.
func Pipe(o PipeOptions) (a, b *PipeConn) {
	size := o.Buffer
	if size == 0 {
		size = pipeBuffer
	}
	there, back := newStream(size), newStream(size)
	return newEnd(o, back, there, "a"), newEnd(o, there, back, "b")
}

// Link returns c as a transports.Conn, without TryWrite if the options say so.
func (c *PipeConn) Link() transports.Conn {
	if c.options.NoTry {
		return struct{ transports.Conn }{c}
	}
	return c
}

// A PipeConn is one end of a pipe. It is a transports.Conn and TryWriter; Link
// hides the latter.
type PipeConn struct {
	options PipeOptions
	in, out *stream
	name    pipeAddr
	fault   atomic.Pointer[error]
	written atomic.Int64
	writes  atomic.Int64

	total int // bytes received, saturating; owned by Receive
}

func newEnd(o PipeOptions, in, out *stream, name pipeAddr) *PipeConn {
	return &PipeConn{options: o, in: in, out: out, name: name}
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// RemoteAddr returns the name of the other end.
func (c *PipeConn) RemoteAddr() net.Addr {
	if c.name == "a" {
		return pipeAddr("b")
	}
	return pipeAddr("a")
}

// FailWrites makes all further writes fail with err.
func (c *PipeConn) FailWrites(err error) { c.fault.Store(&err) }

// Written returns how many bytes were written, and in how many calls.
func (c *PipeConn) Written() (bytes, calls int64) { return c.written.Load(), c.writes.Load() }

// Close closes this end: its own calls end with net.ErrClosed, the other end
// reads what is left and then io.EOF, and its writes fail.
func (c *PipeConn) Close() error {
	c.in.closeReader()
	c.out.closeWriter()
	return nil
}

// Write writes all of batch; see transports.Conn. The bytes may be anything: a
// test sends malformed frames in this way.
func (c *PipeConn) Write(batch net.Buffers) error {
	stall := c.options.StallTimeout
	if stall == 0 {
		stall = transports.StallTimeout
	}
	for _, b := range batch {
		if err := c.writeError(); err != nil {
			return err
		}
		n, err := c.out.write(b, stall)
		c.written.Add(int64(n))
		if err != nil {
			return err
		}
	}
	c.writes.Add(1)
	return nil
}

// TryWrite writes what there is room for; see transports.TryWriter.
func (c *PipeConn) TryWrite(batch net.Buffers) (int, error) {
	if err := c.writeError(); err != nil {
		return 0, err
	}
	left, total := c.options.MaxWrite, 0
	for _, b := range batch {
		if c.options.MaxWrite > 0 {
			b = b[:min(len(b), left)]
			left -= len(b)
		}
		n, err := c.out.tryWrite(b)
		total += n
		if err != nil {
			return total, err
		}
		if n < len(b) {
			break
		}
	}
	c.written.Add(int64(total))
	c.writes.Add(1)
	return total, nil
}

func (c *PipeConn) writeError() error {
	if err := c.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// Read reads raw bytes, for tests that look at the wire. It may not be mixed
// with Receive while a frame has been read in part.
func (c *PipeConn) Read(b []byte) (int, error) { return c.in.read(b) }

// Unread returns how many bytes wait to be read.
func (c *PipeConn) Unread() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.n
}

// Receive returns the next frame; see transports.Conn.
func (c *PipeConn) Receive(borrow func(n int) []byte) ([]byte, error) {
	var head [lengthBytes]byte
	if err := c.fill(head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > transports.MaxFrame {
		return nil, fmt.Errorf("pipe: %w: %d bytes", transports.ErrFrameTooLarge, n)
	}
	body, got := borrow(min(n, max(c.total, firstBorrow))), 0
	for got < n {
		if got == len(body) {
			more := borrow(min(n, 2*got))
			copy(more, body)
			body = more
		}
		end := min(len(body), n)
		if err := c.fill(body[got:end]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		got = end
	}
	return body[:n], nil
}

// fill reads len(b) bytes. It returns io.EOF only if there was none of them.
func (c *PipeConn) fill(b []byte) error {
	for got := 0; got < len(b); {
		end := len(b)
		if c.options.MaxRead > 0 {
			end = min(end, got+c.options.MaxRead)
		}
		n, err := c.in.read(b[got:end])
		if err != nil {
			if got > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		got += n
		c.total = min(c.total+n, transports.MaxFrame)
	}
	return nil
}

// A stream is one direction: a ring of bytes.
type stream struct {
	mu       sync.Mutex
	readable sync.Cond
	writable sync.Cond
	ring     []byte
	at, n    int // the unread bytes are ring[at:at+n], modulo its length
	moved    int // counts what was read, to notice progress
	readErr  error
	writeErr error

	// Of the one writer that waits.
	timer    *time.Timer
	deadline time.Time
	late     bool
}

func newStream(size int) *stream {
	s := &stream{ring: make([]byte, size)}
	s.readable.L, s.writable.L = &s.mu, &s.mu
	return s
}

// closeWriter ends the stream where it is written; what is unread can still be
// read.
func (s *stream) closeWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeErr = net.ErrClosed
	if s.readErr == nil {
		s.readErr = io.EOF
	}
	s.wakeLocked()
}

// closeReader ends the stream where it is read.
func (s *stream) closeReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.readErr = 0, net.ErrClosed
	if s.writeErr == nil {
		s.writeErr = io.ErrClosedPipe
	}
	s.wakeLocked()
}

func (s *stream) wakeLocked() {
	s.readable.Broadcast()
	s.writable.Broadcast()
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.n == 0 && s.readErr == nil {
		s.readable.Wait()
	}
	if s.n == 0 {
		return 0, s.readErr
	}
	n := copy(b, s.ring[s.at:min(len(s.ring), s.at+s.n)])
	if left := s.n - n; n < len(b) && left > 0 {
		n += copy(b[n:], s.ring[:left])
	}
	s.at, s.n, s.moved = (s.at+n)%len(s.ring), s.n-n, s.moved+n
	s.writable.Broadcast()
	return n, nil
}

func (s *stream) tryWrite(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	return s.putLocked(b), nil
}

func (s *stream) putLocked(b []byte) int {
	total := 0
	for len(b) > 0 && s.n < len(s.ring) {
		from := (s.at + s.n) % len(s.ring)
		to := len(s.ring)
		if from < s.at {
			to = s.at
		}
		n := copy(s.ring[from:to], b)
		b, s.n, total = b[n:], s.n+n, total+n
	}
	if total > 0 {
		s.readable.Broadcast()
	}
	return total
}

// write writes all of b, and fails when nothing is read for stall.
func (s *stream) write(b []byte, stall time.Duration) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for {
		if s.writeErr != nil {
			return total, s.writeErr
		}
		n := s.putLocked(b)
		total += n
		if b = b[n:]; len(b) == 0 {
			return total, nil
		}
		if !s.waitLocked(stall) {
			return total, fmt.Errorf("pipe: %w", transports.ErrStalled)
		}
	}
}

// waitLocked waits for room, at most for stall. It uses one timer over and over:
// a test that counts allocations shall count those of others.
func (s *stream) waitLocked(stall time.Duration) bool {
	moved := s.moved
	s.late, s.deadline = false, time.Now().Add(stall)
	if s.timer == nil {
		s.timer = time.AfterFunc(stall, s.onTimer)
	} else {
		s.timer.Reset(stall)
	}
	defer s.timer.Stop()
	for s.moved == moved && s.writeErr == nil && !s.late {
		s.writable.Wait()
	}
	return s.moved != moved || s.writeErr != nil
}

func (s *stream) onTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.deadline) { // else it is late itself, and of an earlier wait
		s.late = true
		s.writable.Broadcast()
	}
}
