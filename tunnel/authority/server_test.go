package authority_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

const recordedStart = 1795503544

// A rig is an authority that callers reach by origins of its own making.
type rig struct {
	testing.TB
	*authority.Authority
	router   *tunnel.Router
	group    *tunnel.Group
	known    *identity.MemoryStore
	services *authority.Services

	mu     sync.Mutex
	clock  time.Time
	events []authority.Event
}

// newRig makes an authority of project p1, which change may change, and registers
// it.
func newRig(t testing.TB, change func(*authority.Authority)) *rig {
	t.Helper()
	g := &rig{
		TB: t, router: tunnel.NewRouter(), group: &tunnel.Group{Name: "api"}, known: identity.NewMemoryStore(),
		clock: time.Unix(recordedStart, 0),
	}
	g.Authority = &authority.Authority{
		Identity: g.newIdentity(), Histories: g.known, Project: "p1", Store: new(authority.MemoryStore),
		Attributes: g.known, Now: g.now, Events: g.event,
	}
	if change != nil {
		change(g.Authority)
	}
	services, err := g.Register(g.router, tunnel.Access{Open: []tunnel.Source{g.group}})
	if err != nil {
		t.Fatal(err)
	}
	g.services = services
	t.Cleanup(services.Close)
	return g
}

func (g *rig) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clock
}

func (g *rig) setClock(t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock = t
}

func (g *rig) event(e authority.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
}

// lastEvent returns the last one and forgets all.
func (g *rig) lastEvent() authority.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.events) == 0 {
		return authority.Event{}
	}
	e := g.events[len(g.events)-1]
	g.events = nil
	return e
}

// newIdentity makes an identity whose history is known and whose clock is that
// of the rig.
func (g *rig) newIdentity() *identity.Identity {
	g.Helper()
	keys := vault.NewMemory()
	h, err := identity.Create(keys, identity.CreateOptions{From: time.Unix(recordedStart-3600, 0)})
	if err != nil {
		g.Fatal(err)
	}
	if err := g.known.UpdateHistory(h); err != nil {
		g.Fatal(err)
	}
	return &identity.Identity{History: h, Vault: keys, PurposeKeys: g.known, Now: g.now}
}

func (g *rig) newCaller() identity.Identifier { return g.newIdentity().Identifier() }

// trust makes callers pre-trusted members, without attributes but "k=v" words.
func (g *rig) trust(ids map[identity.Identifier]string) {
	g.Helper()
	trusted := map[identity.Identifier]map[string]string{}
	for id, words := range ids {
		trusted[id] = attributes(words)
	}
	if err := g.Trust(g.Context(), trusted); err != nil {
		g.Fatal(err)
	}
}

// attributes reads "k=v k=v".
func attributes(words string) map[string]string {
	all := map[string]string{}
	for _, w := range strings.Fields(words) {
		k, v, _ := strings.Cut(w, "=")
		all[k] = v
	}
	return all
}

// origin is what a channel of the authority's listener has brought.
func (g *rig) origin(id identity.Identifier) *tunnel.Origin {
	o := tunnel.NewOrigin(tunnel.RandomAddress())
	o.Peer, o.Group = id.String(), g.group
	return o
}

// ask sends a payload and returns the answer; ok is false if the address is not
// open or not there.
func (g *rig) ask(from *tunnel.Origin, service string, payload []byte) (answer []byte, ok bool) {
	g.Helper()
	got := make(chan []byte, 1)
	reg, err := g.router.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		got <- bytes.Clone(m.Payload)
		m.Release()
		return nil
	}), tunnel.Access{})
	if err != nil {
		g.Fatal(err)
	}
	defer reg.Close()
	m := tunnel.NewMessage()
	m.Onward, m.Return = tunnel.NewRoute(tunnel.LocalAddress(service)), tunnel.NewRoute(reg.Address())
	m.Payload, m.Origin = payload, from
	if from == nil {
		err = g.router.Send(m)
	} else {
		err = g.router.Deliver(m)
	}
	if errors.Is(err, tunnel.ErrNoRoute) || errors.Is(err, tunnel.ErrNotOpen) {
		return nil, false
	} else if err != nil {
		g.Fatal(err)
	}
	select {
	case b := <-got:
		return b, true
	case <-time.After(20 * time.Second):
		g.Fatal("no answer")
		return nil, false
	}
}

// call makes a request of an identity and returns status and text of the answer.
// It reads the body of a success into out, if that is not nil.
func (g *rig) call(id identity.Identifier, service string, m api.Method, path string, in, out api.Body) (api.Status, string) {
	g.Helper()
	r := api.Request{ID: 0x01020304, Method: m, Path: path}
	if in != nil {
		b, err := api.Append(nil, in)
		if err != nil {
			g.Fatal(err)
		}
		r.HasBody, r.Body = true, b
	}
	payload, err := r.Append(nil)
	if err != nil {
		g.Fatal(err)
	}
	b, ok := g.ask(g.origin(id), service, payload)
	if !ok {
		return 0, ""
	}
	a, err := api.ParseResponse(b)
	if err != nil {
		g.Fatal(err)
	}
	if a.Status != api.StatusOK {
		return a.Status, api.ParseError(a).Message
	}
	if out != nil {
		if rest, err := api.Parse(a.Body, out); err != nil || len(rest) > 0 {
			g.Fatalf("%x: %v", a.Body, err)
		}
	} else if a.HasBody || len(a.Body) > 0 {
		g.Errorf("%v %s: a body: %x", m, path, a.Body)
	}
	return a.Status, ""
}

// want is call with the outcome expected.
func (g *rig) want(id identity.Identifier, service string, m api.Method, path string, in, out api.Body, status api.Status, text string) {
	g.Helper()
	if s, got := g.call(id, service, m, path, in, out); s != status || !strings.Contains(got, text) || (text == "") != (got == "") {
		g.Errorf("%s: %v %s: %d %q, want %d %q", service, m, path, s, got, status, text)
	}
}

// token has a token made.
func (g *rig) token(by identity.Identifier, words string, uses uint64) authority.Code {
	g.Helper()
	var code authority.CodeBody
	g.want(by, authority.TokenIssuer, api.MethodPost, "/", &authority.CreateToken{Attributes: attributes(words), Uses: &uses}, &code, 200, "")
	return code.Code
}

func TestWithoutChannel(t *testing.T) {
	g := newRig(t, nil)
	m1 := g.newCaller()
	g.trust(map[identity.Identifier]string{m1: ""})
	elsewhere := g.origin(m1)
	elsewhere.Group = &tunnel.Group{Name: "another listener"}
	link := g.origin(m1)
	link.Peer = ""
	zero := g.origin(identity.Identifier{})
	payload, err := (&api.Request{ID: 7, Method: api.MethodPost, Path: "/"}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{authority.CredentialIssuer, authority.DirectAuthenticator, authority.TokenIssuer, authority.TokenAcceptor} {
		for name, from := range map[string]*tunnel.Origin{"worker of the node": nil, "link": link, "zeros": zero} {
			b, ok := g.ask(from, service, payload)
			a, err := api.ParseResponse(b)
			if !ok || err != nil || a.Re != 0 || a.Status != 400 || fmt.Sprintf("%x", a.Body) != "a10377736563757265206368616e6e656c207265717569726564" {
				t.Errorf("%s, %s: %+v, %v", service, name, a, err)
			}
			if e := g.lastEvent(); e.Status != 400 || e.Text != "secure channel required" || e.Service != service {
				t.Errorf("%v", e)
			}
		}
		if _, ok := g.ask(elsewhere, service, payload); ok {
			t.Errorf("%s answers a channel of another listener", service)
		}
	}
	// Neither does it by way of a worker of the node, which passes on anything.
	if _, err := g.router.Handle(tunnel.LocalAddress("hop"), tunnel.HandlerFunc(func(m *tunnel.Message) error { return g.router.Send(m) }),
		tunnel.Access{Open: []tunnel.Source{elsewhere.Group}}); err != nil {
		t.Fatal(err)
	}
	m := tunnel.NewMessage()
	got := make(chan api.Response, 1)
	reg, err := g.router.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		a, err := api.ParseResponse(bytes.Clone(m.Payload))
		got <- a
		m.Release()
		return err
	}), tunnel.Access{})
	if err != nil {
		t.Fatal(err)
	}
	m.Onward = tunnel.NewRoute(tunnel.LocalAddress("hop"), tunnel.LocalAddress(authority.CredentialIssuer))
	m.Return, m.Payload, m.Origin = tunnel.NewRoute(reg.Address()), payload, elsewhere
	if err := g.router.Deliver(m); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.Status != 400 {
		t.Errorf("%+v", a)
	}
}

func TestRegisterTwice(t *testing.T) {
	g := newRig(t, nil)
	if s, err := g.Register(g.router, tunnel.Access{}); !errors.Is(err, tunnel.ErrInUse) || s != nil {
		t.Errorf("%v, want ErrInUse", err)
	}
	g.services.Close()
	if _, ok := g.ask(g.origin(g.newCaller()), authority.CredentialIssuer, nil); ok {
		t.Error("an answer after Close")
	}
	g.CredentialLifetime = time.Millisecond
	if _, err := g.Register(g.router, tunnel.Access{}); err == nil {
		t.Error("credentials that live for a millisecond")
	}
	g.CredentialLifetime = time.Second
	s, err := g.Register(g.router, tunnel.Access{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
}

func TestEvents(t *testing.T) {
	g := newRig(t, nil)
	enroller, m1, m2 := g.newCaller(), g.newCaller(), g.newCaller()
	g.trust(map[identity.Identifier]string{enroller: "ockam-role=enroller", m1: ""})
	code := g.token(enroller, "a=b", 1)
	if e := g.lastEvent(); e.Status != 200 || e.Caller != enroller || strings.Contains(e.String(), fmt.Sprintf("%x", code[:4])) {
		t.Errorf("%v", e)
	}
	for _, tt := range []struct {
		do     func()
		caller identity.Identifier
		want   string
	}{
		{
			func() {
				g.want(m2, authority.TokenAcceptor, api.MethodPost, "/", &authority.CodeBody{Code: code}, nil, 200, "")
			},
			m2, fmt.Sprintf(`enrollment_token_acceptor: POST "/" of %v: enrolled with 1 attributes, by a token of %v`, m2, enroller),
		},
		{
			func() {
				g.want(m1, authority.DirectAuthenticator, api.MethodGet, "/member_ids", nil, nil, 403, "Non-enroller")
			},
			m1, fmt.Sprintf(`direct_authenticator: GET "/member_ids" of %v: refused with 403: Non-enroller is trying to list members`, m1),
		},
		{
			func() {
				g.want(enroller, authority.DirectAuthenticator, api.MethodDelete, "/"+m2.String(), nil, nil, 200, "")
			},
			enroller, fmt.Sprintf(`direct_authenticator: DELETE "/%v" of %v: deleted %[1]v`, m2, enroller),
		},
	} {
		tt.do()
		if e := g.lastEvent(); e.Caller != tt.caller || e.String() != tt.want {
			t.Errorf("%v\nwant %s", e, tt.want)
		}
	}
	g.want(enroller, authority.CredentialIssuer, api.MethodPost, "/", nil, new(authority.CredentialBody), 200, "")
	if e := g.lastEvent(); e != (authority.Event{}) {
		t.Errorf("a credential is no change: %v", e)
	}
}
