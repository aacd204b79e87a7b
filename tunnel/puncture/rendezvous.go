package puncture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"ockam/transports/udp"
	"ockam/tunnel"
)

// RendezvousName is the address of a rendezvous service.
const RendezvousName = "rendezvous"

const (
	// rendezvousTimeout bounds the wait for a rendezvous server.
	rendezvousTimeout = 3 * time.Second
	// askAgain is how long an answer is waited for before the question, which may
	// have been lost, is put again.
	askAgain = 700 * time.Millisecond
)

// ErrNoAnswer means that no rendezvous server answered.
var ErrNoAnswer = errors.New("puncture: the rendezvous server does not answer")

// A Rendezvous is the service that tells nodes the UDP address under which it
// sees them.
type Rendezvous struct {
	Router *tunnel.Router
	Self   tunnel.Address // the return route of its answers
}

// HandleMessage answers m. What is no question, and a question for the address
// of somebody who did not come over UDP, is dropped.
func (r Rendezvous) HandleMessage(m *tunnel.Message) error {
	kind, _, err := parseVariant(m.Payload)
	if err != nil || kind > kindAddress || m.Return.Len() == 0 {
		m.Release()
		return errors.New("puncture: no question to a rendezvous service")
	}
	answer := appendUnit(nil, kindPing)
	if kind == kindAddress {
		var from *net.UDPAddr
		if m.Origin != nil {
			from, _ = m.Origin.Remote.(*net.UDPAddr)
		}
		if from == nil {
			m.Release()
			return errors.New("puncture: asked for the address of somebody who did not come over UDP")
		}
		answer = appendAddressAnswer(nil, from.AddrPort().String())
	}
	m.Payload = answer
	m.Onward, m.Return, m.Origin = m.Return, tunnel.NewRoute(r.Self), nil
	return r.Router.Send(m)
}

// MyAddress asks the rendezvous server at addr, host:port, for the address under
// which it sees a new socket of ours.
func MyAddress(ctx context.Context, addr string) (netip.AddrPort, error) {
	var a netip.AddrPort
	err := visit(ctx, addr, func(ctx context.Context, r *tunnel.Router, l *tunnel.Link) (err error) {
		a, err = myAddress(ctx, r, l)
		return err
	})
	return a, err
}

// PingRendezvous asks the rendezvous server at addr, host:port, for a sign of
// life.
func PingRendezvous(ctx context.Context, addr string) error {
	return visit(ctx, addr, func(ctx context.Context, r *tunnel.Router, l *tunnel.Link) error {
		_, err := ask(ctx, r, l, kindPing)
		return err
	})
}

// visit calls f with a link to a rendezvous server.
func visit(ctx context.Context, addr string, f func(context.Context, *tunnel.Router, *tunnel.Link) error) error {
	r := tunnel.NewRouter()
	l, err := tunnel.Dial(ctx, r, udp.Transport{}, addr)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(context.WithoutCancel(ctx)) }()
	err = f(ctx, r, l)
	l.Close()
	if cause := <-ended; cause != nil && errors.Is(err, cause) {
		return cause
	}
	return err
}

func myAddress(ctx context.Context, r *tunnel.Router, l *tunnel.Link) (netip.AddrPort, error) {
	b, err := ask(ctx, r, l, kindAddress)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return parseAddressAnswer(b)
}

// ask puts a question to the rendezvous server at the far end of l, again and
// again until it is answered or it has taken too long.
func ask(ctx context.Context, r *tunnel.Router, l *tunnel.Link, question byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, rendezvousTimeout)
	defer cancel()
	route := tunnel.NewRoute(tunnel.LocalAddress(RendezvousName))
	for {
		once, stop := context.WithTimeout(ctx, askAgain)
		b, err := tunnel.Ask(once, r, l, route, appendUnit(nil, question))
		stop()
		switch {
		case err == nil:
			return b, nil
		case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
			return nil, fmt.Errorf("%w: %v", ErrNoAnswer, l.RemoteAddr())
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		}
	}
}
