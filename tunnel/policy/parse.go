package policy

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ParseExpr reads a full expression, as it is stored and printed (Ockam
// protocol, policies, full form). The outermost parentheses may be missing.
//
// A closing parenthesis too many ends a list that holds all before it: stored
// expressions of the reference implementation may have been read so.
func ParseExpr(text string) (Expr, error) {
	e, err := parseExpr(text)
	if err != nil {
		return Expr{}, fmt.Errorf("policy: %s: %w", quote(text), err)
	}
	return e, nil
}

func parseExpr(text string) (Expr, error) {
	if len(text) > MaxLength {
		return Expr{}, errTooLong
	}
	if !utf8.ValidString(text) {
		return Expr{}, errors.New("not UTF-8")
	}
	p := parser{lexer{text: text}}
	e, err := p.top()
	if err != nil {
		return Expr{}, err
	}
	if err := e.valid(); err != nil {
		return Expr{}, err
	}
	return e, nil
}

type parser struct{ lexer }

// top reads all of the text.
func (p *parser) top() (Expr, error) {
	var items []Expr
	for wraps := 0; ; {
		t, err := p.next()
		if err != nil {
			return Expr{}, err
		}
		switch {
		case t.kind == tokenEnd && len(items) == 0:
			return Expr{}, errors.New("empty expression")
		case t.kind == tokenEnd && len(items) == 1:
			return items[0], nil
		case t.kind == tokenEnd:
			return NewList(items...), nil
		case t == token{tokenPunct, ")"}:
			if wraps++; wraps > MaxDepth {
				return Expr{}, errTooDeep
			}
			items = []Expr{NewList(items...)}
		default:
			item, err := p.item(t, 0)
			if err != nil {
				return Expr{}, err
			}
			items = append(items, item)
		}
	}
}

// item reads the expression that begins with t.
func (p *parser) item(t token, depth int) (Expr, error) {
	switch {
	case t.kind == tokenString:
		return NewString(t.text), nil
	case t.kind == tokenWord:
		return parseWord(t.text)
	case t.text == "(":
		return p.items(List, ")", depth)
	case t.text == "[":
		return p.items(Seq, "]", depth)
	}
	return Expr{}, fmt.Errorf("unexpected %q", t.text)
}

// items reads what is left of a list or sequence, with its end.
func (p *parser) items(kind Kind, end string, depth int) (Expr, error) {
	if depth >= MaxDepth {
		return Expr{}, errTooDeep
	}
	e := Expr{Kind: kind}
	for {
		t, err := p.next()
		switch {
		case err != nil:
			return Expr{}, err
		case t.kind == tokenEnd:
			return Expr{}, fmt.Errorf("unclosed %v, %q is missing", kind, end)
		case t == token{tokenPunct, end}:
			return e, nil
		}
		item, err := p.item(t, depth+1)
		if err != nil {
			return Expr{}, err
		}
		e.Items = append(e.Items, item)
	}
}
