package node_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
	"ockam/tunnel/secure"
)

// inletTo has two members, one with an outlet to an echo server, the other with an
// inlet that leads to it, and is up.
func (i *issuer) inletTo(db, app home) node.InletInfo {
	t := i.t
	t.Helper()
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
	return in
}

// shortLife is how long credentials live that are renewed within a test: half of it is
// left when another one is asked for, even if a machine is busy.
const shortLife = 10 * time.Second

// TestMemberRefresh: open connections outlive many credentials, and no longer than
// the last one while there is no other.
func TestMemberRefresh(t *testing.T) {
	t.Parallel()
	i, db, app := newIssuer(t, shortLife), newHome(t), newHome(t)
	i.start()
	i.enroll(db.id)
	i.enroll(app.id)
	in := i.inletTo(db, app)
	c := connect(t, in.Bind)
	began := time.Now()
	for time.Since(began) < 5*shortLife/2 { // two lives and a half
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
	ends := min(db.knowsUntil(t, "db", app.id), app.knowsUntil(t, "app", db.id))
	c.echo("with a credential that is still good")
	c.wantReset("with no credential any more")
	if at := time.Now(); identity.At(at) < ends || at.Sub(stopped) > shortLife+5*time.Second {
		t.Errorf("reset %v after the authority had gone, %v after a credential had ended", at.Sub(stopped), at.Sub(ends.Time()))
	}
	i.start()
	until(t, func() bool { return tryEchoAt(t, in.Bind, time.Second) == nil })
}

// TestMemberAttributes: what the authority says of a member counts from its next
// credential on, also for connections that are open; and a member that it deletes is
// none when the last one ends.
func TestMemberAttributes(t *testing.T) {
	t.Parallel()
	i, db, app := newIssuer(t, shortLife), newHome(t), newHome(t)
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
	open := func() bool { return tryEchoAt(t, in.Bind, time.Second) == nil }
	lasts := func(what string, change func()) {
		t.Helper()
		c := connect(t, in.Bind)
		c.echo(what) // before the change, which the next credential has
		change()
		c.wantReset(what)
		if open() {
			t.Errorf("%s: opens another one", what)
		}
	}
	lasts("without the attribute", func() { i.enroll(app.id, "role", "guest") })
	i.enroll(app.id, "role", "web")
	until(t, open)
	lasts("no member any more", func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.members, app.id)
	})
	if n := logged.FilterMessageSnippet("is not renewed").Len(); n == 0 {
		t.Errorf("said %v", logged.All())
	}
}

// TestMemberAcceptsAtOnce: who connects to a node that has just started is presented
// its credential, which has to come first, and so can use it from the beginning.
func TestMemberAcceptsAtOnce(t *testing.T) {
	t.Parallel()
	i, db, app := newIssuer(t, time.Hour), newHome(t), newHome(t)
	i.late = map[identity.Identifier]time.Duration{db.id: 300 * time.Millisecond}
	i.start()
	i.enroll(db.id)
	i.enroll(app.id)
	in := i.inletTo(db, app)
	connect(t, in.Bind).echo("by who is a member, to who is one")
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
	until(t, func() bool { return logged.FilterMessageSnippet("cannot be had").Len() > 0 }) // after those who wait have been told
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

// TestMemberSilentAuthority: an authority that takes connections and says nothing
// costs as long as somebody has, and keeps no node from ending.
func TestMemberSilentAuthority(t *testing.T) {
	t.Parallel()
	i, app := newIssuer(t, time.Hour), newHome(t)
	l, err := net.Listen("tcp", i.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := app.node(t, node.BackgroundOptions{Name: "app", Trust: i.trust()})
	began := time.Now()
	_, err = b.CreateChannel(t.Context(), node.ChannelOptions{To: placeOf(t, b, "/service/api"), Timeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), "the authority at "+i.trust().Route.String()) {
		t.Errorf("%v, want where it waits for a credential", err)
	}
	b.Close()
	if d := time.Since(began); d > soon { // it would ask for twice as long
		t.Errorf("has ended after %v", d)
	}
}
