package transporttest

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"

	"ockam/transports"
)

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
