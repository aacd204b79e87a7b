package node_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/node"
)

// holding is what could leak: in the process, and in each node.
type holding struct {
	held
	registrations, accepted [3]int
}

func holdingOf(t *testing.T, nodes map[string]*node.Node) holding {
	h := holding{held: holds(t)}
	for i, name := range []string{"relay", "db", "app"} {
		h.registrations[i], h.accepted[i] = nodes[name].Registrations(), nodes[name].Accepted()
	}
	return h
}

func (h holding) within(before holding) bool {
	ok := h.held.within(before.held)
	for i := range h.registrations {
		ok = ok && h.registrations[i] <= before.registrations[i] && h.accepted[i] <= before.accepted[i]
	}
	return ok
}

// TestRelaysLost loses the links by which 25 names are registered, every second
// through a channel, and the way of an inlet through the first of them, four times. Nothing of what was lost may be left, and the inlet works.
func TestRelaysLost(t *testing.T) {
	const names, rounds = 25, 4
	port, from := freePort(t), "127.0.0.1:"+freePort(t)
	m := newMiddle(t, "127.0.0.1:"+port)
	lossy := "/ip4/127.0.0.1/tcp/" + portOf(t, m.l.Addr().String())
	var relays strings.Builder
	for i := range names {
		fmt.Fprintf(&relays, "relay \"db%d\" { at = \"%s%s\" }\n", i, lossy, []string{"/secure/api", ""}[i%2])
	}
	r, nodes := startNodes(t, load(t, fmt.Sprintf(`
node "relay" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  relay_service { allow = "anyone" }
}
node "db" {
  ephemeral = true
  %[2]s
  tcp_outlet "o" {
    to    = "%[3]s"
    allow = node.app.identifier
  }
}
node "app" {
  ephemeral = true
  tcp_inlet "in" {
    from  = "%[4]s"
    to    = "%[5]s/service/forward_to_db0/secure/api/service/o"
    allow = node.db.identifier
  }
}`, port, &relays, echoServer(t), from, lossy), nil))
	allUp := func(nth int) {
		t.Helper()
		for i := range names {
			name := fmt.Sprintf("db%d", i)
			r.waitNth("relay "+name, nth, func(e node.Event) bool { return e.Kind == "relay" && e.Name == name && e.Up })
		}
		r.waitNth("the way of the inlet", nth, func(e node.Event) bool {
			return e.Kind == "inlet" && e.Up && e.Addr == ""
		})
	}
	allUp(1)
	connect(t, from).echo("before")
	_ = connect(t, from).Close()
	look := func() holding { return holdingOf(t, nodes) }
	before := settled(t, look)
	var open []client
	for round := range rounds {
		conn := connect(t, from)
		conn.echo(fmt.Sprintf("round %d", round))
		open = append(open, conn)
		m.cut()
		conn.wantReset("a connection over what was lost")
		allUp(round + 2)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	last := connect(t, from)
	last.echo("afterwards")
	_ = last.Close()
	for end := time.Now().Add(patience); ; {
		runtime.GC() // as in noMoreThan
		now := settled(t, look)
		if now.within(before) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v are left, before there were %+v", now, before)
		}
	}
}

// TestWayGivenUp has the network swallow what an inlet and its outlet say to each
// other, and leave the connection open. A new connection of an application finds
// another way beside it; the one that was open is reset when the pings give its
// way up, and what comes after never notices.
func TestWayGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes twenty seconds until pings give a way up")
	}
	t.Parallel()
	port := freePort(t)
	m := newMiddle(t, "127.0.0.1:"+port)
	r := start(t, throughMiddles(t, port, echoServer(t), m), nil)
	in := r.inletUp("in0")
	old := connect(t, in)
	old.echo("before")
	began := time.Now()
	m.only(t).swallow()
	next := connect(t, in)
	if err := next.tryEcho(15 * time.Second); err != nil { // 3 to 4 s on a quick machine
		t.Fatalf("a new connection: %v", err)
	}
	t.Logf("another way after %v", time.Since(began).Round(time.Second/10))
	_ = old.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection over the first way: %v, want a reset", err)
	}
	took := time.Since(began)
	t.Logf("the first way was given up after %v", took.Round(time.Second/10))
	if took < 5*time.Second {
		t.Errorf("the first way was given up after %v, before its pings could tell", took)
	}
	next.echo("over the second way, afterwards")
	connect(t, in).echo("another")
	m.wantOneLeft(t, 2)
}
