package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"ockam/tunnel/wire"
)

// Defaults of a Pinger: those of the reference implementation's sessions.
const (
	PingInterval = 10 * time.Second
	PingMisses   = 3
)

// ErrPeerSilent is returned by Pinger.Run when the peer answers no more.
var ErrPeerSilent = errors.New("tunnel: peer does not answer pings")

// A Pinger finds out whether the node at the end of a path is still there, by
// sending messages to its echo service. The links' own keep-alive does not see
// behind the first node of a route.
type Pinger struct {
	Router   *Router
	Path     Path
	Route    Route         // behind Path, to the far node's echo service
	Interval time.Duration // between pings; 0: PingInterval
	Misses   int           // so many unanswered pings in a row are the end; 0: PingMisses

	mu          sync.Mutex
	outstanding [][]byte // the bodies of pings that have no answer
}

// Run sends a ping at once and then one every Interval. It returns ErrPeerSilent
// when Misses of them have no answer (one Interval after the last), why the path
// was lost when it is, and nil when ctx ends. A body is a random CBOR integer;
// an answer to any ping counts for all before it, and only what comes over Path
// is one.
func (p *Pinger) Run(ctx context.Context) error {
	origin := p.Path.Origin()
	reg, err := p.Router.Handle(RandomAddress(), HandlerFunc(p.answer), Access{Open: []Source{origin}})
	if err != nil {
		return err
	}
	defer reg.Close()
	p.mu.Lock()
	p.outstanding = nil // of an earlier Run
	p.mu.Unlock()
	interval, misses := p.Interval, p.Misses
	if interval <= 0 {
		interval = PingInterval
	}
	if misses <= 0 {
		misses = PingMisses
	}
	ret := NewRoute(reg.Address())
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if n := p.unanswered(); n >= misses {
			return fmt.Errorf("%w: %d in %v", ErrPeerSilent, n, time.Duration(n)*interval)
		}
		if err := p.ping(ret); err != nil {
			return fmt.Errorf("tunnel: ping: %w", err)
		}
		select {
		case <-tick.C:
		case <-origin.Done():
			return origin.Err()
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Pinger) unanswered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.outstanding)
}

func (p *Pinger) ping(ret Route) error {
	body := wire.AppendUint(nil, rand.Uint64())
	p.mu.Lock()
	p.outstanding = append(p.outstanding, body)
	p.mu.Unlock()
	m := NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = p.Route, ret, body
	return p.Path.Send(m)
}

func (p *Pinger) answer(m *Message) error {
	defer m.Release()
	if m.Origin != p.Path.Origin() {
		return ErrNotOpen
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, body := range p.outstanding {
		if bytes.Equal(body, m.Payload) {
			p.outstanding = nil
			break
		}
	}
	return nil
}
