package secure_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports"
	"ockam/transports/tcp"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// load reads a file recorded from the reference implementation (revision
// fb8fb64cd).
func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// A hexBytes is a byte string that stands in JSON as hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) error {
	*h = make([]byte, hex.DecodedLen(len(b)))
	_, err := hex.Decode(*h, b)
	return err
}

// A node is a router with an identity; what it starts ends with the test.
type node struct {
	t      testing.TB
	router *tunnel.Router
	cfg    *secure.Config
	store  *identity.MemoryStore
	links  *tunnel.Group
	all    []*tunnel.Link // made with link
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// newNode makes a node with a new identity.
func newNode(t testing.TB) *node {
	t.Helper()
	v := vault.NewMemory()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := newRouter(t)
	n.cfg.Identity = &identity.Identity{History: h, Vault: v, PurposeKeys: n.store}
	return n
}

// newRouter makes a node without an identity.
func newRouter(t testing.TB) *node {
	store := identity.NewMemoryStore()
	n := &node{t: t, router: tunnel.NewRouter(), store: store, links: &tunnel.Group{Name: "tcp"}}
	n.cfg = &secure.Config{Router: n.router, Histories: store}
	n.ctx, n.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { n.stop(); n.wg.Wait() })
	return n
}

// A person is an identity with all its secrets, as it stands in the recorded files.
type person struct {
	Identifier  string
	History     hexBytes `json:"change_history"`
	Static      hexBytes `json:"static_x25519_secret"`
	Attestation hexBytes `json:"purpose_key_attestation"`
	Ephemeral   hexBytes `json:"ephemeral_x25519_secret"`
}

// clock is the time at which everything in the files was valid.
func clock() time.Time { return time.Unix(1700000100, 0) }

// is makes n the node of a recorded person, with the same ephemeral key in every
// handshake.
func (n *node) is(p person) *node {
	n.t.Helper()
	n.cfg.Identity, n.cfg.Now, n.cfg.Random = n.own(p), clock, repeat(p.Ephemeral)
	return n
}

func (n *node) own(p person) *identity.Identity {
	n.t.Helper()
	h, err := identity.ParseHistory(p.History)
	if err != nil {
		n.t.Fatal(err)
	}
	v := vault.NewMemory()
	if _, err := v.Import(vault.X25519, p.Static); err != nil {
		n.t.Fatal(err)
	}
	store := identity.NewMemoryStore()
	if err := store.PutPurposeKey(h.Identifier(), identity.PurposeChannel, p.Attestation); err != nil {
		n.t.Fatal(err)
	}
	return &identity.Identity{History: h, Vault: v, PurposeKeys: store, Now: clock}
}

// repeat reads the same bytes again and again.
type repeat []byte

func (r repeat) Read(b []byte) (int, error) { return copy(b, r), nil }

// addresses makes cfg use addrs for its channel ends, in that order, then
// random ones.
func addresses(cfg *secure.Config, addrs ...string) {
	var mu sync.Mutex
	cfg.SetAddresses(func() tunnel.Address {
		mu.Lock()
		defer mu.Unlock()
		if len(addrs) == 0 || addrs[0] == "" {
			addrs = addrs[min(1, len(addrs)):]
			return tunnel.RandomAddress()
		}
		a := addrs[0]
		addrs = addrs[1:]
		return tunnel.LocalAddress(a)
	})
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

// link makes a link of a connection.
func (n *node) link(conn transports.Conn, group *tunnel.Group) *tunnel.Link {
	n.t.Helper()
	l, err := tunnel.NewLink(n.router, conn, transporttest.Traits(), group)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wg.Go(func() { _ = l.Serve(n.ctx) })
	n.all = append(n.all, l)
	return l
}

// joinTo links two nodes, and returns n's end.
func (n *node) joinTo(other *node) *tunnel.Link {
	n.t.Helper()
	a, b := transporttest.Pipe(transporttest.PipeOptions{})
	other.link(b, other.links)
	return n.link(a, nil)
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

// connect opens a channel over path to the listener api.
func (n *node) connect(path tunnel.Path) *secure.Channel {
	n.t.Helper()
	c, err := secure.Dial(n.ctx, n.cfg, path, api)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// within waits until done is true.
func within(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// ended waits until an origin has ended and returns why.
func ended(t testing.TB, o *tunnel.Origin) error {
	t.Helper()
	select {
	case <-o.Done():
		return o.Err()
	case <-time.After(patience):
		t.Fatal("the channel goes on")
		return nil
	}
}

// contextTimeout is the test's context with a time-out.
func contextTimeout(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// route makes a route of local addresses.
func route(names ...string) tunnel.Route {
	var addrs []tunnel.Address
	for _, n := range names {
		addrs = append(addrs, tunnel.LocalAddress(n))
	}
	return tunnel.NewRoute(addrs...)
}

// An answer is what came back to ask.
type answer struct {
	payload []byte
	origin  *tunnel.Origin
}

// ask sends payload to route over path and returns the answer and its origin.
func (n *node) ask(path tunnel.Path, route tunnel.Route, payload []byte) ([]byte, *tunnel.Origin) {
	n.t.Helper()
	a := n.tryAsk(path, route, payload, patience)
	if a.origin == nil {
		n.t.Fatal("no answer")
	}
	return a.payload, a.origin
}

// tryAsk is ask for an answer that may not come: then its origin is nil.
func (n *node) tryAsk(path tunnel.Path, route tunnel.Route, payload []byte, wait time.Duration) answer {
	n.t.Helper()
	got := make(chan answer, 1)
	a := tunnel.RandomAddress()
	reg, err := n.router.Handle(a, tunnel.HandlerFunc(func(m *tunnel.Message) error {
		select {
		case got <- answer{bytes.Clone(m.Payload), m.Origin}:
		default:
		}
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
		return a
	case <-time.After(wait):
		return answer{}
	}
}

// works fails the test if the channel does not carry a message there and back.
func (n *node) works(c *secure.Channel) {
	n.t.Helper()
	if got, _ := n.ask(c, echo, []byte("works")); string(got) != "works" {
		n.t.Errorf("echo says %q", got)
	}
}

var (
	api  = tunnel.NewRoute(tunnel.LocalAddress("api"))
	echo = tunnel.NewRoute(tunnel.LocalAddress("echo"))
)

func TestChannel(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	opened := make(chan *secure.Channel, 1)
	closed := make(chan error, 1)
	bob.listenChannels(&secure.Listener{
		Opened: func(c *secure.Channel) { opened <- c },
		Closed: func(_ *secure.Channel, err error) { closed <- err },
	})
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
