package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
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

// opens opens a channel.
func opens(t *testing.T, from *node.Background, to multiaddr.Addr) error {
	t.Helper()
	_, err := from.CreateChannel(t.Context(), node.ChannelOptions{To: to})
	return err
}

// TestMemberRefresh: open connections outlive many credentials, and no longer than
// the last one while there is no other.
func TestMemberRefresh(t *testing.T) {
	t.Parallel()
	i, db, app := newIssuer(t, 6*time.Second), newHome(t), newHome(t)
	i.start()
	i.enroll(db.id)
	i.enroll(app.id)
	outlet := db.node(t, node.BackgroundOptions{Name: "db", Trust: i.trust()})
	if _, err := outlet.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	inlet := app.node(t, node.BackgroundOptions{Name: "app", Trust: i.trust()})
	in, err := inlet.CreateInlet(t.Context(), node.InletOptions{
		Alias: "in", From: "127.0.0.1:0", To: placeOf(t, outlet, "/secure/api/service/outlet"), Wait: patience,
	})
	if err != nil || !in.Up {
		t.Fatalf("%+v, %v", in, err)
	}
	c := connect(t, in.Bind)
	began := time.Now()
	for time.Since(began) < 15*time.Second { // two lives and a half
		c.echo("while credentials are renewed")
		time.Sleep(100 * time.Millisecond)
	}
	for _, id := range []identity.Identifier{db.id, app.id} {
		if n := i.times(id); n < 4 || n > 10 {
			t.Errorf("the authority was asked %d times", n)
		}
	}
	i.stop()
	stopped := time.Now()
	c.echo("with a credential that is still good")
	c.wantReset("with no credential any more")
	if d := time.Since(stopped); d < 2*time.Second || d > 10*time.Second {
		t.Errorf("reset %v after the authority had gone", d)
	}
	i.start()
	until(t, func() bool {
		c, err := net.Dial("tcp", in.Bind)
		if err != nil { // reset before it was seen to be there
			return false
		}
		defer c.Close()
		return client{t, c}.tryEcho(time.Second) == nil
	})
}

// TestMemberAttributes: what the authority says of a member counts from its next
// credential on, also for connections that are open; and a member that it deletes is
// none when the last one ends.
func TestMemberAttributes(t *testing.T) {
	t.Parallel()
	i, db, app := newIssuer(t, 6*time.Second), newHome(t), newHome(t)
	i.start()
	i.enroll(db.id)
	i.enroll(app.id, "role", "web")
	web, err := policy.ParseExpr(`(= subject.role "web")`)
	if err != nil {
		t.Fatal(err)
	}
	outlet := db.node(t, node.BackgroundOptions{Name: "db", Trust: i.trust()})
	_, err = outlet.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t), Policy: &web})
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.InfoLevel)
	inlet := app.node(t, node.BackgroundOptions{Name: "app", Trust: i.trust(), Log: zap.New(core)})
	in, err := inlet.CreateInlet(t.Context(), node.InletOptions{
		Alias: "in", From: "127.0.0.1:0", To: placeOf(t, outlet, "/secure/api/service/outlet"), Wait: patience,
	})
	if err != nil || !in.Up {
		t.Fatalf("%+v, %v", in, err)
	}
	open := func() bool {
		c, err := net.Dial("tcp", in.Bind)
		if err != nil {
			return false
		}
		defer c.Close()
		return client{t, c}.tryEcho(time.Second) == nil
	}
	lasts := func(what string) {
		t.Helper()
		c, began := connect(t, in.Bind), time.Now()
		c.echo(what)
		c.wantReset(what)
		if d := time.Since(began); d > 9*time.Second {
			t.Errorf("%s: reset after %v", what, d)
		}
		if open() {
			t.Errorf("%s: opens another one", what)
		}
	}
	i.enroll(app.id, "role", "guest")
	lasts("without the attribute")
	i.enroll(app.id, "role", "web")
	until(t, open)
	i.mu.Lock()
	delete(i.members, app.id)
	i.mu.Unlock()
	lasts("no member any more")
	if n := logged.FilterMessageSnippet("is not renewed").Len(); n == 0 {
		t.Errorf("said %v", logged.All())
	}
}

// TestMemberAuthorityDown: a node starts without its authority, says so, and takes
// up when it is there.
func TestMemberAuthorityDown(t *testing.T) {
	t.Parallel()
	i, late, gate := newIssuer(t, time.Hour), newHome(t), newHome(t)
	i.enroll(late.id)
	core, logged := observer.New(zap.InfoLevel)
	b := late.node(t, node.BackgroundOptions{Name: "late", Trust: i.trust(), Log: zap.New(core)})
	g := gate.node(t, node.BackgroundOptions{Name: "gate", Trust: node.Trust{Authority: i.id.History}})
	for range 2 { // the second time it need not be asked
		err := opens(t, b, placeOf(t, g, "/service/api"))
		if err == nil || !strings.Contains(err.Error(), "authority at /dnsaddr/127.0.0.1") {
			t.Fatalf("%v, want what is wrong with the authority", err)
		}
	}
	if n := logged.FilterMessageSnippet("cannot be had").Len(); n != 1 {
		t.Errorf("said %d times: %v", n, logged.All())
	}
	if err := opens(t, g, placeOf(t, b, "/service/api")); err != nil {
		t.Errorf("as a listener: %v", err)
	}
	if gate.knows(t, "gate", late.id) {
		t.Error("there are attributes without a credential")
	}
	i.start()
	until(t, func() bool { return gate.knows(t, "gate", late.id) }) // by the open channel
	if err := opens(t, b, placeOf(t, g, "/service/api")); err != nil {
		t.Error(err)
	}
	if n := logged.FilterMessageSnippet("has come").Len(); n != 1 {
		t.Errorf("said %d times: %v", n, logged.All())
	}
	if n := i.times(late.id); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestMemberRestart: a node that starts again uses the credential it has, without
// its authority.
func TestMemberRestart(t *testing.T) {
	t.Parallel()
	i, again, gate := newIssuer(t, time.Hour), newHome(t), newHome(t)
	i.start()
	i.enroll(again.id)
	g := gate.node(t, node.BackgroundOptions{Name: "gate", Trust: node.Trust{Authority: i.id.History}})
	o := node.BackgroundOptions{Name: "again", Trust: i.trust()}
	b := again.node(t, o)
	if err := opens(t, b, placeOf(t, g, "/service/api")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	i.stop()
	if err := gate.Store.Node("gate").PutAttributes(again.id, identity.AttributesEntry{}); err != nil { // forgets
		t.Fatal(err)
	}
	b = again.node(t, o)
	if err := opens(t, b, placeOf(t, g, "/service/api")); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return gate.knows(t, "gate", again.id) })
	stored, err := again.Credential(t.Context(), state.CredentialKey{
		Node: "again", Issuer: i.id.Identifier(), Subject: again.id, Scope: "project-member-1",
	})
	if err != nil || stored.ExpiresAt < identity.At(time.Now().Add(50*time.Minute)) {
		t.Errorf("%+v, %v", stored, err)
	}
}

// TestNotMember: who is not enrolled is told what to do, and others can come.
func TestNotMember(t *testing.T) {
	t.Parallel()
	i, stranger, gate := newIssuer(t, time.Hour), newHome(t), newHome(t)
	i.start()
	b := stranger.node(t, node.BackgroundOptions{Name: "stranger", Trust: i.trust()})
	g := gate.node(t, node.BackgroundOptions{Name: "gate", Trust: node.Trust{Authority: i.id.History}})
	err := opens(t, b, placeOf(t, g, "/service/api"))
	if !errors.Is(err, authority.ErrNotMember) || !strings.Contains(err.Error(), "ockam project enroll TICKET") {
		t.Errorf("%v", err)
	}
	if err := opens(t, g, placeOf(t, b, "/service/api")); err != nil {
		t.Errorf("as a listener: %v", err)
	}
	i.enroll(stranger.id)
	until(t, func() bool { return opens(t, b, placeOf(t, g, "/service/api")) == nil }) // soon, not within a minute
	if n := i.times(stranger.id); n > 10 {
		t.Errorf("asked %d times", n)
	}
}

// TestForeignAuthority: a credential is taken from the authority only.
func TestForeignAuthority(t *testing.T) {
	t.Parallel()
	i, other, app := newIssuer(t, time.Hour), newIssuer(t, time.Hour), newHome(t)
	other.start()
	other.enroll(app.id)
	trust := i.trust()
	trust.Route = other.trust().Route
	b := app.node(t, node.BackgroundOptions{Name: "app", Trust: trust})
	err := opens(t, b, placeOf(t, b, "/service/api"))
	if !errors.Is(err, secure.ErrUnauthorized) || !strings.Contains(err.Error(), "the authority is "+i.String()) {
		t.Error(err)
	}
	if n := other.times(app.id); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestMemberIdentities: each identity that opens channels at a node presents a
// credential of its own.
func TestMemberIdentities(t *testing.T) {
	t.Parallel()
	i, two, gate := newIssuer(t, time.Hour), newHome(t), newHome(t)
	if _, err := two.CreateIdentity(t.Context(), "other", identity.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	other, err := two.Identity(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	i.start()
	i.enroll(other.Identifier())
	g := gate.node(t, node.BackgroundOptions{Name: "gate", Trust: node.Trust{Authority: i.id.History}})
	b := two.node(t, node.BackgroundOptions{Name: "two", Trust: i.trust()})
	if err := opens(t, b, placeOf(t, g, "/service/api")); !errors.Is(err, authority.ErrNotMember) {
		t.Errorf("the node's own identity: %v", err)
	}
	_, err = b.CreateChannel(t.Context(), node.ChannelOptions{To: placeOf(t, g, "/service/api"), Identity: "other"})
	if err != nil || !gate.knows(t, "gate", other.Identifier()) {
		t.Errorf("the other identity: %v", err)
	}
	if n := i.times(other.Identifier()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestDisbelieved: a node says which credentials it does not believe, and why.
func TestDisbelieved(t *testing.T) {
	t.Parallel()
	i, app, gate := newIssuer(t, time.Hour), newHome(t), newHome(t)
	core, logged := observer.New(zap.InfoLevel)
	trust := node.Trust{Authority: i.id.History}
	g := gate.node(t, node.BackgroundOptions{Name: "gate", Trust: trust, Log: zap.New(core)})
	b := app.node(t, node.BackgroundOptions{Name: "app"})
	h, err := app.History(app.id)
	if err != nil {
		t.Fatal(err)
	}
	ahead := &identity.Identity{
		History: i.id.History, Vault: i.id.Vault, PurposeKeys: identity.NewMemoryStore(),
		Now: func() time.Time { return time.Now().Add(5 * time.Minute) },
	}
	for _, tt := range []struct {
		by    *identity.Identity
		about *identity.History
		says  string
	}{
		{newOwner(t).id, h, "not a trusted authority"},
		{i.id, newOwner(t).id.History, "not for " + app.id.String()},
		{ahead, h, "ahead of the clock here"},
	} {
		cred, err := tt.by.IssueCredential(tt.about, identity.Attributes{Schema: 1}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			o := node.ChannelOptions{To: placeOf(t, g, "/service/api"), Credential: cred}
			if _, err := b.CreateChannel(t.Context(), o); err != nil {
				t.Errorf("%s: %v", tt.says, err)
			}
		}
		var said []string
		for _, e := range logged.TakeAll() {
			if e.Message == "credential not believed" {
				said = append(said, fmt.Sprint(e.ContextMap()))
			}
		}
		// By how much the clocks differ changes every second, so that it may be said again.
		if len(said) == 0 || len(said) > 1 && tt.by != ahead || !strings.Contains(said[0], tt.says) || !strings.Contains(said[0], app.id.String()) {
			t.Errorf("said %q, want %q once", said, tt.says)
		}
	}
	if gate.knows(t, "gate", app.id) {
		t.Error("believes one of them")
	}
}

// TestBadTrust has options with which a node does not start.
func TestBadTrust(t *testing.T) {
	i, app := newIssuer(t, time.Hour), newHome(t)
	for _, tt := range []struct {
		name, route string
		anybody     bool
	}{
		{"nobody's", "/dnsaddr/127.0.0.1/tcp/1/service/api", true},
		{"no listener", "/dnsaddr/127.0.0.1/tcp/1", false},
		{"no connection", "/service/api/service/api", false},
		{"through a project", "/dnsaddr/127.0.0.1/tcp/1/project/p/service/api", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust := i.trust()
			trust.Route = mustPlace(t, tt.route)
			if tt.anybody {
				trust.Authority = nil
			}
			b, err := node.StartBackground(t.Context(), node.BackgroundOptions{Name: "app", Store: app.Store, Trust: trust})
			if err == nil {
				b.Close()
				t.Error("starts")
			}
		})
	}
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
