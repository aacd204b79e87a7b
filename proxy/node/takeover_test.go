package node_test

import (
	"testing"
	"time"

	"ockam/proxy/node"
)

// TestRelayTakenOver has one that may register any name take that of another one,
// which learns of it and has its name again when the first has ended. Of two that may
// register any name the last one has it.
func TestRelayTakenOver(t *testing.T) {
	t.Parallel()
	i, hub := newIssuer(t, time.Hour), newHome(t)
	i.start()
	p := hub.node(t, node.BackgroundOptions{Name: "hub", Trust: node.Trust{Authority: i.id.History}})
	projects := projectsOf(map[string]node.ProjectNode{"p": {placeOf(t, p, "/secure/api"), hub.id}})
	owner := func(name, may string) *node.Background {
		h := newHome(t)
		i.enroll(h.id, "ockam-relay", may)
		return h.node(t, node.BackgroundOptions{Name: name, Trust: i.trust(), Projects: projects})
	}
	register := func(b *node.Background) {
		t.Helper()
		r, err := b.CreateRelay(t.Context(), node.RelayOptions{Name: "r", At: mustPlace(t, "/project/p"), Address: "db", Wait: true})
		if err != nil || !r.Up {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	up := func(b *node.Background) bool {
		t.Helper()
		r, err := b.Relay("r")
		if err != nil {
			t.Fatal(err)
		}
		return r.Up
	}
	end := func(b *node.Background) {
		t.Helper()
		if err := b.DeleteRelay("r"); err != nil {
			t.Fatal(err)
		}
	}
	db, any1, any2 := owner("db", "db"), owner("any1", "*"), owner("any2", "*")

	register(db)
	register(any1)
	until(t, func() bool { return !up(db) })
	time.Sleep(2 * quiet)
	if up(db) || !up(any1) {
		t.Fatalf("after it was taken over: %v, %v", up(db), up(any1))
	}
	end(any1)
	began := time.Now()
	until(t, func() bool { return up(db) })
	t.Logf("back after %v", time.Since(began).Round(time.Second/10))
	end(db)

	register(any1)
	register(any2)
	time.Sleep(2 * quiet)
	if !up(any1) || !up(any2) {
		t.Errorf("two that may register any name fight: %v, %v", up(any1), up(any2))
	}
}
