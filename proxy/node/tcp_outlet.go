package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"ockam/config"
	"ockam/proxy"
	"ockam/tunnel"
	"ockam/tunnel/policy"
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
	At    string // where Allow stands

	TLS     bool // speak TLS to the target
	Outside bool // not reachable through channels
}

func outletKey(name string) key { return key{"tcp_outlet", name} }

func (s outletSpec) becomes(next outletSpec) bool {
	return s.Name == next.Name && s.TLS == next.TLS && s.Outside == next.Outside && s.Max == next.Max && s.Allow.Anyone == next.Allow.Anyone &&
		(s.To == next.To || s.To.Network != "demo" && next.To.Network != "demo")
}

// startOutlet offers a target to those whom the outlet's allow admits, or to
// everybody, with a channel or without.
func (n *Node) startOutlet(s outletSpec, c *config.TCPOutlet) (*resource, error) {
	return n.startOutletWith(s, c, nil)
}

// startOutletWith is startOutlet with what decides on each stream; nil: the allow.
func (n *Node) startOutletWith(s outletSpec, c *config.TCPOutlet, w *warden) (*resource, error) {
	if w == nil {
		w = n.byAllow(Resource{policy.TCPOutlet, s.Name}, &s.Allow, &s.At)
	}
	who := n.everybody()
	if !s.Allow.Anyone {
		who = tunnel.Access{Open: []tunnel.Source{n.behind}}
	}
	if s.Outside {
		who = tunnel.Access{Open: []tunnel.Source{n.links, n.own, n.relayed}}
	}
	name, k := s.Name, outletKey(s.Name) // s is guarded by n.mu once the outlet runs
	counts := new(traffic)
	out := &proxy.Outlet{
		Router: n.router, Name: name, Access: who, Options: portal.Options{Budget: n.budget},
		MaxConnections: s.Max, DialTimeout: targetTimeout, Events: n.connectionEvents("tcp_outlet", name, counts),
		Admit: func(o *tunnel.Origin) error {
			if err := w.admit(o, func() { n.cutOff(o) }); err != nil {
				return err
			}
			n.markUsed(k, o)
			return nil
		},
		Dial: func(ctx context.Context) (net.Conn, error) {
			n.mu.Lock()
			target, sealed := s.To.String(), s.TLS
			n.mu.Unlock()
			if sealed {
				return dialTLS(ctx, target)
			}
			return proxy.Dial(ctx, target)
		},
	}
	if s.To.Network == "demo" {
		out.Handler = proxy.Demo()
	}
	if err := out.Bind(); err != nil {
		return nil, fmt.Errorf("%s%w", place(c.Range), err)
	}
	n.event("outlet", s.Name, true, "offers %s to %s", s.To, w.whom())
	r := n.newResource(s, func(context.Context) {
		if err := out.Serve(n.life); err != nil {
			n.event("outlet", name, false, "has ended: %v", err)
		}
		n.dismiss(w)
	})
	r.traffic, r.warden = counts, w
	r.change = changing(&s, outletSpec.becomes)
	r.drain = func(ctx context.Context) { shutdown(ctx, func() { n.closeUsers(k) }, out.Shutdown) }
	return r, nil
}

// dialTLS connects to a target that speaks TLS, and checks its certificate.
func dialTLS(ctx context.Context, target string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("node: TLS to %s: %w", target, err)
	}
	conn, err := proxy.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	c := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
	if err := c.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("node: TLS to %s: %w", target, err)
	}
	return c, nil
}
