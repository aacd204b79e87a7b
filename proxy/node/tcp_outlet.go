package node

import (
	"context"
	"fmt"
	"time"

	"ockam/config"
	"ockam/proxy"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// targetTimeout bounds the connection to a target. It is less than what inlets
// wait for the outlet's answer (portal.DefaultOpenTimeout), so that the refusal
// arrives.
const targetTimeout = 8 * time.Second

// outletSpec is what makes two outlets the same.
type outletSpec struct {
	Name  string
	To    config.Socket
	Allow config.AllowList
	Max   int
}

// startOutlet offers a target to those whom the outlet's allow names, or to
// everybody, with a channel or without.
func (n *Node) startOutlet(s outletSpec, c *config.TCPOutlet) (*resource, error) {
	who := n.everybody()
	if !s.Allow.Anyone {
		who = tunnel.Access{Open: []tunnel.Source{n.behind}}
	}
	out := &proxy.Outlet{
		Router: n.router, Name: s.Name, Access: who, Admit: admit(s.Allow, c.Allow.Range.String()), Options: portal.Options{Budget: n.budget},
		Target: s.To.String(), MaxConnections: s.Max, DialTimeout: targetTimeout, Events: n.connectionEvents("tcp_outlet", s.Name),
	}
	if s.To.Network == "demo" {
		out.Handler = proxy.Demo()
	}
	if err := out.Bind(); err != nil {
		return nil, fmt.Errorf("%v: %w", c.Range, err)
	}
	n.event("outlet", s.Name, true, "offers %s to %s", s.To, whom(s.Allow))
	r := n.newResource(s, func(context.Context) {
		if err := out.Serve(n.life); err != nil {
			n.event("outlet", s.Name, false, "has ended: %v", err)
		}
	})
	r.drain = func(ctx context.Context) { _ = out.Shutdown(ctx) } // the context's error: what was left has been reset
	return r, nil
}
