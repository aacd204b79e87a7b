package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Kind says what an Expr is. The numbers are those of messages to a node
// (Ockam protocol, policies, full expression).
type Kind uint8

// The kinds of expressions.
const (
	String Kind = iota + 1 // "text"
	Int                    // 42, signed 64 bits
	Float                  // 1.5, IEEE 754 double
	Bool                   // true, false
	Ident                  // subject.role, =, and
	Seq                    // ["a" "b"]
	List                   // (= a b)
)

var kindNames = [...]string{"nothing", "string", "integer", "float", "boolean", "identifier", "sequence", "list"}

// String returns the name of the kind as error messages use it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// An Expr is an expression or a value: a tree. It must not be changed once it
// is shared. The zero Expr is no expression; it allows nothing.
//
// Those who build one from a message call Valid before they use it.
type Expr struct {
	Kind  Kind
	Text  string  // of String and Ident
	Int   int64   // of Int
	Float float64 // of Float
	Bool  bool    // of Bool
	Items []Expr  // of Seq and List
}

// NewString returns a string.
func NewString(s string) Expr { return Expr{Kind: String, Text: s} }

// NewInt returns an integer.
func NewInt(i int64) Expr { return Expr{Kind: Int, Int: i} }

// NewFloat returns a float.
func NewFloat(f float64) Expr { return Expr{Kind: Float, Float: f} }

// NewBool returns true or false.
func NewBool(b bool) Expr { return Expr{Kind: Bool, Bool: b} }

// NewIdent returns an identifier. The name is not checked, see Valid.
func NewIdent(name string) Expr { return Expr{Kind: Ident, Text: name} }

// NewSeq returns a sequence. It keeps items.
func NewSeq(items ...Expr) Expr { return Expr{Kind: Seq, Items: items} }

// NewList returns a list, which is an operation when it is not empty. It keeps
// items.
func NewList(items ...Expr) Expr { return Expr{Kind: List, Items: items} }

// Equal reports whether both trees are the same. Unlike the operator =, it
// takes all not-a-numbers for one.
func (e Expr) Equal(other Expr) bool {
	return e.Kind == other.Kind && e.Text == other.Text && e.Int == other.Int && e.Bool == other.Bool &&
		(math.Float64bits(e.Float) == math.Float64bits(other.Float) || math.IsNaN(e.Float) && math.IsNaN(other.Float)) &&
		slices.EqualFunc(e.Items, other.Items, Expr.Equal)
}

// String returns the expression as it is stored and shown. For every valid
// expression ParseExpr reads it back.
func (e Expr) String() string { return string(e.append(nil)) }

func (e Expr) append(b []byte) []byte {
	switch e.Kind {
	case String:
		return appendString(b, e.Text)
	case Int:
		return strconv.AppendInt(b, e.Int, 10)
	case Float:
		return appendFloat(b, e.Float)
	case Bool:
		return strconv.AppendBool(b, e.Bool)
	case Ident:
		return append(b, e.Text...)
	case Seq:
		return append(appendItems(append(b, '['), e.Items), ']')
	case List:
		return append(appendItems(append(b, '('), e.Items), ')')
	}
	return b
}

func appendItems(b []byte, items []Expr) []byte {
	for i, item := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = item.append(b)
	}
	return b
}

// appendString quotes s. Marks that join the letter before them and whatever
// cannot be seen are escaped, so that a policy shows all that it holds.
//
// The reference implementation prints NUL as \0, which it cannot read again;
// here it is \u{0}.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case !unicode.IsPrint(r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend):
			b = append(b, `\u{`...)
			b = strconv.AppendInt(b, int64(r), 16)
			b = append(b, '}')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendFloat prints the shortest decimal that reads back as f: with a point
// where that is of sensible length, else with an exponent.
func appendFloat(b []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "+inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	case abs != 0 && (abs < 1e-4 || abs >= 1e16):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		n, _ := strconv.Atoi(exponent) // "+16" and "-07" to 16 and -7
		b = append(append(b, mantissa...), 'e')
		return strconv.AppendInt(b, int64(n), 10)
	}
	digits := strconv.FormatFloat(f, 'f', -1, 64)
	b = append(b, digits...)
	if !strings.Contains(digits, ".") {
		b = append(b, ".0"...)
	}
	return b
}

// Valid returns nil if e may be stored as a policy: it is within the bounds,
// its first identifier is an operator, its sequences are of one kind each, and
// its text reads back as e. ParseExpr and Parse return only such expressions;
// trees from messages need not be.
func (e Expr) Valid() error {
	if err := e.valid(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

func (e Expr) valid() error {
	if err := e.check(0); err != nil {
		return err
	}
	text := e.String()
	if len(text) > MaxLength {
		return errTooLong
	}
	first := e
	for first.Kind == List && len(first.Items) > 0 {
		first = first.Items[0]
	}
	if first.Kind != Ident || operatorOf(first.Text) == nil {
		return fmt.Errorf("the first identifier of the expression %s must be an operator: and, or, not, if, <, >, =, !=, member? or exists?", quote(text))
	}
	return nil
}

// check refuses what cannot be printed and read back. depth is that of e.
func (e Expr) check(depth int) error {
	switch e.Kind {
	case Int, Float, Bool:
		return nil
	case String:
		if !utf8.ValidString(e.Text) {
			return fmt.Errorf("string %s is not UTF-8", quote(e.Text))
		}
		return nil
	case Ident:
		if !isIdent(e.Text) {
			return fmt.Errorf("%s is not an identifier", quote(e.Text))
		}
		return nil
	case Seq, List:
		if depth >= MaxDepth {
			return errTooDeep
		}
	default:
		return fmt.Errorf("an expression of %v", e.Kind)
	}
	for i, item := range e.Items {
		if err := item.check(depth + 1); err != nil {
			return err
		}
		if e.Kind == Seq && i > 0 {
			// As deep as the reference implementation looks, too.
			if _, _, err := compare(e.Items[i-1], item); err != nil {
				return err
			}
		}
	}
	return nil
}
