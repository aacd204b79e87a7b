package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/config"
	"ockam/proxy/node"
)

// A middle is a network between two nodes: it passes connections on to the
// address next, until it is told otherwise.
type middle struct {
	l    net.Listener
	next string
	wg   sync.WaitGroup

	mu    sync.Mutex
	over  bool
	count int // of connections so far
	conns map[*passage]struct{}
}

// A passage is a connection through a middle.
type passage struct {
	in, out net.Conn

	mu      sync.Mutex
	deaf    bool          // what comes is thrown away
	resumed chan struct{} // while nothing is passed on, what is closed when it is again
}

func newMiddle(t *testing.T, next string) *middle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middle{l: l, next: next, conns: make(map[*passage]struct{})}
	m.wg.Go(m.accept)
	t.Cleanup(func() {
		_ = l.Close()
		m.mu.Lock()
		m.over = true
		m.mu.Unlock()
		m.cut()
		m.wg.Wait()
	})
	return m
}

func (m *middle) accept() {
	for {
		in, err := m.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", m.next)
		if err != nil {
			_ = in.Close()
			continue
		}
		p := &passage{in: in, out: out}
		m.mu.Lock()
		m.count++
		m.conns[p] = struct{}{}
		over := m.over
		m.mu.Unlock()
		if over {
			p.close()
		}
		m.wg.Go(func() {
			var wg sync.WaitGroup
			wg.Go(func() { p.carry(p.out, p.in) })
			p.carry(p.in, p.out)
			wg.Wait()
			m.mu.Lock()
			delete(m.conns, p)
			m.mu.Unlock()
		})
	}
}

// all returns the connections there are, and how many there have been.
func (m *middle) all() (now []*passage, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.conns {
		now = append(now, p)
	}
	return now, m.count
}

// wantOneLeft waits until one connection is left of so many: the middle sees their ends
// in its own time.
func (m *middle) wantOneLeft(t *testing.T, of int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now, count := m.all()
		if len(now) == 1 && count == of {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are left of %d, want 1 of %d", len(now), count, of)
		}
	}
}

// cut closes all connections that there are.
func (m *middle) cut() {
	now, _ := m.all()
	for _, p := range now {
		p.close()
	}
}

// only returns the one connection that there has been.
func (m *middle) only(t *testing.T) *passage {
	t.Helper()
	now, count := m.all()
	if len(now) != 1 || count != 1 {
		t.Fatalf("%d connections, %d so far, want one", len(now), count)
	}
	return now[0]
}

func (p *passage) close() {
	p.resume()
	_ = p.in.Close()
	_ = p.out.Close()
}

// carry moves one direction, and ends both when it ends.
func (p *passage) carry(dst, src net.Conn) {
	defer p.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		deaf, resumed := p.deaf, p.resumed
		p.mu.Unlock()
		if resumed != nil {
			<-resumed
		}
		if deaf {
			continue
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// swallow throws away whatever comes from now on, in both directions. The
// connection stays open.
func (p *passage) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
}

// stall passes nothing on until resume is called.
func (p *passage) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumed = make(chan struct{})
}

func (p *passage) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed = nil
	}
}

// throughMiddles is a configuration of an outlet o with the target, behind the
// listener at port, and an inlet for each middle, called in0, in1, and so on.
func throughMiddles(t *testing.T, port, target string, middles ...*middle) *config.File {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, `
node "db" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%s" }
  tcp_outlet "o" {
    to    = "%s"
    allow = node.app.identifier
  }
}
node "app" {
  ephemeral = true
`, port, target)
	for i, m := range middles {
		fmt.Fprintf(&text, `
  tcp_inlet "in%d" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%s/secure/api/service/o"
    allow = node.db.identifier
  }
`, i, portOf(t, m.l.Addr().String()))
	}
	text.WriteString("}\n")
	return load(t, text.String(), nil)
}

// waysOf waits until an inlet has had n ways.
func (r *run) waysOf(name string, n int) {
	r.t.Helper()
	r.wait(fmt.Sprintf("way %d of inlet %s", n, name), func(e node.Event) bool {
		if e.Kind == "inlet" && e.Name == name && e.Up && e.Addr == "" {
			n--
		}
		return n == 0
	})
}

// held is what the process has at a time.
type held struct{ goroutines, files int }

func holds(t *testing.T) held {
	t.Helper()
	h := held{goroutines: runtime.NumGoroutine()}
	if runtime.GOOS == "linux" { // elsewhere, goroutines have to do
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		h.files = len(d)
	}
	return h
}

func (h held) within(before held) bool {
	return h.goroutines <= before.goroutines && h.files <= before.files
}

// noMoreThan waits until the process holds no more than before, since much of
// what ends does so on its own time. It sleeps: nobody tells that a goroutine is
// gone.
func noMoreThan(t *testing.T, before held, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		runtime.GC() // the pipes that io.Copy keeps for another time are collected
		now := holds(t)
		if now.within(before) {
			return
		}
		if time.Now().After(deadline) {
			var stacks bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("%v after it, there are %+v, before it %+v:\n%s", within, now, before, &stacks)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// wantResetOf reads a connection until it is reset. An end would look as if
// everything had come.
func wantResetOf(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v, want a reset", what, err)
	}
}

// TestWaysLost loses thirty ways, each with a connection open: that one is reset,
// another way is found, and nothing is left of the one before.
func TestWaysLost(t *testing.T) {
	const inlets, rounds = 10, 3 // the wait before a new way grows with each round
	port := freePort(t)
	var middles []*middle
	for range inlets {
		middles = append(middles, newMiddle(t, "127.0.0.1:"+port))
	}
	r := start(t, throughMiddles(t, port, echoServer(t), middles...), nil)
	var addrs []string
	for i := range inlets {
		addrs = append(addrs, r.inletUp(fmt.Sprintf("in%d", i)))
	}
	before := settled(t, func() held { return holds(t) })
	for round := range rounds {
		var open []client
		for _, addr := range addrs {
			c := connect(t, addr)
			c.echo(fmt.Sprintf("round %d", round))
			open = append(open, c)
		}
		for _, m := range middles {
			m.cut()
		}
		for i, c := range open {
			wantResetOf(t, "a connection over a way that was lost", c.Conn)
			_ = c.Close()
			r.waysOf(fmt.Sprintf("in%d", i), round+2)
		}
	}
	for i, m := range middles {
		c := connect(t, addrs[i])
		c.echo("afterwards")
		_ = c.Close()
		m.wantOneLeft(t, rounds+1)
	}
	noMoreThan(t, before, patience)
}

// settled returns what look sees when that has been the same for half a second.
func settled[T comparable](t *testing.T, look func() T) T {
	t.Helper()
	last, since, deadline := look(), time.Now(), time.Now().Add(patience)
	for time.Since(since) < time.Second/2 {
		time.Sleep(20 * time.Millisecond) // nobody tells that a goroutine is gone
		if now := look(); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("what is held does not come to rest: %+v", last)
		}
	}
	return last
}

// TestWayReplaced has an outlet not answer over a way that is open. A new
// connection finds another way beside it; nothing of the old one is left when it
// carries nothing.
func TestWayReplaced(t *testing.T) {
	port := freePort(t)
	swallowing, stalling := newMiddle(t, "127.0.0.1:"+port), newMiddle(t, "127.0.0.1:"+port)
	r := start(t, throughMiddles(t, port, echoServer(t), swallowing, stalling), nil)
	in0, in1 := r.inletUp("in0"), r.inletUp("in1")
	before := settled(t, func() held { return holds(t) })
	const (
		within  = 15 * time.Second // of which the doubts take 3 s
		wearOut = 30 * time.Second // of which the watch of the old way takes 5 s
	)
	t.Run("both", func(t *testing.T) {
		t.Run("swallowed", func(t *testing.T) {
			t.Parallel()
			first := swallowing.only(t)
			first.swallow()
			c := connect(t, in0)
			if err := c.tryEcho(within); err != nil {
				t.Fatalf("a new connection: %v", err)
			}
			r.waysOf("in0", 2)
			connect(t, in0).echo("the next")
			c.echo("the one before")
			first.close() // its pings would give it up in time
			c.echo("after the end of the first way")
		})
		t.Run("stalled", func(t *testing.T) {
			t.Parallel()
			first := stalling.only(t)
			old := connect(t, in1)
			old.echo("before")
			first.stall()
			c := connect(t, in1)
			if err := c.tryEcho(within); err != nil {
				t.Fatalf("a new connection: %v", err)
			}
			r.waysOf("in1", 2)
			first.resume()
			old.echo("over the way before, which goes on")
			c.echo("over the way after")
		})
	})
	noMoreThan(t, before, wearOut)
	swallowing.wantOneLeft(t, 2)
	stalling.wantOneLeft(t, 2)
}
