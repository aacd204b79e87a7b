package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// relayWait is how long the creation of a relay waits for the registration.
const relayWait = 30 * time.Second

// RelayOptions are what a registration at a relay is made from, and what is
// stored of it.
type RelayOptions struct {
	Name       string              `json:"name"`                // on this node
	At         multiaddr.Addr      `json:"at"`                  // the node with the relay service
	Authorized identity.Identifier `json:"authorized,omitzero"` // who must be there; zero: anyone
	Address    string              `json:"address,omitempty"`   // the name at the relay; empty: a random one
	// Wait says that the creation waits until the first try has ended.
	Wait bool `json:"-"`
}

// RelayInfo tells about a registration at a relay.
type RelayInfo struct {
	RelayOptions
	Up      bool
	Route   tunnel.Route   // to the relay's address, while Up
	Remote  string         // the relay's address at its node: forward_to_NAME, while Up
	Worker  tunnel.Address // that registered, while Up
	Flow    string
	Failure string // why the last try failed
}

type relayResource struct {
	relaySpec
	options RelayOptions
}

func relayKey(name string) key { return key{"relay", name} }

// CreateRelay registers the node at a relay, and keeps it registered. That the
// relay is not reachable is no error: it is tried again and again.
func (b *Background) CreateRelay(ctx context.Context, o RelayOptions) (RelayInfo, error) {
	if o.Name == "" || len(o.At) == 0 {
		return RelayInfo{}, fmt.Errorf("%w: a relay needs a name and a place", ErrBadRequest)
	}
	stored, err := state.NewResource(state.KindRelay, o.Name, o)
	if err != nil {
		return RelayInfo{}, err
	}
	r, err := b.add(relayKey(o.Name), &stored, func() (*resource, error) {
		as := o.Address
		if as == "" {
			as = relay.Ephemeral
		}
		spec := relaySpec{Name: o.Name, At: o.At.String(), Allow: onlyTo(o.Authorized), AllowAt: "what it was made with"}
		r, err := b.n.startRelayAs(spec, &config.Relay{Name: o.Name, At: o.At}, as)
		if r != nil {
			r.spec = relayResource{spec, o}
		}
		return r, err
	})
	if errors.Is(err, ErrExists) {
		if had := b.takeRestored(o); had != nil {
			r, err = had, nil
		}
	}
	if err != nil {
		return RelayInfo{}, err
	}
	if o.Wait {
		ctx, cancel := context.WithTimeout(ctx, relayWait)
		r.view.(*registering).await(ctx)
		cancel()
	}
	return relayInfo(r), nil
}

// takeRestored returns the relay that is asked for if the node has it only because
// it had it before it was started: who makes all of a node anew asks for it once.
func (b *Background) takeRestored(o RelayOptions) *resource {
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	r := b.n.resources[relayKey(o.Name)]
	if r == nil || !r.restored {
		return nil
	}
	had := r.spec.(relayResource).options
	had.Wait = o.Wait
	if !reflect.DeepEqual(had, o) {
		return nil
	}
	r.restored = false
	return r
}

func relayInfo(r *resource) RelayInfo {
	v := r.view.(*registering)
	v.mu.Lock()
	defer v.mu.Unlock()
	i := RelayInfo{RelayOptions: r.spec.(relayResource).options, Up: v.up, Flow: v.flow, Failure: v.failed}
	if v.up {
		i.Route, i.Remote, i.Worker = v.route, v.address, v.local
	}
	return i
}

// Relays lists the registrations by name.
func (b *Background) Relays() []RelayInfo {
	all := b.list("relay")
	infos := make([]RelayInfo, len(all))
	for i, r := range all {
		infos[i] = relayInfo(r)
	}
	return infos
}

// Relay returns the registration of that name, or ErrNotFound.
func (b *Background) Relay(name string) (RelayInfo, error) {
	r := b.find(relayKey(name))
	if r == nil {
		return RelayInfo{}, fmt.Errorf("%w: relay %s", ErrNotFound, name)
	}
	return relayInfo(r), nil
}

// DeleteRelay ends a registration, with the connection that it was made over.
func (b *Background) DeleteRelay(name string) error {
	return b.remove(relayKey(name), state.KindRelay)
}
