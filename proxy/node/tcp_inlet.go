package node

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
	"ockam/tunnel/secure"
)

// inletPatience is how long a new connection of an application waits for the way
// to the outlet, before it is reset.
const inletPatience = 15 * time.Second

// inletSpec is what makes two inlets the same.
type inletSpec struct {
	Name  string
	From  config.Socket
	To    string
	Allow config.AllowList
	At    string // where Allow stands
	Max   int
}

// becomes says no unless only the place of the allow is another.
func (s inletSpec) becomes(next inletSpec) bool {
	next.At = s.At
	return reflect.DeepEqual(next, s)
}

// startInlet listens for applications and keeps a way to the outlet.
func (n *Node) startInlet(s inletSpec, c *config.TCPInlet) (*resource, error) {
	return n.startInletWith(s, c, inletExtras{})
}

// inletExtras are what only a command can ask an inlet for.
type inletExtras struct {
	channels *secure.Config // what channels on the way are made with; nil: the node's
	warden   *warden        // decides on each stream; nil: the allow
	// udp and udpOnly are those of InletOptions.
	udp, udpOnly bool
	certificates []multiaddr.Hop // whom to ask for one; empty: applications do without TLS
}

func (n *Node) startInletWith(s inletSpec, c *config.TCPInlet, x inletExtras) (*resource, error) {
	if x.warden == nil {
		x.warden = n.byAllow(Resource{policy.TCPInlet, s.Name}, &s.Allow, &s.At)
	}
	hops, err := c.To.Hops()
	if err != nil {
		return nil, fmt.Errorf("%stcp_inlet %s: %w", place(c.Range), c.Name, err)
	}
	lis, err := proxy.Listen(n.life, s.From.String())
	if err != nil {
		return nil, listenError(c.Range, "tcp_inlet "+c.Name, s.From.String(), err)
	}
	addr := s.From.String()
	if s.From.Network == "tcp" {
		addr = lis.Addr().String()
	}
	n.tell(Event{Node: n.name, Kind: "inlet", Name: c.Name, Up: true, Addr: addr, Text: "listens on " + addr})

	ways := &inletWays{node: n, config: c, to: target{hops: hops, peer: expect(s.Allow), group: n.reached, channels: x.channels}, warden: x.warden, udp: x.udp, udpOnly: x.udpOnly}
	counts := new(traffic)
	in := &proxy.Inlet{MaxConnections: s.Max, Events: n.connectionEvents("tcp_inlet", c.Name, counts)}
	in.Dial = ways.open
	if len(x.certificates) > 0 {
		in.TLS = n.tlsFrom(x.certificates, c.Name)
	}

	// The way outlives the accepting, for what is under way.
	keeping, stop := context.WithCancelCause(n.life)
	left := make(chan struct{})
	r := n.newResource(s, func(context.Context) {
		defer close(left)
		ways.keep(keeping)
		n.dismiss(x.warden)
	})
	r.wg.Go(func() {
		if err := in.Serve(n.life, lis); err != nil {
			n.event("inlet", c.Name, false, "no longer accepts connections: %v", err)
		}
	})
	r.warden = x.warden
	r.change = changing(&s, inletSpec.becomes)
	r.view, r.traffic = &listening{addr: addr, flow: flowID(), ways: ways}, counts
	r.halt = func() { _ = lis.Close() } // the connections go on
	r.drain = func(ctx context.Context) {
		shutdown(ctx, func() {
			stop(errCut)
			<-left
		}, in.Shutdown)
		stop(nil)
	}
	return r, nil
}

// connectionEvents counts and logs connections: two lines each at debug, a
// refusal aloud.
func (n *Node) connectionEvents(kind, name string, counts *traffic) proxy.Events {
	log := n.log.With(zap.String("node", n.name), zap.String("kind", kind), zap.String("name", name))
	fields := func(c proxy.Connection) []zap.Field {
		f := []zap.Field{zap.String("peer", peerName(c.Peer))}
		if c.Client != nil {
			f = append(f, zap.Stringer("client", c.Client))
		}
		if c.Target != nil {
			f = append(f, zap.Stringer("target", c.Target))
		}
		return f
	}
	return proxy.Events{
		Opened: func(c proxy.Connection) {
			counts.opened(c.Stream)
			log.Debug("connection opened", fields(c)...)
		},
		Closed: func(c proxy.Connection, err error) {
			counts.closed(c)
			log.Debug("connection closed", append(fields(c), zap.Int64("sent", c.To), zap.Int64("received", c.From),
				zap.Duration("after", time.Since(c.Opened)), zap.Error(err))...)
		},
		Refused: func(c proxy.Connection, err error) {
			counts.refused.Add(1)
			n.denied.say(zap.WarnLevel, refused{"connection refused", kind, name}, c.Peer, append(fields(c), zap.Error(err))...)
		},
	}
}
