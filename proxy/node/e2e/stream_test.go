//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// halfCloseGrace is how long an inlet waits for an answer after its application
// has ended its output.
const halfCloseGrace = 2 * time.Second

// eachNaming runs f with the name registered over plain TCP and through a
// channel to the relay.
func eachNaming(t *testing.T, f func(t *testing.T, secure bool)) {
	t.Run("name over TCP", func(t *testing.T) { f(t, false) })
	t.Run("name through a channel", func(t *testing.T) { f(t, true) })
}

// TestStreams shows that what a tunnel carries is what was sent, to the end,
// and that it ends as it was ended.
func TestStreams(t *testing.T) {
	eachNaming(t, func(t *testing.T, secure bool) {
		tn, tg := newEchoTunnel(t, tunnelSetup{secure: secure})
		for _, n := range []int{0, 1, 48 << 10, 48<<10 + 1, 8 << 20} {
			// The target closes at once: everything arrives before the end.
			if err := checkSource(tn.inlet, n); err != nil {
				t.Errorf("target sends %d bytes and closes: %v", n, err)
			}
			if err := checkSink(tn.inlet, n); err != nil {
				t.Errorf("client sends %d bytes: %v", n, err)
			}
		}
		for range 20 {
			if err := checkSource(tn.inlet, 300_000); err != nil {
				t.Errorf("target sends 300000 bytes and closes: %v", err)
			}
		}
		t.Run("half-close", func(t *testing.T) {
			start := time.Now()
			for {
				begin := time.Now()
				err := checkHalfClose(tn.inlet)
				// The wire has no half-close: an answer that comes later than
				// the grace is lost. A machine as busy as that is no defect.
				late := time.Since(begin) > halfCloseGrace
				if isReset(err) && late && time.Since(start) < slow(30*time.Second) {
					t.Logf("the answer took longer than the grace: %v", time.Since(begin))
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
		t.Run("both ways at once", func(t *testing.T) { checkDuplex(t, tn.inlet, 8, 4<<20) })
		t.Run("target resets", func(t *testing.T) { checkTargetReset(t, tn.inlet) })
		t.Run("client resets", func(t *testing.T) { checkClientReset(t, tn.inlet, tg) })
		t.Run("client sends and closes", func(t *testing.T) { checkSendAndClose(t, tn.inlet, tg) })
		t.Run("client closes", func(t *testing.T) { checkClientCloses(t, tn.inlet, tg) })
		tn.stop()
	})
}

// checkDuplex runs count connections that carry n bytes in each direction.
func checkDuplex(t *testing.T, addr string, count, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range count {
		wg.Go(func() {
			if got, err := duplex(addr, n, slow(patience)); err != nil {
				t.Errorf("after %d of %d bytes: %v", got, n, err)
			}
		})
	}
	wg.Wait()
}

// duplex sends the stream of a new seed while it checks the target's; it
// returns how many bytes were right and why it ended.
func duplex(addr string, n int, limit time.Duration) (got int, err error) {
	seed := rand.Uint64() &^ 1
	c, err := open(addr, request{op: opDuplex, n: n, seed: seed})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	got, err = sendAndCheck(c, c, seed, seed+1, n)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return got, err
}

// checkTargetReset demands that a connection ends soon after its target was
// reset. The protocol of the portals cannot say why a stream ends: an end of
// stream is as right here as a reset.
func checkTargetReset(t *testing.T, addr string) {
	t.Helper()
	const n = 100_000
	seed := rand.Uint64()
	c, err := open(addr, request{op: opReset, n: n, seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := checkStream(c, seed, n); err != nil {
		t.Fatalf("after %d bytes: %v", got, err)
	}
	begin := time.Now()
	_, _ = c.Write([]byte{1})
	_, err = c.Read(make([]byte, 1))
	if took := time.Since(begin); took > slow(3*time.Second) {
		t.Errorf("ended %v after the target's reset: %v", took, err)
	}
	if !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("ended with %v", err)
	}
}

// checkClientReset demands that the target's connection ends soon after the
// client's was reset.
func checkClientReset(t *testing.T, addr string, tg *target) {
	t.Helper()
	seed := rand.Uint64()
	c, err := open(addr, request{op: opEcho, seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(c, "about to go"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetLinger(0)
	_ = c.Close()
	var how error
	took := eventually(t, slow(5*time.Second), func() error {
		var ended bool
		if ended, how = tg.end(seed); !ended {
			return errors.New("the target's connection is still open")
		}
		return nil
	})
	t.Logf("target's connection ended after %v with: %v", took.Round(time.Millisecond), how)
}

// checkClientCloses demands that an end of stream, and all before it, reaches
// the target.
func checkClientCloses(t *testing.T, addr string, tg *target) {
	t.Helper()
	seed := rand.Uint64()
	c, err := open(addr, request{op: opEcho, seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(c, "hello"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	eventually(t, slow(10*time.Second), func() error {
		if ended, how := tg.end(seed); !ended {
			return errors.New("the target's connection is still open")
		} else if how != nil {
			t.Errorf("the target saw %v instead of the end of stream", how)
		}
		return nil
	})
}

// checkSendAndClose demands that what a client sent before it closed arrives.
func checkSendAndClose(t *testing.T, addr string, tg *target) {
	t.Helper()
	for _, n := range []int{1, 100_000, 4 << 20} {
		seed := rand.Uint64()
		c, err := open(addr, request{op: opSink, n: n, seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(c, stream(seed), int64(n)); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		eventually(t, slow(10*time.Second), func() error {
			if ended, how := tg.end(seed); !ended {
				return errors.New("the target's connection is still open")
			} else if how != nil {
				t.Errorf("client sends %d bytes and closes: the target got: %v", n, how)
			}
			return nil
		})
	}
}

// TestEndsWithoutConnections ends tunnels right after the last connection, when
// ends of streams cross on the wire.
func TestEndsWithoutConnections(t *testing.T) {
	t.Parallel()
	for range 10 {
		tn, _ := newEchoTunnel(t, tunnelSetup{})
		for _, n := range []int{0, 1, 48 << 10, 8 << 20, 300_000} {
			for range 5 {
				if err := errors.Join(checkSource(tn.inlet, n), checkSink(tn.inlet, n)); err != nil {
					t.Error(err)
				}
			}
		}
		tn.stop()
	}
}

// TestThousandsOfConnections keeps many connections open at once.
func TestThousandsOfConnections(t *testing.T) {
	tn, tg := newEchoTunnel(t, tunnelSetup{})
	count := 2000
	if raceEnabled {
		count = 500
	}
	begin := time.Now()
	conns := openMany(t, tn.inlet, count)
	t.Logf("%d connections in %v", count, time.Since(begin).Round(time.Millisecond))
	for round := range 2 {
		eachParallel(len(conns), 64, func(i int) {
			_ = conns[i].SetDeadline(time.Now().Add(slow(patience)))
			if err := echo(conns[i], fmt.Sprintf("connection %d round %d", i, round)); err != nil {
				t.Errorf("connection %d round %d: %v", i, round, err)
			}
		})
	}
	if n := tg.open(); n < count {
		t.Errorf("the target serves %d connections, want %d", n, count)
	}
	t.Logf("resident memory of the three processes: %d KiB", tn.residentKiB())
	for _, c := range conns {
		_ = c.Close()
	}
	took := eventually(t, slow(15*time.Second), func() error {
		if n := tg.open(); n > 0 {
			return fmt.Errorf("the target still serves %d connections", n)
		}
		return nil
	})
	t.Logf("all closed at the target %v later", took.Round(time.Millisecond))
}

// openMany opens count echo connections and makes a round trip on each. They
// are closed with the test at the latest.
func openMany(t testing.TB, addr string, count int) []*net.TCPConn {
	t.Helper()
	conns := make([]*net.TCPConn, count)
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	var mu sync.Mutex
	failed := 0
	eachParallel(count, 64, func(i int) {
		c, err := open(addr, request{op: opEcho})
		if err == nil {
			conns[i] = c
			err = echo(c, "x")
		}
		if err != nil {
			mu.Lock()
			if failed++; failed <= 3 {
				t.Errorf("connection %d: %v", i, err)
			}
			mu.Unlock()
		}
	})
	if failed > 0 {
		t.Fatalf("%d of %d connections failed", failed, count)
	}
	return conns
}

// eachParallel calls f with 0 to n-1 from several goroutines.
func eachParallel(n, workers int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestUnixSockets joins a Unix socket to a Unix socket.
func TestUnixSockets(t *testing.T) {
	program(t)
	dir := openDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "target"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends when l does
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	inlet := filepath.Join(dir, "inlet")
	tn := newTunnel(t, tunnelSetup{target: "unix:" + l.Addr().String(), inlet: "unix:" + inlet})
	eventually(t, slow(20*time.Second), func() error {
		c, err := net.DialTimeout("unix", inlet, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		return echo(c, "hello")
	})
	tn.stop()
	if _, err := net.Dial("unix", inlet); !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the inlet's socket after the end: %v", err)
	}
}
