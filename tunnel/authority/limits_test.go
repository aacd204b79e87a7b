package authority_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

// TestEnrollTwice has a member enroll again, in turn and from many machines at
// once: one use of one token is taken.
func TestEnrollTwice(t *testing.T) {
	g := newRig(t, nil)
	enroller, m1, m2, m3 := g.newCaller(), g.newCaller(), g.newCaller(), g.newCaller()
	g.trust(map[identity.Identifier]string{enroller: "ockam-role=enroller"})
	redeem := func(by identity.Identifier, c authority.Code) (api.Status, string) {
		return g.call(by, authority.TokenAcceptor, api.MethodPost, "/", &authority.CodeBody{Code: c}, nil)
	}
	once := g.token(enroller, "a=b", 1)
	again := g.token(enroller, "c=d", 1)
	for _, tt := range []struct {
		by   identity.Identifier
		code authority.Code
		want string
	}{
		{m1, once, ""},
		{m1, once, "Already a member"},
		{m1, again, "Already a member"},
		{m2, once, "Unknown enrollment token"},
		{m2, again, ""},
	} {
		if _, text := redeem(tt.by, tt.code); text != tt.want {
			t.Errorf("%q, want %q", text, tt.want)
		}
	}
	if status, text := g.issue(m1, "a=b trust_context_id=p1"); status != 200 {
		t.Errorf("%d %q", status, text)
	}

	shared := g.token(enroller, "", 3)
	var wg sync.WaitGroup
	var mu sync.Mutex
	texts := map[string]int{}
	for range 10 {
		wg.Go(func() {
			_, text := redeem(m3, shared)
			mu.Lock()
			texts[text]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if texts[""] != 1 || texts["Already a member"] != 9 {
		t.Errorf("%v", texts)
	}
	for i := range 3 {
		if status, _ := redeem(g.newCaller(), shared); (status == 200) != (i < 2) {
			t.Errorf("use %d: %d", i+2, status)
		}
	}
}

func TestTokenTimes(t *testing.T) {
	g := newRig(t, nil)
	enroller := g.newCaller()
	g.trust(map[identity.Identifier]string{enroller: "ockam-role=enroller"})
	start := g.now()
	second, forever := uint64(1), uint64(math.MaxUint64)
	for _, tt := range []struct {
		ttl    *uint64
		after  time.Duration
		status api.Status
	}{
		{nil, 600*time.Second - time.Nanosecond, 200},
		{nil, 600 * time.Second, 403},
		{new(uint64), 0, 403},
		{&second, 999 * time.Millisecond, 200},
		{&second, time.Second, 403},
		{&second, -24 * time.Hour, 200}, // the clock was set back
		{&forever, 100 * 365 * 24 * time.Hour, 200},
	} {
		g.setClock(start)
		var c authority.CodeBody
		g.want(enroller, authority.TokenIssuer, api.MethodPost, "/", &authority.CreateToken{TTL: tt.ttl, Uses: &forever}, &c, 200, "")
		g.setClock(start.Add(tt.after))
		who := authoritytest.ID(int(tt.after)) // never seen by the authority
		if tt.status == 200 {
			who = g.newCaller()
		}
		status, _ := g.call(who, authority.TokenAcceptor, api.MethodPost, "/", &authority.CodeBody{Code: c.Code}, nil)
		if status != tt.status {
			t.Errorf("%v after %v: %d, want %d", tt.ttl, tt.after, status, tt.status)
		}
	}
}

// TestAttributesAreBounded offers more than a credential can hold.
func TestAttributesAreBounded(t *testing.T) {
	g := newRig(t, nil)
	enroller, m1 := g.newCaller(), g.newCaller()
	g.trust(map[identity.Identifier]string{enroller: "ockam-role=enroller"})
	const about = len("trust_context_id") + len("p1") + len("large") + 20
	for size, want := range map[int]api.Status{
		0: 200, authority.MaxAttributes - about: 200, authority.MaxAttributes: 400, 64 << 10: 400, 1<<20 - 400: 400,
	} {
		large := map[string]string{"large": strings.Repeat("x", size)}
		text := ""
		if want != 200 {
			text = "at most 61440 fit into a credential"
		}
		g.want(enroller, authority.DirectAuthenticator, api.MethodPost, "/", &authority.AddMember{Member: m1, Attributes: large}, nil, want, text)
		g.want(enroller, authority.TokenIssuer, api.MethodPost, "/", &authority.CreateToken{Attributes: large}, new(authority.CodeBody), want, text)
	}
	err := g.Trust(t.Context(), map[identity.Identifier]map[string]string{m1: {"large": strings.Repeat("x", authority.MaxAttributes)}})
	if err == nil || !strings.Contains(err.Error(), m1.String()) {
		t.Errorf("%v", err)
	}
	many := map[string]string{}
	for i := range 1024 {
		many[fmt.Sprint(i)] = ""
	}
	g.want(enroller, authority.DirectAuthenticator, api.MethodPost, "/", &authority.AddMember{Member: m1, Attributes: many}, nil, 200, "")
	many["one more"] = ""
	g.want(enroller, authority.DirectAuthenticator, api.MethodPost, "/", &authority.AddMember{Member: m1, Attributes: many}, nil, 400, "more than 1024 attributes")
	g.want(enroller, authority.DirectAuthenticator, api.MethodPost, "/", &authority.AddMember{}, nil, 400, "zeros")
}

// TestLists asks for 10,000 members over a channel, and for more than a message can
// hold.
func TestLists(t *testing.T) {
	const members = 10_000
	g := newRig(t, nil)
	enroller := g.newIdentity()
	add := func(n int, attributes map[string]string) {
		if err := g.Store.PutMember(t.Context(), authority.Member{Identifier: authoritytest.ID(n), Attributes: attributes, AddedBy: enroller.Identifier()}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range members - 1 {
		add(n, map[string]string{"component": "database", "site": fmt.Sprint("site", n), "ockam-relay": fmt.Sprint("relay", n)})
	}
	g.trust(map[identity.Identifier]string{enroller.Identifier(): "ockam-role=enroller"})
	client := g.channel(enroller, nil)
	var entries authority.Entries
	if err := client(authority.DirectAuthenticator).Call(t.Context(), api.MethodGet, "/", nil, &entries); err != nil || len(entries) != members {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if e := entries[authoritytest.ID(77)]; e.Attributes["site"] != "site77" || e.AttestedBy != enroller.Identifier() {
		t.Errorf("%+v", e)
	}
	var ids authority.Identifiers
	if err := client(authority.DirectAuthenticator).Call(t.Context(), api.MethodGet, "/member_ids", nil, &ids); err != nil || len(ids.List) != members {
		t.Errorf("%d identifiers, %v", len(ids.List), err)
	}
	large := map[string]string{"large": strings.Repeat("x", authority.MaxAttributes-1000)}
	for n := range 300 { // two bytes for each on the wire
		add(members+n, large)
	}
	err := client(authority.DirectAuthenticator).Call(t.Context(), api.MethodGet, "/", nil, &entries)
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Status != 400 || !strings.Contains(e.Message, "member_ids") {
		t.Errorf("%v", err)
	}
	if _, err := client(authority.DirectAuthenticator).Tell(t.Context(), api.MethodDelete, "/members", nil); err != nil {
		t.Error(err)
	}
	if ids, err := g.Store.MemberIDs(t.Context()); err != nil || len(ids) != 1 {
		t.Errorf("%d are left, %v", len(ids), err)
	}
}

// TestLargestCredential presents a credential of the largest size.
func TestLargestCredential(t *testing.T) {
	g := newRig(t, nil)
	g.setClock(time.Now())
	m1 := g.newIdentity()
	all := map[string]string{}
	for n := 0; g.CheckAttributes(all) == nil; n++ {
		all[fmt.Sprintf("attribute-%04d", n)] = strings.Repeat("v", 100)
	}
	delete(all, fmt.Sprintf("attribute-%04d", len(all)-1))
	if err := g.Store.PutMember(t.Context(), authority.Member{Identifier: m1.Identifier(), Attributes: all}); err != nil {
		t.Fatal(err)
	}
	var c authority.CredentialBody
	if err := g.channel(m1, nil)(authority.CredentialIssuer).Call(t.Context(), api.MethodPost, "/", nil, &c); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Credential.Bytes()); n < authority.MaxAttributes-200 || n > authority.MaxAttributes+500 {
		t.Errorf("a credential of %d bytes", n)
	}
	// A history that is not that short any more must fit beside it.
	var err error
	for range 8 {
		if m1.History, err = m1.History.Rotate(m1.Vault, identity.RotateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	m1 = &identity.Identity{History: m1.History, Vault: m1.Vault, PurposeKeys: g.known, Now: g.now}
	if err := g.known.UpdateHistory(m1.History); err != nil {
		t.Fatal(err)
	}
	var echo authority.CredentialBody
	if err := g.channel(m1, c.Credential)(authority.CredentialIssuer).Call(t.Context(), api.MethodPost, "/", nil, &echo); err != nil {
		t.Fatal(err)
	}
	e, ok, err := g.known.Attributes(m1.Identifier(), g.now())
	if err != nil || !ok || len(e.Attributes.Values) != len(all)+1 {
		t.Errorf("%d attributes were believed, %v", len(e.Attributes.Values), err)
	}
}

// channel opens a secure channel from a node of its own, which presents a
// credential, and returns clients of services behind it.
func (g *rig) channel(id *identity.Identity, credential *identity.Credential) func(service string) *api.Client {
	g.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	g.Cleanup(func() { stop(); wg.Wait() })
	near := tunnel.NewRouter()
	links := &tunnel.Group{Name: "links"}
	listener := &secure.Listener{
		Config: secure.Config{
			Router: g.router, Identity: g.Identity, Histories: g.known, Attributes: g.known,
			Authorities: []identity.Identifier{g.Identity.Identifier()}, Now: g.now,
		},
		Name: tunnel.RandomAddress().Name, Open: []tunnel.Source{links}, Group: g.group,
	}
	if err := listener.Register(); err != nil {
		g.Fatal(err)
	}
	wg.Go(func() { _ = listener.Serve(ctx) })
	a, b := transporttest.Pipe(transporttest.PipeOptions{})
	link, err := tunnel.NewLink(near, a.Link(), transporttest.Traits(), nil)
	if err != nil {
		g.Fatal(err)
	}
	other, err := tunnel.NewLink(g.router, b.Link(), transporttest.Traits(), links)
	if err != nil {
		g.Fatal(err)
	}
	wg.Go(func() { _ = link.Serve(ctx) })
	wg.Go(func() { _ = other.Serve(ctx) })
	cfg := &secure.Config{Router: near, Identity: id, Histories: identity.NewMemoryStore(), Now: g.now}
	if credential != nil {
		cfg.Credential = func() (*identity.Credential, error) { return credential, nil }
	}
	c, err := secure.Dial(ctx, cfg, link, tunnel.NewRoute(tunnel.LocalAddress(listener.Name)))
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(c.Close)
	return func(service string) *api.Client {
		return &api.Client{Router: near, Path: c, To: tunnel.NewRoute(tunnel.LocalAddress(service))}
	}
}

// TestBrokenStore tells callers that the database is at fault, and nothing more.
func TestBrokenStore(t *testing.T) {
	secret := errors.New("postgres at 10.1.2.3: password authentication failed")
	g := newRig(t, func(a *authority.Authority) { a.Store = brokenStore{err: secret} })
	caller := g.newCaller()
	for _, tt := range []struct {
		service, path string
		method        api.Method
		body          api.Body
	}{
		{authority.CredentialIssuer, "/", api.MethodPost, nil},
		{authority.DirectAuthenticator, "/", api.MethodGet, nil},
		{authority.DirectAuthenticator, "/members", api.MethodDelete, nil},
		{authority.TokenIssuer, "/", api.MethodPost, new(authority.CreateToken)},
		{authority.TokenAcceptor, "/", api.MethodPost, new(authority.CodeBody)},
	} {
		g.want(caller, tt.service, tt.method, tt.path, tt.body, nil, 500, "authority: database: ")
		if e := g.lastEvent(); !errors.Is(e.Err, secret) || !strings.Contains(e.String(), "10.1.2.3") || strings.Contains(e.Text, "10.1.2.3") {
			t.Errorf("%v", e)
		}
	}
}

type brokenStore struct {
	authority.Store
	err error
}

func (s brokenStore) Member(context.Context, identity.Identifier) (authority.Member, error) {
	return authority.Member{}, s.err
}

func (s brokenStore) Redeem(context.Context, authority.Code, identity.Identifier, identity.Timestamp) (authority.Member, error) {
	return authority.Member{}, s.err
}

// TestIssue looks at what is in credentials.
func TestIssue(t *testing.T) {
	for _, tt := range []struct {
		name, member, want string
		change             func(*authority.Authority)
		lifetime           time.Duration
	}{
		{"plain", "a=b", "a=b trust_context_id=p1", nil, authority.DefaultCredentialLifetime},
		{"own context", "trust_context_id=mine", "trust_context_id=mine", nil, authority.DefaultCredentialLifetime},
		{"no context", "a=b", "a=b", func(a *authority.Authority) { a.OmitContext = true }, authority.DefaultCredentialLifetime},
		{"five minutes", "", "trust_context_id=p1", func(a *authority.Authority) { a.CredentialLifetime = 5 * time.Minute }, 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.change)
			m1 := g.newCaller()
			g.trust(map[identity.Identifier]string{m1: tt.member})
			if status, text := g.issue(m1, tt.want); status != 200 {
				t.Errorf("%d %q", status, text)
			}
			var c authority.CredentialBody
			g.want(m1, authority.CredentialIssuer, api.MethodPost, "/", nil, &c, 200, "")
			data, err := c.Credential.Data()
			if err != nil || data.Subject != m1 || data.Attributes.Schema != 1 || data.ExpiresAt.Time().Sub(data.CreatedAt.Time()) != tt.lifetime {
				t.Errorf("%+v, %v", data, err)
			}
			stranger := authoritytest.ID(1) // whose history is not known
			g.trust(map[identity.Identifier]string{stranger: ""})
			g.want(stranger, authority.CredentialIssuer, api.MethodPost, "/", nil, nil, 500, "internal error")
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	g := newRig(b, func(a *authority.Authority) { a.Events = nil })
	m1 := g.newCaller()
	g.trust(map[identity.Identifier]string{m1: "component=db ockam-relay=db"})
	for b.Loop() {
		g.want(m1, authority.CredentialIssuer, api.MethodPost, "/", nil, new(authority.CredentialBody), 200, "")
	}
}
