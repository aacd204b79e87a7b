package tunnel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// numbered makes the payload of message seq of a sender: both, and a pattern.
func numbered(sender, seq, size int) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(sender)), uint32(seq))
	for i := range size {
		b = append(b, byte(sender+seq+i))
	}
	return b
}

// size is that of message seq: from nothing to more than is written directly.
func size(seq int) int {
	switch seq % 16 {
	case 7:
		return 20_000
	case 11:
		return 8<<10 - 8
	default:
		return seq * 37 % 900
	}
}

// TestSendersKeepOrder: what each of many senders sends arrives whole and in
// its order, however the connection takes it.
func TestSendersKeepOrder(t *testing.T) {
	const senders, each = 64, 200
	for _, tt := range []struct {
		name    string
		options transporttest.PipeOptions
	}{
		{"fast", transporttest.PipeOptions{Buffer: 64 << 20}},
		{"ordinary", transporttest.PipeOptions{}},
		{"partial writes", transporttest.PipeOptions{MaxWrite: 1000}},
		{"small", transporttest.PipeOptions{Buffer: 500}},
		{"cannot try", transporttest.PipeOptions{NoTry: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := connect(t, tunnel.NewRouter(), nil, tt.options)
			var wg sync.WaitGroup
			for sender := range senders {
				wg.Go(func() {
					for seq := range each {
						m := message("x")
						m.Payload = numbered(sender, seq, size(seq))
						err := p.link.Send(m)
						m.Release()
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			var next [senders]int
			for range senders * each {
				h, err := wire.ParseMessage(p.receive()[4:])
				if err != nil || len(h.Payload) < 8 {
					t.Fatalf("%d bytes, %v", len(h.Payload), err)
				}
				sender, seq := int(binary.BigEndian.Uint32(h.Payload)), int(binary.BigEndian.Uint32(h.Payload[4:]))
				if sender >= senders || seq != next[sender] || !bytes.Equal(h.Payload, numbered(sender, seq, size(seq))) {
					t.Fatalf("sender %d: message %d, want %d, or its content differs", sender, seq, next[min(sender, senders-1)])
				}
				next[sender]++
			}
			wg.Wait()
			if err := p.link.Drain(t.Context()); err != nil {
				t.Errorf("Drain: %v", err)
			}
		})
	}
}

// flood sends messages of n bytes until that fails, and returns why. It counts
// them in sent, which is to be read when all is at rest.
func flood(l *tunnel.Link, n int, sent *int) chan error {
	done := make(chan error, 1)
	go func() {
		for {
			m := message("x")
			m.Payload = make([]byte, n)
			err := l.Send(m)
			m.Release()
			if err != nil {
				done <- err
				return
			}
			*sent++
		}
	}()
	return done
}

const pipeSize = 64 << 10

// TestFullQueue: senders wait when 256 KiB wait for the network, and go on.
func TestFullQueue(t *testing.T) {
	for _, n := range []int{100, 5000, 48 << 10, 1 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{Buffer: pipeSize})
				var sent int
				done := flood(p.link, n, &sent)
				synctest.Wait()
				total, low, high := sent*n, 150<<10, pipeSize+256<<10+2*n
				if total > high || n < 100<<10 && total < low {
					t.Errorf("%d bytes were taken, want %d to %d", total, low, high)
				}
				if _, ok := p.link.TryClaim(n); ok {
					t.Error("TryClaim found room")
				}
				before := sent
				for range 2 * before { // a reader makes room
					if len(p.receive()) < n {
						t.Fatal("short frame")
					}
				}
				synctest.Wait()
				if sent < 2*before {
					t.Errorf("%d sent after %d were read", sent, 2*before)
				}
				p.link.Close()
				if err := <-done; !errors.Is(err, tunnel.ErrClosed) {
					t.Errorf("the waiting sender: %v", err)
				}
			})
		})
	}
}

// TestStall: a peer that takes nothing loses its link after StallTimeout; all who
// wait are told.
func TestStall(t *testing.T) {
	for _, noTry := range []bool{false, true} {
		t.Run(fmt.Sprintf("cannot try %v", noTry), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const stall = 3 * time.Second
				p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{NoTry: noTry, StallTimeout: stall})
				start := time.Now()
				var sent [8]int
				var done []chan error
				for i := range sent {
					done = append(done, flood(p.link, 1000, &sent[i]))
				}
				drained := make(chan error, 1)
				go func() {
					synctest.Wait()
					drained <- p.link.Drain(context.Background())
				}()
				for _, ch := range append(done, drained, p.done) {
					if err := <-ch; !errors.Is(err, transports.ErrStalled) || time.Since(start) != stall {
						t.Errorf("%v after %v", err, time.Since(start))
					}
				}
			})
		})
	}
}

func TestCloseWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{})
		var sent [8]int
		var done []chan error
		for i := range sent {
			done = append(done, flood(p.link, 40_000, &sent[i]))
		}
		synctest.Wait()
		start := time.Now()
		p.link.Close()
		for _, ch := range done {
			if err := <-ch; !errors.Is(err, tunnel.ErrClosed) {
				t.Errorf("Send: %v", err)
			}
		}
		if err := <-p.done; err != nil || time.Since(start) != 0 {
			t.Errorf("Serve: %v after %v", err, time.Since(start))
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{Buffer: 1000})
		if err := p.link.Drain(t.Context()); err != nil {
			t.Errorf("with nothing queued: %v", err)
		}
		m := message("x")
		m.Payload = make([]byte, 5000)
		if err := p.link.Send(m); err != nil {
			t.Fatal(err)
		}
		m.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.link.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a peer that reads nothing: %v", err)
		}
		drained := make(chan error, 1)
		go func() { drained <- p.link.Drain(t.Context()) }()
		synctest.Wait()
		p.receive()
		if err := <-drained; err != nil {
			t.Errorf("after the peer read: %v", err)
		}
	})
}

// draft begins a message and fills it.
func draft(t *testing.T, l *tunnel.Link, payload string) tunnel.Draft {
	t.Helper()
	claim, err := l.Claim(len(payload))
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Begin(claim, route("x"), route("y"), len(payload))
	if err != nil {
		t.Fatal(err)
	}
	copy(d.Payload, payload)
	return d
}

// TestCarrier: the order on the wire is that of Begin; nothing is written before
// Flush, and nothing behind what is not committed.
func TestCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{})
		var carrier tunnel.Carrier = p.link
		one, two, three := draft(t, p.link, "one"), draft(t, p.link, "two"), draft(t, p.link, "three")
		carrier.Commit(three)
		carrier.Commit(one)
		carrier.Flush()
		if b := p.sent(); b != nil {
			t.Errorf("%s was written before the one before it was complete", show(t, b))
		}
		carrier.Commit(two)
		if b := p.sent(); b != nil {
			t.Errorf("%s was written without Flush", show(t, b))
		}
		carrier.Flush()
		for _, want := range []string{"one", "two", "three"} {
			if got := show(t, p.sent()); got != "x | y | "+want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if _, calls := p.near.Written(); calls != 1 {
			t.Errorf("written in %d calls, want 1", calls)
		}
		carrier.Flush()
	})
}

// TestClaims: room that was claimed comes back in every way.
func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{})
		const half = 128 << 10
		claim, err := p.link.Claim(half)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := p.link.TryClaim(half); ok {
			t.Error("more than the queue holds was claimed")
		}
		waiting := make(chan int)
		go func() {
			c, err := p.link.Claim(half)
			if err != nil {
				t.Error(err)
			}
			waiting <- c
		}()
		synctest.Wait()
		p.link.Unclaim(claim)
		claim = <-waiting
		if _, err := p.link.Begin(claim, route("x"), route("y"), transports.MaxFrame); !errors.Is(err, tunnel.ErrTooLarge) {
			t.Errorf("Begin of too much: %v", err)
		}
		if c, ok := p.link.TryClaim(half); !ok {
			t.Error("the room of a refused message was kept")
		} else {
			p.link.Unclaim(c)
		}
		if err := p.link.Drain(t.Context()); err != nil {
			t.Error(err)
		}

		// What was begun before the link closed may still be filled and committed.
		claim, err = p.link.Claim(3)
		if err != nil {
			t.Fatal(err)
		}
		d := draft(t, p.link, "lost")
		p.link.Close()
		copy(d.Payload, "LOST")
		p.link.Commit(d)
		p.link.Flush()
		if _, err := p.link.Begin(claim, route("x"), route("y"), 3); !errors.Is(err, tunnel.ErrClosed) {
			t.Errorf("Begin after Close: %v", err)
		}
		if _, err := p.link.Claim(3); !errors.Is(err, tunnel.ErrClosed) {
			t.Errorf("Claim after Close: %v", err)
		}
		if _, ok := p.link.TryClaim(3); ok {
			t.Error("TryClaim after Close")
		}
	})
}

// TestFlushGathers: what others commit while one writes leaves in few writes.
func TestFlushGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{Buffer: 1000, MaxWrite: 500})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				m := message("x")
				m.Payload = make([]byte, 700)
				if err := p.link.Send(m); err != nil {
					t.Error(err)
				}
				m.Release()
			})
		}
		synctest.Wait()
		for range 100 {
			p.receive()
		}
		wg.Wait()
		if _, calls := p.near.Written(); calls > 20 {
			t.Errorf("100 messages took %d writes", calls)
		}
	})
}
