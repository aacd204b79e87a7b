// Package puncture makes paths over UDP between nodes that a NAT keeps apart.
// Both learn from a rendezvous server under which address others see them, tell
// each other over a path that they have already, and send there at the same
// time, which opens the NATs from within.
//
// A puncture is neither secret nor proven: run a secure channel over it. It loses
// messages, as UDP does.
package puncture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"ockam/transports/udp"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// Times of a puncture: those of the reference implementation.
const (
	pingInterval = time.Second
	silence      = 10 * time.Second // without a Pong it is closed
	openTimeout  = 10 * time.Second // for the other side to come through
)

// Errors of a puncture.
var (
	// ErrNotThrough means that nothing of the other side came through in time.
	ErrNotThrough = errors.New("puncture: nothing comes through from the other side")
	// ErrSilent is why a puncture ended through which nothing came any more.
	ErrSilent = errors.New("puncture: the other side is silent")
)

// Config says how punctures are made.
type Config struct {
	Router *tunnel.Router
	// Rendezvous is the server that is asked for our address, host:port.
	Rendezvous string
	// Bind is where sockets are bound; empty: "0.0.0.0:0".
	Bind string
	// Group is that of the punctures' origins: what is open to it can be reached
	// through all of them. It may be nil.
	Group *tunnel.Group
}

// A Puncture is an open path through NATs, and the origin of what comes through.
// It is a carrier: channels seal into its queue.
type Puncture struct {
	router *tunnel.Router
	origin *tunnel.Origin
	link   *tunnel.Link         // to the peer's public address
	rdv    *tunnel.Link         // to the rendezvous server; nil once we know our address
	socket *udp.Socket          // of both
	self   *tunnel.Registration // where the peer's messages arrive
	reg    *tunnel.Registration // where messages to the peer are sent
	peer   tunnel.Route         // where the peer takes them
	public netip.AddrPort       // our address as others see it
	wg     sync.WaitGroup       // readers of the links, and the pings

	through chan struct{} // closed with the first Pong

	mu      sync.Mutex
	ponged  time.Time // zero before the first
	pinged  bool      // the peer comes through
	passive bool      // until it does, ours only open our NAT
	closed  bool

	draft   sync.Mutex // from Begin to Commit
	claim   int
	onward  tunnel.Route
	ret     tunnel.Route
	payload []byte
}

// prepare binds a socket, learns its address and takes an address for what will
// come through. It serves nothing yet but the answer of the rendezvous server.
func (c *Config) prepare(ctx context.Context) (*Puncture, error) {
	p := &Puncture{router: c.Router, through: make(chan struct{})}
	p.origin = tunnel.NewOrigin(tunnel.RandomAddress())
	p.origin.Group, p.origin.Punctured = c.Group, true
	if err := p.prepare(ctx, c); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Puncture) prepare(ctx context.Context, c *Config) (err error) {
	bind := c.Bind
	if bind == "" {
		bind = "0.0.0.0:0"
	}
	if p.socket, err = (udp.Transport{}).Open(ctx, bind); err != nil {
		return err
	}
	if p.rdv, err = p.dial(ctx, c.Rendezvous); err != nil {
		return err
	}
	if p.public, err = myAddress(ctx, c.Router, p.rdv); err != nil {
		return err
	}
	p.self, err = c.Router.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(p.arrived), tunnel.Access{})
	return err
}

// dial makes a link over the socket and reads from it until it is closed.
func (p *Puncture) dial(ctx context.Context, addr string) (*tunnel.Link, error) {
	conn, err := p.socket.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	l, err := tunnel.NewLink(p.router, conn, udp.Transport{}.Traits(), nil)
	if err != nil {
		return nil, err
	}
	p.wg.Go(func() { _ = l.Serve(context.Background()) }) // Close ends it
	return l, nil
}

// offer is what the other side has to know.
func (p *Puncture) offer() []byte {
	return negotiation{p.public.String(), []byte(p.self.Address().Name)}.append(nil)
}

// meet begins to send to who made the offer. Passive: what is sent before the
// other side comes through only opens our NAT.
func (p *Puncture) meet(ctx context.Context, offer negotiation, passive bool) error {
	public, err := parsePublic(offer.public)
	if err != nil {
		return err
	}
	if p.link, err = p.dial(ctx, public.String()); err != nil {
		return err
	}
	p.rdv.Close()
	p.origin.Remote = p.link.RemoteAddr()
	p.peer, p.passive = tunnel.NewRoute(tunnel.LocalAddress(string(offer.remote))), passive
	if p.reg, err = p.router.HandlePath(wire.DecodeAddress(p.origin.Address()), p, p); err != nil {
		return err
	}
	p.self.Open(p.link.Origin())
	return nil
}

// serve sends signs of life until ctx ends, Close is called or the other side is
// silent; then it closes the puncture and says why, nil if it was this side. One
// that never opens is closed too.
func (p *Puncture) serve(ctx context.Context) error {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	begun := time.Now()
	for {
		if err := p.judge(time.Since(begun)); err != nil {
			p.end(err)
			return err
		}
		p.ping()
		select {
		case <-tick.C:
			continue
		case <-p.origin.Done():
			return nil
		case <-p.link.Origin().Done():
			p.end(p.link.Origin().Err())
		case <-ctx.Done():
			p.end(tunnel.ErrClosed)
		}
		return nil
	}
}

// judge returns why the puncture is to be closed, if it is.
func (p *Puncture) judge(age time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ponged.IsZero() && age >= openTimeout:
		return ErrNotThrough
	case !p.ponged.IsZero() && time.Since(p.ponged) >= silence:
		return ErrSilent
	}
	return nil
}

func (p *Puncture) ping() {
	p.mu.Lock()
	to := p.peer
	if p.passive && !p.pinged {
		to = tunnel.Route{} // nobody takes it, but our NAT lets an answer in
	}
	p.mu.Unlock()
	p.control(to, kindPing)
}

// control sends a sign of life; that it is lost is what signs of life are for.
func (p *Puncture) control(to tunnel.Route, kind byte) {
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return, m.Payload = to, tunnel.NewRoute(p.self.Address()), appendUnit(nil, kind)
	_ = p.link.Send(m)
}

// arrived takes what the other side sends. It is called on the goroutine that
// reads the link.
func (p *Puncture) arrived(m *tunnel.Message) error {
	kind, fields, err := parseVariant(m.Payload)
	if err != nil {
		m.Release()
		return fmt.Errorf("puncture: %w", err)
	}
	switch kind {
	case kindPing:
		p.mu.Lock()
		p.pinged = true
		p.mu.Unlock()
		p.control(m.Return.Rest(), kindPong) // behind the link it came over
		m.Release()
		return nil
	case kindPong:
		p.mu.Lock()
		if p.ponged.IsZero() {
			close(p.through)
		}
		p.ponged = time.Now()
		p.mu.Unlock()
		m.Release()
		return nil
	default:
		return p.pass(m, fields)
	}
}

// pass passes a message on that came through, as if a link had brought it.
func (p *Puncture) pass(m *tunnel.Message, fields []byte) error {
	h, err := parsePayload(fields)
	if err != nil || h.Onward.Len() == 0 {
		m.Release()
		return err
	}
	m.Onward, m.Return, m.Payload, m.Origin = h.Onward, h.Return, h.Payload, p.origin
	m.PrependReturn(p.origin.Address())
	return p.router.Deliver(m)
}

// Origin is the puncture as the bringer of messages.
func (p *Puncture) Origin() *tunnel.Origin { return p.origin }

// Public returns our address as the rendezvous server saw it.
func (p *Puncture) Public() netip.AddrPort { return p.public }

// Drain waits until what is queued has been given to the network, ctx ends or the
// puncture ends.
func (p *Puncture) Drain(ctx context.Context) error { return p.link.Drain(ctx) }

// Close ends the puncture and returns when all that it started has ended. The
// other side notices that it is silent. It is not called by whoever is told that
// the origin has ended.
func (p *Puncture) Close() {
	p.end(tunnel.ErrClosed)
	p.wg.Wait()
}

func (p *Puncture) end(err error) {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return
	}
	for _, r := range []*tunnel.Registration{p.reg, p.self} {
		if r != nil {
			r.Close()
		}
	}
	for _, l := range []*tunnel.Link{p.link, p.rdv} {
		if l != nil {
			l.Close()
		}
	}
	if p.socket != nil {
		_ = p.socket.Close()
	}
	p.origin.End(err)
}
