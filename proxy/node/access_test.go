package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ockam/proxy/node"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// strictNode names identities wherever it can; openNode says "anyone" wherever
// it can. Both dial the test's peers: an inlet's far end and a relay, each with
// and without a channel.
const (
	dialsOut = `
  tcp_inlet "plain" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%[2]s/service/nowhere"
    allow = "anyone"
  }
  tcp_inlet "secure" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%[3]s/secure/api/service/nowhere"
    allow = "%[7]s"
  }
  relay "plain" { at = "/ip4/127.0.0.1/tcp/%[4]s" }
  relay "secure" { at = "/ip4/127.0.0.1/tcp/%[5]s/secure/api" }
`
	strictNode = `
node "n" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "for_a" {
    to    = "%[6]s"
    allow = "%[7]s"
  }
  tcp_outlet "for_b" {
    to    = "%[6]s"
    allow = "%[8]s"
  }
  relay_service { allow = "%[7]s" }
` + dialsOut + `
}`
	openNode = `
node "n" {
  ephemeral = true
  services  = ["uppercase"]
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "for_all" {
    to    = "%[6]s"
    allow = "anyone"
  }
  tcp_outlet "for_a" {
    to    = "%[6]s"
    allow = "%[7]s"
  }
  relay_service { allow = "anyone" }
` + dialsOut + `
}
# %[8]s`
)

// A stage is a node under test and all ways to it.
type stage struct {
	t       *testing.T
	run     *run
	addr    string // where it listens
	target  *counter
	a, b, c *owner
	// farInlet and its like are what the node dialed, without and with a channel.
	// Their owner is a: that the node knows it and allows it much does not help.
	farInlet, farInletSecure, farRelay, farRelaySecure *peer
}

func newStage(t *testing.T, text string) *stage {
	t.Helper()
	s := &stage{t: t, a: newOwner(t), b: newOwner(t), c: newOwner(t), target: countingEcho(t)}
	s.addr = "127.0.0.1:" + freePort(t)
	var ports []any
	for _, p := range []**peer{&s.farInlet, &s.farInletSecure, &s.farRelay, &s.farRelaySecure} {
		*p = newPeer(t, s.a)
		ports = append(ports, (*p).listen())
	}
	args := append([]any{portOf(t, s.addr)}, ports...)
	args = append(args, s.target.addr, s.a, s.b)
	s.run = start(t, load(t, fmt.Sprintf(text, args...), nil), nil)
	for _, kind := range []string{"inlet", "relay"} {
		for _, name := range []string{"plain", "secure"} {
			s.run.wait(kind+" "+name, func(e node.Event) bool {
				return e.Kind == kind && e.Name == name && e.Up && e.Addr == ""
			})
		}
	}
	return s
}

// An origin is a way to the node, as the peer at its other end sees it.
type origin struct {
	name string
	peer *peer
	path tunnel.Path
}

// origins returns one of every kind.
func (s *stage) origins() []origin {
	s.t.Helper()
	a, b, plain := newPeer(s.t, s.a), newPeer(s.t, s.b), newPeer(s.t, s.c)
	all := []origin{
		{"link", plain, plain.link(s.addr)},
		{"channel of a", a, a.channel(a.link(s.addr))},
		{"channel of b", b, b.channel(b.link(s.addr))},
		{"dialed inlet link", s.farInlet, receive(s.t, "link of the inlet", s.farInlet.links)},
		{"dialed inlet link below a channel", s.farInletSecure, receive(s.t, "link of the inlet", s.farInletSecure.links)},
		{"dialed inlet channel", s.farInletSecure, receive(s.t, "channel of the inlet", s.farInletSecure.channels)},
		{"dialed relay link", s.farRelay, receive(s.t, "link of the relay", s.farRelay.links)},
		{"dialed relay link below a channel", s.farRelaySecure, receive(s.t, "link of the relay", s.farRelaySecure.links)},
		{"dialed relay channel", s.farRelaySecure, receive(s.t, "channel of the relay", s.farRelaySecure.channels)},
	}
	return all
}

// A probe tries to reach something; its result is one word.
type probe func(o origin, wait time.Duration) string

const nothing = "nothing"

func probeService(name string, payload []byte) probe {
	return func(o origin, wait time.Duration) string {
		answer, ok := o.peer.ask(o.path, route(name), payload, wait)
		if !ok {
			return nothing
		}
		if want := strings.ToUpper(string(payload)); answer != want { // an echo is sent none that has letters
			return fmt.Sprintf("the answer %q, not %q", answer, want)
		}
		return "answer"
	}
}

func probeListener(o origin, wait time.Duration) string {
	c, err := o.peer.tryChannel(o.path, wait)
	if err != nil {
		return nothing
	}
	c.Close()
	return "channel"
}

func probeOutlet(name string) probe {
	return func(o origin, wait time.Duration) string {
		s, err := o.peer.dial(o.path, name, wait)
		if errors.Is(err, portal.ErrRefused) {
			return "refusal"
		} else if err != nil {
			return nothing
		}
		defer s.Close()
		if echoes(s) {
			return "stream"
		}
		return "stream without an echo"
	}
}

func probeRelayService(name string) probe {
	return func(o origin, wait time.Duration) string {
		ctx, cancel := context.WithTimeout(o.peer.ctx, wait)
		defer cancel()
		c := relay.Client{Router: o.peer.router, Path: o.path, Service: name, Name: tunnel.RandomAddress().Name}
		r, err := c.Register(ctx)
		if err != nil {
			return nothing
		}
		r.Close()
		return "name"
	}
}

// registered registers a name at the node over path; it forwards to an echo
// service of the peer's.
func registered(t *testing.T, p *peer, path tunnel.Path, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	r, err := relay.Client{Router: p.router, Path: path, Name: name}.Register(ctx)
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	t.Cleanup(r.Close)
}

func probeRelayed(name string) probe {
	return func(o origin, wait time.Duration) string {
		if _, ok := o.peer.ask(o.path, route(relay.Prefix+name, service.EchoName), []byte{2}, wait); ok {
			return "answer"
		}
		return nothing
	}
}

// TestAccess tries everything from everywhere. The rows are addresses, the
// columns origins, in the order of stage.origins.
func TestAccess(t *testing.T) {
	const no = nothing
	upper := wire.AppendString(nil, "x")
	probes := map[string]probe{
		service.EchoName:        probeService(service.EchoName, []byte{3}),
		service.UppercaseName:   probeService(service.UppercaseName, upper),
		service.HopName:         probeService(service.HopName, upper),
		secure.DefaultName:      probeListener,
		"for_a":                 probeOutlet("for_a"),
		"for_b":                 probeOutlet("for_b"),
		"for_all":               probeOutlet("for_all"),
		relay.ServiceName:       probeRelayService(relay.ServiceName),
		relay.StaticServiceName: probeRelayService(relay.StaticServiceName),
		relay.Prefix + "x":      probeRelayed("x"),
		"nobody":                probeService("nobody", upper),
	}
	for _, tt := range []struct {
		name, text string
		rows       map[string][]string
	}{
		// Columns:          link      a          b          inlet     below     channel   relay     below     channel
		{"strict", strictNode, map[string][]string{
			"echo":                      {"answer", "answer", "answer", "answer", "answer", "answer", "answer", "answer", "answer"},
			"uppercase":                 {no, no, no, no, no, no, no, no, no},
			"hop":                       {no, no, no, no, no, no, no, no, no},
			"api":                       {"channel", no, no, no, no, no, "channel", "channel", "channel"},
			"for_a":                     {no, "stream", "refusal", no, no, no, no, no, no},
			"for_b":                     {no, "refusal", "stream", no, no, no, no, no, no},
			"for_all":                   {no, no, no, no, no, no, no, no, no},
			"forwarding_service":        {no, "name", no, no, no, no, no, no, no},
			"static_forwarding_service": {no, "name", no, no, no, no, no, no, no},
			"forward_to_x":              {"answer", "answer", "answer", no, no, no, no, no, no},
			"nobody":                    {no, no, no, no, no, no, no, no, no},
		}},
		{"open", openNode, map[string][]string{
			"echo":                      {"answer", "answer", "answer", "answer", "answer", "answer", "answer", "answer", "answer"},
			"uppercase":                 {"answer", "answer", "answer", no, no, no, "answer", "answer", "answer"},
			"hop":                       {no, no, no, no, no, no, no, no, no},
			"api":                       {"channel", no, no, no, no, no, "channel", "channel", "channel"},
			"for_a":                     {no, "stream", "refusal", no, no, no, no, no, no},
			"for_b":                     {no, no, no, no, no, no, no, no, no},
			"for_all":                   {"stream", "stream", "stream", no, no, no, "stream", "stream", "stream"},
			"forwarding_service":        {"name", "name", "name", no, no, no, "name", "name", "name"},
			"static_forwarding_service": {"name", "name", "name", no, no, no, "name", "name", "name"},
			"forward_to_x":              {"answer", "answer", "answer", no, no, no, no, no, no},
			"nobody":                    {no, no, no, no, no, no, no, no, no},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.text)
			x := newPeer(t, s.a)
			registered(t, x, x.channel(x.link(s.addr)), "x")
			origins := s.origins()
			// An origin that everybody may pretend to be would prove nothing: the
			// plain link's peer is c, whom api admits only where it admits all.
			origins[0].peer.cfg.Identity = s.a.id
			var wg sync.WaitGroup
			for address, row := range tt.rows {
				for i, want := range row {
					wait := patience
					if want == nothing {
						wait = quiet
					}
					wg.Go(func() {
						if got := probes[address](origins[i], wait); got != want {
							t.Errorf("%s from %s: %s, want %s", address, origins[i].name, got, want)
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// TestListenerAdmits checks whom the channel listener admits: those whom some
// allow names.
func TestListenerAdmits(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		c          bool // whom nothing names
	}{
		{"strict", strictNode, false},
		{"open", openNode, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.text)
			p := newPeer(t, s.c)
			wait := 2 * quiet
			if tt.c {
				wait = patience
			}
			c, err := p.tryChannel(p.link(s.addr), wait)
			if (err == nil) != tt.c {
				t.Errorf("channel of a stranger: %v, want it to be accepted: %t", err, tt.c)
			}
			if err == nil {
				c.Close()
			}
		})
	}
}

// TestTransit checks that a node carries nothing from one of its links and
// channels to another, but between those that a relay has paired.
func TestTransit(t *testing.T) {
	s := newStage(t, strictNode)
	a, b, c := newPeer(t, s.a), newPeer(t, s.b), newPeer(t, s.c)
	ca := a.channel(a.link(s.addr))
	registered(t, a, ca, "x")
	lb := b.link(s.addr)
	cb := b.channel(b.link(s.addr))
	lc := c.link(s.addr)
	earA, earB, earB2 := a.hear(), b.hear(), b.hear()

	// B learns the address of a's channel, and a that of b's link: what a relay
	// cannot hide.
	mustSay(t, b, lb, route(relay.Prefix+"x", nameOf(earA)), route(nameOf(earB)), "to a")
	h, ok := earA.next(patience)
	if !ok {
		t.Fatal("nothing came through the relay")
	}
	linkB := wire.DecodeAddress(h.ret.Rest().First()).Name
	mustSay(t, a, ca, h.ret.Rest(), route(nameOf(earA)), "to b")
	h, ok = earB.next(patience)
	if !ok {
		t.Fatal("no answer came back through the relay")
	}
	channelA := wire.DecodeAddress(h.ret.Rest().First()).Name
	mustSay(t, b, lb, route(channelA, nameOf(earA)), route(nameOf(earB)), "again")
	if _, ok := earA.next(patience); !ok {
		t.Error("the relay's two ends cannot send to one another directly")
	}

	// Nobody else can use these addresses.
	for _, tt := range []struct {
		name    string
		peer    *peer
		path    tunnel.Path
		address string
		ear     *ear
	}{
		{"c to a's channel", c, lc, channelA, earA},
		{"c to b's link", c, lc, linkB, earB},
		{"b's channel to a's channel", b, cb, channelA, earA},
		{"b's channel to b's link", b, cb, linkB, earB},
		{"b's link to itself", b, lb, linkB, earB},
		{"a's channel to itself", a, ca, channelA, earA},
		{"the inlet's far end to a's channel", s.farInlet, receive(t, "link", s.farInlet.links), channelA, earA},
		{"the relay to a's channel", s.farRelay, receive(t, "link", s.farRelay.links), channelA, earA},
		{"the relay's channel to b's link", s.farRelaySecure, receive(t, "channel", s.farRelaySecure.channels), linkB, earB},
	} {
		mustSay(t, tt.peer, tt.path, route(tt.address, nameOf(tt.ear)), route(nameOf(earB2)), tt.name)
		mustSay(t, tt.peer, tt.path, route(service.EchoName, tt.address, nameOf(tt.ear)), route(nameOf(earB2)), tt.name)
		// What has been said before is over when the echo answers.
		if _, ok := tt.peer.ask(tt.path, route(service.EchoName), []byte{4}, patience); !ok {
			t.Fatalf("%s: no echo", tt.name)
		}
		if h, ok := tt.ear.next(50 * time.Millisecond); ok {
			t.Errorf("%s: %q arrived", tt.name, h.payload)
		}
	}
}

// TestForgedReturnRoute checks that a way back which begins with somebody
// else's address does not lead there, and opens nothing.
func TestForgedReturnRoute(t *testing.T) {
	s := newStage(t, strictNode)
	a, b := newPeer(t, s.a), newPeer(t, s.b)
	ca := a.channel(a.link(s.addr))
	registered(t, a, ca, "x")
	lb, earA, earB := b.link(s.addr), a.hear(), b.hear()
	mustSay(t, b, lb, route(relay.Prefix+"x", nameOf(earA)), route(nameOf(earB)), "to a")
	h, ok := earA.next(patience)
	if !ok {
		t.Fatal("nothing came through the relay")
	}
	mustSay(t, a, ca, h.ret.Rest(), route(nameOf(earA)), "to b")
	if h, ok = earB.next(patience); !ok {
		t.Fatal("no answer came back through the relay")
	}
	channelA := wire.DecodeAddress(h.ret.Rest().First()).Name

	cb := b.channel(b.link(s.addr)) // not paired with anything
	ping := portal.Message{Kind: portal.Ping}.Append(nil)
	name := wire.AppendString(nil, "stolen")
	for _, path := range []tunnel.Path{lb, cb} {
		for _, ret := range []tunnel.Route{route(channelA, nameOf(earA)), route(channelA), {}} {
			mustSay(t, b, path, route("for_a"), ret, string(ping))
			mustSay(t, b, path, route(service.EchoName), ret, "echoed")
			mustSay(t, b, path, route(relay.StaticServiceName), ret, string(name))
			mustSay(t, b, path, route(relay.ServiceName), ret, string(name))
		}
		if _, ok := b.ask(path, route(service.EchoName), []byte{5}, patience); !ok {
			t.Fatal("no echo")
		}
	}
	if h, ok := earA.next(quiet); ok {
		t.Errorf("a heard %q", h.payload)
	}
	if n := s.target.conns.Load(); n != 0 {
		t.Errorf("the target was dialed %d times", n)
	}
	if _, ok := b.ask(lb, route(relay.Prefix+"stolen", service.EchoName), []byte{6}, 50*time.Millisecond); ok {
		t.Error("the name was registered")
	}
}

// TestStreamIsItsOpeners checks that nobody but who opened a stream can say
// something on it, even who knows its address.
func TestStreamIsItsOpeners(t *testing.T) {
	s := newStage(t, strictNode)
	a, b := newPeer(t, s.a), newPeer(t, s.b)
	la := a.link(s.addr)
	stream, err := a.dial(a.channel(la), "for_a", patience)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !echoes(stream) {
		t.Fatal("no echo on the stream")
	}
	address := stream.RemoteAddr().(portal.Addr).Route
	lb := b.link(s.addr)
	for _, o := range []origin{
		{"link", b, lb},
		{"channel of another", b, b.channel(lb)},
		{"the link below the channel", a, la},
		{"another channel of the same", a, a.channel(a.link(s.addr))},
		{"the same identity as the inlet's far end", s.farInletSecure, receive(t, "channel", s.farInletSecure.channels)},
	} {
		ear := o.peer.hear()
		for _, m := range []portal.Message{{Kind: portal.Payload, Data: []byte("not a's")}, {Kind: portal.Disconnect}, {Kind: portal.Pong}} {
			if err := o.peer.say(o.path, address, route(nameOf(ear)), m.Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := o.peer.ask(o.path, route(service.EchoName), []byte{7}, patience); !ok {
			t.Fatalf("%s: no echo", o.name)
		}
		if !echoes(stream) {
			t.Fatalf("the stream was harmed from: %s", o.name)
		}
	}
}

// TestNameIsItsOwners checks that a name stays with the identity that has it,
// and moves with that.
func TestNameIsItsOwners(t *testing.T) {
	s := newStage(t, openNode)
	a, b := newPeer(t, s.a), newPeer(t, s.b)
	registered(t, a, a.channel(a.link(s.addr)), "x")
	lb := b.link(s.addr)
	cb := b.channel(b.link(s.addr))
	reaches := func(who *peer) bool { // true is what is wanted
		t.Helper()
		ear := who.hear()
		defer ear.reg.Close()
		mustSay(t, b, lb, route(relay.Prefix+"x", nameOf(ear)), route("nobody"), "where does it go?")
		_, ok := ear.next(patience)
		return ok
	}
	register := func(p *peer, path tunnel.Path) error {
		ctx, cancel := context.WithTimeout(p.ctx, quiet)
		defer cancel()
		_, err := relay.Client{Router: p.router, Path: path, Name: "x"}.Register(ctx)
		return err
	}
	for name, path := range map[string]tunnel.Path{"link": lb, "channel": cb} {
		if err := register(b, path); err == nil {
			t.Errorf("somebody else's %s has taken the name", name)
		}
	}
	if !reaches(a) {
		t.Error("the name leads to its owner no more")
	}
	again := newPeer(t, s.a)
	registered(t, again, again.channel(again.link(s.addr)), "x")
	if !reaches(again) {
		t.Error("the name has not moved with its owner")
	}
}

func mustSay(t *testing.T, p *peer, path tunnel.Path, onward, ret tunnel.Route, payload string) {
	t.Helper()
	if err := p.say(path, onward, ret, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

func nameOf(e *ear) string { return e.reg.Address().Name }

// A counter is an echo server that counts connections.
type counter struct {
	addr  string
	conns atomic.Int64
}

func countingEcho(t *testing.T) *counter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			wg.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return c
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
