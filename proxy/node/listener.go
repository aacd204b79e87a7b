package node

import (
	"context"
	"fmt"

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
	var t transports.Transport = tcp.Transport{} // config knows no other yet
	lis, err := t.Listen(n.life, c.Address)
	if err != nil {
		return nil, listenError(c.Range, "listener "+c.Transport, c.Address, err)
	}
	s := &tunnel.Server{
		Router: n.router, Traits: t.Traits(), Group: n.links,
		Opened: func(l *tunnel.Link) {
			n.log.Debug("link opened", zap.String("node", n.name), zapAddr(l.RemoteAddr().String()))
			n.accept(l.Origin(), l.Close)
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
	return r, nil
}

// listenError says where an address that cannot be taken stands, and what to do.
func listenError(at fmt.Stringer, what, addr string, err error) error {
	return fmt.Errorf("%v: %s cannot listen on %s: %w%s", at, what, addr, err, advice(err))
}
