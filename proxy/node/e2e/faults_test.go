//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

// backWithin is how soon new connections must work after what was lost is
// back.
func backWithin() time.Duration {
	if raceEnabled || inCI() {
		return 5 * time.Second
	}
	return 2 * time.Second
}

// A load is a number of clients that make round trips until their connection
// ends.
type load struct {
	wg    sync.WaitGroup
	seeds []uint64
	mu    sync.Mutex
	ends  []error
}

// startLoad opens count connections, each of which has made a round trip.
func startLoad(t *testing.T, addr string, count int) *load {
	t.Helper()
	l := &load{}
	text := string(pattern(8 << 10))
	for range count {
		seed := rand.Uint64()
		c, err := open(addr, request{op: opEcho, seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if err := echo(c, text); err != nil {
			t.Fatal(err)
		}
		l.seeds = append(l.seeds, seed)
		l.wg.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(slow(time.Minute)))
			err := error(nil)
			for err == nil {
				err = echo(c, text)
			}
			l.mu.Lock()
			l.ends = append(l.ends, err)
			l.mu.Unlock()
		})
	}
	return l
}

// wantResets waits for the connections to end and demands a reset of each, at
// the client and, if tg is given, at the target.
func (l *load) wantResets(t *testing.T, tg *target) {
	t.Helper()
	l.wg.Wait()
	for _, err := range l.ends {
		if !isReset(err) {
			t.Errorf("a client's connection ended with %v, want a reset", err)
		}
	}
	if tg == nil {
		return
	}
	for _, seed := range l.seeds {
		eventually(t, slow(15*time.Second), func() error {
			if ended, err := tg.end(seed); !ended {
				return errors.New("the target's connection is still open")
			} else if !isReset(err) {
				t.Errorf("the target's connection ended with %v, want a reset", err)
			}
			return nil
		})
	}
}

// wantBack measures how long it takes until a new connection works, starting
// one every few milliseconds as impatient users do.
func (tn *tunnel) wantBack(what string, limit time.Duration) {
	t := tn.t
	t.Helper()
	begin := time.Now()
	worked := make(chan time.Duration, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(25 * time.Millisecond); ; <-tick.C {
			select {
			case <-stop:
				tick.Stop()
				return
			default:
			}
			wg.Go(func() {
				if probeEcho(tn.inlet, 3*time.Second) == nil {
					select {
					case worked <- time.Since(begin):
					default:
					}
				}
			})
		}
	})
	select {
	case d := <-worked:
		t.Logf("%s: a new connection worked after %v", what, d.Round(time.Millisecond))
		if d > limit {
			t.Errorf("%s: new connections work only after %v, want %v", what, d, limit)
		}
	case <-time.After(limit + slow(30*time.Second)):
		t.Errorf("%s: no new connection works", what)
	}
	close(stop)
	wg.Wait()
	for range 20 {
		if err := checkEcho(tn.inlet, "after "+what); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
}

// TestRelayKilledUnderLoad kills the relay as a crash would. What it carried
// is reset at both applications, never ended as if it were complete.
func TestRelayKilledUnderLoad(t *testing.T) {
	eachNaming(t, func(t *testing.T, secure bool) {
		tn, tg := newEchoTunnel(t, tunnelSetup{secure: secure})
		for _, away := range []time.Duration{0, 4 * time.Second} {
			l := startLoad(t, tn.inlet, 16)
			time.Sleep(300 * time.Millisecond) // the load runs
			tn.relay.kill()
			l.wantResets(t, tg)
			time.Sleep(away) // back-off grows meanwhile
			tn.relay.run()
			waitListening(t, tn.relay.process, tn.listen)
			tn.wantBack(fmt.Sprintf("relay away for %v", away), backWithin())
		}
		tn.stop()
	})
}

// TestOutletKilledUnderLoad kills the process beside the target.
func TestOutletKilledUnderLoad(t *testing.T) {
	t.Parallel()
	eachNaming(t, func(t *testing.T, secure bool) {
		t.Parallel()
		tn, tg := newEchoTunnel(t, tunnelSetup{secure: secure})
		l := startLoad(t, tn.inlet, 8)
		time.Sleep(300 * time.Millisecond) // the load runs
		tn.db.kill()
		// The inlet's own link is alive: it learns of the loss otherwise,
		// a new connection that is not answered makes it look for another way.
		tn.db.run()
		tn.wantBack("outlet killed", slow(8*time.Second))
		l.wantResets(t, nil)
		took := eventually(t, slow(30*time.Second), func() error {
			if n := tg.open(); n > 0 {
				return fmt.Errorf("the target still serves %d connections although no client is left", n)
			}
			return nil
		})
		t.Logf("the target served nobody %v after the last client", took.Round(time.Millisecond))
		tn.stop()
	})
}

// TestInletKilled demands that the target notices when the process beside
// the application is gone.
func TestInletKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for unanswered pings")
	}
	tn, tg := newEchoTunnel(t, tunnelSetup{})
	seed := rand.Uint64()
	c, err := open(tn.inlet, request{op: opEcho, seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := echo(c, "hello"); err != nil {
		t.Fatal(err)
	}
	tn.app.kill()
	var how error
	took := eventually(t, slow(75*time.Second), func() error {
		var ended bool
		if ended, how = tg.end(seed); !ended {
			return errors.New("the target's connection is still open")
		}
		return nil
	})
	t.Logf("the target's connection ended after %v with: %v", took.Round(time.Millisecond), how)
	if !isReset(how) {
		t.Errorf("the target saw %v, want a reset", how)
	}
}

// TestClientsThatNeverRead keeps connections that nobody drains, in either
// direction: others go on, and memory stays bounded.
func TestClientsThatNeverRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		op   operation
	}{{"client never reads", opFlood}, {"target never reads", opHold}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tn, _ := newEchoTunnel(t, tunnelSetup{})
			old, err := open(tn.inlet, request{op: opEcho})
			if err != nil {
				t.Fatal(err)
			}
			defer old.Close()
			for range 64 {
				c, err := open(tn.inlet, request{op: tt.op})
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Time{})
				if tt.op == opHold {
					defer wait(func() { _, _ = io.Copy(c, stream(1)) })()
				}
				defer c.Close()
			}
			const stall = 10 * time.Second
			limit := slow(stall + 5*time.Second)
			for round := range 4 {
				for name, f := range map[string]func() error{
					"existing": func() error {
						_ = old.SetDeadline(time.Now().Add(limit))
						return echo(old, fmt.Sprintf("round %d", round))
					},
					"new": func() error { return probeEcho(tn.inlet, limit) },
				} {
					begin := time.Now()
					err := f()
					t.Logf("round %d, %s connection: %v", round, name, time.Since(begin).Round(time.Millisecond))
					if err != nil {
						t.Fatalf("round %d, %s connection: %v", round, name, err)
					}
				}
				time.Sleep(300 * time.Millisecond) // lets more pile up
			}
			const most = 400 << 10
			if kib := tn.residentKiB(); kib > most && !raceEnabled {
				t.Errorf("resident memory of the three processes: %d KiB, want at most %d", kib, most)
			} else {
				t.Logf("resident memory of the three processes: %d KiB", kib)
			}
		})
	}
}

// wait runs f and returns a function that waits for its end.
func wait(f func()) func() {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	return func() { <-done }
}

// TestDrain ends a process in the middle of a transfer that fits into the
// drain: it must arrive as a whole.
func TestDrain(t *testing.T) {
	for _, node := range []string{"app", "db"} {
		t.Run(node, func(t *testing.T) {
			t.Parallel()
			tn, _ := newEchoTunnel(t, tunnelSetup{})
			const n = 30 * 64 << 10
			seed := rand.Uint64()
			c, err := open(tn.inlet, request{op: opSlow, n: n, seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			h := map[string]*host{"app": tn.app, "db": tn.db}[node]
			timer := time.AfterFunc(slowSource/6, func() { h.signal(syscall.SIGTERM) })
			defer timer.Stop()
			if got, err := checkStream(c, seed, n); err != nil {
				t.Errorf("after %d of %d bytes: %v", got, n, err)
			} else if err := wantEOF(c); err != nil {
				t.Error(err)
			}
			if code, err := h.wait(slow(12 * time.Second)); err != nil || code != 0 {
				t.Errorf("exit code %d, %v", code, err)
			}
		})
	}
}

// TestDrainEnds demands that a connection which nobody ends does not keep a
// process from ending.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	drain := []string{"--drain", "1s"}
	tn, _ := newEchoTunnel(t, tunnelSetup{args: map[string][]string{"app": drain, "relay": drain, "db": drain}})
	c, err := open(tn.inlet, request{op: opEcho})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := echo(c, "hello"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, h := range tn.hosts() {
		h.terminate(slow(6 * time.Second))
	}
	t.Logf("three processes ended in %v", time.Since(begin).Round(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the connection that was cut off ended with %v, want a reset", err)
	}
}
