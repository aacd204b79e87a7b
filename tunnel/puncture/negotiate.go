package puncture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ockam/transports/udp"
	"ockam/tunnel"
)

// Name is the address where a node is asked for a puncture.
const Name = "udp"

// maxPunctures is how many punctures a listener has at a time, for all who ask.
const maxPunctures = 64

// maxEach is how many of them are of one link or channel.
const maxEach = 16

// answerTimeout bounds the wait for the other side's offer.
const answerTimeout = 10 * time.Second

var udpTraits = udp.Transport{}.Traits()

// Dial makes a puncture to the node that route leads to, from the far end of
// path; the node's listener is at the address Name there. It returns when
// something has come through, or why nothing has. Who calls it closes the
// puncture, which ends by itself when the other side falls silent.
func (c *Config) Dial(ctx context.Context, path tunnel.Path, route tunnel.Route) (*Puncture, error) {
	p, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if err = p.initiate(ctx, path, route); err == nil {
		p.wg.Go(func() { _ = p.serve(context.Background()) }) // until Close
		select {
		case <-p.through:
			return p, nil
		case <-p.origin.Done():
			err = p.origin.Err()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.Close()
	return nil, err
}

// initiate exchanges offers.
func (p *Puncture) initiate(ctx context.Context, path tunnel.Path, route tunnel.Route) error {
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	b, err := tunnel.Ask(asking, p.router, path, route.Join(tunnel.NewRoute(tunnel.LocalAddress(Name))), p.offer())
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("puncture: the other node does not answer: it may run without UDP, or reach no rendezvous server")
	} else if err != nil {
		return err
	}
	answer, err := parseNegotiation(b)
	if err != nil {
		return fmt.Errorf("puncture: answer to our offer: %w", err)
	}
	return p.meet(ctx, answer, false)
}

// A Listener makes punctures with the nodes that ask for one.
type Listener struct {
	Config
	Open []tunnel.Source // to whom on the network it is open
	Gate tunnel.Gate     // decides on each request; nil lets all pass
	// Failed, if set, is told why a puncture that was asked for did not come about,
	// or ended.
	Failed func(error)

	wg sync.WaitGroup

	mu     sync.Mutex
	reg    *tunnel.Registration
	ctx    context.Context // of the punctures; nil when none may begin
	cancel context.CancelFunc
	busy   int
	each   map[*tunnel.Origin]int // of busy, by who asked
}

// Register makes the listener reachable: from then on it makes punctures, and
// somebody has to call Serve. A listener that is registered stays as it is.
func (l *Listener) Register() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reg != nil {
		return nil
	}
	reg, err := l.Router.Handle(tunnel.LocalAddress(Name), tunnel.HandlerFunc(l.handle), tunnel.Access{Open: l.Open, Gate: l.Gate})
	if err != nil {
		return err
	}
	l.reg = reg
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return nil
}

// Serve keeps the listener, which it registers if that was not done before,
// until ctx ends; then it closes the punctures, and returns when all have ended.
func (l *Listener) Serve(ctx context.Context) error {
	if err := l.Register(); err != nil {
		return err
	}
	<-ctx.Done()
	l.mu.Lock()
	l.reg.Close()
	l.cancel()
	l.ctx, l.reg = nil, nil
	l.mu.Unlock()
	l.wg.Wait()
	return nil
}

// handle begins a puncture on a goroutine of its own.
func (l *Listener) handle(m *tunnel.Message) error {
	defer m.Release()
	offer, err := parseNegotiation(m.Payload)
	if err != nil {
		return fmt.Errorf("puncture: request: %w", err)
	}
	if _, err := parsePublic(offer.public); err != nil {
		return err
	}
	path, back, err := l.Router.Path(m.Return)
	if err != nil || back.Len() == 0 {
		return errors.New("puncture: a request without a way back")
	}
	back = back.Clone()
	l.mu.Lock()
	defer l.mu.Unlock()
	origin := m.Origin
	if l.ctx == nil || l.busy >= maxPunctures || l.each[origin] >= maxEach {
		return errors.New("puncture: too many at a time")
	}
	if l.each == nil {
		l.each = make(map[*tunnel.Origin]int)
	}
	l.busy++
	l.each[origin]++
	ctx := l.ctx
	l.wg.Go(func() {
		err := l.respond(ctx, path, back, offer)
		l.mu.Lock()
		l.busy--
		if l.each[origin]--; l.each[origin] == 0 {
			delete(l.each, origin)
		}
		l.mu.Unlock()
		if err != nil && l.Failed != nil && ctx.Err() == nil {
			l.Failed(err)
		}
	})
	return nil
}

// respond makes our side of a puncture and serves it. Who asked learns nothing
// of what goes wrong.
func (l *Listener) respond(ctx context.Context, path tunnel.Path, back tunnel.Route, offer negotiation) error {
	p, err := l.prepare(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.meet(ctx, offer, true); err != nil {
		return err
	}
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload = back, tunnel.NewRoute(tunnel.LocalAddress(Name)), p.offer()
	err = path.Send(m)
	m.Release()
	if err != nil {
		return err
	}
	return p.serve(ctx)
}
