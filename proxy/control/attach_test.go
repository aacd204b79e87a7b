package control_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/control"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/transports/tcp"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
)

// A running is a background node with a client that drives it over a link.
type running struct {
	*node.Background
	*control.Client
	t    *testing.T
	stop func()
}

func openStore(t *testing.T) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func background(t *testing.T, name string, s *state.Store) *running {
	t.Helper()
	return backgroundWith(t, node.BackgroundOptions{Name: name, Store: s})
}

// backgroundWith starts a node with options; it listens at a free port.
func backgroundWith(t *testing.T, o node.BackgroundOptions) *running {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	b, err := node.StartBackground(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	detach, err := control.Attach(b)
	if err != nil {
		t.Fatal(err)
	}
	client, hangUp := dialNode(t, b.Addr())
	r := &running{Background: b, Client: client, t: t}
	done := false
	r.stop = func() {
		if done {
			return
		}
		done = true
		hangUp()
		detach()
		b.Close()
	}
	t.Cleanup(r.stop)
	return r
}

// dialNode returns a client on a link of its own.
func dialNode(t *testing.T, addr string) (*control.Client, func()) {
	t.Helper()
	r := tunnel.NewRouter()
	l, err := tunnel.Dial(t.Context(), r, tcp.Transport{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = l.Serve(context.WithoutCancel(t.Context())) // why it ended is the node's business
	}()
	return &control.Client{Router: r, Path: l, Timeout: 20 * time.Second}, func() {
		l.Close()
		<-served
	}
}

// place is the MultiAddr of the node followed by rest.
func (r *running) place(rest string) string {
	_, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	return "/ip4/127.0.0.1/tcp/" + port + rest
}

func parsed(t *testing.T, s string) multiaddr.Addr {
	t.Helper()
	a, err := multiaddr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shouts sends "hello" along a route and wants it back in capitals.
func (r *running) shouts(route string) {
	r.t.Helper()
	reply, err := r.Client.SendMessage(r.t.Context(), control.SendMessage{Route: route, Message: []byte("hello")})
	if err != nil || string(reply) != "HELLO" {
		r.t.Errorf("message to %s: %q, %v", route, reply, err)
	}
}

// opens opens a channel and returns its place on this node.
func (r *running) opens(to string) string {
	r.t.Helper()
	c, err := r.CreateSecureChannel(r.t.Context(), control.CreateSecureChannel{To: parsed(r.t, to)})
	if err != nil {
		r.t.Fatalf("channel to %s: %v", to, err)
	}
	return "/service/" + c.Address.Name
}

// registers registers the node as name at another one.
func (r *running) registers(name, at string) {
	r.t.Helper()
	i, err := r.Client.CreateRelay(r.t.Context(), control.CreateRelay{
		Name: name, Address: name, At: parsed(r.t, at), Return: control.AfterConnection,
	})
	if err != nil || i.Status != control.Up || i.RemoteAddress != "forward_to_"+name {
		r.t.Fatalf("relay %s at %s: %+v, %v", name, at, i, err)
	}
}

func TestAttachedMessages(t *testing.T) {
	s := openStore(t)
	n1, n2, n3 := background(t, "n1", s), background(t, "n2", openStore(t)), background(t, "n3", s)

	n1.shouts("/service/uppercase")
	n1.shouts("/secure/api/service/uppercase")
	n1.shouts(n2.place("/service/uppercase"))
	n1.shouts(n2.place("/secure/api/service/uppercase"))

	direct := n1.opens(n2.place("/service/api"))
	n1.shouts(direct + "/service/uppercase")
	n1.shouts(n1.opens(direct+"/service/api") + "/service/uppercase") // a channel through a channel
	n1.shouts(direct + "/secure/api/service/uppercase")

	n3.registers("n3", n2.place(""))
	n1.shouts(n2.place("/service/forward_to_n3/service/uppercase"))
	n1.shouts(n1.opens(n2.place("/service/forward_to_n3/service/api")) + "/service/uppercase")
	n1.shouts(direct + "/service/forward_to_n3/service/uppercase")
	n2.shouts("/service/forward_to_n3/service/uppercase")
	n2.shouts("/service/forward_to_n3/secure/api/service/uppercase")

	if all, err := n1.SecureChannels(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("channels: %v, %v", all, err)
	}
}

// TestAttachedBridges goes over two nodes with hops, by connections that were
// made before.
func TestAttachedBridges(t *testing.T) {
	ctx, s := t.Context(), openStore(t)
	a, h1, h2, b := background(t, "a", s), background(t, "h1", s), background(t, "h2", s), background(t, "b", s)
	var legs []string
	for _, leg := range [][2]*running{{a, h1}, {h1, h2}, {h2, b}} {
		c, err := leg[0].Client.CreateConnection(t.Context(), leg[1].Addr())
		if err != nil || c.Mode != control.Outgoing || c.Socket != leg[1].Addr() {
			t.Fatalf("%+v, %v", c, err)
		}
		legs = append(legs, "/worker/"+strings.TrimPrefix(c.Worker, "0#"))
	}
	for _, h := range []*running{h1, h2} {
		if err := h.Client.StartService(t.Context(), "hop", "hop"); err != nil {
			t.Fatal(err)
		}
	}
	bridge := legs[0] + "/service/hop" + legs[1] + "/service/hop" + legs[2]
	a.shouts(bridge + "/service/uppercase")
	a.shouts(a.opens(bridge+"/service/api") + "/service/uppercase")
	if err := h1.Client.StartService(t.Context(), "hop", "hop"); err == nil {
		t.Error("two hops at one address")
	}
	c, err := h1.Client.Connection(ctx, h2.Addr())
	if err != nil {
		t.Fatal(err)
	}
	add := control.AddConsumer{FlowControl: c.Flow, Address: parsed(t, "/service/uppercase")}
	if err := h1.Client.AddConsumer(ctx, add); err != nil {
		t.Error(err)
	}
	for _, route := range []string{"/service/nobody", "/service/hop/service/uppercase", a.place("")} {
		add.Address = parsed(t, route)
		if err := h1.Client.AddConsumer(ctx, add); err == nil {
			t.Errorf("%s is no worker of the node", route)
		}
	}
	if err := a.Client.DeleteConnection(t.Context(), h1.Addr()); err != nil {
		t.Error(err)
	}
	if _, err := a.Client.Connection(t.Context(), h1.Addr()); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("deleted connection: %v", err)
	}
}

// echoTarget is an application behind an outlet: it answers lines.
func echoTarget(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

func hostPort(t *testing.T, s string) control.HostnamePort {
	t.Helper()
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return control.HostnamePort{Host: host, Port: uint16(n)}
}

// echoes says a line to an inlet and wants it back. The inlet may have lost its way:
// then it waits for another, and resets the connection when that takes too long, as on
// a busy machine. It is asked again then.
func echoes(t *testing.T, addr string) {
	t.Helper()
	for late := time.Now().Add(time.Minute); ; {
		began := time.Now()
		err := tryEcho(t, addr)
		if err == nil {
			return
		}
		waited := errors.Is(err, syscall.ECONNRESET) && time.Since(began) > 10*time.Second
		if !waited || time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

func tryEcho(t *testing.T, addr string) error {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "over there\n"); err != nil {
		return err
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "over there\n" {
		return fmt.Errorf("%q came back: %w", line, err)
	}
	return nil
}

func TestAttachedPortals(t *testing.T) {
	ctx, target := t.Context(), echoTarget(t)
	s1, s2 := openStore(t), openStore(t)
	relay, db, app := background(t, "relay", s1), background(t, "db", s2), background(t, "app", s1)
	out := control.CreateOutlet{Target: hostPort(t, target), Reachable: true}
	if o, err := db.Client.CreateOutlet(ctx, out); err != nil || o.Address.Name != "outlet" {
		t.Fatalf("%+v, %v", o, err)
	}
	out.Address = tunnel.LocalAddress("outlet")
	if _, err := db.Client.CreateOutlet(ctx, out); err == nil {
		t.Error("two outlets at one address")
	}
	db.registers("db", relay.place(""))
	in := control.CreateInlet{
		Listen: hostPort(t, transporttest.FreeAddress(t)), Alias: "in", WaitForConnection: true, // where it listens again below
		Outlet: parsed(t, relay.place("/service/forward_to_db/secure/api/service/outlet")), Authorized: db.Identifier(),
	}
	i, err := app.Client.CreateInlet(ctx, in)
	if err != nil || i.Status != control.Up {
		t.Fatalf("%+v, %v", i, err)
	}
	echoes(t, i.Bind)
	in.Listen = hostPort(t, transporttest.FreeAddress(t))
	if _, err := app.Client.CreateInlet(ctx, in); err == nil {
		t.Error("two inlets of one alias")
	}
	wait := 100 * time.Millisecond
	in.Alias, in.Wait, in.Authorized = "stranger", &wait, identity.Identifier{1}
	if i, err := app.Client.CreateInlet(ctx, in); err != nil || i.Status != control.Down {
		t.Errorf("inlet to somebody else: %+v, %v", i, err)
	}
	if i, err := app.Client.DeleteInlet(ctx, "stranger"); err != nil || i.Alias != "stranger" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := app.Client.Inlet(ctx, "stranger"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("deleted inlet: %v", err)
	}

	// All of it is there again when the nodes of these names are.
	app.stop()
	background(t, "app", s1)
	echoes(t, i.Bind)
	db.stop()
	db = background(t, "db", s2)
	if all, err := db.Client.Relays(ctx); err != nil || len(all) != 1 || all[0].Name != "db" {
		t.Errorf("relays after the restart: %+v, %v", all, err)
	}
	echoes(t, i.Bind)

	if _, err := db.Client.DeleteOutlet(ctx, "outlet"); err != nil {
		t.Error(err)
	}
	if err := db.Client.DeleteRelay(ctx, "db"); err != nil {
		t.Error(err)
	}
	db.stop()
	db = background(t, "db", s2)
	if r, err := db.Resources(ctx); err != nil || len(r.Outlets) != 0 {
		t.Errorf("deleted outlet came back: %+v, %v", r, err)
	}
	if all, err := db.Client.Relays(ctx); err != nil || len(all) != 0 {
		t.Errorf("deleted relay came back: %+v, %v", all, err)
	}
}

func TestAttachedState(t *testing.T) {
	ctx, s := t.Context(), openStore(t)
	n := background(t, "n", s)
	if st, err := n.Status(ctx); err != nil || st.Name != "n" || st.Identifier != n.Identifier() || st.Process.State != control.Running {
		t.Errorf("%+v, %v", st, err)
	}
	l, err := n.Client.CreateListener(ctx, transporttest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.CreateSecureChannelListener(ctx, control.CreateSecureChannelListener{
		Address: tunnel.LocalAddress("mine"), Authorized: []identity.Identifier{{1}},
	}); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n = background(t, "n", s)
	r, err := n.Resources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !r.IsDefault || r.IdentityName == "" || len(r.Transports) != 2 || len(r.ChannelListeners) != 2 || len(r.Services) != 2 {
		t.Errorf("%+v", r)
	}
	if got, err := n.Client.Listener(ctx, l.Socket); err != nil || got.Socket != l.Socket || got.Worker != control.NoWorker {
		t.Errorf("listener after the restart: %+v, %v", got, err)
	}
	timeout := 2 * time.Second
	to := parsed(t, n.place("/service/mine"))
	if _, err := n.CreateSecureChannel(ctx, control.CreateSecureChannel{To: to, Timeout: &timeout}); err == nil {
		t.Error("a channel whose listener expects somebody else")
	}
	address := tunnel.LocalAddress("mine")
	if err := n.DeleteSecureChannelListener(ctx, address); err != nil {
		t.Error(err)
	}
	if _, err := n.SecureChannelListener(ctx, address); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("deleted channel listener: %v", err)
	}
	c, err := n.CreateSecureChannel(ctx, control.CreateSecureChannel{To: parsed(t, n.place("/service/api"))})
	if err != nil {
		t.Fatal(err)
	}
	if show, err := n.SecureChannel(ctx, c.Address); err != nil || show.Channel != c.Address.String() || !strings.HasSuffix(show.Route, "0#api") {
		t.Errorf("%+v, %v", show, err)
	}
	if d, err := n.DeleteSecureChannel(ctx, c.Address); err != nil || d.Channel != c.Address.String() {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := n.DeleteSecureChannel(ctx, c.Address); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	w, err := n.Client.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range w.Workers {
		names = append(names, x.Address)
	}
	for _, want := range []string{control.Address, "api", "echo", "forwarding_service", "uppercase"} {
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+want+" ") {
			t.Errorf("no worker %s in %v", want, names)
		}
	}
	if all, err := n.Client.Policies(ctx, nil); err != nil || len(all.Types) != len(policy.ResourceTypes()) || len(all.Resources) != 0 {
		t.Errorf("policies: %+v, %v", all, err)
	}
	if err := n.StartKafkaOutlet(ctx, "k", control.KafkaOutlet{}); !errors.Is(err, api.ErrNotSupported) {
		t.Errorf("kafka: %v", err)
	}
}

// TestAttachedReach checks that only the node's own listener is a way to its API.
func TestAttachedReach(t *testing.T) {
	ctx, s := t.Context(), openStore(t)
	n, other := background(t, "n", s), background(t, "other", s)
	if err := n.Client.StartService(ctx, "hop", "hop"); err != nil {
		t.Fatal(err)
	}
	l, err := n.Client.CreateListener(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"own listener", "another listener", "hop behind another listener", "channel", "hop behind a channel"} {
		client, hangUp := dialNode(t, n.Addr())
		switch way {
		case "another listener", "hop behind another listener":
			hangUp()
			client, hangUp = dialNode(t, l.Socket)
		case "channel", "hop behind a channel":
			c, err := other.CreateSecureChannel(ctx, control.CreateSecureChannel{To: parsed(t, n.place("/service/api"))})
			if err != nil {
				t.Fatal(err)
			}
			path, _, err := other.Background.Router().Path(tunnel.NewRoute(c.Address))
			if err != nil {
				t.Fatal(err)
			}
			hangUp()
			client, hangUp = &control.Client{Router: other.Background.Router(), Path: path}, func() {}
		}
		if strings.HasPrefix(way, "hop") {
			client.Via = tunnel.NewRoute(tunnel.LocalAddress("hop"))
		}
		if way != "own listener" {
			client.Timeout = 500 * time.Millisecond
		}
		_, err := client.Status(ctx)
		if open := err == nil; open != (way == "own listener") {
			t.Errorf("by %s: %v", way, err)
		}
		hangUp()
	}
}

// TestAttachedPolicies checks that the policy of an outlet decides on each stream,
// as it is then, and on those that are open.
func TestAttachedPolicies(t *testing.T) {
	ctx := t.Context()
	db, app := background(t, "db", openStore(t)), background(t, "app", openStore(t))
	allow := func(who identity.Identifier) *control.PolicyExpression {
		in, err := policy.ParseInput("(= subject.identifier \"" + who.String() + "\")")
		if err != nil {
			t.Fatal(err)
		}
		return (*control.PolicyExpression)(&in)
	}
	out := control.CreateOutlet{Target: hostPort(t, echoTarget(t)), Reachable: true, Policy: allow(app.Identifier())}
	if _, err := db.Client.CreateOutlet(ctx, out); err != nil {
		t.Fatal(err)
	}
	binds := make(map[string]string)
	for alias, way := range map[string]string{"proven": "/secure/api/service/outlet", "unproven": "/service/outlet"} {
		i, err := app.Client.CreateInlet(ctx, control.CreateInlet{
			Listen: hostPort(t, "127.0.0.1:0"), Alias: alias, WaitForConnection: true, Outlet: parsed(t, db.place(way)),
		})
		if err != nil || i.Status != control.Up {
			t.Fatalf("%+v, %v", i, err)
		}
		binds[alias] = i.Bind
	}
	echoes(t, binds["proven"])
	refuses(t, binds["unproven"])
	resource := control.ResourceTypeOrName{Name: "outlet"}
	if p, err := db.Client.Policy(ctx, resource); err != nil || !strings.Contains(p.Expression.String(), app.Identifier().String()) {
		t.Errorf("%+v, %v", p, err)
	}
	open, err := net.Dial("tcp", binds["proven"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	_ = open.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(open, "hello")
	if _, err := io.ReadFull(open, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := db.Client.SetPolicy(ctx, control.SetPolicy{Resource: resource, Expression: *allow(db.Identifier())}); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that was open: %v, want a reset", err)
	}
	refuses(t, binds["proven"])
	if _, err := db.Client.DeleteOutlet(ctx, "outlet"); err != nil {
		t.Error(err)
	}
	if _, err := db.Client.Policy(ctx, resource); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("policy of a deleted outlet: %v", err)
	}
}

// refuses connects to an inlet and wants to get nothing.
func refuses(t *testing.T, addr string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if errors.Is(err, syscall.ECONNRESET) { // so soon that there is no connection yet
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "let me in\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("inlet %s: %q, %v", addr, line, err)
	}
}

// TestBackgroundRefuses checks that a node that cannot start leaves nothing behind.
func TestBackgroundRefuses(t *testing.T) {
	s := openStore(t)
	n := background(t, "n", s)
	o := node.BackgroundOptions{Name: "m", Listen: n.Addr(), Store: s}
	if _, err := node.StartBackground(t.Context(), o); err == nil || !strings.Contains(err.Error(), n.Addr()) {
		t.Errorf("address in use: %v", err)
	}
	b, err := node.StartBackground(t.Context(), node.BackgroundOptions{Name: "memory", Store: s, InMemory: true, NoDefaultServices: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	payload := []byte("\x05hello")
	if reply, err := b.SendMessage(t.Context(), parsed(t, n.place("/secure/api/service/uppercase")), payload); err != nil || string(reply) != "\x05HELLO" {
		t.Errorf("%q, %v", reply, err)
	}
	if _, err := b.SendMessage(t.Context(), parsed(t, "/service/uppercase"), payload); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("a service that it has not: %v", err)
	}
	if _, err := s.NamedNode(t.Context(), "memory"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("record of a node in memory: %v", err)
	}
}
