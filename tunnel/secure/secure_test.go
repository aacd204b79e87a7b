package secure_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is a router with an identity; what it starts ends with the test.
type node struct {
	t      testing.TB
	router *tunnel.Router
	cfg    *secure.Config
	links  *tunnel.Group
	ctx    context.Context
	wg     sync.WaitGroup
}

func newNode(t testing.TB) *node {
	t.Helper()
	v := vault.NewMemory()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store := identity.NewMemoryStore()
	r := tunnel.NewRouter()
	n := &node{t: t, router: r, links: &tunnel.Group{Name: "tcp"}}
	n.cfg = &secure.Config{
		Router: r, Histories: store,
		Identity: &identity.Identity{History: h, Vault: v, PurposeKeys: store},
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.ctx = ctx
	t.Cleanup(func() { cancel(); n.wg.Wait() })
	return n
}

func (n *node) id() identity.Identifier { return n.cfg.Identity.Identifier() }

func (n *node) listenTCP() string {
	n.t.Helper()
	lis, err := tcp.Transport{}.Listen(n.ctx, "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	s := &tunnel.Server{Router: n.router, Traits: tcp.Transport{}.Traits(), Group: n.links}
	n.wg.Go(func() { _ = s.Serve(n.ctx, lis) })
	return lis.Addr().String()
}

func (n *node) dial(addr string) *tunnel.Link {
	n.t.Helper()
	l, err := tunnel.Dial(n.ctx, n.router, tcp.Transport{}, addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wg.Go(func() { _ = l.Serve(n.ctx) })
	return l
}

// listenChannels starts a channel listener that is open to the node's links and
// offers echo through its channels.
func (n *node) listenChannels(l *secure.Listener) *secure.Listener {
	n.t.Helper()
	l.Config = *n.cfg
	l.Open = append(l.Open, n.links)
	if l.Group == nil {
		l.Group = &tunnel.Group{Name: "api"}
	}
	if err := l.Register(); err != nil {
		n.t.Fatal(err)
	}
	n.serveEcho(l.Group)
	n.wg.Go(func() { _ = l.Serve(n.ctx) })
	return l
}

func (n *node) serveEcho(open ...tunnel.Source) {
	n.t.Helper()
	self := tunnel.LocalAddress(service.EchoName)
	if _, err := n.router.Handle(self, service.Echo{Router: n.router, Self: self}, tunnel.Access{Open: open}); err != nil {
		n.t.Fatal(err)
	}
}

// ask sends payload to route over path and returns the answer and its origin.
func (n *node) ask(path tunnel.Path, route tunnel.Route, payload []byte) ([]byte, *tunnel.Origin) {
	n.t.Helper()
	type answer struct {
		payload []byte
		origin  *tunnel.Origin
	}
	got := make(chan answer, 1)
	a := tunnel.RandomAddress()
	reg, err := n.router.Handle(a, tunnel.HandlerFunc(func(m *tunnel.Message) error {
		got <- answer{bytes.Clone(m.Payload), m.Origin}
		m.Release()
		return nil
	}), tunnel.Access{Open: []tunnel.Source{path.Origin()}})
	if err != nil {
		n.t.Fatal(err)
	}
	defer reg.Close()
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = route, tunnel.NewRoute(a), payload
	if err := path.Send(m); err != nil {
		n.t.Fatal(err)
	}
	select {
	case a := <-got:
		return a.payload, a.origin
	case <-time.After(5 * time.Second):
		n.t.Fatal("no answer")
		return nil, nil
	}
}

var (
	api  = tunnel.NewRoute(tunnel.LocalAddress("api"))
	echo = tunnel.NewRoute(tunnel.LocalAddress("echo"))
)

func TestChannel(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	opened := make(chan *secure.Channel, 1)
	bob.listenChannels(&secure.Listener{Opened: func(c *secure.Channel) { opened <- c }})
	link := alice.dial(bob.listenTCP())

	c, err := secure.Dial(t.Context(), alice.cfg, link, api)
	if err != nil {
		t.Fatal(err)
	}
	if c.Peer() != bob.id() || c.Origin().Peer != bob.id().String() {
		t.Errorf("alice sees %v, want %v", c.Peer(), bob.id())
	}
	for i := range 100 { // three changes of keys
		want := bytes.Repeat([]byte{byte(i)}, i*997)
		got, origin := alice.ask(c, echo, want)
		if !bytes.Equal(got, want) {
			t.Fatalf("echo %d: got %d bytes, want %d", i, len(got), len(want))
		}
		if origin != c.Origin() {
			t.Fatalf("echo %d: origin is not the channel", i)
		}
	}
	other := <-opened
	if other.Peer() != alice.id() {
		t.Errorf("bob sees %v, want %v", other.Peer(), alice.id())
	}
	c.Close()
	select {
	case <-other.Origin().Done():
	case <-time.After(5 * time.Second):
		t.Fatal("bob's end outlives alice's")
	}
}

func TestChannelThroughChannel(t *testing.T) {
	alice, relay, bob := newNode(t), newNode(t), newNode(t)
	group := &tunnel.Group{Name: "outer"}
	relay.listenChannels(&secure.Listener{Group: group})
	bob.listenChannels(&secure.Listener{})
	toBob := relay.dial(bob.listenTCP())
	self := tunnel.LocalAddress("to_bob")
	_, err := relay.router.Handle(self, tunnel.HandlerFunc(func(m *tunnel.Message) error {
		tunnel.Pair(m.Origin, toBob.Origin())
		m.Onward = tunnel.NewRoute(toBob.Address()).Join(m.Onward)
		return relay.router.Send(m)
	}), tunnel.Access{Open: []tunnel.Source{group}})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := secure.Dial(t.Context(), alice.cfg, alice.dial(relay.listenTCP()), api)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := secure.Dial(t.Context(), alice.cfg, outer, tunnel.NewRoute(self).Join(api))
	if err != nil {
		t.Fatal(err)
	}
	if inner.Peer() != bob.id() || outer.Peer() != relay.id() {
		t.Errorf("inner %v outer %v, want %v %v", inner.Peer(), outer.Peer(), bob.id(), relay.id())
	}
	for i := range 70 {
		want := bytes.Repeat([]byte{byte(i)}, 1+i*700)
		if got, _ := alice.ask(inner, echo, want); !bytes.Equal(got, want) {
			t.Fatalf("echo %d differs", i)
		}
	}
	outer.Close()
	select {
	case <-inner.Origin().Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the inner channel outlives the outer")
	}
}

