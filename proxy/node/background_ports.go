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
	"ockam/tunnel/policy"
	"ockam/tunnel/secure"
)

// relayWait is how long the creation of a relay waits for the registration.
const relayWait = 30 * time.Second

// InletOptions are what an inlet is made from, and what is stored of it.
type InletOptions struct {
	Alias string         `json:"alias"`
	From  string         `json:"from"` // host:port where applications connect
	To    multiaddr.Addr `json:"to"`   // the outlet
	// Authorized is who must be at the far end; zero: anyone.
	Authorized identity.Identifier `json:"authorized,omitzero"`
	// Channel is the stored identity that channels on the way are made with;
	// zero: the node's.
	Channel identity.Identifier `json:"channel,omitzero"`
	// Guarded says that the policy of the inlet, or else of its type, decides on
	// who is at the far end, for each stream. Policy, if not nil, is stored as
	// that of the inlet, and makes it guarded.
	Guarded bool         `json:"guarded,omitempty"`
	Policy  *policy.Expr `json:"-"`
	// UDP says that connections take a path over UDP once there is one; with
	// UDPOnly they take no other.
	UDP     bool `json:"udp,omitempty"`
	UDPOnly bool `json:"udp_only,omitempty"`
	// Certificates is where a certificate is asked for, for applications to be
	// spoken to with TLS; nil: they are not.
	Certificates multiaddr.Addr `json:"certificates,omitempty"`
	// Wait is how long the creation waits for the far end; 0: not at all.
	Wait time.Duration `json:"-"`
}

// InletInfo tells about an inlet.
type InletInfo struct {
	InletOptions
	Bind   string       // ip:port where it listens
	Worker string       // what stands for its worker
	Up     bool         // the far end can be reached
	Route  tunnel.Route // to the outlet, while Up
}

func inletKey(alias string) key { return key{"tcp_inlet", alias} }

// An inletResource is what an inlet's resource keeps as its specification.
type inletResource struct {
	inletSpec
	options InletOptions
}

// CreateInlet makes an inlet. That its outlet is not reachable is no error: the
// way is tried again and again.
func (b *Background) CreateInlet(ctx context.Context, o InletOptions) (InletInfo, error) {
	if o.Alias == "" {
		return InletInfo{}, fmt.Errorf("%w: an inlet needs an alias", ErrBadRequest)
	}
	channels, err := b.channelConfigOf(ctx, o.Channel)
	if err != nil {
		return InletInfo{}, err
	}
	hops, err := o.To.Hops()
	if err != nil || len(hops) == 0 {
		return InletInfo{}, errors.Join(fmt.Errorf("%w: the inlet leads nowhere", ErrBadRequest), err)
	}
	extras := inletExtras{channels: channels, udp: o.UDP, udpOnly: o.UDPOnly}
	if o.UDP && b.n.rendezvous == "" {
		return InletInfo{}, fmt.Errorf("%w: the node runs without UDP; create it with --udp", ErrBadRequest)
	}
	if extras.certificates, err = o.Certificates.Hops(); err != nil {
		return InletInfo{}, fmt.Errorf("%w: whom to ask for a certificate: %w", ErrBadRequest, err)
	}
	what := Resource{policy.TCPInlet, o.Alias}
	o.Guarded = o.Guarded || o.Policy != nil
	extras.warden = b.warden(what, o.Guarded)
	stored := new(state.Resource)
	r, err := b.add(inletKey(o.Alias), stored, func() (*resource, error) {
		undo, err := b.protect(ctx, what, o.Policy)
		if err != nil {
			return nil, err
		}
		spec := inletSpec{Name: o.Alias, From: config.Socket{Network: "tcp", Address: o.From}, To: o.To.String(), Allow: onlyTo(o.Authorized)}
		r, err := b.n.startInletWith(spec, &config.TCPInlet{Name: o.Alias, From: spec.From, To: o.To}, extras)
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		o.From = r.view.(*listening).addr // the same port after a restart
		r.spec = inletResource{spec, o}
		*stored, err = state.NewResource(state.KindTCPInlet, o.Alias, o)
		return r, err
	})
	if err != nil {
		return InletInfo{}, err
	}
	if o.Wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, o.Wait)
		_, _ = r.view.(*listening).ways.wait(ctx) // the answer says whether there is one
		cancel()
	}
	return inletInfo(r), nil
}

func inletInfo(r *resource) InletInfo {
	s, v := r.spec.(inletResource), r.view.(*listening)
	i := InletInfo{InletOptions: s.options, Bind: v.addr, Worker: v.flow}
	if w := v.ways.get(); w != nil {
		i.Up, i.Route = true, tunnel.NewRoute(originAddress(w.path.Origin())).Join(w.rest)
	}
	return i
}

// Inlets lists the inlets by alias.
func (b *Background) Inlets() []InletInfo {
	all := b.list("tcp_inlet")
	infos := make([]InletInfo, len(all))
	for i, r := range all {
		infos[i] = inletInfo(r)
	}
	return infos
}

// Inlet returns the inlet of that alias, or ErrNotFound.
func (b *Background) Inlet(alias string) (InletInfo, error) {
	r := b.find(inletKey(alias))
	if r == nil {
		return InletInfo{}, fmt.Errorf("%w: tcp inlet %s", ErrNotFound, alias)
	}
	return inletInfo(r), nil
}

// DeleteInlet ends an inlet and resets its connections. It returns what the
// inlet was.
func (b *Background) DeleteInlet(alias string) (InletInfo, error) {
	i, err := b.Inlet(alias)
	if err != nil {
		return InletInfo{}, err
	}
	i.Up, i.Worker, i.Route = false, "", tunnel.Route{}
	if err := b.remove(inletKey(alias), state.KindTCPInlet); err != nil {
		return i, err
	}
	return i, b.DeletePolicy(b.n.life, Resource{policy.TCPInlet, alias})
}

// OutletOptions are what an outlet is made from, and what is stored of it.
type OutletOptions struct {
	Address string `json:"address"` // empty: "outlet" if free, else a random one
	To      string `json:"to"`      // host:port
	TLS     bool   `json:"tls,omitempty"`
	// Outside: it cannot be reached through the node's channels.
	Outside bool `json:"outside,omitempty"`
	// Guarded and Policy are as those of an inlet, for who asks for a stream.
	Guarded bool         `json:"guarded,omitempty"`
	Policy  *policy.Expr `json:"-"`
}

// CreateOutlet makes an outlet for everybody.
func (b *Background) CreateOutlet(ctx context.Context, o OutletOptions) (OutletOptions, error) {
	if o.Address == "" {
		o.Address = "outlet"
		made, err := b.createOutlet(ctx, o)
		if !errors.Is(err, ErrExists) {
			return made, err
		}
		o.Address = tunnel.RandomAddress().Name
	}
	return b.createOutlet(ctx, o)
}

func (b *Background) createOutlet(ctx context.Context, o OutletOptions) (OutletOptions, error) {
	what := Resource{policy.TCPOutlet, o.Address}
	o.Guarded = o.Guarded || o.Policy != nil
	stored, err := state.NewResource(state.KindTCPOutlet, o.Address, o)
	if err != nil {
		return o, err
	}
	_, err = b.add(outletKey(o.Address), &stored, func() (*resource, error) {
		undo, err := b.protect(ctx, what, o.Policy)
		if err != nil {
			return nil, err
		}
		spec := outletSpec{
			Name: o.Address, To: config.Socket{Network: "tcp", Address: o.To},
			Allow: config.AllowList{Anyone: true}, TLS: o.TLS, Outside: o.Outside,
		}
		r, err := b.n.startOutletWith(spec, &config.TCPOutlet{Name: o.Address, To: spec.To}, b.warden(what, o.Guarded))
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		r.view = o
		return r, nil
	})
	return o, err
}

// Outlets lists the outlets by address.
func (b *Background) Outlets() []OutletOptions {
	all := b.list(outletKey("").kind)
	infos := make([]OutletOptions, len(all))
	for i, r := range all {
		infos[i] = r.view.(OutletOptions)
	}
	return infos
}

// Outlet returns the outlet at an address, or ErrNotFound.
func (b *Background) Outlet(address string) (OutletOptions, error) {
	r := b.find(outletKey(address))
	if r == nil {
		return OutletOptions{}, fmt.Errorf("%w: tcp outlet %s", ErrNotFound, address)
	}
	return r.view.(OutletOptions), nil
}

// DeleteOutlet ends an outlet and resets its connections. It returns what the
// outlet was.
func (b *Background) DeleteOutlet(address string) (OutletOptions, error) {
	o, err := b.Outlet(address)
	if err != nil {
		return o, err
	}
	if err := b.remove(outletKey(address), state.KindTCPOutlet); err != nil {
		return o, err
	}
	return o, b.DeletePolicy(b.n.life, Resource{policy.TCPOutlet, address})
}

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

// onlyTo is the list of one identity, or of everybody if it is zero.
func onlyTo(id identity.Identifier) config.AllowList {
	if id.IsZero() {
		return config.AllowList{Anyone: true}
	}
	return config.AllowList{Identifiers: []string{id.String()}}
}

// channelConfigOf is what channels are made with in the name of a stored
// identity; nil for the zero identifier and the node's own.
func (b *Background) channelConfigOf(ctx context.Context, id identity.Identifier) (*secure.Config, error) {
	if id.IsZero() || id == b.Identifier() {
		return nil, nil
	}
	all, err := b.store.Identities(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Identifier == id {
			return b.channelConfig(ctx, n.Name)
		}
	}
	return nil, fmt.Errorf("%w: there is no stored identity %v", ErrNotFound, id)
}

// channelConfig is what channels are made with in the name of a stored
// identity, of the node's own if the name is empty.
func (b *Background) channelConfig(ctx context.Context, name string) (*secure.Config, error) {
	peers := b.n.channels
	cfg := &secure.Config{
		Router: peers.Router, Identity: peers.Identity, Histories: peers.Histories, Attributes: peers.Attributes, Ordered: true,
		Authorities: peers.Authorities, Credential: peers.Credential, Disbelieved: peers.Disbelieved,
	}
	if name == "" {
		return cfg, nil
	}
	id, err := b.store.Identity(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no identity %q", ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	cfg.Identity, cfg.Credential = id, b.presents(id)
	return cfg, nil
}
