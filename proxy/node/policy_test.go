package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
)

// guardedNode believes the authority %[3]s, and has a resource for each kind of
// rule. %[4]s is whom it names.
const guardedNode = `
node "n" {
  ephemeral = true
  authority = "%[3]s"
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "default" { to = "%[2]s" }
  tcp_outlet "role" {
    to    = "%[2]s"
    allow = "(= subject.role \"web\")"
  }
  tcp_outlet "formula" {
    to    = "%[2]s"
    allow = "admin and not (intern or guest)"
  }
  tcp_outlet "either" {
    to    = "%[2]s"
    allow = "(or (= subject.identifier \"%[4]s\") (= subject.role \"web\"))"
  }
  tcp_outlet "built_in" {
    to    = "%[2]s"
    allow = "(= subject.identifier \"evil\")"
  }
  tcp_outlet "named" {
    to    = "%[2]s"
    allow = "%[4]s"
  }
  relay_service {}
}
`

// A guard is a node with policies, and what it logs.
type guard struct {
	t         *testing.T
	node      *node.Node
	addr      string
	authority *owner
	named     *owner
	logs      *observer.ObservedLogs
}

func startGuard(t *testing.T) *guard {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	g := &guard{t: t, authority: newOwner(t), named: newOwner(t), logs: logs}
	port := freePort(t)
	g.addr = "127.0.0.1:" + port
	text := fmt.Sprintf(guardedNode, port, echoServer(t), g.authority.id.History.Text(), g.named)
	nodes, stop, err := node.Start(context.Background(), load(t, text, nil), node.Options{
		Log: zap.New(core), Store: func() (*state.Store, error) { return nil, errors.New("no store") },
	})
	t.Cleanup(func() { stop(0) })
	if err != nil {
		t.Fatal(err)
	}
	g.node = nodes[0]
	return g
}

// credential states attributes (name, value, name, value …) of an owner.
func (o *owner) credential(t *testing.T, about *owner, life time.Duration, attributes ...string) *identity.Credential {
	t.Helper()
	a := identity.Attributes{Schema: 1, Values: map[string]string{}}
	for i := 0; i < len(attributes); i += 2 {
		a.Values[attributes[i]] = attributes[i+1]
	}
	c, err := o.id.IssueCredential(about.id.History, a, life)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// come opens a channel of o that presents a credential, unless it is nil. Whether
// it was accepted is not known.
func (g *guard) come(o *owner, c *identity.Credential) (*peer, *secure.Channel) {
	g.t.Helper()
	p := newPeer(g.t, o)
	if c != nil {
		p.cfg.Credential = func() (*identity.Credential, error) { return c, nil }
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	ch, err := secure.Dial(ctx, &p.cfg, p.link(g.addr), route(secure.DefaultName))
	if err != nil {
		g.t.Fatal(err)
	}
	return p, ch
}

// opens reports whether an outlet lets somebody in; a refusal is told.
func (g *guard) opens(p *peer, path tunnel.Path, outlet string) bool {
	g.t.Helper()
	s, err := p.dial(path, outlet, patience)
	if err != nil && !errors.Is(err, portal.ErrRefused) {
		g.t.Errorf("%s: %v, want a refusal", outlet, err)
	}
	if err != nil {
		return false
	}
	defer s.Close()
	return echoes(s)
}

func (g *guard) explain(o *owner, r node.Resource) *node.Decision {
	g.t.Helper()
	d, err := g.node.Explain(node.Question{Subject: o.id.Identifier(), Resource: r})
	if err != nil {
		g.t.Fatal(err)
	}
	return d
}

// TestPolicies compares what a configured node does with what it explains, for all
// resources and all kinds of people.
func TestPolicies(t *testing.T) {
	g := startGuard(t)
	stranger, other := newOwner(t), newOwner(t)
	for _, tt := range []struct {
		name    string
		who     *owner
		present func(about *owner) *identity.Credential
		outlets string // that open
		echo    bool
		relays  string // of "own" and "other"
	}{
		{"nothing presented", newOwner(t), nil, "", false, ""},
		{"no attributes", newOwner(t), func(o *owner) *identity.Credential { return g.authority.credential(t, o, time.Hour) }, "default", true, ""},
		{"role", newOwner(t), func(o *owner) *identity.Credential {
			return g.authority.credential(t, o, time.Hour, "role", "web", "ockam-relay", "own")
		}, "default role either", true, "own"},
		{"another role", newOwner(t), func(o *owner) *identity.Credential {
			return g.authority.credential(t, o, time.Hour, "role", "db", "ockam-relay", "*")
		}, "default", true, "own other"},
		{"formula", newOwner(t), func(o *owner) *identity.Credential {
			return g.authority.credential(t, o, time.Hour, "admin", "true", "intern", "false", "guest", "no")
		}, "default formula", true, ""},
		{"an attribute that not asks for is missing", newOwner(t), func(o *owner) *identity.Credential {
			return g.authority.credential(t, o, time.Hour, "admin", "true", "intern", "false")
		}, "default", true, ""},
		{"built-in names as attributes", newOwner(t), func(o *owner) *identity.Credential {
			return g.authority.credential(t, o, time.Hour, "identifier", "evil", "has_credential", "no")
		}, "default", true, ""},
		{"foreign authority", newOwner(t), func(o *owner) *identity.Credential {
			return stranger.credential(t, o, time.Hour, "role", "web")
		}, "", false, ""},
		{"its own authority", newOwner(t), func(o *owner) *identity.Credential {
			return o.credential(t, o, time.Hour, "role", "web")
		}, "", false, ""},
		{"credential of somebody else", newOwner(t), func(*owner) *identity.Credential {
			return g.authority.credential(t, other, time.Hour, "role", "web")
		}, "", false, ""},
		{"named", g.named, nil, "either named", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c *identity.Credential
			if tt.present != nil {
				c = tt.present(tt.who)
			}
			p, ch := g.come(tt.who, c)
			agree := func(what string, r node.Resource, got, want bool) {
				t.Helper()
				d := g.explain(tt.who, r)
				if got != want || (d.Err == nil) != want {
					t.Errorf("%s: %t, explained as %v; want %t", what, got, d.Err, want)
				}
				if steps := d.Steps(); len(steps) > 0 && want && d.Rule.Policy() != "" && !d.Rule.Allow.Permits(d.Subject) &&
					(steps[0].Err != nil || !steps[0].Value.Bool) {
					t.Errorf("%s: the first step is %+v", what, steps[0])
				}
			}
			for _, name := range []string{"default", "role", "formula", "either", "built_in", "named"} {
				want := strings.Contains(" "+tt.outlets+" ", " "+name+" ")
				agree("outlet "+name, node.Resource{Name: name}, g.opens(p, ch, name), want)
			}
			wait := quiet
			if tt.echo {
				wait = patience
			}
			_, echo := p.ask(ch, route(service.EchoName), []byte{1}, wait)
			agree("echo", node.Resource{Type: policy.Echoer, Name: service.EchoName}, echo, tt.echo)
			for _, name := range []string{"own", "other"} {
				want := strings.Contains(" "+tt.relays+" ", " "+name+" ")
				wait := quiet
				if want {
					wait = patience
				}
				ctx, cancel := context.WithTimeout(p.ctx, wait)
				r, err := relay.Client{Router: p.router, Path: ch, Name: name}.Register(ctx)
				cancel()
				agree("relay "+name, node.Resource{Name: relay.Prefix + name}, err == nil, want)
				agree("relay "+name, node.Resource{Type: policy.Relay, Name: name}, err == nil, want)
				if err == nil {
					r.Close()
				}
			}
			agree("any relay", node.Resource{Name: relay.ServiceName}, tt.relays != "", tt.relays != "")
			ch.Close() // so that the names are free
		})
	}
	if _, err := g.node.Explain(node.Question{Subject: stranger.id.Identifier(), Resource: node.Resource{Name: "nope"}}); !errors.Is(err, node.ErrNotFound) ||
		!strings.Contains(err.Error(), "tcp-outlet role") {
		t.Errorf("what is not there: %v", err)
	}
}

// TestPolicyRefusalIsLogged wants one line that says who, what and which policy.
func TestPolicyRefusalIsLogged(t *testing.T) {
	g := startGuard(t)
	o := newOwner(t)
	p, ch := g.come(o, g.authority.credential(t, o, time.Hour, "role", "db"))
	if g.opens(p, ch, "role") {
		t.Fatal("it opens")
	}
	var lines []observer.LoggedEntry
	for late := time.Now().Add(patience); len(lines) == 0 && time.Now().Before(late); time.Sleep(time.Millisecond) {
		lines = g.logs.FilterMessage("connection refused").All()
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	text := fmt.Sprint(lines[0].ContextMap())
	for _, want := range []string{o.String(), "tcp_outlet", "name:role", `(= subject.role "web")`, "test.hcl:9,"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %s", text, want)
		}
	}
}

// TestPolicyLapses opens streams and wants them reset soon after what allowed them
// has changed.
func TestPolicyLapses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		life   time.Duration
		change func(g *guard, o *owner)
	}{
		{"the credential expires", 6 * time.Second, func(*guard, *owner) {}},
		{"the attribute is withdrawn", time.Hour, func(g *guard, o *owner) {
			p, ch := g.come(o, g.authority.credential(t, o, time.Hour, "role", "guest"))
			if !g.opens(p, ch, "default") {
				g.t.Error("the new credential is not taken")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGuard(t)
			o, goesOn := newOwner(t), newOwner(t)
			p, ch := g.come(o, g.authority.credential(t, o, tt.life, "role", "web"))
			open, err := p.dial(ch, "role", patience)
			if err != nil || !echoes(open) {
				t.Fatal("it does not open", err)
			}
			p2, ch2 := g.come(goesOn, g.authority.credential(t, goesOn, time.Hour, "role", "web"))
			other, err := p2.dial(ch2, "role", patience)
			if err != nil || !echoes(other) {
				t.Fatal("it does not open", err)
			}
			began := time.Now()
			tt.change(g, o)
			wantStreamReset(t, "the open stream", open)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			p, ch = g.come(o, nil)
			if g.opens(p, ch, "role") {
				t.Error("a new stream opens")
			}
			if !echoes(other) {
				t.Error("the stream of another one does not go on")
			}
		})
	}
}

// TestPolicyOfFarEnd has an inlet that wants a credential of who is at its far end.
func TestPolicyOfFarEnd(t *testing.T) {
	authority, far := newOwner(t), newOwner(t)
	p := newPeer(t, far)
	good := authority.credential(t, far, time.Hour, "role", "db")
	p.cfg.Credential = func() (*identity.Credential, error) { return good, nil }
	port := p.listen()
	l := &portal.Listener{Router: p.router, Name: "db", Access: tunnel.Access{Open: []tunnel.Source{p.group}}, Open: func(_ context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			return
		}
		defer s.Close()
		b := make([]byte, 5)
		for {
			n, err := s.Read(b)
			if err != nil {
				return
			}
			_, _ = s.Write(b[:n])
		}
	}}
	if err := l.Bind(); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() { _ = l.Serve(p.ctx) })
	text := fmt.Sprintf(`
node "app" {
  ephemeral = true
  authority = "%[1]s"
  tcp_inlet "default" {
    from = "127.0.0.1:%[3]s"
    to   = "/ip4/127.0.0.1/tcp/%[2]s/secure/api/service/db"
  }
  tcp_inlet "right" {
    from  = "127.0.0.1:%[4]s"
    to    = "/ip4/127.0.0.1/tcp/%[2]s/secure/api/service/db"
    allow = "(= subject.role \"db\")"
  }
  tcp_inlet "wrong" {
    from  = "127.0.0.1:%[5]s"
    to    = "/ip4/127.0.0.1/tcp/%[2]s/secure/api/service/db"
    allow = "(= subject.role \"web\")"
  }
}
`, authority.id.History.Text(), port, freePort(t), freePort(t), freePort(t))
	r, nodes := startNodes(t, load(t, text, nil))
	for name, want := range map[string]bool{"default": true, "right": true, "wrong": false} {
		if addr := r.inletUp(name); want {
			connect(t, addr).echo(name)
		} else {
			wantRefused(t, addr)
		}
		d, err := nodes["app"].Explain(node.Question{Subject: far.id.Identifier(), Resource: node.Resource{Name: name}})
		if err != nil || (d.Err == nil) != want {
			t.Errorf("%s: explained as %v, %v", name, d, err)
		}
	}
}

// TestAuthorityStays checks that Apply does not change whom a node believes.
func TestAuthorityStays(t *testing.T) {
	const text = "node \"n\" {\n  ephemeral = true\n  %s\n  services = [\"uppercase\"]\n}"
	_, nodes := startNodes(t, load(t, fmt.Sprintf(text, ""), nil))
	line := fmt.Sprintf("authority = %q", newOwner(t).id.History.Text())
	if err := apply(t, nodes["n"], "n", fmt.Sprintf(text, line), 0); err == nil || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("apply: %v", err)
	}
}

// wantRefused connects to an inlet and wants to be reset, which may be so soon that
// there is no connection yet.
func wantRefused(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}
