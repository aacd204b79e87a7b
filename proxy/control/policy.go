package control

import (
	"fmt"
	"slices"

	"ockam/tunnel/wire"
)

// A ResourceType is a kind of what a policy protects.
type ResourceType uint8

// The types; the numbers are those on the wire.
const (
	TCPInlet      ResourceType = 1
	TCPOutlet     ResourceType = 2
	Echoer        ResourceType = 3
	KafkaConsumer ResourceType = 4
	KafkaProducer ResourceType = 5
	Relay         ResourceType = 6
	Lessor        ResourceType = 7
)

var resourceTypes = []string{
	"", "tcp-inlet", "tcp-outlet", "echoer", "kafka-consumer", "kafka-producer", "relay", "lessor",
}

// String returns the name of the type.
func (t ResourceType) String() string {
	if int(t) >= len(resourceTypes) {
		return ""
	}
	return resourceTypes[t]
}

// ParseResourceType reads the name of a type and reports whether it is one.
func ParseResourceType(s string) (ResourceType, bool) {
	i := slices.Index(resourceTypes, s)
	return ResourceType(max(i, 0)), i > 0
}

// An Action is what a policy allows.
type Action uint8

// HandleMessage is the only action there is.
const HandleMessage Action = 1

// String returns the name of the action, as in the path of a request.
func (a Action) String() string {
	if a != HandleMessage {
		return ""
	}
	return "handle_message"
}

// ResourceTypeOrName says what a policy protects: the resource called Name, or,
// if that is empty, all of a type.
type ResourceTypeOrName struct {
	Type ResourceType
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
	kind := tuple(index(1, &v.Type, TCPInlet, Lessor))
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

// SetPolicy is the request of POST /policy/{action}.
type SetPolicy struct {
	Resource   ResourceTypeOrName // 1
	Expression PolicyExpression   // 2
}

func (v *SetPolicy) layout() layout { return record(body(1, &v.Resource), body(2, &v.Expression)) }

// Policy answers GET /policy/{action}.
type Policy struct {
	Resource   ResourceTypeOrName // 1
	Action     Action             // 2
	Expression Expr               // 3
}

func (v *Policy) layout() layout {
	return record(body(1, &v.Resource), action(2, &v.Action), body(3, &v.Expression))
}

func action(key uint64, p *Action) field { return index(key, p, HandleMessage, HandleMessage) }

// PoliciesList answers GET /policy.
type PoliciesList struct {
	Resources []ResourcePolicy     // 1
	Types     []ResourceTypePolicy // 2
}

func (v *PoliciesList) layout() layout { return record(list(1, &v.Resources), list(2, &v.Types)) }

// ResourcePolicy protects one resource.
type ResourcePolicy struct {
	Resource   string // 1
	Action     Action // 2
	Expression Expr   // 3
}

func (v *ResourcePolicy) layout() layout {
	return record(text(1, &v.Resource), action(2, &v.Action), body(3, &v.Expression))
}

// ResourceTypePolicy protects all resources of a type that have no policy of
// their own.
type ResourceTypePolicy struct {
	Type       ResourceType // 1
	Action     Action       // 2
	Expression Expr         // 3
}

func (v *ResourceTypePolicy) layout() layout {
	return record(index(1, &v.Type, TCPInlet, Lessor), action(2, &v.Action), body(3, &v.Expression))
}

// optResource is a resource or a null: all of them.
type optResource struct{ resource *ResourceTypeOrName }

func (v *optResource) layout() layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.resource == nil {
				return append(b, cborNull), nil
			}
			return Append(b, v.resource)
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

// PolicyExpression is a policy as a user wrote it: in full, or as a boolean
// expression of attribute names, which the node expands. One of the two is set.
type PolicyExpression struct {
	Full    Expr
	Boolean BooleanExpr
}

func (v *PolicyExpression) layout() layout {
	full, boolean := tuple(body(0, &v.Full)), tuple(body(0, &v.Boolean))
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.Boolean != nil {
				return appendVariant(b, 1, boolean)
			}
			return appendVariant(b, 0, full)
		},
		parse: func(d *decoder) error {
			n, err := d.variant()
			*v = PolicyExpression{}
			switch {
			case err != nil:
				return err
			case n == 0:
				return full.parse(d)
			case n == 1:
				return boolean.parse(d)
			default:
				return fmt.Errorf("%w: no form %d of policy", ErrMalformed, n)
			}
		},
	}
}

// An Expr is a full expression, and a BooleanExpr a boolean one, in their
// encoding: well-formed and in shortest form when they were parsed, but not
// checked for what they mean. Package tunnel/policy reads and makes them.
type (
	Expr        []byte
	BooleanExpr []byte
)

func (v *Expr) layout() layout { return encoded((*[]byte)(v), exprVariant) }

func (v *BooleanExpr) layout() layout { return encoded((*[]byte)(v), booleanVariant) }

// maxExprDepth bounds the nesting of expressions.
const maxExprDepth = 128

// A variantFunc copies the field or fields of a variant from d to b.
type variantFunc func(d *decoder, b []byte, variant uint64, depth int) ([]byte, error)

func encoded(p *[]byte, v variantFunc) layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			if len(*p) == 0 {
				return nil, fmt.Errorf("%w: no expression", ErrMalformed)
			}
			return append(b, *p...), nil
		},
		parse: func(d *decoder) (err error) {
			*p, err = copyExpr(d, nil, v, maxExprDepth)
			return err
		},
	}
}

// copyExpr copies an expression from d to b in shortest form.
func copyExpr(d *decoder, b []byte, v variantFunc, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: expression nested too deep", ErrMalformed)
	}
	n, err := d.variant()
	if err != nil {
		return nil, err
	}
	return v(d, wire.AppendUint(append(b, majorArray<<5|2), n), n, depth-1)
}

// exprVariant knows 1 text, 2 integer, 3 float, 4 boolean, 5 identifier,
// 6 sequence and 7 list.
func exprVariant(d *decoder, b []byte, variant uint64, depth int) ([]byte, error) {
	switch variant {
	case 1, 5:
		return copyField(d, b, appendText, (*decoder).text)
	case 2:
		return copyField(d, b, appendInt, (*decoder).int)
	case 3:
		return copyField(d, b, appendFloat, (*decoder).float)
	case 4:
		return copyField(d, b, appendBool, (*decoder).bool)
	case 6, 7:
		return copyFields(d, b, 1, func(b []byte) ([]byte, error) {
			return copyList(d, b, depth)
		})
	default:
		return nil, fmt.Errorf("%w: no kind %d of expression", ErrMalformed, variant)
	}
}

// booleanVariant knows 0 name, 1 or, 2 and, 3 not and 4 empty.
func booleanVariant(d *decoder, b []byte, variant uint64, depth int) ([]byte, error) {
	operands := 0
	switch variant {
	case 0:
		return copyField(d, b, appendText, (*decoder).text)
	case 1, 2:
		operands = 2
	case 3:
		operands = 1
	case 4:
	default:
		return nil, fmt.Errorf("%w: no kind %d of boolean expression", ErrMalformed, variant)
	}
	return copyFields(d, b, operands, func(b []byte) ([]byte, error) {
		return copyExpr(d, b, booleanVariant, depth)
	})
}

// copyField copies the only field of a variant.
func copyField[T any](d *decoder, b []byte, app func([]byte, T) []byte, parse func(*decoder) (T, error)) ([]byte, error) {
	return copyFields(d, b, 1, func(b []byte) ([]byte, error) {
		v, err := parse(d)
		return app(b, v), err
	})
}

// copyFields copies the n fields of a variant and skips others.
func copyFields(d *decoder, b []byte, n int, one func(b []byte) ([]byte, error)) ([]byte, error) {
	b = append(b, majorArray<<5|byte(n))
	i := 0
	err := d.each(majorArray, func() (err error) {
		if i++; i > n {
			return d.skip()
		}
		b, err = one(b)
		return err
	})
	if err == nil && i < n {
		err = ErrMissing
	}
	return b, err
}

// copyList copies an array of expressions; its length may be known only at its
// end.
func copyList(d *decoder, b []byte, depth int) ([]byte, error) {
	var elements []byte
	n := uint64(0)
	err := d.each(majorArray, func() (err error) {
		elements, err = copyExpr(d, elements, exprVariant, depth)
		n++
		return err
	})
	return append(appendHead(b, majorArray, n), elements...), err
}
