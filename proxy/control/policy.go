package control

import (
	"fmt"

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

// layout is a plain enum of 1 type and 2 name. Their field has the index 1: a
// null stands before it, which must be there.
func (v *ResourceTypeOrName) layout() layout {
	kind := tuple(resourceType(1, &v.Type))
	name := tuple(text(1, &v.Name))
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.Name != "" {
				return appendVariant(b, 2, name)
			}
			return appendVariant(b, 1, kind)
		},
		parse: func(d *decoder) error {
			n, err := d.variant()
			*v = ResourceTypeOrName{}
			switch {
			case err != nil:
				return err
			case n == 1:
				return kind.parse(d)
			case n == 2:
				return name.parse(d)
			default:
				return fmt.Errorf("%w: no kind %d of resource", ErrMalformed, n)
			}
		},
	}
}

func resourceType(key uint64, p *policy.ResourceType) field {
	return index(key, p, policy.TCPInlet, policy.Lessor)
}

func action(key uint64, p *policy.Action) field {
	return index(key, p, policy.HandleMessage, policy.HandleMessage)
}

// SetPolicy is the request of POST /policy/{action}.
type SetPolicy struct {
	Resource   ResourceTypeOrName // 1
	Expression PolicyExpression   // 2
}

func (v *SetPolicy) layout() layout { return record(body(1, &v.Resource), body(2, &v.Expression)) }

// Policy answers GET /policy/{action}.
type Policy struct {
	Resource   ResourceTypeOrName // 1
	Action     policy.Action      // 2
	Expression policy.Expr        // 3
}

func (v *Policy) layout() layout {
	return record(body(1, &v.Resource), action(2, &v.Action), expression(3, &v.Expression))
}

// PoliciesList answers GET /policy.
type PoliciesList struct {
	Resources []ResourcePolicy     // 1
	Types     []ResourceTypePolicy // 2
}

func (v *PoliciesList) layout() layout { return record(list(1, &v.Resources), list(2, &v.Types)) }

// ResourcePolicy protects one resource.
type ResourcePolicy struct {
	Resource   string        // 1
	Action     policy.Action // 2
	Expression policy.Expr   // 3
}

func (v *ResourcePolicy) layout() layout {
	return record(text(1, &v.Resource), action(2, &v.Action), expression(3, &v.Expression))
}

// ResourceTypePolicy protects all resources of a type that have no policy of
// their own.
type ResourceTypePolicy struct {
	Type       policy.ResourceType // 1
	Action     policy.Action       // 2
	Expression policy.Expr         // 3
}

func (v *ResourceTypePolicy) layout() layout {
	return record(resourceType(1, &v.Type), action(2, &v.Action), expression(3, &v.Expression))
}

// optResource is a resource or a null: all of them.
type optResource struct{ resource *ResourceTypeOrName }

func (v *optResource) layout() layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.resource == nil {
				return append(b, cborNull), nil
			}
			return v.resource.layout().append(b)
		},
		parse: func(d *decoder) error {
			if d.null() {
				return nil
			}
			v.resource = new(ResourceTypeOrName)
			return v.resource.layout().parse(d)
		},
	}
}
