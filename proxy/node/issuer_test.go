package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// An issuer is an authority that issues credentials to whom it knows, and can be
// down.
type issuer struct {
	*owner
	t    *testing.T
	addr string
	life time.Duration
	down func() // nil while it is
	// late is how much later than others somebody is answered.
	late map[identity.Identifier]time.Duration

	mu      sync.Mutex
	members map[identity.Identifier]map[string]string
	asked   map[identity.Identifier]int
}

// newIssuer makes one that is down.
func newIssuer(t *testing.T, life time.Duration) *issuer {
	t.Helper()
	i := &issuer{
		owner: newOwner(t), t: t, addr: "127.0.0.1:" + freePort(t), life: life,
		members: make(map[identity.Identifier]map[string]string), asked: make(map[identity.Identifier]int),
	}
	t.Cleanup(func() {
		if i.down != nil {
			i.stop()
		}
	})
	return i
}

func (i *issuer) stop() {
	i.down()
	i.down = nil
}

func (i *issuer) start() {
	i.t.Helper()
	lis, err := tcp.Transport{}.Listen(i.t.Context(), i.addr)
	if err != nil {
		i.t.Fatal(err)
	}
	router, links, channels := tunnel.NewRouter(), &tunnel.Group{Name: "links"}, &tunnel.Group{Name: "channels"}
	answers := &api.Server{Router: router, Name: authority.CredentialIssuer, Answer: i.answer}
	_, err = router.Handle(tunnel.LocalAddress(authority.CredentialIssuer), answers, tunnel.Access{Open: []tunnel.Source{channels}})
	if err != nil {
		i.t.Fatal(err)
	}
	l := &secure.Listener{
		Config: secure.Config{Router: router, Identity: i.id, Histories: i.store}, Open: []tunnel.Source{links}, Group: channels,
	}
	if err := l.Register(); err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s := &tunnel.Server{Router: router, Traits: tcp.Transport{}.Traits(), Group: links}
	wg.Go(func() { _ = s.Serve(ctx, lis) })
	wg.Go(func() { _ = l.Serve(ctx) })
	i.down = func() {
		cancel()
		wg.Wait()
		answers.Close()
	}
}

func (i *issuer) answer(_ context.Context, from *tunnel.Origin, r api.Request) api.Response {
	id, err := identity.ParseIdentifier(from.Peer)
	if err != nil {
		return api.Fail(r, &api.Error{Status: api.StatusBadRequest, Message: "secure channel required"})
	}
	time.Sleep(i.late[id])
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[id]++
	attributes, ok := i.members[id]
	if !ok {
		return api.Fail(r, &api.Error{Status: api.StatusForbidden, Message: "unauthorized member"})
	}
	h, err := i.store.History(id)
	var cred *identity.Credential
	if err == nil {
		cred, err = i.id.IssueCredential(h, identity.Attributes{Schema: 1, Values: attributes}, i.life)
	}
	var a api.Response
	if err == nil {
		a, err = api.Respond(r, &authority.CredentialBody{Credential: cred})
	}
	if err != nil {
		return api.Fail(r, &api.Error{Status: api.StatusInternalError, Message: err.Error()})
	}
	return a
}

// enroll makes somebody a member with attributes (name, value, …).
func (i *issuer) enroll(id identity.Identifier, attributes ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.members[id] = make(map[string]string)
	for n := 0; n < len(attributes); n += 2 {
		i.members[id][attributes[n]] = attributes[n+1]
	}
}

func (i *issuer) times(id identity.Identifier) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[id]
}

// trust is that of a member.
func (i *issuer) trust() node.Trust {
	return node.Trust{
		Authority: i.id.History, Scope: "project-member-1",
		Route: mustPlace(i.t, "/dnsaddr/127.0.0.1/tcp/"+portOf(i.t, i.addr)+"/service/api"),
	}
}

func mustPlace(t *testing.T, s string) multiaddr.Addr {
	t.Helper()
	a, err := multiaddr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A home is a store with an identity.
type home struct {
	*state.Store
	id identity.Identifier
}

func newHome(t *testing.T) home {
	t.Helper()
	s, err := state.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateIdentity(t.Context(), "default", identity.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return home{s, id.Identifier()}
}

// node starts a node of the home, which ends with the test or before.
func (h home) node(t *testing.T, o node.BackgroundOptions) *node.Background {
	t.Helper()
	o.Listen, o.Store = "127.0.0.1:0", h.Store
	b, err := node.StartBackground(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// knows reports whether a node knows attributes of somebody.
func (h home) knows(t *testing.T, name string, id identity.Identifier) bool {
	t.Helper()
	_, ok, err := h.Store.Node(name).Attributes(id, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// knowsUntil returns when what a node knows of somebody ends; 0 if it knows nothing.
func (h home) knowsUntil(t *testing.T, name string, id identity.Identifier) identity.Timestamp {
	t.Helper()
	e, _, err := h.Store.Node(name).Attributes(id, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return e.ExpiresAt
}

// opens opens a channel.
func opens(t *testing.T, from *node.Background, to multiaddr.Addr) error {
	t.Helper()
	_, err := from.CreateChannel(t.Context(), node.ChannelOptions{To: to})
	return err
}

// shouting is how "hello" is sent to uppercase.
func shouting(t *testing.T, from *node.Background, to string) error {
	t.Helper()
	reply, err := from.SendMessage(t.Context(), mustPlace(t, to+"/service/"+service.UppercaseName), wire.AppendString(nil, "hello"))
	if err != nil {
		return err
	}
	if s, _, err := wire.ParseString(reply); err != nil || s != "HELLO" {
		t.Errorf("%q, %v", reply, err)
	}
	return nil
}
