package api_test

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"ockam/tunnel"
	"ockam/tunnel/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServerShares has one caller's requests hang: they do not take the places
// of others, however many channels it has over its link or hops it names.
func TestServerShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tunnel.NewRouter()
		hold := make(chan struct{})
		s := &api.Server{Router: r, Name: "service", Answer: func(_ context.Context, _ *tunnel.Origin, req api.Request) api.Response {
			<-hold
			return api.Fail(req, &api.Error{Status: api.StatusNotFound})
		}}
		defer s.Close()
		busy := 0
		answers := tunnel.HandlerFunc(func(m *tunnel.Message) error {
			defer m.Release()
			got, err := api.ParseResponse(m.Payload)
			if err != nil {
				return err
			}
			if got.Status == api.StatusInternalError {
				busy++
			}
			return nil
		})
		if _, err := r.Handle(tunnel.LocalAddress("back"), answers, tunnel.Access{}); err != nil {
			t.Fatal(err)
		}
		req := api.Request{ID: 1, Path: "/"}
		payload, err := req.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		// flood sends n requests and returns how many are carried out.
		flood := func(n int, from *tunnel.Origin, behind ...string) int {
			t.Helper()
			back := tunnel.NewRoute(tunnel.LocalAddress("back"))
			for _, name := range behind {
				back = back.Join(tunnel.NewRoute(tunnel.LocalAddress(name)))
			}
			before := busy
			for range n {
				m := tunnel.NewMessage()
				m.Origin, m.Return, m.Payload = from, back, payload
				if err := s.HandleMessage(m); err != nil {
					t.Fatal(err)
				}
			}
			return n - busy + before
		}
		origin := func(outer *tunnel.Origin) *tunnel.Origin {
			o := tunnel.NewOrigin(tunnel.RandomAddress())
			o.Outer = outer
			return o
		}
		if n := flood(2*api.MaxConcurrent, origin(nil), "me"); n != api.MaxPerCaller {
			t.Errorf("%d requests of a link's peer", n)
		}
		link, within := origin(nil), 0
		for range api.MaxConcurrent {
			within += flood(1, origin(link), "me")
		}
		if within != api.MaxPerOrigin {
			t.Errorf("%d requests in channels over one link", within)
		}
		relay := origin(nil)
		if n := flood(api.MaxConcurrent, relay, "hostile", "me"); n != api.MaxPerCaller {
			t.Errorf("%d requests of one behind a relay", n)
		}
		if n := flood(1, relay, "friendly", "me"); n != 1 {
			t.Error("another one behind the relay is refused")
		}
		if n := flood(1, origin(nil), "me"); n != 1 {
			t.Error("another link's peer is refused")
		}
		left := api.MaxConcurrent - 2*api.MaxPerCaller - api.MaxPerOrigin - 2
		if n := flood(api.MaxConcurrent, nil, "me"); n != left {
			t.Errorf("%d requests of this node, want the %d that are left", n, left)
		}
		close(hold)
		synctest.Wait()
		if n := flood(1, link, "me"); n != 1 {
			t.Error("the places were not given back")
		}
		synctest.Wait()
	})
}
