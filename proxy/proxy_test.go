package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/proxy"
	"ockam/tunnel/portal"
)

func noOption(*rig) {}

func TestEcho(t *testing.T) {
	for name, link := range map[string]option{"pipe": noOption, "tcp": overTCP} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, target(t, echo), link)
			c := r.dial()
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 5)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
				t.Fatalf("%q, %v", b, err)
			}
			_ = c.Close()
			for range 2 {
				if err := expect(t, "closed", r.closed); err != nil {
					t.Errorf("closed with %v", err)
				}
			}
		})
	}
}

// TestBothDirections moves 64 MiB each way at once.
func TestBothDirections(t *testing.T) {
	size := 64 << 20
	if testing.Short() {
		size = 4 << 20
	}
	r := newRig(t, target(t, echo), overTCP)
	c := r.dial()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(rand.Uint32())
	}
	sent := sha256.New()
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; n < size; n += len(block) {
			block[0]++
			sent.Write(block)
			if _, err := c.Write(block); err != nil {
				t.Errorf("Write: %v", err)
				return
			}
		}
	})
	got := sha256.New()
	n, err := io.CopyN(got, struct{ io.Reader }{c}, int64(size))
	wg.Wait()
	if err != nil || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Fatalf("%d bytes came back, %v, equal: %v", n, err, bytes.Equal(got.Sum(nil), sent.Sum(nil)))
	}
}

func TestEndAfterEverything(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	r := newRig(t, target(t, func(c *net.TCPConn) { _, _ = c.Write(data) }))
	c := r.dial()
	time.Sleep(50 * time.Millisecond) // let all of it queue up
	got, err := io.ReadAll(struct{ io.Reader }{c})
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v, want %d", len(got), err, len(data))
	}
}

// TestHalfClose asks, ends its sending, and gets the answer, which takes a while,
// and its end.
func TestHalfClose(t *testing.T) {
	r := newRig(t, target(t, func(c *net.TCPConn) {
		b := make([]byte, 7)
		_, _ = io.ReadFull(c, b)
		time.Sleep(300 * time.Millisecond)
		_, _ = c.Write([]byte("late answer"))
	}))
	c := r.dial()
	_, _ = c.Write([]byte("request"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "late answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestHalfCloseUnanswered ends its sending; the target waits for that end
// before it would answer. The protocol cannot say it, so the client is reset
// rather than shown an empty answer, and the target sees an end.
func TestHalfCloseUnanswered(t *testing.T) {
	saw := make(chan error, 1)
	r := newRig(t, target(t, func(c *net.TCPConn) {
		_, err := io.ReadAll(c)
		saw <- err
	}), func(r *rig) { r.outlet.Options.HalfCloseGrace = 100 * time.Millisecond })
	c := r.dial()
	_, _ = c.Write([]byte("request"))
	_ = c.CloseWrite()
	_, err := c.Read(make([]byte, 1))
	wantReset(t, "Read", err)
	if err := expect(t, "the target's end", saw); err != nil {
		t.Errorf("target: %v", err)
	}
}

func TestTargetHalfClose(t *testing.T) {
	saw := make(chan error, 1)
	r := newRig(t, target(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("banner"))
		_ = c.CloseWrite()
		_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
		saw <- err
	}))
	c := r.dial()
	if got, err := io.ReadAll(c); err != nil || string(got) != "banner" {
		t.Errorf("%q, %v", got, err)
	}
	wantReset(t, "target", expect(t, "target", saw))
}

func TestResets(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		saw := make(chan error, 1)
		r := newRig(t, target(t, func(c *net.TCPConn) {
			_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
			saw <- err
		}))
		c := r.dial()
		_, _ = c.Write([]byte("x"))
		for r.opened.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		_ = c.SetLinger(0)
		_ = c.Close()
		// The wire has no reset: the target sees an end. The reference
		// implementation tells it nothing until it sends something.
		if err := expect(t, "target", saw); err != nil {
			t.Errorf("target: %v", err)
		}
	})
	t.Run("by the target", func(t *testing.T) {
		r := newRig(t, target(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}))
		c := r.dial()
		_, _ = c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("Read: %v, want EOF: the wire has no reset", err)
		}
	})
	t.Run("by the loss of the link", func(t *testing.T) {
		saw := make(chan error, 1)
		r := newRig(t, target(t, func(c *net.TCPConn) {
			_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
			saw <- err
		}), overTCP)
		c := r.dial()
		_, _ = c.Write([]byte("x"))
		for r.opened.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		r.links[0].Close()
		_, err := c.Read(make([]byte, 1))
		wantReset(t, "client", err)
		wantReset(t, "target", expect(t, "target", saw))
		for range 2 {
			if err := expect(t, "closed", r.closed); !errors.Is(err, portal.ErrReset) {
				t.Errorf("closed with %v, want ErrReset", err)
			}
		}
	})
	t.Run("of a target that takes nothing more", func(t *testing.T) {
		r := newRig(t, target(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1)) // sooner, there may be no connection yet that is reset
			_ = c.SetLinger(0)
			_ = c.Close()
		}))
		c := r.dial()
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
		wantReset(t, "Write", err)
	})
}

// wantRefused connects to the inlet and wants to be reset, which may be so soon
// that there is no connection yet.
func wantRefused(t *testing.T, r *rig) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err == nil {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	wantReset(t, "Read", err)
}

// refusals returns what outlet and inlet say about one that the outlet refused.
func refusals(t *testing.T, r *rig) error {
	t.Helper()
	err := errors.Join(expect(t, "refused", r.refused), expect(t, "refused", r.refused))
	if !errors.Is(err, portal.ErrRefused) {
		t.Errorf("the inlet does not know of the refusal: %v", err)
	}
	return err
}

func TestRefusedTarget(t *testing.T) {
	// Nobody listens at the address of a client, and nobody else gets its port.
	c, err := net.Dial("tcp", target(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := newRig(t, c.LocalAddr().String())
	start := time.Now()
	wantRefused(t, r)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	if err := refusals(t, r); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused for %v", err)
	}
}

// TestHangingTarget has a target that never accepts: the outlet gives up.
func TestHangingTarget(t *testing.T) {
	r := newRig(t, "", func(r *rig) {
		r.outlet.Dial = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.outlet.DialTimeout = 50 * time.Millisecond
	})
	wantRefused(t, r)
	if err := refusals(t, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("refused for %v", err)
	}
}

// TestNoOutlet dials where nobody answers, and where there is no way.
func TestNoOutlet(t *testing.T) {
	r := newRig(t, "", func(r *rig) {
		r.inlet.Dial = func(ctx context.Context) (*portal.Stream, error) {
			return nil, fmt.Errorf("no way: %w", os.ErrDeadlineExceeded)
		}
	})
	c, err := net.Dial("tcp", r.addr)
	if err == nil { // else it was reset at once
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	wantReset(t, "client", err)
}

// TestClientGone has a client that resets while the stream is being opened.
func TestClientGone(t *testing.T) {
	r := newRig(t, "", func(r *rig) {
		r.inlet.Dial = func(ctx context.Context) (*portal.Stream, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	})
	c := r.dial()
	time.Sleep(10 * time.Millisecond)
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := expect(t, "refused", r.refused); !errors.Is(err, proxy.ErrClientGone) {
		t.Errorf("refused for %v", err)
	}
}

// TestManyConnections opens and closes 10,000 connections; TestMain sees to it
// that nothing is left of them.
func TestManyConnections(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 500
	}
	r := newRig(t, target(t, echo), overTCP)
	var wg sync.WaitGroup
	work := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range work {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Errorf("Dial: %v", err)
					continue
				}
				want := fmt.Sprintf("number %d", i)
				_, _ = c.Write([]byte(want))
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
					t.Errorf("%q, %v", got, err)
				}
				_ = c.(*net.TCPConn).SetLinger(i % 2) // a reset or an end; no port is kept
				_ = c.Close()
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	wg.Wait()
	for range 2 * count {
		_ = expect(t, "closed", r.closed) // by a reset or an end
	}
	if n := r.budget.Used(); n != 0 {
		t.Errorf("%d bytes of the budget are still charged", n)
	}
}

// TestSlowReader has a client that reads nothing of what a target sends without
// end: memory stays bounded, and once it has taken nothing for a while it is
// reset, and the target with it.
func TestSlowReader(t *testing.T) {
	stopped := make(chan error, 1)
	r := newRig(t, target(t, func(c *net.TCPConn) {
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
		stopped <- err
	}), overTCP, func(r *rig) { r.outlet.Options.StallTimeout = time.Second })
	c := r.dial()
	_ = c.SetReadBuffer(4 << 10)
	peak := 0
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && r.budget.Resets() == 0; {
		peak = max(peak, r.budget.Used())
		time.Sleep(time.Millisecond)
	}
	if peak == 0 || peak > portal.DefaultQueueLimit {
		t.Errorf("up to %d bytes were queued, want at most %d", peak, portal.DefaultQueueLimit)
	}
	_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
	wantReset(t, "client", err)
	if err := expect(t, "the target's end", stopped); err == nil {
		t.Error("the target could write all")
	}
}

// TestNeverReadingClients has 64 clients that never read, and one that goes on.
func TestNeverReadingClients(t *testing.T) {
	const stall = time.Second
	r := newRig(t, target(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if b[0] == 'e' {
			echo(c)
			return
		}
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
	}), overTCP, func(r *rig) { r.outlet.Options.StallTimeout = stall })
	var flooded []net.Conn
	for range 64 {
		c := r.dial()
		_ = c.SetReadBuffer(4 << 10)
		_, _ = c.Write([]byte("f"))
		flooded = append(flooded, c)
	}
	for r.opened.Load() < 2*64 {
		time.Sleep(time.Millisecond)
	}
	c := r.dial()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	start := time.Now()
	for i := range 50 {
		b := []byte{'e', byte(i)}
		if _, err := c.Write(b[min(1, i):]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b[1:]); err != nil || b[1] != byte(i) {
			t.Fatalf("answer %d: %v, %v", i, b[1], err)
		}
	}
	// Most of the time the floods fill sockets, and the client takes its turns
	// with them. What must not be is a StallTimeout for each of them.
	for deadline := start.Add(32 * stall); r.budget.Resets() < 64; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams were reset within %v", r.budget.Resets(), time.Since(start))
		}
	}
	for _, c := range flooded {
		_ = c.Close()
	}
}

func TestShutdownDrains(t *testing.T) {
	r := newRig(t, target(t, echo))
	c := r.dial()
	_, _ = c.Write([]byte("a"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- r.inlet.Shutdown(t.Context()) }()
	go func() { done <- r.outlet.Shutdown(t.Context()) }()
	for {
		c, err := net.Dial("tcp", r.addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			_ = c.Close()
		}
	}
	_, _ = c.Write([]byte("b"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("a connection that was open: %v", err)
	}
	_ = c.Close()
	for range 2 {
		if err := expect(t, "Shutdown", done); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
}

func TestShutdownEnds(t *testing.T) {
	r := newRig(t, target(t, echo))
	c := r.dial()
	_, _ = c.Write([]byte("a"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.inlet.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	_, err := c.Read(make([]byte, 1))
	wantReset(t, "client", err)
	// The outlet, which is told that the stream has ended, may be first.
	one, other := expect(t, "closed", r.closed), expect(t, "closed", r.closed)
	if !errors.Is(one, proxy.ErrShutdown) && !errors.Is(other, proxy.ErrShutdown) {
		t.Errorf("closed with %v and %v", one, other)
	}
}
