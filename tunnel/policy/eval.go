package policy

import (
	"errors"
	"fmt"
)

// An Env binds identifiers.
type Env interface {
	// Lookup returns what name is bound to, and whether it is bound.
	Lookup(name string) (Expr, bool)
}

// Bounds on one evaluation. The expression itself stays far below them;
// bindings that refer to themselves or to each other do not.
const (
	maxEvalDepth = 2 * MaxDepth
	maxEvalSteps = 1 << 18
)

// Check returns nil if the policy allows what env describes. Else it returns
// an error that is ErrDenied and says why, for our own log: any error in the
// evaluation, and any value but true, denies.
func (e Expr) Check(env Env) error {
	allowed, err := e.eval(env)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case !allowed:
		return fmt.Errorf("%w by %s", ErrDenied, clip(e.String()))
	}
	return nil
}

// Eval evaluates e (Ockam protocol, policies, evaluation). It is an error if
// an identifier is unbound where its value is needed, if an operator is
// unknown or gets arguments of a wrong number or kind, if values of different
// kinds are compared, and if the value is not a boolean. An error means that
// access is denied, also when e is negated.
func (e Expr) Eval(env Env) (bool, error) {
	allowed, err := e.eval(env)
	if err != nil {
		return false, fmt.Errorf("policy: %w", err)
	}
	return allowed, nil
}

func (e Expr) eval(env Env) (bool, error) {
	return (&evaluation{env: env}).boolean(e, 0)
}

// Value evaluates e to a value of any kind; the empty list stands for nothing.
// Check and Eval are what decides on access.
func (e Expr) Value(env Env) (Expr, error) {
	value, err := (&evaluation{env: env}).value(e, 0)
	if err != nil {
		return Expr{}, fmt.Errorf("policy: %w", err)
	}
	return value, nil
}

type evaluation struct {
	env   Env
	steps int
}

func (ev *evaluation) value(e Expr, depth int) (Expr, error) {
	if ev.steps++; ev.steps > maxEvalSteps || depth > maxEvalDepth {
		return Expr{}, errors.New("evaluation takes too much")
	}
	switch e.Kind {
	case String, Int, Float, Bool:
		return e, nil
	case Ident:
		bound, ok := ev.env.Lookup(e.Text)
		if !ok {
			return Expr{}, fmt.Errorf("identifier %s is unbound", quote(e.Text))
		}
		return ev.value(bound, depth+1)
	case Seq:
		items, err := ev.values(e.Items, depth+1)
		return NewSeq(items...), err
	case List:
		if len(e.Items) == 0 {
			return e, nil
		}
		first := e.Items[0]
		if first.Kind != Ident {
			return Expr{}, fmt.Errorf("%s is not an operator", clip(first.String()))
		}
		op := operatorOf(first.Text)
		if op == nil {
			return Expr{}, fmt.Errorf("unknown operator %s", quote(first.Text))
		}
		return op(ev, e.Items[1:], depth+1)
	}
	return Expr{}, fmt.Errorf("an expression of %v", e.Kind)
}

// values evaluates all arguments of an operator.
func (ev *evaluation) values(args []Expr, depth int) ([]Expr, error) {
	values := make([]Expr, 0, len(args))
	for _, arg := range args {
		value, err := ev.value(arg, depth)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// boolean evaluates an argument that must be a boolean.
func (ev *evaluation) boolean(arg Expr, depth int) (bool, error) {
	value, err := ev.value(arg, depth)
	if err != nil {
		return false, err
	}
	if value.Kind != Bool {
		return false, fmt.Errorf("%s is not a boolean", clip(value.String()))
	}
	return value.Bool, nil
}

// An operator gets its arguments unevaluated. depth is theirs.
type operator func(ev *evaluation, args []Expr, depth int) (Expr, error)

// operatorOf returns the operator of that name, nil if there is none.
func operatorOf(name string) operator {
	switch name {
	case "and":
		return evalAnd
	case "or":
		return evalOr
	case "not":
		return evalNot
	case "if":
		return evalIf
	case "=":
		return evalEqual
	case "!=":
		return evalUnequal
	case "<":
		return evalLess
	case ">":
		return evalGreater
	case "member?":
		return evalMember
	case "exists?":
		return evalExists
	}
	return nil
}

func arity(name string, args []Expr, want string, ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("operator %s needs %s, has %d", name, want, len(args))
}

func evalAnd(ev *evaluation, args []Expr, depth int) (Expr, error) {
	return ev.connective(args, depth, true)
}

func evalOr(ev *evaluation, args []Expr, depth int) (Expr, error) {
	return ev.connective(args, depth, false)
}

// connective evaluates from left to right until a value is not neutral. The
// last value is returned as it is, of whatever kind.
func (ev *evaluation) connective(args []Expr, depth int, neutral bool) (Expr, error) {
	if len(args) == 0 {
		return NewBool(neutral), nil
	}
	last := len(args) - 1
	for _, arg := range args[:last] {
		value, err := ev.boolean(arg, depth)
		if err != nil {
			return Expr{}, err
		}
		if value != neutral {
			return NewBool(value), nil
		}
	}
	return ev.value(args[last], depth)
}

func evalNot(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity("not", args, "1 argument", len(args) == 1); err != nil {
		return Expr{}, err
	}
	value, err := ev.boolean(args[0], depth)
	return NewBool(!value), err
}

func evalIf(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity("if", args, "3 arguments", len(args) == 3); err != nil {
		return Expr{}, err
	}
	test, err := ev.boolean(args[0], depth)
	switch {
	case err != nil:
		return Expr{}, err
	case test:
		return ev.value(args[1], depth)
	}
	return ev.value(args[2], depth)
}

// pairwise reports whether all neighbours among args are ordered so that holds
// is true of them. It stops at the first pair of which it is not.
func (ev *evaluation) pairwise(args []Expr, depth int, holds func(order int) bool) (bool, error) {
	values, err := ev.values(args, depth)
	if err != nil {
		return false, err
	}
	for i := 1; i < len(values); i++ {
		order, ordered, err := compare(values[i-1], values[i])
		if err != nil || !ordered || !holds(order) {
			return false, err
		}
	}
	return true, nil
}

func isEqual(order int) bool { return order == 0 }

func evalEqual(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity("=", args, "2 or more arguments", len(args) >= 2); err != nil {
		return Expr{}, err
	}
	equal, err := ev.pairwise(args, depth, isEqual)
	return NewBool(equal), err
}

// evalUnequal takes any number of arguments, as the reference implementation
// does: of less than two it is false.
func evalUnequal(ev *evaluation, args []Expr, depth int) (Expr, error) {
	equal, err := ev.pairwise(args, depth, isEqual)
	return NewBool(!equal), err
}

func evalLess(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity("<", args, "2 or more arguments", len(args) >= 2); err != nil {
		return Expr{}, err
	}
	ascending, err := ev.pairwise(args, depth, func(order int) bool { return order < 0 })
	return NewBool(ascending), err
}

func evalGreater(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity(">", args, "2 or more arguments", len(args) >= 2); err != nil {
		return Expr{}, err
	}
	descending, err := ev.pairwise(args, depth, func(order int) bool { return order > 0 })
	return NewBool(descending), err
}

func evalMember(ev *evaluation, args []Expr, depth int) (Expr, error) {
	if err := arity("member?", args, "2 arguments", len(args) == 2); err != nil {
		return Expr{}, err
	}
	values, err := ev.values(args, depth)
	if err != nil {
		return Expr{}, err
	}
	if values[1].Kind != Seq {
		return Expr{}, fmt.Errorf("%s is not a sequence", clip(values[1].String()))
	}
	for _, item := range values[1].Items {
		order, ordered, err := compare(values[0], item)
		if err != nil {
			return Expr{}, err
		}
		if ordered && order == 0 {
			return NewBool(true), nil
		}
	}
	return NewBool(false), nil
}

// evalExists looks at all arguments before it answers, so that a wrong one is
// an error wherever it stands.
func evalExists(ev *evaluation, args []Expr, _ int) (Expr, error) {
	all := true
	for _, arg := range args {
		if arg.Kind != Ident {
			return Expr{}, fmt.Errorf("%s is not an identifier", clip(arg.String()))
		}
		_, bound := ev.env.Lookup(arg.Text)
		all = all && bound
	}
	return NewBool(all), nil
}
