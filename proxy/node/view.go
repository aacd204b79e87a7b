package node

import (
	"context"
	"sync"

	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// flowID makes the name of a flow control: 32 hexadecimal digits. Here it is a
// name for people and other programs; nothing is decided by it.
func flowID() string { return tunnel.RandomAddress().Name }

// A listening is what can be told about a listener or an inlet.
type listening struct {
	addr string // where it listens
	flow string
	ways *inletWays // of an inlet
}

// registering is what can be told about a registration at a relay.
type registering struct {
	flow  string
	tried chan struct{} // closed after the first try

	mu      sync.Mutex
	once    sync.Once
	up      bool
	route   tunnel.Route
	address string // at the relay
	local   tunnel.Address
	failed  string
}

func (r *registering) set(w *way, reg *relay.Registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.failed = true, ""
	r.address, r.local = reg.Address().Name, reg.Local()
	r.route = tunnel.NewRoute(originAddress(w.path.Origin())).Join(w.rest).Join(tunnel.NewRoute(reg.Address()))
	r.once.Do(func() { close(r.tried) })
}

func (r *registering) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = false
}

func (r *registering) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err.Error()
	r.once.Do(func() { close(r.tried) })
}

// await waits for the end of the first try.
func (r *registering) await(ctx context.Context) {
	select {
	case <-r.tried:
	case <-ctx.Done():
	}
}

// originAddress is where messages to the far end of a link or channel are sent
// to on this node.
func originAddress(o *tunnel.Origin) tunnel.Address { return wire.DecodeAddress(o.Address()) }
