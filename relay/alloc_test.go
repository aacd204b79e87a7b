package relay_test

import (
	"errors"
	"fmt"
	"testing"

	"ockam/relay"
	"ockam/transports/transporttest"
	"ockam/tunnel"
)

// A relayHop is a relay with a link to a node that registered, and one from which
// messages come: what relaying costs but for the system calls.
type relayHop struct {
	n    *node
	sink *transporttest.Sink
}

func newRelayHop(t testing.TB) *relayHop {
	t.Helper()
	n := newNode(t)
	n.hub(&relay.Server{})
	h := &relayHop{n, transporttest.NewSink()}
	link, err := tunnel.NewLink(n.router, h.sink, transporttest.Traits(), n.group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	m := tunnel.NewMessage()
	m.Onward, m.Return = route(t, []string{relay.StaticServiceName}), route(t, []string{"rr"})
	m.Payload, m.Origin = bare("db"), link.Origin()
	m.PrependReturn(link.Origin().Address())
	if err := n.router.Deliver(m); err != nil {
		t.Fatal(err)
	}
	return h
}

// run brings count messages with a payload of size bytes, over a new link.
func (h *relayHop) run(t testing.TB, count, size int) {
	onward := []string{"forward_to_db", "00112233445566778899aabbccddeeff"}
	back := []string{"ffeeddccbbaa99887766554433221100"}
	src := &transporttest.Source{Frame: frame(h.n.t, onward, back, make([]byte, size))[4:], Count: count}
	link, err := tunnel.NewLink(h.n.router, src, transporttest.Traits(), h.n.group)
	if err != nil {
		t.Fatal(err)
	}
	if err := link.Serve(h.n.t.Context()); !errors.Is(err, tunnel.ErrPeerClosed) {
		t.Fatal(err)
	}
}

func TestRelayAllocations(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	for _, size := range []int{64, 512, 48 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const count = 100_000
			h := newRelayHop(t)
			h.run(t, 1000, size)
			before := h.sink.Bytes()
			n := transporttest.Mallocs(func() { h.run(t, count, size) })
			if h.sink.Bytes()-before < count*int64(size) {
				t.Error("messages are missing")
			}
			if n > count/1000 {
				t.Errorf("%d allocations for %d messages", n, count)
			}
		})
	}
}

func BenchmarkRelayHop(b *testing.B) {
	for _, size := range []int{512, 48 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := newRelayHop(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			h.run(b, b.N, size)
		})
	}
}
