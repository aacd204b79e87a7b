package transporttest

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"ockam/transports"
)

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
