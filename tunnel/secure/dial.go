package secure

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// A result is what the last message read in a handshake has given.
type result struct {
	msg  *tunnel.Message
	peer identity.Identifier
	keys *transportKeys
}

// wipe forgets the keys.
func (r *result) wipe() {
	if r.keys != nil {
		*r.keys = transportKeys{}
	}
}

// Dial opens a channel to the listener at the end of route, which begins at the
// far end of path. It blocks until the handshake is done, ctx ends, or
// DefaultTimeout if ctx has no deadline. ErrTimeout means that nobody answered.
//
// That Dial returns does not say that the peer has accepted us: a listener that
// refuses an initiator says nothing. Whoever wants to know sends something that
// is answered.
func Dial(ctx context.Context, cfg *Config, path tunnel.Path, route tunnel.Route) (*Channel, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	h, err := newHandshake(cfg, true)
	if err != nil {
		return nil, err
	}
	defer h.wipe()
	e := newEndpoint(new(atomic.Int64))
	self := cfg.address()
	remote, err := cfg.Router.Handle(self, e, tunnel.Access{Open: []tunnel.Source{path.Origin()}})
	if err != nil {
		return nil, err
	}
	c, err := e.initiate(ctx, h, &attempt{cfg: cfg, path: path, route: route, self: tunnel.NewRoute(self)})
	if err == nil {
		c.remote = remote
		err = c.start(e)
	}
	if err != nil {
		remote.Close()
		e.abandon()
		return nil, dialError(err)
	}
	return c, nil
}

func dialError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// An attempt is one try to open a channel.
type attempt struct {
	cfg   *Config
	path  tunnel.Path
	route tunnel.Route // of the listener, from the far end of path
	self  tunnel.Route // where we receive
}

// initiate runs the initiator's side of the handshake.
func (e *endpoint) initiate(ctx context.Context, h *handshake, a *attempt) (*Channel, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := &watcher{cancel}
	if err := a.path.Origin().Attach(lost); err != nil {
		return nil, err
	}
	defer a.path.Origin().Detach(lost)
	msg, err := h.message1()
	if err != nil {
		return nil, err
	}
	if err := send(a.path, a.route, a.self, msg); err != nil {
		return nil, err
	}
	r, err := e.establish(ctx, a.cfg, h)
	if err != nil {
		return nil, lossOf(a.path, err)
	}
	defer r.msg.Release()
	under, onward, err := carrier(a.cfg.Router, r.msg.Return)
	if err != nil {
		return nil, err
	}
	if msg, r.keys, err = h.message3(); err != nil {
		return nil, err
	}
	defer r.wipe()
	onward = onward.Clone()
	if err := send(under, onward, a.self, msg); err != nil {
		return nil, err
	}
	c := newChannel(a.cfg, r, under, onward)
	c.presented.Store(h.presented)
	return c, nil
}

// lossOf returns why a handshake failed: the loss of the path says more than
// that a context is canceled.
func lossOf(path tunnel.Path, err error) error {
	if lost := path.Origin().Err(); lost != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("secure: path lost during the handshake: %w", lost)
	}
	return err
}

// A watcher cancels a handshake with the path that it runs over.
type watcher struct{ cancel context.CancelFunc }

// OriginEnded cancels the handshake.
func (w *watcher) OriginEnded(error) { w.cancel() }

func send(path tunnel.Path, onward, ret tunnel.Route, payload []byte) error {
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = onward, ret, payload
	return path.Send(m)
}

// carrier returns the path that a return route begins with, and what follows.
func carrier(r *tunnel.Router, ret tunnel.Route) (tunnel.Carrier, tunnel.Route, error) {
	path, rest, err := r.Path(r.Direct(ret))
	if err != nil {
		return nil, tunnel.Route{}, err
	}
	c, ok := path.(tunnel.Carrier)
	if !ok || rest.Len() == 0 {
		return nil, tunnel.Route{}, fmt.Errorf("secure: return route %v leads nowhere", ret)
	}
	return c, rest, nil
}

// newChannel makes the channel that a handshake has agreed on. It takes the keys
// out of r.
func newChannel(cfg *Config, r *result, under tunnel.Carrier, route tunnel.Route) *Channel {
	c := &Channel{
		cfg: cfg, peer: r.peer, group: cfg.Group, ways: [2]way{{under: under, route: route}},
		seal: newSealer(r.keys.seal[:]), open: newOpener(r.keys.open[:]),
	}
	r.wipe()
	return c
}

// start makes the channel reachable and has e pass on frames to it.
func (c *Channel) start(e *endpoint) error {
	a := c.cfg.address()
	outer := c.ways[0].under.Origin()
	c.origin = tunnel.NewOrigin(a)
	c.origin.Peer = c.peer.String()
	c.origin.Outer = outer
	c.origin.Group = c.group
	reg, err := c.cfg.Router.HandlePath(a, c, c)
	if err != nil {
		return err
	}
	c.reg = reg
	if c.opened != nil {
		c.opened(c)
	}
	if err := outer.Attach(c); err != nil {
		c.OriginEnded(err)
		return err
	}
	if c.closed.Load() { // meanwhile, by whoever was told that it is open
		outer.Detach(c)
		return tunnel.ErrClosed
	}
	e.finish(c)
	return nil
}
