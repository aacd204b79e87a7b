package control

import (
	"fmt"

	"ockam/tunnel/api"
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

// Layout is a plain enum of 0 full and 1 boolean.
func (v *PolicyExpression) Layout() api.Layout {
	full := api.Tuple(expression(0, &v.Expr))
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			if v.Formula != nil {
				return api.AppendVariant(b, 1, api.Tuple(formula(0, v.Formula)))
			}
			return api.AppendVariant(b, 0, full)
		},
		Parse: func(d *api.Decoder) error {
			n, err := d.Variant()
			*v = PolicyExpression{}
			switch {
			case err != nil:
				return err
			case n == 0:
				return full.Parse(d)
			case n == 1:
				v.Formula = new(policy.Formula)
				return api.Tuple(formula(0, v.Formula)).Parse(d)
			default:
				return fmt.Errorf("%w: no form %d of policy", api.ErrMalformed, n)
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
		return fmt.Errorf("%w: expression too large", api.ErrMalformed)
	}
	return nil
}

func (t *trees) leave() { t.depth-- }

// expression is a full expression. What it means is not looked at.
func expression(key uint64, p *policy.Expr) api.Field {
	return api.Field{Key: key, Layout: api.Layout{
		Append: func(b []byte) ([]byte, error) { return appendExpr(b, p) },
		Parse:  func(d *api.Decoder) error { return newTrees().expr(d, p) },
	}}
}

// exprFields are the fields of an expression of the kind e.Kind: one.
func (t *trees) exprFields(e *policy.Expr) (api.Layout, error) {
	switch e.Kind {
	case policy.String, policy.Ident:
		return api.Tuple(api.Text(0, &e.Text)), nil
	case policy.Int:
		return api.Tuple(api.Simple(0, &e.Int, api.AppendInt, (*api.Decoder).Int)), nil
	case policy.Float:
		return api.Tuple(api.Simple(0, &e.Float, api.AppendFloat, (*api.Decoder).Float)), nil
	case policy.Bool:
		return api.Tuple(api.Bool(0, &e.Bool)), nil
	case policy.Seq, policy.List:
		return api.Tuple(api.Field{Layout: api.Layout{
			Append: func(b []byte) ([]byte, error) { return api.AppendEach(b, e.Items, appendExpr) },
			Parse:  func(d *api.Decoder) error { return api.ParseEach(d, &e.Items, t.expr) },
		}}), nil
	default:
		return api.Layout{}, fmt.Errorf("%w: no kind %d of expression", api.ErrMalformed, e.Kind)
	}
}

func appendExpr(b []byte, e *policy.Expr) ([]byte, error) {
	fields, err := (*trees)(nil).exprFields(e)
	if err != nil {
		return nil, err
	}
	return api.AppendVariant(b, uint64(e.Kind), fields)
}

func (t *trees) expr(d *api.Decoder, e *policy.Expr) error {
	defer t.leave()
	if err := t.enter(); err != nil {
		return err
	}
	n, err := d.Variant()
	if err != nil {
		return err
	}
	if n > uint64(policy.List) {
		return fmt.Errorf("%w: no kind %d of expression", api.ErrMalformed, n)
	}
	e.Kind = policy.Kind(n)
	fields, err := t.exprFields(e)
	if err != nil {
		return err
	}
	return fields.Parse(d)
}

// formula is a boolean formula.
func formula(key uint64, p *policy.Formula) api.Field {
	return api.Field{Key: key, Layout: api.Layout{
		Append: func(b []byte) ([]byte, error) { return appendFormula(b, p) },
		Parse:  func(d *api.Decoder) error { return newTrees().formula(d, p) },
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
		return 0, fmt.Errorf("%w: no kind %d of boolean expression", api.ErrMalformed, k)
	}
}

func appendFormula(b []byte, f *policy.Formula) ([]byte, error) {
	n, err := operands(f.Kind)
	if err != nil {
		return nil, err
	}
	if n != len(f.Args) {
		return nil, fmt.Errorf("%w: boolean expression with %d operands", api.ErrMalformed, len(f.Args))
	}
	b = wire.AppendUint(append(b, api.MajorArray<<5|2), uint64(f.Kind))
	if f.Kind == policy.FormulaName {
		return api.AppendText(append(b, api.MajorArray<<5|1), f.Name), nil
	}
	return api.AppendEach(b, f.Args, appendFormula)
}

func (t *trees) formula(d *api.Decoder, f *policy.Formula) error {
	defer t.leave()
	if err := t.enter(); err != nil {
		return err
	}
	kind, err := d.Variant()
	if err != nil {
		return err
	}
	if kind > uint64(policy.FormulaEmpty) {
		return fmt.Errorf("%w: no kind %d of boolean expression", api.ErrMalformed, kind)
	}
	f.Kind = policy.FormulaKind(kind)
	if f.Kind == policy.FormulaName {
		return api.Tuple(api.Text(0, &f.Name)).Parse(d)
	}
	n, err := operands(f.Kind)
	if err != nil {
		return err
	}
	if n > 0 {
		f.Args = make([]policy.Formula, n)
	}
	fields := make([]api.Field, n)
	for i := range fields {
		fields[i] = api.Field{Key: uint64(i), Layout: api.Layout{
			Parse: func(d *api.Decoder) error { return t.formula(d, &f.Args[i]) },
		}}
	}
	return api.Tuple(fields...).Parse(d)
}
