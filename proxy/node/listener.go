package node

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"go.uber.org/zap"

	"ockam/config"
	"ockam/transports"
	"ockam/transports/tcp"
	"ockam/tunnel"
)

// listenerSpec is what makes two listeners the same.
type listenerSpec struct{ Transport, Address string }

// startListener accepts connections of other nodes.
func (n *Node) startListener(c *config.Listener) (*resource, error) {
	return n.startListenerFor(c, n.links)
}

// startListenerFor is startListener with the group of the links.
func (n *Node) startListenerFor(c *config.Listener, g *tunnel.Group) (*resource, error) {
	var t transports.Transport = tcp.Transport{} // config knows no other yet
	lis, err := t.Listen(n.life, c.Address)
	if err != nil {
		return nil, listenError(c.Range, "listener "+c.Transport, c.Address, err)
	}
	s := &tunnel.Server{
		Router: n.router, Traits: t.Traits(), Group: g, Linger: lingerTimeout,
		Opened: func(l *tunnel.Link) {
			n.log.Debug("link opened", zap.String("node", n.name), zapAddr(l.RemoteAddr().String()))
			n.acceptLink(l)
		},
		Closed: func(l *tunnel.Link, err error) {
			n.log.Debug("link closed", zap.String("node", n.name), zapAddr(l.RemoteAddr().String()), zap.Error(err))
			n.forget(l.Origin())
		},
	}
	n.tell(Event{
		Node: n.name, Kind: "listener", Name: c.Transport, Up: true, Addr: lis.Addr().String(),
		Text: "listens on " + lis.Addr().String(),
	})
	spec := listenerSpec{c.Transport, c.Address}
	r := n.newResource(spec, func(ctx context.Context) {
		if err := s.Serve(ctx, lis); err != nil {
			n.event("listener", c.Transport, false, "no longer accepts connections: %v", err)
		}
	})
	r.halt = func() { _ = lis.Close() } // the links go on
	r.view = &listening{addr: lis.Addr().String(), flow: flowID()}
	return r, nil
}

// place is where something stands in a configuration, in front of what is said
// about it; nothing if it stands in none.
func place(at fmt.Stringer) string {
	if r, ok := at.(hcl.Range); ok && r.Filename == "" {
		return ""
	}
	return at.String() + ": "
}

// listenError says where an address that cannot be taken stands, and what to do.
func listenError(at fmt.Stringer, what, addr string, err error) error {
	return fmt.Errorf("%s%s cannot listen on %s: %w%s", place(at), what, addr, err, advice(err))
}
