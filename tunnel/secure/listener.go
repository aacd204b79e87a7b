package secure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ockam/tunnel"
)

// DefaultName is the address where nodes have their channel listener.
const DefaultName = "api"

// Limits of a Listener, if it does not say otherwise.
const (
	// MaxHandshakes is how many handshakes may be under way at once.
	MaxHandshakes = 1024
	// MaxHandshakesPerOrigin is how many of them one link or channel may have,
	// with those in channels within it.
	MaxHandshakesPerOrigin = 128
	// maxHandshakesPerHop is how many of those may come from the same place
	// behind the node at its other end: a relay brings everybody's.
	maxHandshakesPerHop = 32
	// MaxChannels is how many channels may be open: with what a node has beside
	// each, about half a GiB.
	MaxChannels = 32768
	// IdleTimeout is how long a channel that no frame arrives on is kept.
	// Initiators send a ping every ten seconds.
	IdleTimeout = 15 * time.Minute
)

// A Listener accepts channels at an address. Whatever it is sent, a peer costs
// it at most MaxHandshakesPerOrigin handshakes of 30 s; beyond that its messages
// are dropped, and nobody else's. Of those that a relay brings, each of the
// relay's peers has a share. So it is with channels: when there are too many,
// whoever has most of them loses those that are quiet.
type Listener struct {
	Config
	Name  string          // its address; empty: DefaultName
	Open  []tunnel.Source // to whom on the network it is open
	Group *tunnel.Group   // of the channels: what is open to it is reachable over all of them

	// Opened, Closed and Refused, if set, are told what happened. They are
	// called on a handshake's goroutine, or on one that ended the channel, and
	// must return soon.
	Opened  func(*Channel)
	Closed  func(*Channel, error)
	Refused func(error)

	// Zero stands for the constants.
	MaxHandshakes, MaxHandshakesPerOrigin, MaxChannels int
	IdleTimeout                                        time.Duration

	wg      sync.WaitGroup // handshakes
	waiting atomic.Int64   // bytes that wait for them to finish

	mu         sync.Mutex
	reg        *tunnel.Registration
	ctx        context.Context // of the handshakes; nil: none may begin
	cancel     context.CancelFunc
	handshakes tunnel.Shares
	channels   map[*Channel]*held
	opening    int // handshakes that may still add one
}

// Register makes the listener reachable: from then on it accepts channels, and
// somebody has to call Serve. Registration().Open opens it to more sources. A
// listener that is registered already stays as it is.
func (l *Listener) Register() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reg != nil {
		return nil
	}
	if l.Name == "" {
		l.Name = DefaultName
	}
	reg, err := l.Router.Handle(tunnel.LocalAddress(l.Name), tunnel.HandlerFunc(l.handle), tunnel.Access{Open: l.Open})
	if err != nil {
		return err
	}
	l.reg = reg
	l.channels = make(map[*Channel]*held)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return nil
}

// Registration is where the listener is registered; nil before Register.
func (l *Listener) Registration() *tunnel.Registration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reg
}

// Serve keeps the listener, which it registers if that was not done before,
// until ctx ends. Then it closes all channels and returns when all that was
// started has ended.
func (l *Listener) Serve(ctx context.Context) error {
	if err := l.Register(); err != nil {
		return err
	}
	l.expireIdle(ctx)
	l.mu.Lock()
	l.reg.Close()
	l.cancel()
	l.ctx = nil // no handshake begins from now on
	l.mu.Unlock()
	l.wg.Wait()
	for _, c := range l.list() {
		c.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reg = nil
	return nil
}

// handle takes a first message: whatever reaches the listener is one.
func (l *Listener) handle(m *tunnel.Message) error {
	if len(m.Payload) > maxHandshakeMessage || m.Return.Size() > maxRoute {
		m.Release()
		return fmt.Errorf("%w: first message too long", ErrOpen)
	}
	h := &held{from: tunnel.CallerOf(m)}
	ctx, quiet := l.reserve(h.from)
	if ctx == nil {
		m.Release()
		return ErrBusy
	}
	first := keep(m)
	go func() {
		defer l.wg.Done()
		defer l.unreserve(h)
		l.closeQuiet(quiet)
		if err := l.respond(ctx, first, h); err != nil && l.Refused != nil && ctx.Err() == nil {
			l.Refused(err)
		}
	}()
	return nil
}

// reserve takes a place for a handshake and for its channel; nil if there is none.
// The channels that it returns are to be closed for that.
func (l *Listener) reserve(from tunnel.Caller) (context.Context, []*Channel) {
	most, each := l.MaxHandshakes, l.MaxHandshakesPerOrigin
	if most <= 0 {
		most = MaxHandshakes
	}
	if each <= 0 {
		each = MaxHandshakesPerOrigin
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := tunnel.Limit{Total: most, PerOrigin: each, PerPeer: each, PerHop: maxHandshakesPerHop}
	if l.ctx == nil || !l.handshakes.Take(from, limit) {
		return nil, nil
	}
	quiet, ok := l.roomLocked()
	if !ok {
		l.handshakes.Release(from)
		return nil, nil
	}
	l.opening++
	l.wg.Add(1)
	return l.ctx, quiet
}

func (l *Listener) unreserve(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshakes.Release(h.from)
	if !h.opened {
		l.opening--
	}
}

// respond runs the responder's side of the handshake that m begins.
func (l *Listener) respond(ctx context.Context, m *tunnel.Message, as *held) error {
	ret, msg1 := m.Return, m.Payload // not in a pooled buffer: see keep
	m.Release()
	ctx, cancel := context.WithTimeout(ctx, responderTimeout)
	defer cancel()
	under, route, err := carrier(l.Router, ret)
	if err != nil {
		return err
	}
	lost := &watcher{cancel}
	if err := under.Origin().Attach(lost); err != nil {
		return err
	}
	defer under.Origin().Detach(lost)

	h, err := newHandshake(&l.Config, false)
	if err != nil {
		return err
	}
	defer h.wipe()
	msg2, err := h.message2(msg1)
	if err != nil {
		return err
	}
	e := newEndpoint(&l.waiting)
	self := l.address()
	open := append(l.Registration().Sources(), under.Origin())
	remote, err := l.Router.Handle(self, e, tunnel.Access{Open: open})
	if err != nil {
		return err
	}
	a := &attempt{cfg: &l.Config, path: under, route: route, self: tunnel.NewRoute(self)}
	r, err := e.answer(ctx, h, a, msg2)
	if err == nil {
		c := newChannel(&l.Config, r, under, route)
		c.opened, c.ended, c.group = func(c *Channel) { l.opened(c, as) }, l.closed, l.Group
		c.presented.Store(h.presented)
		c.remote, c.last, c.hops, c.follow = remote, lastHop(route), ret.WithoutLast(), true
		err = c.start(e)
	}
	if err != nil {
		remote.Close()
		e.abandon()
	}
	return err
}

// answer sends message 2 and waits for message 3.
func (e *endpoint) answer(ctx context.Context, h *handshake, a *attempt, msg2 []byte) (*result, error) {
	if err := send(a.path, a.route, a.self, msg2); err != nil {
		return nil, err
	}
	r, err := e.establish(ctx, a.cfg, h)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("secure: the initiator did not finish its handshake: %w", err)
	} else if err != nil {
		return nil, lossOf(a.path, err)
	}
	r.msg.Release()
	return r, nil
}

func lastHop(r tunnel.Route) tunnel.Route {
	for r.Len() > 1 {
		r = r.Rest()
	}
	return r
}
