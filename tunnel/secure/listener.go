package secure

import (
	"context"
	"sync"
	"time"

	"ockam/tunnel"
)

// DefaultName is the address where nodes have their channel listener.
const DefaultName = "api"

// Limits of a Listener, if it does not say otherwise.
const (
	// MaxHandshakes is how many handshakes may be under way at once.
	MaxHandshakes = 1024
	// MaxHandshakesPerOrigin is how many of them one link or channel may have.
	MaxHandshakesPerOrigin = 128
	// IdleTimeout is how long a channel that no frame arrives on is kept.
	// Initiators send a ping every ten seconds.
	IdleTimeout = 15 * time.Minute
)

// A Listener accepts channels at an address. Whatever it is sent, a peer costs
// it at most MaxHandshakesPerOrigin handshakes of 30 s; beyond that its messages
// are dropped, and nobody else's.
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

	MaxHandshakes, MaxHandshakesPerOrigin int           // zero: the constants
	IdleTimeout                           time.Duration // zero: the constant

	reg *tunnel.Registration
	ctx context.Context // of Serve, for the handshakes that it owns
	wg  sync.WaitGroup

	mu         sync.Mutex
	handshakes map[*tunnel.Origin]int
	total      int
	channels   map[*Channel]uint64 // with how many frames had arrived a while ago
}

// Register makes the listener reachable; Serve does it if it was not done
// before. Registration().Open opens it to more sources.
func (l *Listener) Register() error {
	if l.Name == "" {
		l.Name = DefaultName
	}
	l.handshakes = make(map[*tunnel.Origin]int)
	l.channels = make(map[*Channel]uint64)
	reg, err := l.Router.Handle(tunnel.LocalAddress(l.Name), tunnel.HandlerFunc(l.handle), tunnel.Access{Open: l.Open})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reg = reg
	return nil
}

// Registration is where the listener is registered; nil before Register.
func (l *Listener) Registration() *tunnel.Registration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reg
}

// Serve accepts channels until ctx ends. Then it closes them and returns when
// all it started has ended.
func (l *Listener) Serve(ctx context.Context) error {
	if l.Registration() == nil {
		if err := l.Register(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.ctx = ctx
	l.mu.Unlock()
	l.expireIdle(ctx)
	l.reg.Close()
	l.mu.Lock()
	l.ctx = nil // no handshake begins from now on
	l.mu.Unlock()
	cancel()
	l.wg.Wait()
	for _, c := range l.list() {
		c.Close()
	}
	return nil
}

// expireIdle closes, now and then, the channels on which nothing has arrived.
func (l *Listener) expireIdle(ctx context.Context) {
	idle := l.IdleTimeout
	if idle <= 0 {
		idle = IdleTimeout
	}
	for tunnel.Sleep(ctx, idle) {
		for _, c := range l.list() {
			n := c.received.Load()
			l.mu.Lock()
			before, ok := l.channels[c]
			if ok {
				l.channels[c] = n
			}
			l.mu.Unlock()
			if ok && n == before {
				c.Close()
			}
		}
	}
}

func (l *Listener) list() []*Channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Channel, 0, len(l.channels))
	for c := range l.channels {
		all = append(all, c)
	}
	return all
}

// handle takes a first message: whatever reaches the listener is one.
func (l *Listener) handle(m *tunnel.Message) error {
	ctx := l.reserve(m.Origin)
	if ctx == nil {
		m.Release()
		return ErrBusy
	}
	go func() {
		defer l.wg.Done()
		origin := m.Origin
		defer l.unreserve(origin)
		if err := l.respond(ctx, m); err != nil && l.Refused != nil && ctx.Err() == nil {
			l.Refused(err)
		}
	}()
	return nil
}

// reserve takes a place for a handshake; nil if there is none.
func (l *Listener) reserve(o *tunnel.Origin) context.Context {
	most, each := l.MaxHandshakes, l.MaxHandshakesPerOrigin
	if most <= 0 {
		most = MaxHandshakes
	}
	if each <= 0 {
		each = MaxHandshakesPerOrigin
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil || l.total >= most || l.handshakes[o] >= each {
		return nil
	}
	l.total++
	l.handshakes[o]++
	l.wg.Add(1)
	return l.ctx
}

func (l *Listener) unreserve(o *tunnel.Origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.handshakes[o]--; l.handshakes[o] == 0 {
		delete(l.handshakes, o)
	}
}

// respond runs the responder's side of the handshake that m begins.
func (l *Listener) respond(ctx context.Context, m *tunnel.Message) error {
	ctx, cancel := context.WithTimeout(ctx, responderTimeout)
	defer cancel()
	under, route, err := carrier(l.Router, m.Return)
	if err != nil {
		m.Release()
		return err
	}
	route, hops := route.Clone(), m.Return.WithoutLast().Clone()
	open := append(l.reg.Sources(), under.Origin())
	msg1 := append([]byte(nil), m.Payload...)
	m.Release()
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	lost := &watcher{lose}
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
	e := newEndpoint()
	self := tunnel.RandomAddress()
	remote, err := l.Router.Handle(self, e, tunnel.Access{Open: open})
	if err != nil {
		return err
	}
	c, err := l.accept(ctx, e, h, under, route, tunnel.NewRoute(self), msg2)
	if err == nil {
		c.remote, c.hops = remote, hops
		err = c.start(e)
	}
	if err != nil {
		remote.Close()
		e.abandon()
	}
	return err
}

// accept sends message 2 and waits for message 3.
func (l *Listener) accept(ctx context.Context, e *endpoint, h *handshake, under tunnel.Carrier, route, self tunnel.Route, msg2 []byte) (*Channel, error) {
	if err := send(under, route, self, msg2); err != nil {
		return nil, err
	}
	r, err := e.establish(ctx, &l.Config, h)
	if err != nil {
		return nil, dialError(err)
	}
	r.msg.Release()
	c := newChannel(&l.Config, r, under, route)
	c.follow, c.group = true, l.Group
	c.last = lastHop(route)
	c.opened, c.ended = l.opened, l.closed
	return c, nil
}

func lastHop(r tunnel.Route) tunnel.Route {
	for r.Len() > 1 {
		r = r.Rest()
	}
	return r
}

func (l *Listener) opened(c *Channel) {
	l.mu.Lock()
	l.channels[c] = 0
	l.mu.Unlock()
	if l.Opened != nil {
		l.Opened(c)
	}
}

func (l *Listener) closed(c *Channel, err error) {
	l.mu.Lock()
	delete(l.channels, c)
	l.mu.Unlock()
	if l.Closed != nil {
		l.Closed(c, err)
	}
}
