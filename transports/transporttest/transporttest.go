// Package transporttest has the suite that every transport must pass, and
// connections in memory. It is for tests only; it is not its job to know what is
// in a frame.
package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
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

// raw returns a stream of bytes and the connection that was accepted for it.
func (s suite) raw(t *testing.T) (io.ReadWriteCloser, transports.Conn) {
	t.Helper()
	l := s.listen(t, s.tr)
	r, err := s.o.Raw(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	start := make([]byte, len(s.o.Start)) // unread, it would turn the end of the stream into a reset
	if _, err := io.ReadFull(r, start); err != nil || !bytes.Equal(start, s.o.Start) {
		t.Fatalf("starts with %x, %v", start, err)
	}
	return r, c
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

// sizes are those where buffers end, as far as the transport allows them.
func (s suite) sizes() []int {
	var out []int
	for _, n := range []int{
		0, 1, 2, 3, 100, 4 << 10, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64<<10 - 5, 64<<10 - 4, 64<<10 - 1, 64 << 10,
		64<<10 + 1, 200_000, 1 << 20,
	} {
		if n <= s.tr.Traits().MaxFrame {
			out = append(out, n)
		}
	}
	return out
}

func (s suite) frames(t *testing.T) {
	a, b := s.pair(t, s.tr)
	sizes := s.sizes()
	if !s.tr.Traits().Reliable { // one by one: then even such a network loses nothing on one machine
		for i, n := range sizes {
			if n > 64<<10 {
				break
			}
			if err := a.Write(net.Buffers{s.frame(i, n)}); err != nil {
				t.Error(err)
			}
			s.want(t, b, i, n)
		}
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i, n := range sizes { // one by one
			if err := a.Write(net.Buffers{s.frame(i, n)}); err != nil {
				t.Error(err)
			}
		}
		var batch net.Buffers
		for i := range 300 { // and many at once
			batch = append(batch, s.frame(i, i%7*50))
		}
		batch = append(batch, nil, []byte{}) // empty buffers are nothing
		if err := a.Write(batch); err != nil {
			t.Error(err)
		}
	})
	for i, n := range sizes {
		s.want(t, b, i, n)
	}
	for i := range 300 {
		s.want(t, b, i, i%7*50)
	}
}

func (s suite) largest(t *testing.T) {
	a, b := s.pair(t, s.tr)
	n := s.tr.Traits().MaxFrame
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if err := a.Write(net.Buffers{s.frame(1, n)}); err != nil {
			t.Error(err)
		}
		if s.tr.Traits().LengthBytes == 0 {
			if err := a.Write(net.Buffers{s.frame(1, n+1)}); !errors.Is(err, transports.ErrFrameTooLarge) {
				t.Errorf("a frame of %d bytes: %v", n+1, err)
			}
		}
	})
	s.want(t, b, 1, n)
}

// bothDirections has each end write and receive at the same time.
func (s suite) bothDirections(t *testing.T) {
	a, b := s.pair(t, s.tr)
	var wg sync.WaitGroup
	const count = 2000
	size := func(i int) int { return min(i*37%5000, s.tr.Traits().MaxFrame) }
	for _, c := range []transports.Conn{a, b} {
		wg.Go(func() {
			for i := 0; i < count; i += 4 {
				var batch net.Buffers
				for j := i; j < i+4; j++ {
					batch = append(batch, s.frame(j, size(j)))
				}
				if err := c.Write(batch); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for i := range count {
				got, err := c.Receive(alloc)
				if err != nil || !bytes.Equal(got, s.frame(i, size(i))[s.tr.Traits().LengthBytes:]) {
					t.Errorf("frame %d: %d bytes, %v", i, len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (s suite) closeEndsReceive(t *testing.T) {
	a, b := s.pair(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		_, err := a.Receive(alloc)
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // let it block; if it does not, Close is first, and the result the same
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v", err)
	}
	if s.tr.Traits().Reliable {
		if _, err := b.Receive(alloc); !errors.Is(err, io.EOF) {
			t.Errorf("the other end's Receive: %v", err)
		}
	}
	if _, err := a.Receive(alloc); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
	if err := a.Write(net.Buffers{s.frame(0, 1)}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}

func (s suite) closeEndsWrite(t *testing.T) {
	a, _ := s.pair(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		for {
			if err := a.Write(net.Buffers{s.frame(0, min(64<<10, s.tr.Traits().MaxFrame))}); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond) // let it fill what there is to fill
	_ = a.Close()
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
}

func (s suite) closeEndsAccept(t *testing.T) {
	l := s.listen(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close()
		}
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond)
	_ = l.Close()
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
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

// tryWrite fills the connection, then has Write complete what was begun.
func (s suite) tryWrite(t *testing.T) {
	a, b := s.pair(t, s.tr)
	try, ok := a.(transports.TryWriter)
	if !ok {
		t.Skip("cannot try")
	}
	n := min(50_000, s.tr.Traits().MaxFrame)
	frames := 0
	for {
		batch := net.Buffers{s.frame(frames, n), s.frame(frames+1, 10), s.frame(frames+2, n)}
		kept := slices.Clone(batch)
		frames += len(batch)
		took, err := try.TryWrite(batch)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			if len(batch[i]) != len(kept[i]) || &batch[i][0] != &kept[i][0] {
				t.Fatal("TryWrite changed the batch")
			}
		}
		rest := transports.Advance(batch, took)
		if len(rest) == 0 {
			continue
		}
		if again, err := try.TryWrite(rest); err != nil {
			t.Fatal(err)
		} else if again > 0 {
			rest = transports.Advance(rest, again) // the network has taken some meanwhile
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			if err := a.Write(rest); err != nil {
				t.Error(err)
			}
		})
		break
	}
	for i := range frames {
		size := n
		if i%3 == 1 {
			size = 10
		}
		s.want(t, b, i, size)
	}
}

func (s suite) stall(t *testing.T) {
	if s.o.Stalling == nil {
		t.Skip("no transport with a short time-out")
	}
	a, _ := s.pair(t, s.o.Stalling)
	for {
		start := time.Now()
		err := a.Write(net.Buffers{s.frame(0, min(64<<10, s.tr.Traits().MaxFrame))})
		if err == nil {
			continue
		}
		if d := time.Since(start); !errors.Is(err, transports.ErrStalled) || d < s.o.Stall/2 {
			t.Errorf("%v after %v, with a time-out of %v", err, d, s.o.Stall)
		}
		return
	}
}

// slowReader takes something before each time-out: that is no stall.
func (s suite) slowReader(t *testing.T) {
	if s.o.Stalling == nil {
		t.Skip("no transport with a short time-out")
	}
	a, b := s.pair(t, s.o.Stalling)
	n := min(256<<10, s.tr.Traits().MaxFrame)
	var wg sync.WaitGroup
	defer wg.Wait()
	const count = 40
	wg.Go(func() {
		var batch net.Buffers
		for i := range count {
			batch = append(batch, s.frame(i, n))
		}
		if err := a.Write(batch); err != nil {
			t.Error(err)
		}
	})
	for i := range count {
		if i < 12 {
			time.Sleep(s.o.Stall / 6)
		}
		s.want(t, b, i, n)
	}
}

func (s suite) byteAtATime(t *testing.T) {
	r, c := s.raw(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		all := slices.Concat(s.o.Start, s.frame(0, 40), s.frame(1, 0), s.frame(2, 300))
		for i := range all {
			if _, err := r.Write(all[i : i+1]); err != nil {
				t.Error(err)
				return
			}
			if i%16 == 0 {
				runtime.Gosched()
			}
		}
		if _, err := r.Write(slices.Concat(s.frame(3, 20), s.frame(4, 21), s.frame(5, 20_000))); err != nil { // and all at once
			t.Error(err)
		}
	})
	for i, n := range []int{40, 0, 300, 20, 21, 20_000} {
		s.want(t, c, i, n)
	}
}

func (s suite) cutShort(t *testing.T) {
	full := slices.Concat(s.o.Start, s.frame(0, 5), s.frame(1, 40))
	first := len(s.o.Start) + s.tr.Traits().LengthBytes + 5
	for _, cut := range []int{0, len(s.o.Start), first - 1, first, first + 1, first + s.tr.Traits().LengthBytes, len(full) - 1} {
		r, c := s.raw(t)
		if _, err := r.Write(full[:cut]); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		want := io.ErrUnexpectedEOF
		if cut <= len(s.o.Start) || cut == first {
			want = io.EOF
		}
		_, err := c.Receive(alloc)
		if cut >= first && err == nil {
			_, err = c.Receive(alloc)
		}
		if !errors.Is(err, want) {
			t.Errorf("end after %d of %d bytes: %v, want %v", cut, len(full), err, want)
		}
	}
}

func (s suite) tooLong(t *testing.T) {
	for _, n := range []int{s.tr.Traits().MaxFrame + 1, 1<<(8*s.tr.Traits().LengthBytes) - 1} {
		if n <= s.tr.Traits().MaxFrame {
			continue
		}
		r, c := s.raw(t)
		if _, err := r.Write(slices.Concat(s.o.Start, s.head(n), make([]byte, 100))); err != nil {
			t.Fatal(err)
		}
		_, err := c.Receive(func(n int) []byte {
			t.Errorf("asked for %d bytes", n)
			return make([]byte, n)
		})
		if !errors.Is(err, transports.ErrFrameTooLarge) {
			t.Errorf("a frame of %d bytes: %v", n, err)
		}
	}
}

// announcedOnly announces the largest frame and sends little of it: what is
// allocated for it must stay near what has come.
func (s suite) announcedOnly(t *testing.T) {
	for _, sent := range []int{0, 1, 100_000} {
		r, c := s.raw(t)
		var borrowed int
		ended := make(chan error, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		go func() {
			_, err := c.Receive(func(n int) []byte {
				borrowed += n
				return make([]byte, n)
			})
			ended <- err
		}()
		if _, err := r.Write(slices.Concat(s.o.Start, s.head(s.tr.Traits().MaxFrame), make([]byte, sent))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // let it come to rest
		_ = r.Close()
		if err := within(t, ended); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Receive: %v", err)
		}
		runtime.ReadMemStats(&after)
		if limit := 4*sent + 4<<10; borrowed > limit {
			t.Errorf("borrowed %d bytes when %d had come", borrowed, sent)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(4*sent+512<<10) {
			t.Errorf("allocated %d bytes when %d had come", n, sent)
		}
	}
}
