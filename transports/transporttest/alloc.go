package transporttest

import (
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"ockam/transports"
)

// Mallocs returns how many objects were allocated on the heap while f ran, by
// all goroutines. The collector rests meanwhile, since it empties pools. Under
// the race detector the number means nothing: see RaceEnabled.
func Mallocs(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// A Source is a connection that brings the same frame Count times, then io.EOF.
// It takes what is written to it. It costs nothing itself.
type Source struct {
	Frame []byte // without its length
	Count int
}

// Receive returns the next frame; see transports.Conn.
func (s *Source) Receive(borrow func(n int) []byte) ([]byte, error) {
	if s.Count == 0 {
		return nil, io.EOF
	}
	s.Count--
	b := borrow(len(s.Frame))
	return b[:copy(b, s.Frame)], nil
}

// Write takes all.
func (*Source) Write(net.Buffers) error { return nil }

// Close does nothing.
func (*Source) Close() error { return nil }

// RemoteAddr returns a name.
func (*Source) RemoteAddr() net.Addr { return pipeAddr("source") }

// A Sink is a connection that takes everything at once and brings nothing until
// it is closed.
type Sink struct {
	closed chan struct{}
	once   sync.Once
	bytes  atomic.Int64
}

// NewSink returns a sink.
func NewSink() *Sink { return &Sink{closed: make(chan struct{})} }

// Bytes returns how many bytes were written.
func (s *Sink) Bytes() int64 { return s.bytes.Load() }

// TryWrite takes all; see transports.TryWriter.
func (s *Sink) TryWrite(batch net.Buffers) (int, error) {
	n := 0
	for _, b := range batch {
		n += len(b)
	}
	s.bytes.Add(int64(n))
	return n, nil
}

// Write takes all.
func (s *Sink) Write(batch net.Buffers) error {
	_, err := s.TryWrite(batch)
	return err
}

// Receive waits for Close.
func (s *Sink) Receive(func(n int) []byte) ([]byte, error) {
	<-s.closed
	return nil, net.ErrClosed
}

// Close ends Receive.
func (s *Sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// RemoteAddr returns a name.
func (*Sink) RemoteAddr() net.Addr { return pipeAddr("sink") }

var (
	_ transports.Conn      = (*Source)(nil)
	_ transports.TryWriter = (*Sink)(nil)
	_ transports.Conn      = (*PipeConn)(nil)
	_ transports.TryWriter = (*PipeConn)(nil)
)
