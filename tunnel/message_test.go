package tunnel_test

import (
	"slices"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// TestAnswerThroughHop sends from a worker through a hop to echo and back, all
// in one node: the answer's onward route was the request's return route, and the
// hop on the way back must not write over it.
func TestAnswerThroughHop(t *testing.T) {
	r := tunnel.NewRouter()
	handle(t, r, "echo", service.Echo{Router: r, Self: tunnel.LocalAddress("echo")})
	handle(t, r, "h1", service.Hop{Router: r, Self: tunnel.LocalAddress("h1")})
	var got []string
	handle(t, r, "app", tunnel.HandlerFunc(func(m *tunnel.Message) error {
		got = append(got, m.Onward.String(), m.Return.String(), string(m.Payload))
		m.Release()
		return nil
	}))
	for _, tt := range []struct {
		name, ret string
		onward    tunnel.Route
	}{
		{"one hop", "0#h1 => 0#echo", route("h1", "echo")},
		{"two hops", "0#h1 => 0#h1 => 0#echo", route("h1", "h1", "echo")},
		{"none", "0#echo", route("echo")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got = nil
			m := tunnel.NewMessage()
			m.Onward, m.Return, m.Payload = tt.onward, route("app"), []byte("hello")
			if err := r.Send(m); err != nil {
				t.Fatal(err)
			}
			if want := []string{"", tt.ret, "hello"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func route(names ...string) tunnel.Route {
	var addrs []tunnel.Address
	for _, n := range names {
		addrs = append(addrs, tunnel.LocalAddress(n))
	}
	return tunnel.NewRoute(addrs...)
}

func handle(t testing.TB, r *tunnel.Router, name string, h tunnel.Handler, open ...tunnel.Source) *tunnel.Registration {
	t.Helper()
	reg, err := r.Handle(tunnel.LocalAddress(name), h, tunnel.Access{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestMessageAround(t *testing.T) {
	buf := wire.GetBuffer(100)
	m := tunnel.NewMessage()
	m.SetBuffer(buf, wire.Headroom, wire.Headroom+100)
	for _, tt := range []struct {
		name       string
		head, tail int
		ok         bool
	}{
		{"nothing", 0, 0, true},
		{"head and tail", 9, 16, true},
		{"all of the headroom", wire.Headroom, 0, true},
		{"too much in front", wire.Headroom + 1, 0, false},
		{"all of the rest", 0, buf.Cap() - wire.Headroom - 100, true},
		{"too much behind", 0, buf.Cap() - wire.Headroom - 99, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := m.Around(tt.head, tt.tail)
			if (b != nil) != tt.ok {
				t.Fatalf("Around(%d, %d) is nil: %v", tt.head, tt.tail, b == nil)
			}
			if b != nil && (len(b) != tt.head+100+tt.tail || &b[tt.head] != &m.Payload[0]) {
				t.Error("the payload is not where it should be")
			}
		})
	}
	got := m.TakeBuffer()
	if got != buf || m.Payload != nil || m.Around(0, 0) != nil {
		t.Error("TakeBuffer left something behind")
	}
	m.Release()
	got.Release()
	if tunnel.NewMessage().Around(0, 0) != nil {
		t.Error("room around no payload")
	}
}
