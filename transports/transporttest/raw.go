package transporttest

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"ockam/transports"
)

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
