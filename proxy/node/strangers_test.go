package node_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ockam/proxy/node"
	"ockam/tunnel"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

// comeTo is accepted in the name of o.
func (p *peer) comeTo(path tunnel.Path, listener string, o *owner, wait time.Duration) (*secure.Channel, error) {
	p.t.Helper()
	cfg := p.cfg
	cfg.Identity = o.id
	return p.accepted(p.ctx, &cfg, path, listener, wait)
}

// strangers come and go, n of them, and are returned.
func (p *peer) strangers(path tunnel.Path, listener string, n int) []identity.Identifier {
	p.t.Helper()
	var all []identity.Identifier
	for range n {
		o := newOwner(p.t)
		c, err := p.comeTo(path, listener, o, patience)
		if err != nil {
			p.t.Fatal(err)
		}
		c.Close()
		all = append(all, o.id.Identifier())
	}
	return all
}

// stored reports whether the history of somebody is stored.
func (h home) stored(t *testing.T, id identity.Identifier) bool {
	t.Helper()
	_, err := h.History(id)
	if err != nil && !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Fatal(err)
	}
	return err == nil
}

func (h home) wantNone(t *testing.T, ids []identity.Identifier) {
	t.Helper()
	n := 0
	for _, id := range ids {
		if h.stored(t, id) {
			n++
		}
	}
	if n > 0 {
		t.Errorf("the histories of %d of %d strangers are stored", n, len(ids))
	}
}

// TestStrangers: who opens a channel to a project leaves nothing in its state. A
// member that comes among them by a ticket is found after a restart, and an older
// history of it refused.
func TestStrangers(t *testing.T) {
	t.Parallel()
	hub, enroller, member, added := newHome(t), newOwner(t), newOwner(t), newOwner(t)
	serve := func() (*node.Background, *peer, *tunnel.Link) {
		b := hub.node(t, node.BackgroundOptions{Name: "hub", Server: &node.ProjectServer{
			Name: "p", Address: "127.0.0.1:0", Authority: node.AuthorityServer{
				Identity: "authority",
				Members:  map[identity.Identifier]map[string]string{enroller.id.Identifier(): {authority.AttributeRole: authority.RoleEnroller}},
			},
		}})
		b.RememberStrangers(8) // fewer than come below
		p := newPeer(t, newOwner(t))
		return b, p, p.link(b.Addr())
	}
	b, p, link := serve()
	as := func(o *owner) (*authority.Client, error) {
		c, err := p.comeTo(link, node.AuthorityListener, o, patience)
		return &authority.Client{Router: p.router, Path: c, Timeout: patience}, err
	}
	must := func(o *owner) *authority.Client {
		t.Helper()
		c, err := as(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	m, a := must(member), must(added)
	hub.wantNone(t, []identity.Identifier{member.id.Identifier(), added.id.Identifier()})
	hub.wantNone(t, p.strangers(link, node.AuthorityListener, 200))

	e := must(enroller)
	if !hub.stored(t, enroller.id.Identifier()) {
		t.Error("the history of a member in the configuration is not stored")
	}
	code, err := e.CreateToken(t.Context(), nil, time.Minute, 1)
	if err == nil {
		err = errors.Join(m.Redeem(t.Context(), code), e.AddMember(t.Context(), added.id.Identifier(), nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*owner{member, added} {
		if !hub.stored(t, o.id.Identifier()) {
			t.Error("the history of a new member is not stored")
		}
	}
	if _, err := a.Issue(t.Context()); err != nil {
		t.Errorf("a credential over the channel from before: %v", err)
	}

	// The member gets a new key.
	before := &identity.Identity{History: member.id.History, Vault: member.id.Vault, PurposeKeys: member.store}
	after := &owner{id: &identity.Identity{Vault: member.id.Vault, PurposeKeys: identity.NewMemoryStore()}}
	if after.id.History, err = before.History.Rotate(member.id.Vault, identity.RotateOptions{}); err != nil {
		t.Fatal(err)
	}
	must(after)
	b.Close()
	_, p, link = serve()
	hub.wantNone(t, p.strangers(link, node.AuthorityListener, 50))
	if _, err := p.comeTo(link, node.AuthorityListener, &owner{id: before}, quiet); err == nil {
		t.Error("an older history of a member is accepted after a restart")
	}
	if _, err := must(after).Issue(t.Context()); err != nil {
		t.Errorf("a credential after a restart: %v", err)
	}
}

// TestStrangersElsewhere: it is the same at other nodes. Whom the configuration
// names is no stranger.
func TestStrangersElsewhere(t *testing.T) {
	t.Parallel()
	t.Run("background", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		b := h.node(t, node.BackgroundOptions{Name: "n"})
		p := newPeer(t, newOwner(t))
		h.wantNone(t, p.strangers(p.link(b.Addr()), secure.DefaultName, 100))
	})
	t.Run("configured", func(t *testing.T) {
		t.Parallel()
		h, named, written, anybody := newHome(t), newOwner(t), newOwner(t), newOwner(t)
		port := freePort(t)
		r := start(t, load(t, fmt.Sprintf(`
node "n" {
  listener "tcp" { address = "127.0.0.1:%s" }
  relay_service { allow = "anyone" }
  tcp_outlet "out" {
    to    = "127.0.0.1:1"
    allow = "%s"
  }
  tcp_outlet "policy" {
    to    = "%s"
    allow = "(or (= subject.identifier \"%s\") (not (= subject.identifier \"evil\")))"
  }
}`, port, named, echoServer(t), written), nil), h.Store)
		r.wait("the listener", func(e node.Event) bool { return e.Kind == "listener" && e.Up })
		p := newPeer(t, newOwner(t))
		link := p.link("127.0.0.1:" + port)
		h.wantNone(t, p.strangers(link, secure.DefaultName, 100))
		if _, err := p.comeTo(link, secure.DefaultName, named, patience); err != nil || !h.stored(t, named.id.Identifier()) {
			t.Errorf("%v; the history of whom an allow names is to be stored", err)
		}
		// A policy admits two strangers, and names one.
		g := &guard{t: t}
		for _, o := range []*owner{written, anybody} {
			c, err := p.comeTo(link, secure.DefaultName, o, patience)
			if err != nil {
				t.Fatal(err)
			}
			h.wantNone(t, []identity.Identifier{o.id.Identifier()})
			if !g.opens(p, c, "policy") {
				t.Fatal("a stranger is not admitted")
			}
			if h.stored(t, o.id.Identifier()) != (o == written) {
				t.Errorf("stored: %t, for whom the policy names and for another one", o != written)
			}
		}
	})
}

// TestRefusalsAreSummedUp: who is refused again and again does not fill the log, nor
// hide that somebody else is refused.
func TestRefusalsAreSummedUp(t *testing.T) {
	t.Parallel()
	const many = 100
	hub, noisy, other := newHome(t), newOwner(t), newOwner(t)
	core, logs := observer.New(zap.InfoLevel)
	b := hub.node(t, node.BackgroundOptions{Name: "hub", Log: zap.New(core), Server: &node.ProjectServer{
		Name: "p", Address: "127.0.0.1:0", Authority: node.AuthorityServer{Identity: "authority"},
	}})
	p := newPeer(t, newOwner(t))
	link := p.link(b.Addr())
	ask := func(o *owner, times int) {
		t.Helper()
		c, err := p.comeTo(link, node.AuthorityListener, o, patience)
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			if _, err := (&authority.Client{Router: p.router, Path: c, Timeout: patience}).Issue(t.Context()); !errors.Is(err, authority.ErrNotMember) {
				t.Fatal(err)
			}
		}
	}
	ask(noisy, many)
	ask(other, 1)
	b.Close()
	of := func(o *owner) (n int) {
		for _, e := range logs.FilterMessage("refused").All() {
			if e.ContextMap()["peer"] == o.String() {
				n++
			}
		}
		return n
	}
	if n := of(noisy); n == 0 || n > 10 {
		t.Errorf("%d lines of %d refusals", n, many)
	}
	if n := of(other); n != 1 {
		t.Errorf("%d lines of the other peer, want 1", n)
	}
	sum := 0
	for _, e := range logs.FilterMessage("more refusals").All() {
		if e.ContextMap()["node"] == "hub" && e.ContextMap()["name"] == authority.CredentialIssuer {
			sum += int(e.ContextMap()["count"].(int64))
		}
	}
	if sum+of(noisy) != many {
		t.Errorf("%d lines, and %d more; want %d together", of(noisy), sum, many)
	}
}
