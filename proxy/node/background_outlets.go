package node

import (
	"context"
	"errors"
	"fmt"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/policy"
)

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
