package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/policy"
)

// A Resource is what a policy is for: one resource by its name, or all of a
// type if the name is empty.
type Resource struct {
	Type policy.ResourceType
	Name string
}

func (r Resource) stored() state.Policy {
	p := state.Policy{Resource: r.Name, Action: policy.HandleMessage.String()}
	if r.Name == "" {
		p.Resource, p.OfType = r.Type.String(), true
	}
	return p
}

// ResourcePolicy is a policy with what it is for.
type ResourcePolicy struct {
	Resource
	Expr policy.Expr
}

// SetPolicy stores a policy. Those of inlets and outlets that were made with one,
// and with an authority all, decide on every stream that is opened, and, within
// recheckInterval, on those that are open.
func (b *Background) SetPolicy(ctx context.Context, p ResourcePolicy) error {
	if err := p.Expr.Valid(); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	s := p.stored()
	s.Expression = p.Expr.String()
	return b.store.PutPolicy(ctx, b.opt.Name, s)
}

// Policy returns the stored policy of a resource or type, or ErrNotFound.
func (b *Background) Policy(ctx context.Context, r Resource) (ResourcePolicy, error) {
	text, err := b.store.Policy(ctx, b.opt.Name, r.stored())
	if errors.Is(err, state.ErrNotFound) {
		return ResourcePolicy{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	} else if err != nil {
		return ResourcePolicy{}, err
	}
	e, err := policy.ParseExpr(text)
	return ResourcePolicy{Resource: r, Expr: e}, err
}

// Policies lists the stored policies, those of named resources first.
func (b *Background) Policies(ctx context.Context) ([]ResourcePolicy, error) {
	stored, err := b.store.Policies(ctx, b.opt.Name)
	if err != nil {
		return nil, err
	}
	var all []ResourcePolicy
	for _, s := range stored {
		p := ResourcePolicy{Resource: Resource{Name: s.Resource}}
		if s.OfType {
			if p.Type, err = policy.ParseResourceType(s.Resource); err != nil {
				return nil, err
			}
			p.Name = ""
		}
		if p.Expr, err = policy.ParseExpr(s.Expression); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// DeletePolicy deletes the policy of a resource or type, if there is one.
func (b *Background) DeletePolicy(ctx context.Context, r Resource) error {
	err := b.store.DeletePolicy(ctx, b.opt.Name, r.stored())
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}

// defaultPolicies gives every type of resource that has no policy the default
// one.
func (b *Background) defaultPolicies(ctx context.Context) error {
	var all []state.Policy
	for _, t := range policy.ResourceTypes() {
		p := Resource{Type: t}.stored()
		p.Expression = policy.Default().String()
		all = append(all, p)
	}
	return b.store.PutDefaultPolicies(ctx, b.opt.Name, all)
}

// guard decides by the policy of a resource, or else of its type, as they are
// stored then, on who is at the far end. Without either, nobody passes.
func (b *Background) guard(r Resource) func(*tunnel.Origin) error {
	return func(o *tunnel.Origin) error {
		if o == nil || o.Peer == "" {
			return fmt.Errorf("%w: %v %s has a policy, and nobody proved an identity", policy.ErrDenied, r.Type, r.Name)
		}
		p, err := b.Policy(b.n.life, r)
		if errors.Is(err, ErrNotFound) {
			p, err = b.Policy(b.n.life, Resource{Type: r.Type})
		}
		if err != nil {
			return fmt.Errorf("node: the policy of %v %s: %w", r.Type, r.Name, err)
		}
		request := &policy.Request{Resource: r.Name, Action: policy.HandleMessage}
		if err := b.subject(request, o); err != nil {
			return err
		}
		return p.Expr.Check(request)
	}
}

// A guard decides on a stream over the origin of a channel. When it would decide
// otherwise later, while the stream may still be open, it calls cut, which ends the
// channel.
type guard func(o *tunnel.Origin, cut func()) error

// recheckInterval is how often it is looked whether those whose streams are open
// would still be admitted: credentials expire, and policies change.
const recheckInterval = time.Second

// lasting returns the guard of a resource.
func (b *Background) lasting(r Resource) guard {
	check := b.guard(r)
	return func(o *tunnel.Origin, cut func()) error {
		if err := check(o); err != nil {
			return err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.admitted == nil && !b.closed {
			b.admitted = make(map[admission]func())
			b.n.wg.Go(b.recheck)
		}
		if b.admitted != nil {
			b.admitted[admission{r, o}] = cut
		}
		return nil
	}
}

// hangUp ends a channel, whoever opened it.
func (b *Background) hangUp(o *tunnel.Origin) {
	b.n.hangUp(o)
	var ways []*way
	b.mu.Lock()
	for _, c := range b.channels {
		if c.way.path.Origin() == o {
			ways = append(ways, c.way)
		}
	}
	b.mu.Unlock()
	for _, w := range ways {
		w.cut()
	}
}

// An admission is that streams of a resource may run over a channel.
type admission struct {
	Resource
	origin *tunnel.Origin
}

// recheck ends the channels of those who would not be admitted any more, as long
// as the node lives. A stream that is reset tells its peer that it has ended,
// which would look like all there is; one whose channel ends is reset at both ends.
// What else the channel carries is lost as well, also where the peer was admitted
// to the resource earlier and uses another one now.
func (b *Background) recheck() {
	for tunnel.Sleep(b.n.life, recheckInterval) {
		b.mu.Lock()
		all := maps.Clone(b.admitted)
		b.mu.Unlock()
		for a, cut := range all {
			if a.origin.Err() != nil {
				b.mu.Lock()
				delete(b.admitted, a)
				b.mu.Unlock()
				continue
			}
			if a.origin.Dependents() == 0 {
				continue
			}
			if err := b.guard(a.Resource)(a.origin); err != nil {
				b.n.log.Warn("not admitted any more", zap.String("node", b.opt.Name), zap.Stringer("kind", a.Type),
					zap.String("name", a.Name), zap.String("peer", a.origin.Peer), zap.Error(err))
				cut()
			}
		}
	}
}

// protect stores the policy that a resource is given when it is made. Undo puts
// back what there was, if the resource cannot be made.
func (b *Background) protect(ctx context.Context, r Resource, e *policy.Expr) (undo func() error, err error) {
	if e == nil {
		return func() error { return nil }, nil
	}
	if b.opt.InMemory {
		return nil, fmt.Errorf("%w: a policy in a node that stores nothing", ErrBadRequest)
	}
	before, err := b.Policy(ctx, r)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	undo = func() error { return b.SetPolicy(ctx, before) }
	if err != nil {
		undo = func() error { return b.DeletePolicy(ctx, r) }
	}
	return undo, b.SetPolicy(ctx, ResourcePolicy{r, *e})
}
