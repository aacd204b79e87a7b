package portal_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// Two nodes, linked to each other; one serves an outlet, the other dials it. The
// link is one in memory; tunnel.Dial and tunnel.Server make links over a network,
// and a *secure.Channel is a path as well as a *tunnel.Link is.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	a, b := transporttest.Pipe(transporttest.PipeOptions{})

	// The node that serves: only what comes over links of the group reaches the
	// outlet.
	there, group := tunnel.NewRouter(), &tunnel.Group{Name: "accepted links"}
	serveLink(ctx, &wg, there, a, group)
	outlet := &portal.Listener{
		Router: there, Name: "shout", Access: tunnel.Access{Open: []tunnel.Source{group}},
		Open: func(_ context.Context, r *portal.Request) {
			s, err := r.Accept()
			if err != nil {
				return
			}
			defer func() { _ = s.Close() }()
			_, _ = fmt.Fprintf(s, "HELLO")
		},
	}
	if err := outlet.Bind(); err != nil {
		log.Fatal(err)
	}
	wg.Go(func() { _ = outlet.Serve(ctx) })

	// The node that dials.
	here := tunnel.NewRouter()
	link := serveLink(ctx, &wg, here, b, nil)
	d := portal.Dialer{Router: here, Path: link, Route: tunnel.NewRoute(tunnel.LocalAddress("shout"))}
	s, err := d.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := io.ReadAll(s)
	fmt.Printf("%s %v\n", answer, err)
	_ = s.Close()
	// Output: HELLO <nil>
}

func serveLink(ctx context.Context, wg *sync.WaitGroup, r *tunnel.Router, c transports.Conn, g *tunnel.Group) *tunnel.Link {
	link, err := tunnel.NewLink(r, c, transporttest.Traits(), g)
	if err != nil {
		log.Fatal(err)
	}
	wg.Go(func() { _ = link.Serve(ctx) })
	return link
}
