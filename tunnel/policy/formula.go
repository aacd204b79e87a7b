package policy

import (
	"errors"
	"fmt"
	"strings"
)

// A FormulaKind says what a Formula is. The numbers are those of messages to a
// node (Ockam protocol, policies, boolean expression).
type FormulaKind uint8

// The kinds of formulas.
const (
	FormulaName  FormulaKind = iota // an attribute that is to be "true"
	FormulaOr                       // either of two
	FormulaAnd                      // both of two
	FormulaNot                      // not the one
	FormulaEmpty                    // nothing; on the wire only, no policy
)

// A Formula is a policy in the boolean form: names of attributes, combined
// with and, or, not.
type Formula struct {
	Kind FormulaKind
	Name string    // of FormulaName
	Args []Formula // two of FormulaOr and FormulaAnd, one of FormulaNot
}

// ParseFormula reads the boolean form (Ockam protocol, policies, boolean
// form):
//
//	formula = and { "or" and }        to the left
//	and     = unary { "and" unary }   to the left
//	unary   = "not" unary | "(" formula ")" | name
//	name    = letter, "_" or "-", then also digits and "."
//
// Words need no space around them where parentheses part them from names, nor
// does a name after not: "notary" is "not ary". A word with nothing to apply
// to is a name. White space may stand around words and parentheses, but not
// before the first name nor after the last.
func ParseFormula(text string) (Formula, error) {
	f, err := parseFormula(text)
	if err != nil {
		return Formula{}, fmt.Errorf("policy: %s: %w", quote(text), err)
	}
	return f, nil
}

func parseFormula(text string) (Formula, error) {
	if len(text) > MaxLength {
		return Formula{}, errTooLong
	}
	p := formulaParser{text: text}
	got, ok := p.formula(0, 0)
	switch {
	case p.tooDeep:
		return Formula{}, errTooDeep
	case !ok:
		return Formula{}, errors.New("expected a name, made of letters, digits, '_', '-' and '.', that begins with neither digit nor '.'")
	case got.end < len(text):
		return Formula{}, fmt.Errorf("successfully parsed: `%s`, but `%s` cannot be parsed", show(text[:got.end]), show(text[got.end:]))
	}
	return got.Formula, nil
}

// A formulaParser reads the grammar top down. Each alternative begins with
// another word, so that nothing is read twice but names that begin with "not".
type formulaParser struct {
	text    string
	tooDeep bool // then nothing parses any more
}

type partial struct {
	Formula
	height int // of the tree
	end    int // where reading goes on
}

func (p *formulaParser) formula(at, depth int) (partial, bool) {
	return p.chain(FormulaOr, at, depth)
}

// chain reads operands that one operator joins to the left.
func (p *formulaParser) chain(op FormulaKind, at, depth int) (partial, bool) {
	operand, word := p.unary, "and"
	if op == FormulaOr {
		word = "or"
		operand = func(at, depth int) (partial, bool) { return p.chain(FormulaAnd, at, depth) }
	}
	left, ok := operand(at, depth)
	for ok {
		after, found := p.word(word, left.end)
		if !found {
			break
		}
		right, found := operand(after, depth)
		if !found {
			break // the operator is given back
		}
		left, ok = p.node(op, right.end, left, right)
	}
	return left, ok && !p.tooDeep
}

func (p *formulaParser) unary(at, depth int) (partial, bool) {
	if depth > 2*MaxDepth { // lists within the bound, read as formulas, are not deeper
		p.tooDeep = true
		return partial{}, false
	}
	if after, found := p.word("not", at); found {
		if arg, ok := p.unary(after, depth+1); ok {
			return p.node(FormulaNot, arg.end, arg)
		}
	} else if after, found := p.word("(", at); found {
		inner, ok := p.formula(after, depth+1)
		if !ok {
			return partial{}, false
		}
		inner.end, ok = p.word(")", inner.end)
		return inner, ok
	}
	end := at + nameLength(p.text[at:])
	name := Formula{Kind: FormulaName, Name: p.text[at:end]}
	return partial{name, 1, end}, end > at && !p.tooDeep
}

// node makes an operation of its operands.
func (p *formulaParser) node(op FormulaKind, end int, args ...partial) (partial, bool) {
	made := partial{Formula: Formula{Kind: op}, end: end}
	for _, arg := range args {
		made.Args = append(made.Args, arg.Formula)
		made.height = max(made.height, arg.height+1)
	}
	if made.height > MaxDepth {
		p.tooDeep = true
	}
	return made, !p.tooDeep
}

// word returns where w, with white space around it, ends.
func (p *formulaParser) word(w string, at int) (end int, found bool) {
	at = p.space(at)
	if !strings.HasPrefix(p.text[at:], w) {
		return 0, false
	}
	return p.space(at + len(w)), true
}

func (p *formulaParser) space(at int) int {
	for at < len(p.text) && isSpace(p.text[at]) {
		at++
	}
	return at
}

// nameLength returns the length of the name that s begins with.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (isLetter(s[n]) || s[n] == '_' || s[n] == '-' || n > 0 && (isDigit(s[n]) || s[n] == '.')) {
		n++
	}
	return n
}

// Expand returns the full expression that the formula stands for: a name is
// short for (= subject.name "true"). It fails for formulas that ParseFormula
// would not make, which may come from messages, and for those whose expression
// would be longer than MaxLength.
func (f Formula) Expand() (Expr, error) {
	e, err := f.expand(0)
	if err == nil {
		err = e.valid()
	}
	if err != nil {
		return Expr{}, fmt.Errorf("policy: boolean formula: %w", err)
	}
	return e, nil
}

func (f Formula) expand(depth int) (Expr, error) {
	if depth >= MaxDepth {
		return Expr{}, errTooDeep
	}
	operator := ""
	switch f.Kind {
	case FormulaName:
		if n := nameLength(f.Name); n == 0 || n < len(f.Name) {
			return Expr{}, fmt.Errorf("%s is not a name", quote(f.Name))
		}
		return NewList(NewIdent("="), NewIdent(subjectPrefix+f.Name), NewString("true")), nil
	case FormulaOr:
		operator = "or"
	case FormulaAnd:
		operator = "and"
	case FormulaNot:
		operator = "not"
	case FormulaEmpty:
		return Expr{}, errors.New("nothing in it")
	default:
		return Expr{}, fmt.Errorf("unknown kind %d", f.Kind)
	}
	if len(f.Args) != f.Kind.operands() {
		return Expr{}, fmt.Errorf("%s of %d operands", operator, len(f.Args))
	}
	items := []Expr{NewIdent(operator)}
	for _, arg := range f.Args {
		item, err := arg.expand(depth + 1)
		if err != nil {
			return Expr{}, err
		}
		items = append(items, item)
	}
	return NewList(items...), nil
}

// operands returns how many operands the kind has.
func (k FormulaKind) operands() int {
	switch k {
	case FormulaOr, FormulaAnd:
		return 2
	case FormulaNot:
		return 1
	case FormulaName, FormulaEmpty:
	}
	return 0
}

// String returns the formula as text, with the parentheses it needs and no
// more. ParseFormula reads it back if it made the formula. (A name such as
// "notary" from a message has no text form.)
func (f Formula) String() string { return string(f.append(nil)) }

func (f Formula) append(b []byte) []byte {
	if len(f.Args) != f.Kind.operands() {
		return b
	}
	switch f.Kind {
	case FormulaName:
		if strings.HasPrefix(f.Name, "not") { // keep it from taking an operand
			return append(append(append(b, '('), f.Name...), ')')
		}
		return append(b, f.Name...)
	case FormulaOr:
		b = append(f.Args[0].append(b), " or "...)
		return f.Args[1].appendIn(b, f.Args[1].Kind == FormulaOr)
	case FormulaAnd:
		b = append(f.Args[0].appendIn(b, f.Args[0].Kind == FormulaOr), " and "...)
		return f.Args[1].appendIn(b, f.Args[1].Kind.operands() == 2)
	case FormulaNot:
		return f.Args[0].appendIn(append(b, "not "...), f.Args[0].Kind.operands() == 2)
	case FormulaEmpty:
	}
	return b
}

// appendIn appends f, in parentheses if so wanted.
func (f Formula) appendIn(b []byte, parentheses bool) []byte {
	if !parentheses {
		return f.append(b)
	}
	return append(f.append(append(b, '(')), ')')
}
