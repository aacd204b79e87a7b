package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/control"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// An issuer issues credentials about identities of another store.
type issuer struct {
	t  *testing.T
	id *identity.Identity
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	s := openStore(t)
	if _, err := s.CreateIdentity(t.Context(), "authority", identity.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(t.Context(), "authority")
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, id}
}

// about states attributes (name, value, name, value …) of the identity of r.
func (i *issuer) about(r *running, attributes ...string) *identity.Credential {
	i.t.Helper()
	h, err := r.Store().History(r.Identifier())
	if err != nil {
		i.t.Fatal(err)
	}
	a := identity.Attributes{Schema: 1, Values: map[string]string{}}
	for n := 0; n < len(attributes); n += 2 {
		a.Values[attributes[n]] = attributes[n+1]
	}
	c, err := i.id.IssueCredential(h, a, time.Hour)
	if err != nil {
		i.t.Fatal(err)
	}
	return c
}

const (
	// patience is how long an answer is waited for that must come.
	patience = 20 * time.Second
	// quiet is how long one is waited for that must not come.
	quiet = time.Second
)

// echoed reports whether echo behind a route answers.
func (r *running) echoed(route string, wait time.Duration) bool {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), wait)
	defer cancel()
	reply, err := r.Client.SendMessage(ctx, control.SendMessage{Route: route + "/service/echo", Message: []byte("there?")})
	return err == nil && string(reply) == "there?"
}

// presents opens a channel that presents a credential.
func (r *running) presents(to string, c *identity.Credential) string {
	r.t.Helper()
	made, err := r.CreateSecureChannel(r.t.Context(), control.CreateSecureChannel{To: parsed(r.t, to), Credential: c})
	if err != nil {
		r.t.Fatal(err)
	}
	return "/service/" + made.Address.Name
}

// inletTo makes an inlet and returns where it listens.
func (r *running) inletTo(alias, to string) string {
	r.t.Helper()
	i, err := r.Client.CreateInlet(r.t.Context(), control.CreateInlet{
		Listen: hostPort(r.t, "127.0.0.1:0"), Alias: alias, WaitForConnection: true, Outlet: parsed(r.t, to),
	})
	if err != nil || i.Status != control.Up {
		r.t.Fatalf("%+v, %v", i, err)
	}
	return i.Bind
}

// TestAttachedTrust checks that a node with an authority lets in whom its
// credentials describe as the policies ask.
func TestAttachedTrust(t *testing.T) {
	ctx, authority := t.Context(), newIssuer(t)
	gate := backgroundWith(t, node.BackgroundOptions{
		Name: "gate", Store: openStore(t), Trust: node.Trust{Authority: authority.id.History},
	})
	app := background(t, "app", openStore(t))
	web, err := policy.ParseInput(`(= subject.role "web")`)
	if err != nil {
		t.Fatal(err)
	}
	target := hostPort(t, echoTarget(t))
	for _, o := range []control.CreateOutlet{
		{Target: target, Reachable: true}, // the policy of its type asks for a credential
		{Target: target, Reachable: true, Policy: (*control.PolicyExpression)(&web)},
	} {
		if _, err := gate.Client.CreateOutlet(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	outlets, err := gate.Client.Outlets(ctx)
	if err != nil || len(outlets) != 2 {
		t.Fatalf("%+v, %v", outlets, err)
	}
	guarded := outlets[0].Address.Name
	if guarded == "outlet" {
		guarded = outlets[1].Address.Name
	}

	// explained wants the node to explain what it does.
	explained := func(resource string, want bool) {
		t.Helper()
		x, err := gate.ExplainPolicy(ctx, control.ExplainPolicy{Subject: app.Identifier(), Resource: resource})
		if err != nil || x.Allowed != want || x.Reason == "" || x.Authority != authority.id.Identifier() {
			t.Errorf("%s: %+v, %v, want allowed %t", resource, x, err, want)
		}
	}

	explained("echo", false)
	if route := gate.place("/secure/api"); app.echoed(route, quiet) || app.echoed(gate.place(""), quiet) {
		t.Error("echo is open to who presents nothing")
	}
	app.shouts(gate.place("/secure/api/service/uppercase")) // no policy is for it

	stranger := newIssuer(t)
	if app.echoed(app.presents(gate.place("/service/api"), stranger.about(app, "role", "web")), quiet) {
		t.Error("echo is open to the credential of a stranger")
	}
	member := app.presents(gate.place("/service/api"), authority.about(app, "role", "guest"))
	if !app.echoed(member, patience) {
		t.Error("echo is closed to a member")
	}
	explained("echo", true)
	echoes(t, app.inletTo("any", member+"/service/outlet"))
	explained("outlet", true)
	web1 := app.inletTo("web", member+"/service/"+guarded)
	explained(guarded, false)
	refuses(t, web1)
	app.presents(gate.place("/service/api"), authority.about(app, "role", "web"))
	explained(guarded, true)
	echoes(t, web1) // what is known of the identity counts, whichever channel told it

	// An attribute is withdrawn: what is open is reset, and nothing opens any more.
	open, err := net.Dial("tcp", web1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	_ = open.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(open, "hello")
	if _, err := io.ReadFull(open, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	app.presents(gate.place("/service/api"), authority.about(app, "role", "guest"))
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(began) > 15*time.Second {
		t.Errorf("a connection that was open: %v after %v, want a reset", err, time.Since(began))
	}
	explained(guarded, false)
	if _, err := gate.ExplainPolicy(ctx, control.ExplainPolicy{Subject: app.Identifier(), Resource: "nope"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a resource that is not there: %v", err)
	}

	// It believes one authority at a time, also what it had believed before.
	gate.stop()
	gate = backgroundWith(t, node.BackgroundOptions{Name: "gate", Store: gate.Store(), Trust: node.Trust{Authority: stranger.id.History}})
	if app.echoed(app.opens(gate.place("/service/api")), quiet) {
		t.Error("a credential of the authority before counts")
	}
}

// TestAttachedScope checks that a node presents the credential that is stored in
// its scope, as it is then.
func TestAttachedScope(t *testing.T) {
	ctx, authority := t.Context(), newIssuer(t)
	trust := node.Trust{Authority: authority.id.History}
	gate := backgroundWith(t, node.BackgroundOptions{Name: "gate", Store: openStore(t), Trust: trust})
	trust.Scope = "work"
	app := backgroundWith(t, node.BackgroundOptions{Name: "app", Store: openStore(t), Trust: trust})
	gate.opens(app.place("/service/api")) // others may come all the same
	store := func(scope string, c *identity.Credential, until identity.Timestamp) {
		t.Helper()
		err := app.Store().PutCredential(ctx, state.StoredCredential{
			CredentialKey: state.CredentialKey{Node: "app", Issuer: authority.id.Identifier(), Subject: app.Identifier(), Scope: scope},
			Credential:    c.Bytes(), ExpiresAt: until,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		_, err := app.CreateSecureChannel(ctx, control.CreateSecureChannel{To: parsed(t, gate.place("/service/api"))})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	later := identity.At(time.Now().Add(time.Hour))
	cred := authority.about(app, "ockam-relay", "app")
	store("elsewhere", cred, later)
	refused(`in the scope "work"`)
	store("work", cred, identity.At(time.Now()))
	refused("has expired")
	store("work", cred, later)
	if !app.echoed(gate.place("/secure/api"), patience) {
		t.Error("the credential is not presented")
	}

	app.registers("app", gate.place("/secure/api"))
	i, err := app.Client.CreateRelay(ctx, control.CreateRelay{
		Name: "other", Address: "other", At: parsed(t, gate.place("/secure/api")), Return: control.Immediately,
	})
	if err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(time.Second); time.Now().Before(late) && err == nil; time.Sleep(20 * time.Millisecond) {
		if i, err = app.Client.Relay(ctx, "other"); i.Status == control.Up {
			t.Fatal("a name that the credential does not allow was registered")
		}
	}
}

// TestBackgroundChannelListener checks what a node begins with in place of the
// default services.
func TestBackgroundChannelListener(t *testing.T) {
	s := openStore(t)
	for _, o := range []node.ChannelListenerOptions{{Address: "echo"}, {Address: "api", Identity: "nobody"}} {
		_, err := node.StartBackground(t.Context(), node.BackgroundOptions{
			Name: "n", Listen: "127.0.0.1:0", Store: s, NoDefaultServices: true, ChannelListener: &o,
		})
		if !errors.Is(err, node.ErrChannelListener) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	stranger := background(t, "stranger", openStore(t))
	n := backgroundWith(t, node.BackgroundOptions{
		Name: "n", Store: s, NoDefaultServices: true,
		ChannelListener: &node.ChannelListenerOptions{Address: "own", Authorized: []identity.Identifier{stranger.Identifier()}},
	})
	r, err := n.Resources(t.Context())
	if err != nil || len(r.ChannelListeners) != 1 || len(r.Services) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !stranger.echoed(stranger.opens(n.place("/service/own")), patience) {
		t.Error("the listener does not answer")
	}
}
