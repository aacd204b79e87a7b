package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
)

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

// onlyTo is the list of one identity, or of everybody if it is zero.
func onlyTo(id identity.Identifier) config.AllowList {
	if id.IsZero() {
		return config.AllowList{Anyone: true}
	}
	return config.AllowList{Identifiers: []string{id.String()}}
}
