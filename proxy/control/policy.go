package control

import (
	"fmt"

	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

// ResourceTypeOrName says what a policy protects: the resource called Name, or,
// if that is empty, all of a type.
type ResourceTypeOrName struct {
	Type policy.ResourceType
	Name string
}

// String returns the name of the resource or type.
func (v *ResourceTypeOrName) String() string {
	if v.Name != "" {
		return v.Name
	}
	return v.Type.String()
}

// Layout is a plain enum of 1 type and 2 name. Their field has the index 1: a
// null stands before it, which must be there.
func (v *ResourceTypeOrName) Layout() api.Layout {
	kind := api.Tuple(resourceType(1, &v.Type))
	name := api.Tuple(api.Text(1, &v.Name))
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			if v.Name != "" {
				return api.AppendVariant(b, 2, name)
			}
			return api.AppendVariant(b, 1, kind)
		},
		Parse: func(d *api.Decoder) error {
			n, err := d.Variant()
			*v = ResourceTypeOrName{}
			switch {
			case err != nil:
				return err
			case n == 1:
				return kind.Parse(d)
			case n == 2:
				return name.Parse(d)
			default:
				return fmt.Errorf("%w: no kind %d of resource", api.ErrMalformed, n)
			}
		},
	}
}

func resourceType(key uint64, p *policy.ResourceType) api.Field {
	return api.Index(key, p, policy.TCPInlet, policy.Lessor)
}

func action(key uint64, p *policy.Action) api.Field {
	return api.Index(key, p, policy.HandleMessage, policy.HandleMessage)
}

// SetPolicy is the request of POST /policy/{action}.
type SetPolicy struct {
	Resource   ResourceTypeOrName // 1
	Expression PolicyExpression   // 2
}

// Layout lays the fields out; see api.Body.
func (v *SetPolicy) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Resource), api.Sub(2, &v.Expression))
}

// Policy answers GET /policy/{action}.
type Policy struct {
	Resource   ResourceTypeOrName // 1
	Action     policy.Action      // 2
	Expression policy.Expr        // 3
}

// Layout lays the fields out; see api.Body.
func (v *Policy) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Resource), action(2, &v.Action), expression(3, &v.Expression))
}

// PoliciesList answers GET /policy.
type PoliciesList struct {
	Resources []ResourcePolicy     // 1
	Types     []ResourceTypePolicy // 2
}

// Layout lays the fields out; see api.Body.
func (v *PoliciesList) Layout() api.Layout {
	return api.Record(api.List(1, &v.Resources), api.List(2, &v.Types))
}

// ResourcePolicy protects one resource.
type ResourcePolicy struct {
	Resource   string        // 1
	Action     policy.Action // 2
	Expression policy.Expr   // 3
}

// Layout lays the fields out; see api.Body.
func (v *ResourcePolicy) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Resource), action(2, &v.Action), expression(3, &v.Expression))
}

// ResourceTypePolicy protects all resources of a type that have no policy of
// their own.
type ResourceTypePolicy struct {
	Type       policy.ResourceType // 1
	Action     policy.Action       // 2
	Expression policy.Expr         // 3
}

// Layout lays the fields out; see api.Body.
func (v *ResourceTypePolicy) Layout() api.Layout {
	return api.Record(resourceType(1, &v.Type), action(2, &v.Action), expression(3, &v.Expression))
}

// optResource is a resource or a null: all of them.
type optResource struct{ resource *ResourceTypeOrName }

// Layout lays the fields out; see api.Body.
func (v *optResource) Layout() api.Layout {
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			if v.resource == nil {
				return api.AppendNull(b), nil
			}
			return v.resource.Layout().Append(b)
		},
		Parse: func(d *api.Decoder) error {
			if d.Null() {
				return nil
			}
			v.resource = new(ResourceTypeOrName)
			return v.resource.Layout().Parse(d)
		},
	}
}
