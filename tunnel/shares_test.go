package tunnel_test

import (
	"testing"

	"ockam/tunnel"
)

// TestShares takes places until there are no more, and then all of them back.
func TestShares(t *testing.T) {
	link := tunnel.NewOrigin(tunnel.RandomAddress())
	other := tunnel.NewOrigin(tunnel.RandomAddress())
	within := func(outer *tunnel.Origin) *tunnel.Origin {
		o := tunnel.NewOrigin(tunnel.RandomAddress())
		o.Outer = outer
		return o
	}
	from := func(o *tunnel.Origin, behind ...string) tunnel.Caller {
		m := message("x")
		defer m.Release()
		m.Origin, m.Return = o, route(append([]string{"path"}, behind...)...)
		return tunnel.CallerOf(m)
	}
	most := tunnel.Limit{Total: 12, PerOrigin: 6, PerPeer: 3, PerHop: 2}
	var s tunnel.Shares
	var taken []tunnel.Caller
	for _, step := range []struct {
		who  string
		from tunnel.Caller
		want int // how many places it still gets
	}{
		{"the peer of a link", from(link, "me"), 3},
		{"the same with another worker", from(link, "you"), 0},
		{"a hop behind it", from(link, "hop", "me"), 2},
		{"the same hop", from(link, "hop", "you"), 0},
		{"another hop has what is left of the link", from(link, "hop2", "me"), 1},
		{"a channel over the link", from(within(link), "me"), 0},
		{"a channel over another link", from(within(other), "me"), 3},
		{"one more", from(within(other), "me"), 3},
		{"a channel in a channel", from(within(within(other)), "me"), 0},
		{"this node", from(nil, "me"), 0},
	} {
		got := 0
		for s.Take(step.from, most) {
			taken = append(taken, step.from)
			got++
		}
		if got != step.want {
			t.Errorf("%s: %d places, want %d", step.who, got, step.want)
		}
	}
	for _, c := range taken {
		s.Release(c)
	}
	if s.Total() != 0 {
		t.Errorf("%d places taken after all were given back", s.Total())
	}
	for range most.Total {
		if !s.Take(from(nil, "me"), most) {
			t.Fatal("this node has no place")
		}
	}
	if s.Take(from(link, "me"), most) {
		t.Error("more than all places")
	}
}

// TestCallerLink: a link is that of all that comes over it.
func TestCallerLink(t *testing.T) {
	link := tunnel.NewOrigin(tunnel.RandomAddress())
	o := link
	for range 3 {
		m := message("x")
		m.Origin, m.Return = o, route("path", "hop", "me")
		if tunnel.CallerOf(m).Link() != link {
			t.Error("another link")
		}
		m.Release()
		inner := tunnel.NewOrigin(tunnel.RandomAddress())
		inner.Outer = o
		o = inner
	}
	if (tunnel.Caller{}).Link() != nil {
		t.Error("what comes from this node has a link")
	}
}
