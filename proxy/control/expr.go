package control

import (
	"fmt"

	"ockam/tunnel/policy"
	"ockam/tunnel/wire"
)

// PolicyExpression is a policy in the form in which a user gave it: in full, or
// as a boolean formula, which the node expands. If Formula is set, it is what
// is sent, and after Parse, Expr is zero.
type PolicyExpression policy.Input

// Policy returns the full expression if it may be stored as a policy.
func (v *PolicyExpression) Policy() (policy.Expr, error) {
	e := v.Expr
	if v.Formula != nil {
		var err error
		if e, err = v.Formula.Expand(); err != nil {
			return policy.Expr{}, err
		}
	}
	return e, e.Valid()
}

// layout is a plain enum of 0 full and 1 boolean.
func (v *PolicyExpression) layout() layout {
	full := tuple(expression(0, &v.Expr))
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.Formula != nil {
				return appendVariant(b, 1, tuple(formula(0, v.Formula)))
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
				v.Formula = new(policy.Formula)
				return tuple(formula(0, v.Formula)).parse(d)
			default:
				return fmt.Errorf("%w: no form %d of policy", ErrMalformed, n)
			}
		},
	}
}

// A trees reads the trees of one expression. It bounds their depth and how many
// there are: a few bytes on the wire are many in memory.
type trees struct{ depth, left int }

func newTrees() *trees { return &trees{left: policy.MaxLength} }

// enter begins a tree; the caller defers leave.
func (t *trees) enter() error {
	t.depth++
	t.left--
	if t.depth > policy.MaxDepth || t.left < 0 {
		return fmt.Errorf("%w: expression too large", ErrMalformed)
	}
	return nil
}

func (t *trees) leave() { t.depth-- }

// expression is a full expression. What it means is not looked at.
func expression(key uint64, p *policy.Expr) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) { return appendExpr(b, p) },
		parse:  func(d *decoder) error { return newTrees().expr(d, p) },
	}}
}

// exprFields are the fields of an expression of the kind e.Kind: one.
func (t *trees) exprFields(e *policy.Expr) (layout, error) {
	switch e.Kind {
	case policy.String, policy.Ident:
		return tuple(text(0, &e.Text)), nil
	case policy.Int:
		return tuple(simple(0, &e.Int, appendInt, (*decoder).int)), nil
	case policy.Float:
		return tuple(simple(0, &e.Float, appendFloat, (*decoder).float)), nil
	case policy.Bool:
		return tuple(boolean(0, &e.Bool)), nil
	case policy.Seq, policy.List:
		return tuple(field{layout: layout{
			append: func(b []byte) ([]byte, error) { return appendEach(b, e.Items, appendExpr) },
			parse:  func(d *decoder) error { return parseEach(d, &e.Items, t.expr) },
		}}), nil
	default:
		return layout{}, fmt.Errorf("%w: no kind %d of expression", ErrMalformed, e.Kind)
	}
}

func appendExpr(b []byte, e *policy.Expr) ([]byte, error) {
	fields, err := (*trees)(nil).exprFields(e)
	if err != nil {
		return nil, err
	}
	return appendVariant(b, uint64(e.Kind), fields)
}

func (t *trees) expr(d *decoder, e *policy.Expr) error {
	defer t.leave()
	if err := t.enter(); err != nil {
		return err
	}
	n, err := d.variant()
	if err != nil {
		return err
	}
	if n > uint64(policy.List) {
		return fmt.Errorf("%w: no kind %d of expression", ErrMalformed, n)
	}
	e.Kind = policy.Kind(n)
	fields, err := t.exprFields(e)
	if err != nil {
		return err
	}
	return fields.parse(d)
}

// formula is a boolean formula.
func formula(key uint64, p *policy.Formula) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) { return appendFormula(b, p) },
		parse:  func(d *decoder) error { return newTrees().formula(d, p) },
	}}
}

// operands returns how many formulas a formula of a kind has.
func operands(k policy.FormulaKind) (int, error) {
	switch k {
	case policy.FormulaName, policy.FormulaEmpty:
		return 0, nil
	case policy.FormulaNot:
		return 1, nil
	case policy.FormulaOr, policy.FormulaAnd:
		return 2, nil
	default:
		return 0, fmt.Errorf("%w: no kind %d of boolean expression", ErrMalformed, k)
	}
}

func appendFormula(b []byte, f *policy.Formula) ([]byte, error) {
	n, err := operands(f.Kind)
	if err != nil {
		return nil, err
	}
	if n != len(f.Args) {
		return nil, fmt.Errorf("%w: boolean expression with %d operands", ErrMalformed, len(f.Args))
	}
	b = wire.AppendUint(append(b, majorArray<<5|2), uint64(f.Kind))
	if f.Kind == policy.FormulaName {
		return appendText(append(b, majorArray<<5|1), f.Name), nil
	}
	return appendEach(b, f.Args, appendFormula)
}

func (t *trees) formula(d *decoder, f *policy.Formula) error {
	defer t.leave()
	if err := t.enter(); err != nil {
		return err
	}
	kind, err := d.variant()
	if err != nil {
		return err
	}
	if kind > uint64(policy.FormulaEmpty) {
		return fmt.Errorf("%w: no kind %d of boolean expression", ErrMalformed, kind)
	}
	f.Kind = policy.FormulaKind(kind)
	if f.Kind == policy.FormulaName {
		return tuple(text(0, &f.Name)).parse(d)
	}
	n, err := operands(f.Kind)
	if err != nil {
		return err
	}
	if n > 0 {
		f.Args = make([]policy.Formula, n)
	}
	fields := make([]field, n)
	for i := range fields {
		fields[i] = field{key: uint64(i), layout: layout{
			parse: func(d *decoder) error { return t.formula(d, &f.Args[i]) },
		}}
	}
	return tuple(fields...).parse(d)
}
