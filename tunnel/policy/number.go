package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

type numberKind uint8

const (
	notNumber numberKind = iota
	integer
	float
)

// classify tells what a word is by its form alone; the number it writes may
// still be refused.
func classify(word string) numberKind {
	s := word
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	if s == "inf" || s == "nan" {
		return float
	}
	if payload, ok := strings.CutPrefix(s, "nan:0x"); ok {
		if n := digits(payload, isHex); n == 0 || n < len(payload) {
			return notNumber
		}
		return float
	}
	good, exponents := isDigit, "eE"
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		s, good, exponents = rest, isHex, "pP"
	}
	n := digits(s, good)
	switch {
	case n == 0:
		return notNumber
	case n == len(s):
		return integer
	}
	if s = s[n:]; s[0] == '.' {
		s = s[1:]
		s = s[digits(s, good):]
	}
	if s != "" && strings.IndexByte(exponents, s[0]) >= 0 {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n = digits(s, isDigit)
		if n == 0 {
			return notNumber
		}
		s = s[n:]
	}
	if s != "" {
		return notNumber
	}
	return float
}

// digits returns how many bytes of s are good digits, with single underscores
// between them; 0 also when an underscore comes last.
func digits(s string, good func(byte) bool) int {
	n := 0
	for n < len(s) && (good(s[n]) || s[n] == '_' && n > 0 && s[n-1] != '_') {
		n++
	}
	if n > 0 && s[n-1] == '_' {
		return 0
	}
	return n
}

// parseWord reads a word: a boolean, a number or an identifier.
//
// $name and @name mean name, where that is an identifier by itself. (The
// reference implementation also takes $1 and $true, and stores them as what
// reads back as a number or a boolean.)
func parseWord(word string) (Expr, error) {
	if word == "true" || word == "false" {
		return NewBool(word == "true"), nil
	}
	switch classify(word) {
	case integer:
		return parseInt(word)
	case float:
		return parseFloat(word)
	case notNumber:
	}
	name := word
	if word[0] == '$' || word[0] == '@' {
		name = word[1:]
	}
	if !isIdent(name) {
		return Expr{}, fmt.Errorf("invalid word %s", quote(word))
	}
	return NewIdent(name), nil
}

func parseInt(word string) (Expr, error) {
	base, sign, s := 10, "", strings.ReplaceAll(word, "_", "")
	if s[0] == '+' || s[0] == '-' {
		sign, s = s[:1], s[1:]
	}
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		base, s = 16, rest
	}
	n, err := strconv.ParseInt(sign+s, base, 64)
	if err != nil {
		return Expr{}, fmt.Errorf("integer %s does not fit in 64 bits", quote(word))
	}
	return NewInt(n), nil
}

func parseFloat(word string) (Expr, error) {
	if strings.Contains(word, "nan") { // sign and payload are not kept
		return NewFloat(math.NaN()), nil
	}
	if strings.ContainsAny(word, "_xX") {
		return Expr{}, fmt.Errorf("invalid float %s", quote(word))
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinite
		return Expr{}, fmt.Errorf("invalid float %s", quote(word))
	}
	return NewFloat(f), nil
}
