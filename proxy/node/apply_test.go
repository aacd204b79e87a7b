package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// startNodes runs nodes to which other configurations are applied.
func startNodes(t *testing.T, f *config.File) (*run, map[string]*node.Node) {
	t.Helper()
	r := &run{t: t, more: make(chan struct{})}
	nodes, stop, err := node.Start(context.Background(), f, node.Options{
		Status: r.event, Store: func() (*state.Store, error) { return nil, errors.New("no store") },
	})
	t.Cleanup(func() { stop(0) })
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*node.Node)
	for i, n := range nodes {
		byName[f.Nodes[i].Name] = n
	}
	return r, byName
}

// apply applies the part of the text that is about one node; what is under way
// in what is stopped has until drain.
func apply(t *testing.T, n *node.Node, name, text string, drain time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	for _, c := range load(t, text, nil).Nodes {
		if c.Name == name {
			return n.Apply(ctx, c)
		}
	}
	t.Fatalf("no node %s", name)
	return nil
}

func mustApply(t *testing.T, n *node.Node, name, text string, drain time.Duration) {
	t.Helper()
	if err := apply(t, n, name, text, drain); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// A client is a connection of an application.
type client struct {
	t *testing.T
	net.Conn
}

func connect(t *testing.T, addr string) client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return client{t, c}
}

// echo checks that what is sent comes back.
func (c client) echo(what string) {
	c.t.Helper()
	if err := c.tryEcho(patience); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// tryEchoAt is tryEcho over a connection of its own, which may be reset so soon that
// it cannot be made.
func tryEchoAt(t *testing.T, addr string, wait time.Duration) error {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return client{t, c}.tryEcho(wait)
}

func (c client) tryEcho(wait time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("echo %q: %w", got, err)
	}
	return nil
}

// wantReset waits until the connection is reset: not ended, which would look as
// if everything had come.
func (c client) wantReset(what string) {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("%s: %v, want a reset", what, err)
	}
}

// inletAndOutlet is an inlet at the second address that leads to the third.
const inletAndOutlet = `
node "db" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "o" {
    to    = "%[3]s"
    allow = node.app.identifier
  }
}
node "app" {
  ephemeral = true
  tcp_inlet "in" {
    from  = "%[2]s"
    to    = "/node/db/secure/api/service/o"
    allow = node.db.identifier
  }
}
`

func TestApplyUnchanged(t *testing.T) {
	from := "127.0.0.1:" + freePort(t)
	text := fmt.Sprintf(inletAndOutlet, freePort(t), from, echoServer(t))
	r, nodes := startNodes(t, load(t, text, nil))
	r.inletUp("in")
	c := connect(t, from)
	c.echo("before")
	r.mu.Lock()
	events := len(r.events)
	r.mu.Unlock()
	for i := range 3 {
		text = "# the lines are others\n" + text
		for name, n := range nodes {
			began := time.Now()
			mustApply(t, n, name, text, patience)
			if took := time.Since(began); took > patience/2 {
				t.Errorf("apply took %v, as if it waited for what goes on", took)
			}
		}
		c.echo(fmt.Sprintf("after %d", i))
	}
	connect(t, from).echo("another")
	r.mu.Lock()
	defer r.mu.Unlock()
	if more := r.events[events:]; len(more) > 0 {
		t.Errorf("something happened: %+v", more)
	}
}

func TestApplyChangedInlet(t *testing.T) {
	old, next := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	port, target := freePort(t), echoServer(t)
	r, nodes := startNodes(t, load(t, fmt.Sprintf(inletAndOutlet, port, old, target), nil))
	r.inletUp("in")
	c := connect(t, old)
	c.echo("before")

	applied := make(chan error, 1)
	text := fmt.Sprintf(inletAndOutlet, port, next, target)
	go func() { applied <- apply(t, nodes["app"], "app", text, time.Minute) }()
	r.wait("the new address", func(e node.Event) bool { return e.Addr == next })
	l, err := net.Listen("tcp", old)
	if err != nil {
		t.Errorf("the old address is not free: %v", err)
	} else {
		_ = l.Close()
	}
	connect(t, next).echo("the new address")
	c.echo("over the old inlet, meanwhile")
	select {
	case err := <-applied:
		t.Fatalf("apply did not wait for what is under way: %v", err)
	default:
	}
	_ = c.Close()
	if err := receive(t, "the end of apply", applied); err != nil {
		t.Error(err)
	}

	// What does not end in time is reset, and the address can be had again.
	c = connect(t, next)
	c.echo("before")
	mustApply(t, nodes["app"], "app", fmt.Sprintf(inletAndOutlet, port, old, target), time.Second/2)
	c.wantReset("what did not end in time")
	connect(t, old).echo("back at the first address")
}

// TestApplySameAddress replaces an inlet by another that listens at the same
// address, while a connection goes on.
func TestApplySameAddress(t *testing.T) {
	from := "127.0.0.1:" + freePort(t)
	text := fmt.Sprintf(inletAndOutlet, freePort(t), from, echoServer(t))
	r, nodes := startNodes(t, load(t, text, nil))
	r.inletUp("in")
	c := connect(t, from)
	c.echo("before")
	applied := make(chan error, 1)
	go func() {
		applied <- apply(t, nodes["app"], "app", strings.Replace(text, `allow = node.db`, `max_connections = 7
		allow = node.db`, 1), time.Minute)
	}()
	r.waitNth("the inlet again", 2, func(e node.Event) bool { return e.Addr == from })
	connect(t, from).echo("the new inlet")
	c.echo("the connection of the old one")
	_ = c.Close()
	if err := receive(t, "the end of apply", applied); err != nil {
		t.Error(err)
	}
}

func TestApplyChangedOutlet(t *testing.T) {
	from, port := "127.0.0.1:"+freePort(t), freePort(t)
	first, second := countingEcho(t), countingEcho(t)
	r, nodes := startNodes(t, load(t, fmt.Sprintf(inletAndOutlet, port, from, first.addr), nil))
	r.inletUp("in")
	c := connect(t, from)
	c.echo("before")

	// Another target: what is open stays where it is.
	text := fmt.Sprintf(inletAndOutlet, port, from, second.addr)
	mustApply(t, nodes["db"], "db", text, patience)
	c.echo("the first target")
	connect(t, from).echo("the second target")
	if a, b := first.conns.Load(), second.conns.Load(); a != 1 || b != 1 {
		t.Errorf("the targets were dialed %d and %d times, want once each", a, b)
	}

	// A change that needs another outlet.
	text = strings.Replace(text, "allow = node.app", "max_connections = 1\nallow = node.app", 1)
	mustApply(t, nodes["db"], "db", text, time.Second/2)
	c.wantReset("what did not end in time")
	c = connect(t, from)
	c.echo("the new outlet")
	if err := tryEchoAt(t, from, patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beyond max_connections: %v, want an end at once", err)
	}

	// Removed.
	without := text[:strings.Index(text, `  tcp_outlet`)] + text[strings.Index(text, "}\nnode \"app\""):]
	without = strings.Replace(without, `ephemeral = true`, "ephemeral = true\nrelay_service { allow = node.app.identifier }", 1)
	mustApply(t, nodes["db"], "db", without, time.Second/2)
	c.wantReset("of an outlet that is no more")
	if err := tryEchoAt(t, from, quiet); err == nil {
		t.Error("an outlet that was removed is still there")
	}
	text = strings.Replace(text, "max_connections = 1\n", "", 1) // who was not answered just now waits, and has a place as well
	mustApply(t, nodes["db"], "db", text, patience)
	connect(t, from).echo("the outlet is back")
}

func TestApplyChangedListener(t *testing.T) {
	const text = `
node "n" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%s" }
  relay_service { allow = "%s" }
}`
	a := newOwner(t)
	old, next := freePort(t), freePort(t)
	_, nodes := startNodes(t, load(t, fmt.Sprintf(text, old, a), nil))
	p := newPeer(t, a)
	registered(t, p, p.channel(p.link("127.0.0.1:"+old)), "x")
	mustApply(t, nodes["n"], "n", fmt.Sprintf(text, next, a), patience)
	l, err := net.Listen("tcp", "127.0.0.1:"+old)
	if err != nil {
		t.Fatalf("the old address is not free: %v", err)
	}
	_ = l.Close()
	registered(t, p, p.channel(p.link("127.0.0.1:"+next)), "y")
}

// TestApplyErrors checks that all errors are returned, that what they do not
// concern runs, and that what they do runs when they are mended.
func TestApplyErrors(t *testing.T) {
	const text = `
node "n" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_inlet "in" {
    from  = "%[2]s"
    to    = "/ip4/127.0.0.1/tcp/%[1]s/secure/api/service/o"
    allow = node.n.identifier
  }
  %[5]s
  tcp_outlet "o" {
    to    = "%[3]s"
    allow = node.n.identifier
  }
  tcp_outlet "unknown" {
    to    = "%[3]s"
    allow = %[4]s
  }
}
node "later" {
  ephemeral = true
  services  = ["uppercase"]
}
`
	const one, other = "node.n.identifier", "node.later.identifier"
	target, port, from, second := echoServer(t), freePort(t), "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	more := fmt.Sprintf(`tcp_inlet "second" {
    from  = "%s"
    to    = "/ip4/127.0.0.1/tcp/%s/secure/api/service/o"
    allow = node.n.identifier
  }`, second, port)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := load(t, fmt.Sprintf(text, port, from, target, one, ""), nil)
	f.Nodes = f.Nodes[:1] // as if later came later
	r, nodes := startNodes(t, f)
	r.inletUp("in")
	connect(t, from).echo("before")

	err = apply(t, nodes["n"], "n", fmt.Sprintf(text, port, taken.Addr(), target, other, more), 0)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `identifier of node "later" is not known`) {
		t.Errorf("got %v, want that the address is in use and that later is unknown", err)
	}
	if n := strings.Count(err.Error(), "test.hcl:"); n != 2 {
		t.Errorf("%d places in %v, want 2", n, err)
	}
	if c, err := net.Dial("tcp", from); err == nil {
		_ = c.Close()
		t.Error("the inlet still listens where the configuration does not say so")
	}
	// Nothing is wrong with the inlet second.
	r.inletUp("second")
	connect(t, second).echo("what nothing is wrong with")
	mustApply(t, nodes["n"], "n", fmt.Sprintf(text, port, from, target, one, ""), 0)
	connect(t, from).echo("mended")
}

// offers is a node that offers two outlets, o and p, to those whom it is told.
const offers = `
node "n" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "o" {
    to    = "%[2]s"
    allow = %[3]s
  }
  tcp_outlet "p" {
    to    = "%[2]s"
    allow = %[4]s
  }
}`

func quoted(owners ...*owner) string {
	var all []string
	for _, o := range owners {
		all = append(all, `"`+o.String()+`"`)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// wantStreamReset waits until a stream is reset.
func wantStreamReset(t *testing.T, what string, s *portal.Stream) {
	t.Helper()
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, portal.ErrReset) {
		t.Errorf("%s: %v, want a reset", what, err)
	}
}

// TestApplyLapsed takes a permission away while it is used. What used it is reset
// at once, however long there is for what goes on; what another permission covers
// goes on.
func TestApplyLapsed(t *testing.T) {
	a, b := newOwner(t), newOwner(t)
	const anyone = `"anyone"`
	for _, tt := range []struct {
		name                        string
		o, p, nextO, nextP          string
		path                        string // of a's stream to o: "link" or "channel"
		aGoesOn, bGoesOn, aStranger bool   // a's stream to o, b's to o; a may no longer open channels
	}{
		{"a may still use p", quoted(a, b), quoted(a), quoted(b), quoted(a), "channel", false, true, false},
		{"a may use nothing any more", quoted(a, b), quoted(b), quoted(b), quoted(b), "channel", false, true, true},
		{"b may as well", quoted(a), quoted(b), quoted(a, b), quoted(b), "channel", true, true, false},
		{"no longer anyone, over a link", anyone, quoted(b), quoted(a, b), quoted(b), "link", false, false, false},
		{"no longer anyone, over a channel", anyone, quoted(b), quoted(b), quoted(b), "channel", false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, target := freePort(t), echoServer(t)
			text := func(o, p string) string { return fmt.Sprintf(offers, port, target, o, p) }
			_, nodes := startNodes(t, load(t, text(tt.o, tt.p), nil))
			addr := "127.0.0.1:" + port
			pa, pb := newPeer(t, a), newPeer(t, b)
			open := func(p *peer, path tunnel.Path, name string) *portal.Stream {
				t.Helper()
				s, err := p.dial(path, name, patience)
				if errors.Is(err, portal.ErrRefused) {
					return nil
				}
				if err != nil {
					t.Fatal(err)
				}
				if !echoes(s) {
					t.Errorf("%s opens, and does not echo", name)
					return nil
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			la := pa.link(addr)
			path := tunnel.Path(la)
			if tt.path == "channel" {
				path = pa.channel(la)
			}
			sa := open(pa, path, "o")
			var other, sb *portal.Stream // of a to p, over a channel of its own; of b to o
			if strings.Contains(tt.p, a.String()) {
				other = open(pa, pa.channel(pa.link(addr)), "p")
			}
			if cb := pb.channel(pb.link(addr)); strings.Contains(tt.o, b.String()) || tt.o == anyone {
				sb = open(pb, cb, "o")
			}

			unused := pa.channel(pa.link(addr))
			began := time.Now()
			mustApply(t, nodes["n"], "n", text(tt.nextO, tt.nextP), 2*time.Minute)
			if took := time.Since(began); took > patience {
				t.Errorf("apply took %v", took)
			}
			if tt.aGoesOn && !echoes(sa) {
				t.Error("a's stream does not go on")
			} else if !tt.aGoesOn {
				wantStreamReset(t, "a's stream", sa)
			}
			if other != nil && !echoes(other) {
				t.Error("a's stream to the other outlet does not go on")
			}
			if sb != nil && tt.bGoesOn && !echoes(sb) {
				t.Error("b's stream does not go on")
			} else if sb != nil && !tt.bGoesOn {
				wantStreamReset(t, "b's stream", sb)
			}
			if tt.aStranger {
				receive(t, "the end of an unused channel of a", unused.Origin().Done())
			} else if err := unused.Origin().Err(); err != nil {
				t.Errorf("an unused channel of a has ended: %v", err)
			}

			// A new stream of a.
			wait := patience
			if tt.aStranger {
				wait = quiet
			}
			c, err := pa.tryChannel(pa.link(addr), wait)
			if (err != nil) != tt.aStranger {
				t.Errorf("a new channel of a: %v, want it to be refused: %t", err, tt.aStranger)
			}
			if allowed := strings.Contains(tt.nextO, a.String()); err == nil && (open(pa, c, "o") != nil) != allowed {
				t.Errorf("a new stream of a: it opens: %t", !allowed)
			}

			// And back.
			mustApply(t, nodes["n"], "n", text(tt.o, tt.p), 0)
			path = pa.link(addr)
			if tt.path == "channel" {
				path = pa.channel(path)
			}
			if open(pa, path, "o") == nil {
				t.Error("a is refused after it is allowed again")
			}
		})
	}
}

// TestApplyLapsedInlet changes who may be at the far end of an inlet.
func TestApplyLapsedInlet(t *testing.T) {
	from := "127.0.0.1:" + freePort(t)
	text := fmt.Sprintf(inletAndOutlet, freePort(t), from, echoServer(t))
	r, nodes := startNodes(t, load(t, text, nil))
	r.inletUp("in")
	c := connect(t, from)
	c.echo("before")
	began := time.Now()
	mustApply(t, nodes["app"], "app", strings.Replace(text, "allow = node.db", "allow = node.app", 1), 2*time.Minute)
	if took := time.Since(began); took > patience {
		t.Errorf("apply took %v", took)
	}
	c.wantReset("a connection to who may be there no more")
	r.wait("that the far end is somebody else", func(e node.Event) bool {
		return e.Kind == "inlet" && !e.Up && strings.Contains(e.Text, "somebody else")
	})
	mustApply(t, nodes["app"], "app", text, 0)
	connect(t, from).echo("allowed again")
}

// TestApplyRelayService changes who may have names. The protocol has no message
// for taking a name away: who has one must see its channel end, and else would
// think that it is reachable.
func TestApplyRelayService(t *testing.T) {
	const text = `
node "n" {
  ephemeral = true
  services  = ["uppercase"]
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  %[2]s
}`
	a, b := newOwner(t), newOwner(t)
	service := func(allow string) string { return "relay_service { allow = " + allow + " }" }
	for _, tt := range []struct {
		name, before, after string
		aStays              bool
	}{
		{"b as well", service(quoted(a)), service(quoted(a, b)), true},
		{"no longer a", service(quoted(a, b)), service(quoted(b)), false},
		{"no longer anyone", service(`"anyone"`), service(quoted(a)), false},
		{"now anyone", service(quoted(a)), service(`"anyone"`), false},
		{"none", service(quoted(a)), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			_, nodes := startNodes(t, load(t, fmt.Sprintf(text, port, tt.before), nil))
			addr := "127.0.0.1:" + port
			pa, pc := newPeer(t, a), newPeer(t, newOwner(t))
			ca, lc := pa.channel(pa.link(addr)), pc.link(addr)
			registered(t, pa, ca, "x")
			mustApply(t, nodes["n"], "n", fmt.Sprintf(text, port, tt.after), time.Minute)
			if !tt.aStays {
				receive(t, "the end of a's channel", ca.Origin().Done())
				if _, ok := pc.ask(lc, route(relay.Prefix+"x", "echo"), []byte{1}, quiet); ok {
					t.Error("the name still leads to a")
				}
				return
			}
			if _, ok := pc.ask(lc, route(relay.Prefix+"x", "echo"), []byte{1}, patience); !ok {
				t.Error("the name leads to a no more")
			}
		})
	}
}

// TestApplyOften changes an outlet back and forth while connections come and
// go, none of which may see anything of it.
func TestApplyOften(t *testing.T) {
	from, port, target := "127.0.0.1:"+freePort(t), freePort(t), echoServer(t)
	one := fmt.Sprintf(inletAndOutlet, port, from, target)
	texts := []string{
		one,
		fmt.Sprintf(inletAndOutlet, port, from, echoServer(t)),
		strings.Replace(one, "allow = node.app.identifier", "allow = [node.app.identifier, node.db.identifier]", 1),
	}
	r, nodes := startNodes(t, load(t, one, nil))
	r.inletUp("in")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", from)
				if err == nil {
					err = client{t, c}.tryEcho(patience)
					_ = c.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 60 {
		mustApply(t, nodes["db"], "db", texts[(i+1)%len(texts)], 0)
	}
	cancel()
	wg.Wait()
}
