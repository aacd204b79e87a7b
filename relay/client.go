package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// AckTimeout is how long a Client waits for the acknowledgement by default.
const AckTimeout = 30 * time.Second

// askAgain is how long a request is waited for before it is sent once more, each
// time twice as long: one that comes before the relay's service is there
// vanishes. An answer to any of them is one to all.
const askAgain = time.Second

// EchoName is the service that is pinged to see whether the relay is there.
const EchoName = "echo"

// A Client registers a name at the relay at the far end of a path.
type Client struct {
	Router *tunnel.Router
	Path   tunnel.Path
	// Via stands between Path and the relay's node; empty: the relay is at the
	// far end of Path.
	Via     tunnel.Route
	Service string // empty: StaticServiceName
	Name    string // Ephemeral: a random one
	// AckTimeout replaces the constant AckTimeout if it is not zero.
	AckTimeout time.Duration
	// PingInterval and PingMisses are those of KeepAlive; see tunnel.Pinger.
	PingInterval time.Duration
	PingMisses   int
}

// A Registration is a name at a relay. It holds until Close, or until its path is
// lost: the relay has no message for giving a name back, and does so when the
// link or channel ends over which the name was registered.
type Registration struct {
	client Client
	reg    *tunnel.Registration
	own    []byte // encoded: a relayed message may have it once, in front
	acked  chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	address tunnel.Address // set before acked is closed
	err     error          // set before done is closed
}

// Register asks for the name and waits for the acknowledgement. It returns
// ErrNoAnswer when there is none in time, and why the path was lost when it is.
//
// What comes over the relay reaches what is open to Path.Origin(), nothing
// else, whether the relay sends it there directly or, as the reference's Elixir
// implementation does, by way of the address that registered.
func (c Client) Register(ctx context.Context) (*Registration, error) {
	origin := c.Path.Origin()
	r := &Registration{client: c, acked: make(chan struct{}), done: make(chan struct{})}
	reg, err := c.Router.Handle(tunnel.RandomAddress(), r, tunnel.Access{Open: []tunnel.Source{origin}})
	if err != nil {
		return nil, err
	}
	r.reg, r.own = reg, wire.AppendAddress(nil, reg.Address())
	if err := origin.Attach(r); err != nil {
		reg.Close()
		return nil, err
	}
	if err := r.register(ctx); err != nil {
		r.end(err)
		return nil, err
	}
	return r, nil
}

func (r *Registration) register(ctx context.Context) error {
	c := r.client
	service := c.Service
	if service == "" {
		service = StaticServiceName
	}
	timeout := c.AckTimeout
	if timeout == 0 {
		timeout = AckTimeout
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	again := time.NewTimer(timeout)
	defer again.Stop()
	for wait := askAgain; ; wait *= 2 {
		if err := r.ask(service); err != nil {
			return fmt.Errorf("relay: register: %w", err)
		}
		if c.Name != Ephemeral { // which would be another name each time
			again.Reset(wait)
		}
		select {
		case <-r.acked:
			return nil
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("%w within %v", ErrNoAnswer, timeout)
		case <-r.done:
			return r.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask sends the request.
func (r *Registration) ask(service string) error {
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = r.client.Via.Join(tunnel.NewRoute(tunnel.LocalAddress(service)))
	m.Return = tunnel.NewRoute(r.reg.Address())
	m.Payload = wire.AppendString(nil, r.client.Name)
	return r.client.Path.Send(m)
}

// HandleMessage takes acknowledgements, and messages that the relay sends by way
// of the address that registered.
func (r *Registration) HandleMessage(m *tunnel.Message) error {
	switch {
	case m.Origin != r.client.Path.Origin():
		m.Release()
		return tunnel.ErrNotOpen
	case m.Onward.Len() == 0:
		err := r.acknowledge(m)
		m.Release()
		return err
	case string(m.Onward.First()) == string(r.own):
		m.Release()
		return errors.New("relay: message comes by way of this address twice")
	default:
		return r.client.Router.Deliver(m)
	}
}

// acknowledge completes the registration if m is its acknowledgement. The Rust
// relay sends the address, the Elixir one the name that was asked for.
func (r *Registration) acknowledge(m *tunnel.Message) error {
	text, _, err := wire.ParseString(m.Payload)
	if err != nil {
		return fmt.Errorf("relay: acknowledgement: %w", err)
	}
	if name := r.client.Name; name != Ephemeral && !strings.HasSuffix(text, name) {
		return errors.New("relay: acknowledgement of another name")
	}
	if m.Return.Len() < 2 { // the path's own address, then the relay's
		return errors.New("relay: acknowledgement without an address")
	}
	a := wire.DecodeAddress(m.Return.Last())
	if a.Type != wire.Local {
		return errors.New("relay: acknowledgement from a foreign address")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.acked: // by the first; later ones change nothing
	default:
		r.address = a
		close(r.acked)
	}
	return nil
}

// Address returns the relay's address on its node: forward_to_NAME.
func (r *Registration) Address() tunnel.Address {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.address
}

// Local returns the address that registered, on this node.
func (r *Registration) Local() tunnel.Address { return r.reg.Address() }

// Done is closed when the registration is lost, or closed here.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err says why the registration ended; nil while it holds.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close ends the registration on this side. The relay forwards until the path
// is closed.
func (r *Registration) Close() { r.end(tunnel.ErrClosed) }

// OriginEnded ends the registration: its path is lost.
func (r *Registration) OriginEnded(err error) { r.end(err) }

func (r *Registration) end(err error) {
	r.reg.Close()
	r.client.Path.Origin().Detach(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		close(r.done)
	}
}

// KeepAlive pings the relay's node until ctx ends, then returns nil. It returns
// tunnel.ErrPeerSilent when the pings are not answered, and why the path was
// lost when it is.
func (r *Registration) KeepAlive(ctx context.Context) error {
	c := r.client
	p := tunnel.Pinger{
		Router: c.Router, Path: c.Path,
		Route:    c.Via.Join(tunnel.NewRoute(tunnel.LocalAddress(EchoName))),
		Interval: c.PingInterval, Misses: c.PingMisses,
	}
	return p.Run(ctx)
}
