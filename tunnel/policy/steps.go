package policy

// A Step is a part of an expression with its value, to show why the whole has
// the value that it has.
type Step struct {
	// Depth is how deep the part stands in the expression, 0 for the whole.
	Depth int
	// Expr is the part: an operation, or an identifier.
	Expr Expr
	// Value is what the part evaluates to by itself, if Err is nil.
	Value Expr
	// Err says why it has no value.
	Err error
	// Skipped: the whole does not depend on the part, because of what stands
	// before it. It has a value or an error all the same.
	Skipped bool
}

// Steps returns the parts of e but for literals and operators, each before its
// own parts, at most so many. The values are those of Value; the first is what
// Eval and Check decide by.
func (e Expr) Steps(env Env, most int) []Step {
	s := stepper{env: env, most: most}
	s.add(e, 0, false)
	return s.steps
}

type stepper struct {
	env   Env
	most  int
	steps []Step
}

func (s *stepper) add(e Expr, depth int, skipped bool) {
	if e.Kind != Ident && e.Kind != List && e.Kind != Seq || len(s.steps) >= s.most {
		return
	}
	if e.Kind != Seq {
		value, err := (&evaluation{env: s.env}).value(e, 0)
		s.steps = append(s.steps, Step{Depth: depth, Expr: e, Value: value, Err: err, Skipped: skipped})
		depth++
	}
	parts := e.Items
	if e.Kind == List && len(parts) > 0 {
		parts = parts[1:]
	}
	for i, part := range parts {
		if len(s.steps) >= s.most {
			return
		}
		s.add(part, depth, skipped || e.Kind == List && s.skips(e.Items[0].Text, parts, i))
	}
}

// skips reports whether the operator does not look at argument i.
func (s *stepper) skips(operator string, args []Expr, i int) bool {
	settled := func(arg Expr, neutral bool) bool {
		value, err := (&evaluation{env: s.env}).boolean(arg, 0)
		return err != nil || value != neutral
	}
	switch {
	case operator == "and" || operator == "or":
		return i > 0 && (settled(args[i-1], operator == "and") || s.skips(operator, args, i-1))
	case operator == "if" && i > 0:
		test, err := (&evaluation{env: s.env}).boolean(args[0], 0)
		return err != nil || test != (i == 1)
	}
	return false
}
