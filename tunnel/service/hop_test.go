package service_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/portal"
	"ockam/tunnel/service"
)

// TestPortalBehindHop opens a stream at an outlet by way of a hop of the same
// node, as the reference implementation does.
func TestPortalBehindHop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	group := &tunnel.Group{Name: "links"}
	far, near := tunnel.NewRouter(), tunnel.NewRouter()
	hop := tunnel.LocalAddress(service.HopName)
	if _, err := far.Handle(hop, service.Hop{Router: far, Self: hop}, tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
		t.Fatal(err)
	}
	outlet := &portal.Listener{Router: far, Name: "outlet", Open: func(_ context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		_, _ = io.Copy(s, s)
		_ = s.Close()
	}}
	if err := outlet.Bind(); err != nil {
		t.Fatal(err)
	}
	lis, err := tcp.Transport{}.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &tunnel.Server{Router: far, Traits: tcp.Transport{}.Traits(), Group: group}
	done := make(chan error, 3)
	go func() { done <- outlet.Serve(ctx) }()
	go func() { done <- server.Serve(ctx, lis) }()
	link, err := tunnel.Dial(ctx, near, tcp.Transport{}, lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- link.Serve(ctx) }()
	defer func() {
		cancel()
		for range 3 {
			if err := <-done; err != nil && !errors.Is(err, tunnel.ErrPeerClosed) {
				t.Error(err)
			}
		}
	}()
	d := portal.Dialer{Router: near, Path: link, Route: tunnel.NewRoute(hop, tunnel.LocalAddress("outlet"))}
	s, err := d.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = s.Close()
}
