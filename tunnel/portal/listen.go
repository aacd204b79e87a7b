package portal

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"ockam/tunnel"
)

// ErrListenerClosed is returned by Serve when the listener has been served before.
var ErrListenerClosed = errors.New("portal: listener closed")

// A Listener is an outlet: the address at which peers open streams. It is for
// one Serve.
type Listener struct {
	Options
	Router *tunnel.Router
	Name   string        // its address
	Access tunnel.Access // who may open streams; the gate is asked for each
	// Open is called for each stream that a peer wants, on a goroutine of its
	// own. It calls Accept or Refuse; if it returns without, that is a refusal.
	// It may use the stream until it returns, and closes it. It returns soon
	// after ctx has ended.
	Open func(ctx context.Context, r *Request)
	// MaxPending bounds the requests that are neither accepted nor refused, and
	// MaxStreams the calls of Open altogether: what is beyond is refused.
	// 0: DefaultMaxPending, and no bound.
	MaxPending, MaxStreams int

	refused atomic.Uint64
	wg      sync.WaitGroup

	mu      sync.Mutex
	reg     *tunnel.Registration // set once, by Bind
	ctx     context.Context      // of Serve; nil while it does not run
	opts    Options
	stop    chan struct{} // closed by Shutdown
	stopped bool
	pending int
	streams int
	early   []*Request // that came before Serve
}

// Bind registers the listener at its name. What comes before Serve waits for
// it. Serve does this if it has not been done. It returns tunnel.ErrInUse if
// the name is taken.
func (l *Listener) Bind() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bindLocked()
}

func (l *Listener) bindLocked() error {
	if l.stopped {
		return ErrListenerClosed
	}
	if l.reg != nil {
		return nil
	}
	reg, err := l.Router.Handle(tunnel.LocalAddress(l.Name), l, l.Access)
	if err != nil {
		return err
	}
	l.reg, l.stop = reg, make(chan struct{})
	return nil
}

// Serve accepts streams until ctx ends or Shutdown is called. Then it refuses
// them: who asks would wait for an answer that does not come. Once all calls of
// Open have returned the name is free again, and Serve returns nil. The context
// that Open gets ends with ctx, not with Shutdown.
func (l *Listener) Serve(ctx context.Context) error {
	l.mu.Lock()
	if err := l.bindLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.ctx, l.opts = ctx, l.withDefaults()
	for _, r := range l.early {
		l.openLocked(r)
	}
	l.early = nil
	stop := l.stop
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		l.close()
	case <-stop:
	}
	l.wg.Wait()
	l.reg.Close()
	return nil
}

// Shutdown stops accepting streams; those that are open go on. It does not wait.
func (l *Listener) Shutdown() { l.close() }

func (l *Listener) close() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stopped = true
	early := l.early
	l.early = nil
	if l.reg != nil {
		close(l.stop)
		if l.ctx == nil { // it will not be served
			l.reg.Close()
		}
	}
	l.mu.Unlock()
	for _, r := range early {
		_ = r.Refuse() // who asked is gone
	}
}

// Refused returns how many streams were refused because of a bound.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// HandleMessage takes a Ping and ignores everything else; see tunnel.Handler.
// Addresses behind the listener's own are ignored: the reference implementation
// sends the name twice after a session was replaced.
func (l *Listener) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	msg, err := ParseMessage(m.Payload)
	if err != nil {
		return err
	}
	if msg.Kind != Ping {
		return nil
	}
	ret := l.Router.Direct(m.Return)
	path, back, err := l.Router.Path(ret)
	if err != nil {
		return err
	}
	origin := path.Origin()
	if origin != m.Origin || !bytes.Equal(ret.First(), origin.Address()) || back.Len() == 0 {
		return tunnel.ErrNoRoute // the answer would not go to who asks
	}
	r := &Request{listener: l, path: path, back: back.Clone()}
	if !l.start(r) {
		l.refused.Add(1)
		return r.refuse()
	}
	return nil
}

// start calls Open for r, unless there are too many.
func (l *Listener) start(r *Request) bool {
	maxPending := l.MaxPending
	if maxPending <= 0 {
		maxPending = DefaultMaxPending
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.pending >= maxPending || l.MaxStreams > 0 && l.streams >= l.MaxStreams {
		return false
	}
	l.pending++
	l.streams++
	if l.ctx == nil {
		l.early = append(l.early, r)
	} else {
		l.openLocked(r)
	}
	return true
}

func (l *Listener) openLocked(r *Request) {
	ctx := l.ctx
	l.wg.Go(func() { l.serveRequest(ctx, r) })
}

func (l *Listener) serveRequest(ctx context.Context, r *Request) {
	if l.Open != nil {
		l.Open(ctx, r)
	}
	_ = r.Refuse()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
}

func (l *Listener) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
}

// A Request is a stream that a peer wants to open. It is used by one goroutine.
type Request struct {
	listener *Listener
	path     tunnel.Path
	back     tunnel.Route
	done     bool
}

// Origin returns the link or channel that the request came over.
func (r *Request) Origin() *tunnel.Origin { return r.path.Origin() }

// RemoteAddr returns the address of who asks, an Addr.
func (r *Request) RemoteAddr() net.Addr { return Addr{Route: r.back, Peer: r.path.Origin().Peer} }

// Accept opens the stream. Nothing is received before.
func (r *Request) Accept() (*Stream, error) {
	if r.done {
		return nil, errAnswered
	}
	s, err := newStream(r.listener.Router, r.path, r.listener.opts, false)
	if err != nil {
		return nil, err
	}
	r.done = true
	r.listener.answered()
	s.peer = r.back
	if err := s.send(Pong); err != nil {
		s.reset(err)
		return nil, s.resetError(err)
	}
	return s, nil
}

var errAnswered = errors.New("portal: request already answered")

// Refuse tells the peer that there will be no stream. It does nothing if the
// request has been answered.
func (r *Request) Refuse() error {
	if r.done {
		return nil
	}
	r.done = true
	r.listener.answered()
	return r.refuse()
}

// refusing begins the name of the address that a refusal comes from, by which an
// inlet of ours tells it from a target that accepted and ended.
const refusing = "refused_"

// refuse sends a Pong, then a Disconnect: the reference implementation's inlet
// understands nothing but a Pong as the first answer, and would wait for ever.
func (r *Request) refuse() error {
	from := tunnel.NewRoute(tunnel.LocalAddress(refusing + tunnel.RandomAddress().Name)) // nobody is there
	if err := sendKind(r.path, r.back, from, Pong); err != nil {
		return err
	}
	return sendKind(r.path, r.back, from, Disconnect)
}
