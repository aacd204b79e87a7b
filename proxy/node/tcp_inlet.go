package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy"
	"ockam/tunnel/portal"
)

// inletPatience is how long a new connection of an application waits for the way
// to the outlet, before it is reset.
const inletPatience = 10 * time.Second

// inletSpec is what makes two inlets the same.
type inletSpec struct {
	Name  string
	From  config.Socket
	To    string
	Allow config.AllowList
	Max   int
}

// startInlet listens for applications and keeps a way to the outlet.
func (n *Node) startInlet(s inletSpec, c *config.TCPInlet) (*resource, error) {
	hops, err := c.To.Hops()
	if err != nil {
		return nil, fmt.Errorf("%v: tcp_inlet %s: %w", c.Range, c.Name, err)
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

	var ways current
	in := &proxy.Inlet{MaxConnections: s.Max, Events: n.connectionEvents("tcp_inlet", c.Name)}
	in.Dial = func(ctx context.Context) (*portal.Stream, error) { return n.open(ctx, &ways) }
	to := target{hops: hops, peer: expect(s.Allow), group: n.reached}

	// The way outlives the accepting, for what is under way.
	keeping, stop := context.WithCancel(n.life)
	r := n.newResource(s, func(context.Context) { n.keepInlet(keeping, c, to, &ways) })
	r.wg.Go(func() {
		if err := in.Serve(n.life, lis); err != nil {
			n.event("inlet", c.Name, false, "no longer accepts connections: %v", err)
		}
	})
	r.drain = func(ctx context.Context) {
		_ = in.Shutdown(ctx) // the context's error: what was left has been reset
		stop()
	}
	return r, nil
}

func (n *Node) keepInlet(ctx context.Context, c *config.TCPInlet, to target, ways *current) {
	n.keep(ctx, keeping{
		establish: func(ctx context.Context) (*way, error) { return n.connect(ctx, to) },
		use: func(ctx context.Context, w *way) error {
			ways.set(w)
			defer ways.set(nil)
			n.event("inlet", c.Name, true, "has a way to the far end")
			err := n.watch(ctx, w)
			if err != nil {
				n.event("inlet", c.Name, false, "lost its way to the far end: %v", err)
			}
			return err
		},
		failed: func(err error) { n.event("inlet", c.Name, false, "has no way to the far end: %v", err) },
	})
}

// open opens a stream over the way there is, or waits for one. A way that is lost
// meanwhile is replaced.
func (n *Node) open(ctx context.Context, ways *current) (*portal.Stream, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inletPatience, errNoWay)
	defer cancel()
	for {
		w, err := ways.wait(ctx)
		if err != nil {
			return nil, err
		}
		d := portal.Dialer{
			Router: n.router, Path: w.path, Route: w.rest,
			Options: portal.Options{Budget: n.budget},
		}
		s, err := d.Dial(ctx)
		if err == nil || w.path.Origin().Err() == nil || ctx.Err() != nil {
			return s, err
		}
		ways.lost(w)
	}
}

var errNoWay = errors.New("node: no way to the far end")

// A current is the way that an inlet uses now.
type current struct {
	mu      sync.Mutex
	way     *way
	changed chan struct{} // closed when way is set; nil if nobody waits
}

func (c *current) set(w *way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = w
	if w != nil && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// lost forgets w if it is still the current way.
func (c *current) lost(w *way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.way == w {
		c.way = nil
	}
}

func (c *current) wait(ctx context.Context) (*way, error) {
	for {
		c.mu.Lock()
		if c.way != nil {
			defer c.mu.Unlock()
			return c.way, nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// connectionEvents logs connections: two lines each at debug, a refusal aloud.
func (n *Node) connectionEvents(kind, name string) proxy.Events {
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
		Opened: func(c proxy.Connection) { log.Debug("connection opened", fields(c)...) },
		Closed: func(c proxy.Connection, err error) {
			log.Debug("connection closed", append(fields(c), zap.Int64("sent", c.To), zap.Int64("received", c.From),
				zap.Duration("after", time.Since(c.Opened)), zap.Error(err))...)
		},
		Refused: func(c proxy.Connection, err error) {
			log.Warn("connection refused", append(fields(c), zap.Error(err))...)
		},
	}
}
