// Package transporttest has the suite that every transport must pass, and
// connections in memory. It is for tests only; it is not its job to know what is
// in a frame.
package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports"
)

// Options say how the suite uses a transport.
type Options struct {
	// Addr is what it listens at: "127.0.0.1:0".
	Addr string
	// Raw opens the stream of bytes beneath the transport; nil if there is none.
	// Start is what each side sends first on it.
	Raw   func(ctx context.Context, addr string) (io.ReadWriteCloser, error)
	Start []byte
	// Stalling is the same transport with a StallTimeout of Stall, which should
	// be some 100 ms.
	Stalling transports.Transport
	Stall    time.Duration
}

// Run runs the suite. Of a transport that is not reliable it asks only what can be
// asked of one: not that all arrives when much is sent at once, nor that a peer
// is noticed that is not there or takes nothing.
func Run(t *testing.T, tr transports.Transport, o Options) {
	before := goleak.IgnoreCurrent()
	s := suite{tr, o}
	for _, tt := range []struct {
		name     string
		run      func(*testing.T)
		reliable bool // asks what only a reliable transport can do
		raw      bool
	}{
		{"Traits", s.traits, false, false},
		{"Dial", s.dial, false, false},
		{"Frames", s.frames, false, false},
		{"LargestFrame", s.largest, true, false},
		{"BothDirections", s.bothDirections, true, false},
		{"CloseEndsReceive", s.closeEndsReceive, false, false},
		{"CloseEndsWrite", s.closeEndsWrite, false, false},
		{"CloseEndsAccept", s.closeEndsAccept, false, false},
		{"TryWrite", s.tryWrite, true, false},
		{"Stall", s.stall, true, false},
		{"SlowReader", s.slowReader, true, false},
		{"ByteAtATime", s.byteAtATime, true, true},
		{"CutShort", s.cutShort, true, true},
		{"TooLong", s.tooLong, true, true},
		{"AnnouncedOnly", s.announcedOnly, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.raw && o.Raw == nil {
				t.Skip("no stream of bytes beneath it")
			}
			if tt.reliable && !tr.Traits().Reliable {
				t.Skip("not reliable")
			}
			tt.run(t)
		})
	}
	goleak.VerifyNone(t, before)
}

type suite struct {
	tr transports.Transport
	o  Options
}

func (s suite) listen(t *testing.T, tr transports.Transport) transports.Listener {
	t.Helper()
	l, err := tr.Listen(t.Context(), s.o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair returns the two ends of a new connection.
func (s suite) pair(t *testing.T, tr transports.Transport) (dialed, accepted transports.Conn) {
	t.Helper()
	l := s.listen(t, tr)
	type result struct {
		c   transports.Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		ch <- result{c, err}
	}()
	dialed, err := tr.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close() })
	lossy := !tr.Traits().Reliable
	if lossy { // the other side knows of a connection when something comes over it
		if err := dialed.Write(net.Buffers{s.frame(0, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.c.Close() })
	if lossy {
		s.want(t, r.c, 0, 1)
	}
	return dialed, r.c
}

// head returns the length in front of a frame of n bytes.
func (s suite) head(n int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	return b[8-s.tr.Traits().LengthBytes:]
}

// frame returns frame number i of a sequence, with its length: n bytes that
// depend on i.
func (s suite) frame(i, n int) []byte {
	b := append(s.head(n), make([]byte, n)...)
	rng := rand.New(rand.NewPCG(uint64(i), uint64(n)))
	for at := len(b) - n; at < len(b); at += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], rng.Uint64())
		copy(b[at:], word[:])
	}
	return b
}

// want receives a frame and compares it.
func (s suite) want(t *testing.T, c transports.Conn, i, n int) {
	t.Helper()
	got, err := c.Receive(alloc)
	if err != nil {
		t.Fatalf("frame %d of %d bytes: %v", i, n, err)
	}
	if want := s.frame(i, n)[s.tr.Traits().LengthBytes:]; !bytes.Equal(got, want) {
		t.Fatalf("frame %d: got %d bytes, want %d, or others", i, len(got), n)
	}
}

func alloc(n int) []byte { return make([]byte, n) }

func (s suite) traits(t *testing.T) {
	tr := s.tr.Traits()
	if tr.Name == "" || tr.MaxFrame <= 0 || tr.LengthBytes < 0 || tr.LengthBytes > 8 {
		t.Errorf("traits %+v", tr)
	}
	a, b := s.pair(t, s.tr)
	if a.RemoteAddr() == nil || b.RemoteAddr() == nil {
		t.Error("a connection has no remote address")
	}
}

func (s suite) dial(t *testing.T) {
	l := s.listen(t, s.tr)
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if c, err := s.tr.Dial(t.Context(), addr); err == nil {
		_ = c.Close()
		if s.tr.Traits().Reliable {
			t.Error("connected to where nobody listens")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := s.tr.Dial(ctx, addr); err == nil {
		_ = c.Close()
		t.Error("connected after the context ended")
	}
}

func within(t *testing.T, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("still blocked")
		return nil
	}
}
