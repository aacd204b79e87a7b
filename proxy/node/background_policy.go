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

// ruleNow returns what decides on a guarded resource: its policy, or else that of
// its type. Without either, nobody passes.
func (b *Background) ruleNow(ctx context.Context, r Resource) (Rule, error) {
	for _, of := range []Resource{r, {Type: r.Type}} {
		p, err := b.Policy(ctx, of)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return Rule{}, err
		}
		rule := Rule{OwnRule, config.AllowList{Policy: &config.Policy{Text: p.Expr.String(), Expr: p.Expr}}, "the policy of " + of.stored().Resource}
		if of.Name == "" {
			rule.Source = TypeRule
		}
		return rule, nil
	}
	return Rule{Source: NoRule, At: fmt.Sprintf("neither %s nor its type has a policy", r.Name)}, nil
}

// storedRule returns the rule of a resource, as it is then. One that is not guarded
// is open to everybody.
func (b *Background) storedRule(r Resource, guarded bool) func() (Rule, error) {
	if !guarded {
		free := Rule{NoRule, config.AllowList{Anyone: true}, "it was made without a policy, and the node believes no authority"}
		return func() (Rule, error) { return free, nil }
	}
	return func() (Rule, error) { return b.ruleNow(b.n.life, r) }
}

// warden returns what decides on who uses a resource. It is guarded if it was made
// with a policy, and with an authority in any case.
func (b *Background) warden(r Resource, guarded bool) *warden {
	return &warden{node: b.n, of: r, rule: b.storedRule(r, guarded || b.guards())}
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
