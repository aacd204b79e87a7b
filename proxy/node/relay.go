package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/policy"
)

// relaySpec is what makes two relays the same.
type relaySpec struct {
	Name, At string
	Allow    config.AllowList
	AllowAt  string // where Allow stands
}

// becomes says no unless only the place of the allow is another.
func (s relaySpec) becomes(next relaySpec) bool {
	next.AllowAt = s.AllowAt
	return reflect.DeepEqual(next, s)
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
	there := n.byAllow(Resource{policy.Relay, s.Name}, &s.Allow, &s.AllowAt)
	byPolicy := s.Allow.Policy != nil // s is guarded by n.mu once the relay runs
	seen := &registering{flow: flowID(), tried: make(chan struct{})}
	use := func(ctx context.Context, w *way) error {
		defer w.close()
		if byPolicy { // else the handshake has decided, if there was one
			if err := there.admit(w.path.Origin(), w.cut); err != nil {
				return err
			}
		}
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
		n.dismiss(there)
	})
	r.view, r.warden = seen, there
	r.change = changing(&s, relaySpec.becomes)
	return r, nil
}

// relayServiceSpec is what makes two relay services the same.
type relayServiceSpec struct {
	Allow config.AllowList
	At    string // where Allow stands
}

func (s relayServiceSpec) becomes(next relayServiceSpec) bool {
	return next.Allow.Anyone == s.Allow.Anyone
}

var (
	relayServiceKey      = key{"relay_service", ""}
	relayServiceResource = Resource{policy.Relay, relay.ServiceName}
)

// startRelayService lets other nodes register names here.
func (n *Node) startRelayService(s relayServiceSpec, c *config.RelayService) (*resource, error) {
	return n.startRelayServiceFor(s, c, nil)
}

// startRelayServiceFor is startRelayService with what decides on each
// registration; nil: the allow.
func (n *Node) startRelayServiceFor(s relayServiceSpec, c *config.RelayService, w *warden) (*resource, error) {
	if w == nil {
		w = n.byAllow(relayServiceResource, &s.Allow, &s.At)
	}
	w.names = true
	who := n.everybody()
	if !s.Allow.Anyone {
		who = tunnel.Access{Open: []tunnel.Source{n.behind}}
	}
	admit := func(m *tunnel.Message, name string) error {
		o := m.Origin // the message is gone by then
		if err := w.admitName(o, name, func() { n.cutOff(o) }); err != nil {
			return err
		}
		n.markUsed(relayServiceKey, o)
		return nil
	}
	open := []tunnel.Source{n.links, n.own, n.behind}
	if n.serving != nil { // what is behind a relay of a project is for those who have proved who they are
		open = []tunnel.Source{n.behind}
	}
	server := &relay.Server{
		Router: n.router, Open: open, Allow: admit,
		TakesOver: func(m *tunnel.Message, name string) bool { return w.anyName(m.Origin, name) },
		Registered: func(e relay.Event) {
			n.log.Info("relay registered", zap.String("node", n.name), zap.String("name", e.Name),
				zap.String("owner", e.Owner), zap.Bool("again", e.Again))
		},
		Released: func(e relay.Event) {
			n.log.Info("relay released", zap.String("node", n.name), zap.String("name", e.Name), zap.Error(e.Err))
			// There is no message for it: who registered has to notice.
			switch {
			case errors.Is(e.Err, tunnel.ErrClosed):
				n.hangUp(e.Origin)
			case errors.Is(e.Err, relay.ErrTaken) && e.Origin.Peer != "" && !w.anyName(e.Origin, e.Name):
				// It asks for the name until that is free again. One that may have any
				// would take it back, and the two would go on like that.
				n.cutOff(e.Origin)
			}
		},
		Refused: func(e relay.Event) {
			peer := ""
			if e.Origin != nil {
				peer = e.Origin.Peer
			}
			n.denied.say(zap.WarnLevel, refused{message: "relay refused", kind: "relay_service"}, peer, zap.String("name", e.Name),
				zap.String("peer", peerName(peer)), zap.String("owner", e.Owner), zap.Error(e.Err))
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
	n.event("relay_service", "", true, "lets %s register names", w.whom())
	r := n.newResource(s, func(ctx context.Context) {
		<-ctx.Done()
		closeAll(regs)
		server.Close()
		n.dismiss(w)
	})
	r.view, r.warden = server, w
	r.change = changing(&s, relayServiceSpec.becomes)
	return r, nil
}

func closeAll(regs []*tunnel.Registration) {
	for _, r := range regs {
		r.Close()
	}
}

// whom says whom a resource is for.
func (w *warden) whom() string {
	rule, err := w.rule()
	switch list := &rule.Allow; {
	case err == nil && list.Anyone:
		return "anyone"
	case err != nil || list.Policy != nil || rule.Source == NoRule:
		return "those whom its policy admits"
	case len(list.Identifiers) == 1:
		return list.Identifiers[0]
	default:
		return fmt.Sprintf("%d identities", len(list.Identifiers))
	}
}

func relayServices() []string { return []string{relay.ServiceName, relay.StaticServiceName} }
