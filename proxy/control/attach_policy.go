package control

import (
	"context"
	"fmt"

	"ockam/proxy/node"
	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

func (v *ResourceTypeOrName) resource() node.Resource {
	return node.Resource{Type: v.Type, Name: v.Name}
}

// Policies lists policies.
func (a *attached) Policies(ctx context.Context, r *ResourceTypeOrName) (PoliciesList, error) {
	all, err := a.b.Policies(ctx)
	if err != nil {
		return PoliciesList{}, translated(err)
	}
	var l PoliciesList
	for _, p := range all {
		switch {
		case r != nil && p.Resource != r.resource():
		case p.Name != "":
			l.Resources = append(l.Resources, ResourcePolicy{Resource: p.Name, Action: policy.HandleMessage, Expression: p.Expr})
		default:
			l.Types = append(l.Types, ResourceTypePolicy{Type: p.Type, Action: policy.HandleMessage, Expression: p.Expr})
		}
	}
	return l, nil
}

// Policy tells the policy of a resource or type.
func (a *attached) Policy(ctx context.Context, r ResourceTypeOrName) (Policy, error) {
	p, err := a.b.Policy(ctx, r.resource())
	return Policy{Resource: r, Action: policy.HandleMessage, Expression: p.Expr}, translated(err)
}

// SetPolicy stores a policy.
func (a *attached) SetPolicy(ctx context.Context, p SetPolicy) error {
	e, err := p.Expression.Policy()
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrBadRequest, err)
	}
	return translated(a.b.SetPolicy(ctx, node.ResourcePolicy{Resource: p.Resource.resource(), Expr: e}))
}

// DeletePolicy deletes the policy of a resource or type, if there is one.
func (a *attached) DeletePolicy(ctx context.Context, r ResourceTypeOrName) error {
	return translated(a.b.DeletePolicy(ctx, r.resource()))
}

var _ PolicyNode = (*attached)(nil)
