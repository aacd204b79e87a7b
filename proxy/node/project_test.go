package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

// projectsOf finds projects by their names.
func projectsOf(all map[string]node.ProjectNode) node.Projects {
	return func(_ context.Context, name string) (node.ProjectNode, error) {
		p, ok := all[name]
		if !ok {
			return p, fmt.Errorf("%w: there is no record", node.ErrNoProject)
		}
		return p, nil
	}
}

// TestProject is the transcript of the original design: a member registers at the
// project's node, and another one reaches it there. The registration comes back when
// its connection is lost.
func TestProject(t *testing.T) {
	t.Parallel()
	i, hub, h1, h3 := newIssuer(t, time.Hour), newHome(t), newHome(t), newHome(t)
	i.start()
	i.enroll(h1.id)
	i.enroll(h3.id, "ockam-relay", "n3")
	p := hub.node(t, node.BackgroundOptions{Name: "hub", Trust: node.Trust{Authority: i.id.History}})
	m := newMiddle(t, p.Addr())
	at := func(addr string) multiaddr.Addr {
		return mustPlace(t, "/dnsaddr/127.0.0.1/tcp/"+portOf(t, addr)+"/service/api")
	}
	direct := projectsOf(map[string]node.ProjectNode{"": {at(p.Addr()), hub.id}})
	n1 := h1.node(t, node.BackgroundOptions{Name: "n1", Trust: i.trust(), Projects: direct})
	lossy := projectsOf(map[string]node.ProjectNode{"default": {at(m.l.Addr().String()), hub.id}})
	n3 := h3.node(t, node.BackgroundOptions{Name: "n3", Trust: i.trust(), Projects: lossy})

	o := node.RelayOptions{Name: "n3", At: mustPlace(t, "/project/default"), Address: "n3", Authorized: hub.id, Wait: true}
	r, err := n3.CreateRelay(t.Context(), o)
	if err != nil || !r.Up || r.Remote != "forward_to_n3" {
		t.Fatalf("%+v, %v", r, err)
	}
	const way = "/project/default/service/forward_to_n3"
	if err := shouting(t, n1, way+"/secure/api"); err != nil {
		t.Error(err)
	}
	c, err := n1.CreateChannel(t.Context(), node.ChannelOptions{
		To: mustPlace(t, way+"/service/api"), Authorized: []identity.Identifier{h3.id},
	})
	if err != nil || c.Peer != h3.id || c.Route.Len() != 4 {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := shouting(t, n1, "/service/"+c.Address.Name); err != nil {
		t.Error(err)
	}
	// Both ends know each other's attributes: the listener presents its own as well.
	for _, known := range []bool{h1.knows(t, "n1", h3.id), h3.knows(t, "n3", h1.id), hub.knows(t, "hub", h1.id)} {
		if !known {
			t.Error("a credential has not come")
		}
	}
	for range 2 {
		m.cut()
		lost := time.Now()
		until(t, func() bool { return shouting(t, n1, way+"/secure/api") == nil })
		if d := time.Since(lost); d > 10*time.Second {
			t.Errorf("back after %v", d)
		}
	}

	// What comes before the project is not on the way.
	if err := shouting(t, n1, "/dnsaddr/127.0.0.1/tcp/1/service/x/project/p/project/default"); err != nil {
		t.Error(err)
	}
	// A channel to the project's node itself.
	if c, err := n1.CreateChannel(t.Context(), node.ChannelOptions{To: mustPlace(t, "/project/default")}); err != nil || c.Peer != hub.id {
		t.Errorf("%+v, %v", c, err)
	}

	// The name of a relay stands in the credential.
	o.Name, o.Address, o.Wait = "other", "n1", false
	if _, err := n3.CreateRelay(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	time.Sleep(quiet)
	if r, err := n3.Relay("other"); err != nil || r.Up {
		t.Errorf("%+v, %v: registered under a name that is not its own", r, err)
	}
}

// TestProjectInlet: an inlet leads through a project to an outlet behind its
// relay, and asks at the last channel who is there.
func TestProjectInlet(t *testing.T) {
	t.Parallel()
	i, hub, db, app := newIssuer(t, time.Hour), newHome(t), newHome(t), newHome(t)
	i.start()
	i.enroll(db.id, "ockam-relay", "*")
	i.enroll(app.id)
	p := hub.node(t, node.BackgroundOptions{Name: "hub", Trust: node.Trust{Authority: i.id.History}})
	projects := projectsOf(map[string]node.ProjectNode{"p": {placeOf(t, p, "/secure/api"), hub.id}})
	d := db.node(t, node.BackgroundOptions{Name: "db", Trust: i.trust(), Projects: projects})
	if _, err := d.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	r, err := d.CreateRelay(t.Context(), node.RelayOptions{Name: "db", At: mustPlace(t, "/project/p"), Address: "db", Wait: true})
	if err != nil || !r.Up {
		t.Fatalf("%+v, %v", r, err)
	}
	a := app.node(t, node.BackgroundOptions{Name: "app", Trust: i.trust(), Projects: projects})
	for who, up := range map[identity.Identifier]bool{db.id: true, hub.id: false} {
		wait := patience
		if !up {
			wait = 2 * time.Second
		}
		in, err := a.CreateInlet(t.Context(), node.InletOptions{
			Alias: who.String(), From: "127.0.0.1:0", Authorized: who, Wait: wait,
			To: mustPlace(t, "/project/p/service/forward_to_db/secure/api/service/outlet"),
		})
		if err != nil || in.Up != up {
			t.Errorf("%+v, %v", in, err)
		}
		if up {
			comesBack(t, in.Bind, 1<<20)
		}
	}
}

// TestNoProject has projects that cannot be reached.
func TestNoProject(t *testing.T) {
	hub, app := newHome(t), newHome(t)
	p := hub.node(t, node.BackgroundOptions{Name: "hub"})
	there := placeOf(t, p, "/service/api")
	a := app.node(t, node.BackgroundOptions{Name: "app", Projects: projectsOf(map[string]node.ProjectNode{
		"good":     {there, hub.id},
		"impostor": {there, app.id},
		"nobody's": {there, identity.Identifier{}},
		"nowhere":  {nil, hub.id},
		"short":    {there[:2], hub.id},
	})})
	for _, tt := range []struct {
		name string
		want error
		says string
	}{
		{"good", nil, ""},
		{"impostor", secure.ErrUnauthorized, "import the project's description again"},
		{"nobody's", nil, "does not say"},
		{"nowhere", nil, "does not say"},
		{"short", nil, "route"},
		{"unknown", node.ErrNoProject, "ockam project enroll TICKET"},
		{"default", node.ErrNoProject, "ockam project import"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for what, err := range map[string]error{
				"message": shouting(t, a, "/project/"+tt.name),
				"channel": opens(t, a, mustPlace(t, "/project/"+tt.name+"/service/api")),
			} {
				if tt.says == "" {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					continue
				}
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: %v, want %v that says %q", what, err, tt.want, tt.says)
				}
			}
		})
	}
	if err := shouting(t, p, "/project/good"); !errors.Is(err, node.ErrNoProject) {
		t.Errorf("a node without projects: %v", err)
	}
}

// TestConfiguredMember: a node of a configuration is a member as well.
func TestConfiguredMember(t *testing.T) {
	t.Parallel()
	i, hub, app := newIssuer(t, time.Hour), newHome(t), newHome(t)
	i.start()
	i.enroll(app.id)
	p := hub.node(t, node.BackgroundOptions{Name: "hub", Trust: node.Trust{Authority: i.id.History}})
	if _, err := p.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	f := load(t, fmt.Sprintf(`
node "app" {
  identity = "default"
  tcp_inlet "in" {
    from  = "127.0.0.1:0"
    to    = "%s"
    allow = "%v"
  }
}`, placeOf(t, p, "/secure/api/service/outlet"), hub.id), nil)
	r := startWith(t, f, node.Options{
		Store: func() (*state.Store, error) { return app.Store, nil },
		Trust: func(context.Context, *config.Node, *identity.Identity) (node.Trust, error) { return i.trust(), nil },
	})
	checkEcho(t, r.inletUp("in"))
	if !hub.knows(t, "hub", app.id) {
		t.Error("no credential has come")
	}
}
