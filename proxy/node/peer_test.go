package node_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"ockam/relay"
	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/vault"
)

const (
	// patience is how long something is waited for that must come.
	patience = 20 * time.Second
	// quiet is how long something is waited for that must not come.
	quiet = 400 * time.Millisecond
)

// An owner is an identity, which several peers may have.
type owner struct {
	id    *identity.Identity
	store *identity.MemoryStore
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	v := vault.NewMemory()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := identity.NewMemoryStore()
	return &owner{&identity.Identity{History: h, Vault: v, PurposeKeys: s}, s}
}

func (o *owner) String() string { return o.id.Identifier().String() }

// A peer is a node of the test's own, bare: it says and hears what the test
// wants, and everything of it is open to everybody.
type peer struct {
	t      *testing.T
	router *tunnel.Router
	group  *tunnel.Group
	cfg    secure.Config
	ctx    context.Context
	wg     sync.WaitGroup

	links    chan *tunnel.Link    // accepted
	channels chan *secure.Channel // accepted
}

func newPeer(t *testing.T, o *owner) *peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &tunnel.Group{Name: "test"}
	p := &peer{
		t: t, router: tunnel.NewRouter(), group: g, ctx: ctx,
		links: make(chan *tunnel.Link, 1000), channels: make(chan *secure.Channel, 1000),
	}
	p.cfg = secure.Config{Router: p.router, Identity: o.id, Histories: o.store, Group: g}
	self := tunnel.LocalAddress(service.EchoName)
	p.handle(self, service.Echo{Router: p.router, Self: self})
	t.Cleanup(func() {
		cancel()
		p.wg.Wait()
	})
	return p
}

func (p *peer) handle(a tunnel.Address, h tunnel.Handler) *tunnel.Registration {
	p.t.Helper()
	reg, err := p.router.Handle(a, h, tunnel.Access{Open: []tunnel.Source{p.group}})
	if err != nil {
		p.t.Fatal(err)
	}
	return reg
}

// link connects to a node.
func (p *peer) link(addr string) *tunnel.Link {
	p.t.Helper()
	conn, err := tcp.Transport{}.Dial(p.t.Context(), addr)
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := tunnel.NewLink(p.router, conn, tcp.Transport{}.Traits(), p.group)
	if err != nil {
		p.t.Fatal(err)
	}
	p.wg.Go(func() { _ = l.Serve(p.ctx) })
	return l
}

// channel opens a channel to the node at the far end of path, of which it is
// known that the node has accepted it.
func (p *peer) channel(path tunnel.Path) *secure.Channel {
	p.t.Helper()
	c, err := p.tryChannel(path, patience)
	if err != nil {
		p.t.Fatalf("channel: %v", err)
	}
	return c
}

func (p *peer) tryChannel(path tunnel.Path, wait time.Duration) (*secure.Channel, error) {
	ctx, cancel := context.WithTimeout(p.ctx, wait)
	defer cancel()
	return p.accepted(ctx, &p.cfg, path, secure.DefaultName, wait)
}

// accepted opens a channel to a listener, of which it is known then that the node has
// accepted it.
func (p *peer) accepted(ctx context.Context, cfg *secure.Config, path tunnel.Path, listener string, wait time.Duration) (*secure.Channel, error) {
	c, err := secure.Dial(ctx, cfg, path, route(listener))
	if err != nil {
		return nil, err
	}
	if _, ok := p.ask(c, route(service.EchoName), []byte{1}, wait); !ok {
		c.Close()
		return nil, errors.New("the channel was not accepted")
	}
	return c, nil
}

// listen accepts links and channels, and lets everybody register names.
func (p *peer) listen() (port string) {
	p.t.Helper()
	lis, err := tcp.Transport{}.Listen(p.t.Context(), "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	s := &tunnel.Server{
		Router: p.router, Traits: tcp.Transport{}.Traits(), Group: p.group,
		Opened: func(l *tunnel.Link) { p.links <- l },
	}
	p.wg.Go(func() { _ = s.Serve(p.ctx, lis) })
	api := &secure.Listener{
		Config: p.cfg, Open: []tunnel.Source{p.group}, Group: p.group,
		Opened: func(c *secure.Channel) { p.channels <- c },
	}
	if err := api.Register(); err != nil {
		p.t.Fatal(err)
	}
	p.wg.Go(func() { _ = api.Serve(p.ctx) })
	relays := &relay.Server{Router: p.router, Open: []tunnel.Source{p.group}}
	p.handle(tunnel.LocalAddress(relay.StaticServiceName), relays)
	return portOf(p.t, lis.Addr().String())
}

// ask sends a message and returns the payload of the first answer.
func (p *peer) ask(path tunnel.Path, onward tunnel.Route, payload []byte, wait time.Duration) (string, bool) {
	in := p.hear()
	defer in.reg.Close()
	if err := p.say(path, onward, tunnel.NewRoute(in.reg.Address()), payload); err != nil {
		return "", false
	}
	h, ok := in.next(wait)
	return h.payload, ok
}

// say sends a message.
func (p *peer) say(path tunnel.Path, onward, ret tunnel.Route, payload []byte) error {
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = onward, ret, payload
	return path.Send(m)
}

// An ear is an address of a peer where messages are kept.
type ear struct {
	reg   *tunnel.Registration
	heard chan heard
}

type heard struct {
	payload string
	ret     tunnel.Route
}

func (p *peer) hear() *ear {
	e := &ear{heard: make(chan heard, 100)}
	e.reg = p.handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		defer m.Release()
		select {
		case e.heard <- heard{string(m.Payload), m.Return.Clone()}:
		default:
		}
		return nil
	}))
	return e
}

func (e *ear) next(wait time.Duration) (heard, bool) {
	select {
	case h := <-e.heard:
		return h, true
	case <-time.After(wait):
		return heard{}, false
	}
}

// dial opens a stream to an outlet.
func (p *peer) dial(path tunnel.Path, name string, wait time.Duration) (*portal.Stream, error) {
	d := portal.Dialer{Router: p.router, Path: path, Route: route(name), Timeout: wait}
	return d.Dial(p.ctx)
}

// echoes reports whether what is sent on a stream comes back.
func echoes(s *portal.Stream) bool {
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Write([]byte("hello")); err != nil {
		return false
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(s, got)
	return err == nil && string(got) == "hello"
}

func route(names ...string) (r tunnel.Route) {
	for _, n := range names {
		r = r.Join(tunnel.NewRoute(tunnel.LocalAddress(n)))
	}
	return r
}

// receive returns what ch brings.
func receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}
