package secure

import (
	"context"
	"errors"
	"fmt"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// A result is what the last message read in a handshake has given.
type result struct {
	msg  *tunnel.Message
	peer identity.Identifier
	keys *transportKeys
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
	e := newEndpoint()
	self := tunnel.RandomAddress()
	remote, err := cfg.Router.Handle(self, e, tunnel.Access{Open: []tunnel.Source{path.Origin()}})
	if err != nil {
		return nil, err
	}
	c, err := e.initiate(ctx, cfg, h, path, route, self)
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

// initiate runs the initiator's side of the handshake.
func (e *endpoint) initiate(ctx context.Context, cfg *Config, h *handshake, path tunnel.Path, route tunnel.Route, self tunnel.Address) (*Channel, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := &watcher{cancel}
	if err := path.Origin().Attach(lost); err != nil {
		return nil, err
	}
	defer path.Origin().Detach(lost)
	msg, err := h.message1()
	if err != nil {
		return nil, err
	}
	ret := tunnel.NewRoute(self)
	if err := send(path, route, ret, msg); err != nil {
		return nil, err
	}
	r, err := e.establish(ctx, cfg, h)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	defer r.msg.Release()
	under, onward, err := carrier(cfg.Router, r.msg.Return)
	if err != nil {
		return nil, err
	}
	if msg, r.keys, err = h.message3(); err != nil {
		return nil, err
	}
	onward = onward.Clone()
	if err := send(under, onward, ret, msg); err != nil {
		return nil, err
	}
	return newChannel(cfg, r, under, onward), nil
}

// A watcher cancels a handshake with the path that it runs over.
type watcher struct{ cancel context.CancelCauseFunc }

// OriginEnded cancels the handshake.
func (w *watcher) OriginEnded(err error) { w.cancel(err) }

func send(path tunnel.Path, onward, ret tunnel.Route, payload []byte) error {
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = onward, ret, payload
	return path.Send(m)
}

// carrier returns the path that a return route begins with, and what follows.
func carrier(r *tunnel.Router, ret tunnel.Route) (tunnel.Carrier, tunnel.Route, error) {
	path, rest, err := r.Path(ret)
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
		cfg: cfg, peer: r.peer, group: cfg.Group, under: under, route: route,
		seal: newSealer(r.keys.seal[:]), open: newOpener(r.keys.open[:]),
	}
	*r.keys = transportKeys{}
	return c
}

// start makes the channel reachable and has e pass on frames to it.
func (c *Channel) start(e *endpoint) error {
	a := tunnel.RandomAddress()
	c.origin = tunnel.NewOrigin(a)
	c.origin.Peer = c.peer.String()
	c.origin.Outer = c.under.Origin()
	c.origin.Group = c.group
	reg, err := c.cfg.Router.HandlePath(a, c, c)
	if err != nil {
		return err
	}
	c.reg = reg
	if err := c.under.Origin().Attach(c); err != nil {
		reg.Close()
		return err
	}
	if c.opened != nil {
		c.opened(c)
	}
	e.finish(c)
	return nil
}
