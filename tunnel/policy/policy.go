// Package policy holds boolean expressions over attributes.
//
// A policy says who may send messages to a resource of a node, or get them
// from it: "admin and not intern", or in full
//
//	(and (= subject.role "admin") (not (exists? subject.intern)))
//
// The package reads both forms, prints them, and evaluates them over what is
// known of a request. Users write either form (Parse); what is stored and
// shown is always the full one (ParseExpr, Expr.String).
//
// It stores nothing, knows no node and no credential, and does not decide
// which policy applies to a resource: that is the work of the node. Nothing
// here does I/O, keeps state or starts a goroutine; values are not changed
// once made and may be shared.
package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on every expression, whether it was read as text or put together from
// a message. They are far above what people write, and low enough that a
// hostile expression exhausts neither stack nor time.
const (
	// MaxLength is the greatest length of an expression in bytes, as it is
	// read and as it is printed.
	MaxLength = 1 << 16
	// MaxDepth is how deep lists, sequences and the operators of a formula may
	// nest; "a or b or c" is three deep, its names included. Parentheses and
	// not together may nest twice as deep in a formula.
	MaxDepth = 512
)

// ErrDenied is what Expr.Check returns, wrapped, when a policy does not allow
// a request.
var ErrDenied = errors.New("policy: denied")

var (
	errTooDeep = fmt.Errorf("nested deeper than %d", MaxDepth)
	errTooLong = fmt.Errorf("longer than %d bytes", MaxLength)
)

// An Input is a policy in the form in which a user gave it. Requests to a node
// carry that form (Ockam protocol, policies, requests to a node).
type Input struct {
	// Formula is the boolean formula, nil when the full form was given.
	Formula *Formula
	// Expr is the policy: what was given in full, or what Formula stands for.
	Expr Expr
}

// String returns the form that was given, as text.
func (in Input) String() string {
	if in.Formula != nil {
		return in.Formula.String()
	}
	return in.Expr.String()
}

// Parse reads a policy as a user writes it, first as a boolean formula and,
// if it is none, as a full expression. It returns the full expression.
//
// So (and), true and (not t) are formulas over attributes with these names.
// Text that was stored or printed is read by ParseExpr, never by Parse.
func Parse(text string) (Expr, error) {
	in, err := ParseInput(text)
	return in.Expr, err
}

// ParseInput is Parse for those who need to know which form was given. Its
// error quotes the text and says what is wrong in either reading.
func ParseInput(text string) (Input, error) {
	f, asFormula := parseFormula(text)
	if asFormula == nil {
		e, err := f.Expand()
		if err != nil {
			return Input{}, err
		}
		return Input{Formula: &f, Expr: e}, nil
	}
	if errors.Is(asFormula, errTooDeep) || errors.Is(asFormula, errTooLong) {
		// What is a formula but for a bound must not become something else.
		return Input{}, fmt.Errorf("policy: %s: %w", quote(text), asFormula)
	}
	e, asExpr := parseExpr(text)
	if asExpr != nil {
		return Input{}, fmt.Errorf("policy: %s is neither a boolean formula (%w) nor an expression (%w)", quote(text), asFormula, asExpr)
	}
	return Input{Expr: e}, nil
}

// Default returns the policy that every type of resource has when a node
// starts: (= subject.has_credential true).
func Default() Expr {
	return NewList(NewIdent("="), NewIdent(subjectCredential), NewBool(true))
}

// quote returns s between double quotes for an error message, shortened.
func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }

// show returns s for an error message, without what a terminal would obey.
func show(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, clip(s))
}

// clip shortens what an error message repeats of its cause.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
