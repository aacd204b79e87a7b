//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watched is a tunnel with a middle on either side of the relay.
type watched struct {
	*tunnel
	target *target
	app    *middle // between inlet and relay
	db     *middle // between outlet and relay
}

func newWatched(t *testing.T, secure bool) *watched {
	t.Helper()
	program(t)
	listen := freePort(t)
	w := &watched{target: newTarget(t), app: newMiddle(t, listen), db: newMiddle(t, listen)}
	w.tunnel = newTunnel(t, tunnelSetup{
		target: w.target.addr, secure: secure, listen: listen,
		fromDB: w.db.addr(), fromApp: w.app.addr(),
	})
	w.waitUp(slow(20 * time.Second))
	return w
}

// TestRelaySeesCiphertextOnly carries a known text and looks for it on both
// wires and in the relay's memory.
func TestRelaySeesCiphertextOnly(t *testing.T) {
	eachNaming(t, func(t *testing.T, secure bool) {
		w := newWatched(t, secure)
		c, err := open(w.inlet, request{op: opEcho})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const n = 8 << 20
		text := pattern(n)
		answer := make([]byte, n)
		both(
			func() { _, _ = c.Write(text) },
			func() { _, err = io.ReadFull(c, answer) },
		)
		if err != nil || !bytes.Equal(text, answer) {
			t.Fatalf("echo of %d bytes: %v", n, err)
		}
		for name, m := range map[string]*middle{"inlet": w.app, "outlet": w.db} {
			if seen := m.seen.Load(); seen < 2*n {
				t.Errorf("the wire of the %s carried only %d bytes", name, seen)
			}
			if k := m.betrayed.Load(); k > 0 {
				t.Errorf("the wire of the %s shows the plaintext, in %d frames", name, k)
			}
		}
		if err := echo(c, "and it goes on"); err != nil {
			t.Error(err)
		}
		if raceEnabled {
			return // the detector's shadow memory is too large to search
		}
		if k, size := searchMemory(t, w.relay.pid()); k > 0 {
			t.Errorf("the relay's memory holds the plaintext, %d times", k)
		} else {
			t.Logf("searched %d MiB of the relay's memory", size>>20)
		}
		// The search itself is tried on a process that does hold the text.
		if k, _ := searchMemory(t, os.Getpid()); k == 0 {
			t.Error("the search finds nothing in this very process")
		}
	})
}

// searchMemory counts how often patternPart is in the readable memory of a process,
// which is halted meanwhile, and how many bytes that memory has.
func searchMemory(t *testing.T, pid int) (found int, size int64) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if errors.Is(err, os.ErrPermission) {
		t.Skip("this machine does not allow a look into a process's memory")
	} else if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	if pid != os.Getpid() {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' {
			continue
		}
		for at := from; at < to; at += int64(len(buf) - len(patternPart)) {
			n, err := mem.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
			found += bytes.Count(buf[:n], []byte(patternPart))
			size += int64(n)
			if err != nil {
				break // a region that cannot be read, such as vvar
			}
		}
	}
	return found, size
}

// TestHostileRelay attacks frames on each wire and in each direction. What an
// application gets is a beginning of what the other sent, and an end of
// stream only after all of it.
func TestHostileRelay(t *testing.T) {
	t.Parallel()
	eachNaming(t, func(t *testing.T, secure bool) {
		w := newWatched(t, secure)
		turn := 0
		for _, place := range []struct {
			name string
			m    *middle
		}{{"inlet", w.app}, {"outlet", w.db}} {
			for _, up := range []bool{true, false} {
				for _, a := range attacks() {
					if turn++; (!inCI() || raceEnabled) && turn%3 != 0 {
						continue // time is short at a desk, and under the detector: each attack in some place
					}
					a.up, a.every = up, 30
					direction := map[bool]string{true: "to relay", false: "from relay"}[up]
					t.Run(strings.Join([]string{place.name, direction, a.name}, ", "), func(t *testing.T) {
						w.attack(t, place.m, a)
					})
				}
			}
		}
		took := w.waitUp(slow(60 * time.Second))
		t.Logf("works again %v after the last attack", took.Round(time.Millisecond))
		for _, h := range w.hosts() {
			if !h.running() {
				t.Errorf("%s has ended", h.name)
			}
		}
	})
}

// attack runs connections while m attacks. What an attack before has spoiled may end
// them before this one has begun: then it is tried once more.
func (w *watched) attack(t *testing.T, m *middle, a attack) {
	before := m.struck.Load()
	for range 5 {
		// First, a tunnel as it should be.
		w.waitUp(slow(60 * time.Second))
		var wg sync.WaitGroup
		begun := make(chan struct{}, 64)
		for range 3 {
			wg.Go(func() { w.attacked(t, begun) })
		}
		for range 3 {
			<-begun
		}
		m.armed.Store(&a)
		wg.Wait()
		m.armed.Store(nil)
		if m.struck.Load() != before {
			return
		}
	}
	t.Error("no frame was attacked")
}

// attacked runs one connection in both directions, which may end at any time
// but may not deliver what was not sent. It says when it has begun.
func (w *watched) attacked(t *testing.T, begun chan<- struct{}) {
	const n = 24 << 20
	seed := rand.Uint64() &^ 1
	c, err := open(w.inlet, request{op: opDuplex, n: n, seed: seed})
	if err != nil {
		begun <- struct{}{}
		return
	}
	defer func() {
		w.target.giveUp(seed)
		_ = c.Close()
	}()
	// Frames that vanish leave a connection waiting: not for long.
	r := &watch{
		c: c, limit: slow(1500 * time.Millisecond),
		first: sync.OnceFunc(func() { begun <- struct{}{} }),
		last: func() {
			w.target.giveUp(seed)
			_ = c.Close() // ends the other direction too
		},
	}
	defer r.first()
	got, err := sendAndCheck(c, r, seed, seed+1, n)
	if errors.Is(err, errShort) {
		if ended, how := w.target.end(seed); ended && errors.Is(how, errContent) {
			return // the target complains of that and has ended it
		}
	}
	if errors.Is(err, errContent) || errors.Is(err, errShort) {
		t.Errorf("after %d of %d bytes the client got: %v", got, n, err)
	}
}

// A watch is a reader that tells of its first bytes and of its failure, and
// gives up when there is nothing for a while.
type watch struct {
	c interface {
		io.Reader
		SetReadDeadline(time.Time) error
	}
	first func()
	last  func()
	limit time.Duration
}

func (w *watch) Read(b []byte) (int, error) {
	_ = w.c.SetReadDeadline(time.Now().Add(w.limit))
	n, err := w.c.Read(b)
	if n > 0 {
		w.first()
	}
	if err != nil {
		w.last()
	}
	return n, err
}
