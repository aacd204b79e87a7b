package node

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/relay"
	"ockam/tunnel"
)

// relaySpec is what makes two relays the same.
type relaySpec struct {
	Name, At string
	Allow    config.AllowList
}

// startRelay keeps the node registered at another one.
func (n *Node) startRelay(s relaySpec, c *config.Relay) (*resource, error) {
	return n.startRelayAs(s, c, c.Name)
}

// startRelayAs is startRelay with a name at the relay that is not that of the
// resource.
func (n *Node) startRelayAs(s relaySpec, c *config.Relay, as string) (*resource, error) {
	hops, err := c.At.Hops()
	if err != nil {
		return nil, fmt.Errorf("%srelay %s: %w", place(c.Range), c.Name, err)
	}
	to := target{hops: hops, peer: expect(s.Allow), group: n.relayed}
	seen := &registering{flow: flowID(), tried: make(chan struct{})}
	use := func(ctx context.Context, w *way) error {
		defer w.close()
		reg, err := relay.Client{Router: n.router, Path: w.path, Via: w.rest, Name: as}.Register(ctx)
		if err != nil {
			return err
		}
		defer reg.Close()
		seen.set(w, reg)
		defer seen.lost()
		n.event("relay", c.Name, true, "is reachable at %s/service/%s", c.At, reg.Address().Name)
		err = reg.KeepAlive(ctx)
		if ctx.Err() != nil {
			w.leave()
		}
		return err
	}
	r := n.newResource(s, func(ctx context.Context) {
		n.keep(ctx, keeping{
			establish: func(ctx context.Context) (*way, error) { return n.connect(ctx, to) },
			use:       use,
			failed: func(err error) {
				seen.fail(err)
				n.event("relay", c.Name, false, "is not registered: %v", err)
			},
		})
	})
	r.view = seen
	return r, nil
}

// relayServiceSpec is what makes two relay services the same.
type relayServiceSpec struct {
	Allow config.AllowList
	At    string // where Allow stands
}

var relayServiceKey = key{"relay_service", ""}

// startRelayService lets other nodes register names here.
func (n *Node) startRelayService(s relayServiceSpec, c *config.RelayService) (*resource, error) {
	return n.startRelayServiceFor(s, c, nil)
}

// startRelayServiceFor is startRelayService with what also decides on each
// registration; nil: nothing.
func (n *Node) startRelayServiceFor(s relayServiceSpec, c *config.RelayService, w *warden) (*resource, error) {
	who := n.everybody()
	if !s.Allow.Anyone {
		who = tunnel.Access{Open: []tunnel.Source{n.behind}, Gate: func(m *tunnel.Message) error {
			err := n.admit(relayServiceKey, m.Origin, &s.Allow, &s.At)
			if err != nil {
				n.log.Warn("refused", zap.String("node", n.name), zap.String("kind", "relay_service"), zap.Error(err))
			}
			return err
		}}
	}
	var admit func(*tunnel.Message, string) error
	if w != nil {
		admit = func(m *tunnel.Message, name string) error {
			o := m.Origin // the message is gone by then
			return w.admitName(o, name, func() { n.cutOff(o) })
		}
	}
	server := &relay.Server{
		Router: n.router, Open: []tunnel.Source{n.links, n.own, n.behind}, Allow: admit,
		Registered: func(e relay.Event) {
			n.log.Info("relay registered", zap.String("node", n.name), zap.String("name", e.Name),
				zap.String("owner", e.Owner), zap.Bool("again", e.Again))
		},
		Released: func(e relay.Event) {
			n.log.Info("relay released", zap.String("node", n.name), zap.String("name", e.Name), zap.Error(e.Err))
			if errors.Is(e.Err, tunnel.ErrClosed) { // there is no message for it: who registered has to notice
				n.hangUp(e.Origin)
			}
		},
		Refused: func(e relay.Event) {
			n.log.Warn("relay refused", zap.String("node", n.name), zap.String("name", e.Name),
				zap.String("owner", e.Owner), zap.Error(e.Err))
		},
	}
	var regs []*tunnel.Registration
	for _, name := range relayServices() {
		reg, err := n.router.Handle(tunnel.LocalAddress(name), server, who)
		if err != nil {
			closeAll(regs)
			return nil, fmt.Errorf("%srelay_service: %w", place(c.Range), err)
		}
		regs = append(regs, reg)
	}
	by := whom(s.Allow)
	if admit != nil {
		by = "those whom its policy admits"
	}
	n.event("relay_service", "", true, "lets %s register names", by)
	r := n.newResource(s, func(ctx context.Context) {
		<-ctx.Done()
		closeAll(regs)
		server.Close()
	})
	r.view = server
	r.change = func(asked wanted) bool {
		next, ok := asked.spec.(relayServiceSpec)
		if ok = ok && next.Allow.Anyone == s.Allow.Anyone; ok {
			s = next
		}
		return ok
	}
	return r, nil
}

func closeAll(regs []*tunnel.Registration) {
	for _, r := range regs {
		r.Close()
	}
}

func whom(list config.AllowList) string {
	switch {
	case list.Anyone:
		return "anyone"
	case len(list.Identifiers) == 1:
		return list.Identifiers[0]
	default:
		return fmt.Sprintf("%d identities", len(list.Identifiers))
	}
}

func relayServices() []string { return []string{relay.ServiceName, relay.StaticServiceName} }
