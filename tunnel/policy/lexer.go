package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenPunct            // text is one of ( ) [ ]
	tokenWord             // text as written
	tokenString           // text is the value
)

type token struct {
	kind tokenKind
	text string
}

// A lexer cuts a full expression into tokens (Ockam protocol, policies, full
// form). Tokens are those of the text format of WebAssembly.
type lexer struct {
	text string
	at   int
}

func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	if l.at == len(l.text) {
		return token{}, nil
	}
	switch c := l.text[l.at]; {
	case strings.IndexByte("()[]", c) >= 0:
		l.at++
		return token{tokenPunct, l.text[l.at-1 : l.at]}, nil
	case c == '"':
		s, err := l.string()
		if err == nil && l.at < len(l.text) && (l.text[l.at] == '"' || isWordByte(l.text[l.at])) {
			err = fmt.Errorf("string %s runs into what follows it", quote(s))
		}
		return token{tokenString, s}, err
	case isWordByte(c):
		start := l.at
		for l.at < len(l.text) && isWordByte(l.text[l.at]) {
			l.at++
		}
		word := l.text[start:l.at]
		if l.at < len(l.text) && l.text[l.at] == '"' {
			return token{}, fmt.Errorf("%s runs into a string", quote(word))
		}
		return token{tokenWord, word}, nil
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.at:])
	return token{}, fmt.Errorf("unexpected %q", r)
}

// space skips white space and comments.
func (l *lexer) space() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case isSpace(rest[0]):
			l.at++
		case strings.HasPrefix(rest, ";;"):
			n := strings.IndexAny(rest, "\r\n")
			if n < 0 {
				n = len(rest)
			}
			if err := checkSeen(rest[:n]); err != nil {
				return err
			}
			l.at += n
		case strings.HasPrefix(rest, "(;"):
			n := blockComment(rest)
			if n < 0 {
				return errors.New("unclosed comment")
			}
			if err := checkSeen(rest[:n]); err != nil {
				return err
			}
			l.at += n
		default:
			return nil
		}
	}
	return nil
}

// blockComment returns the length of the comment that s begins with, or -1.
func blockComment(s string) int {
	level := 1
	for i := 2; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "(;":
			level++
			i++
		case ";)":
			level--
			i++
		}
		if level == 0 {
			return i + 1
		}
	}
	return -1
}

// checkSeen refuses characters that reorder text on a screen. In strings they
// may be written as escapes.
func checkSeen(s string) error {
	for _, r := range s {
		switch r {
		case 0x202a, 0x202b, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x206c:
			return fmt.Errorf("%U changes the order of the characters around it", r)
		}
	}
	return nil
}

// string reads a string from its opening quote to its closing one.
func (l *lexer) string() (string, error) {
	var value []byte
	for l.at++; l.at < len(l.text); {
		r, n := utf8.DecodeRuneInString(l.text[l.at:])
		written := l.text[l.at : l.at+n]
		l.at += n
		switch {
		case r == '"':
			if !utf8.Valid(value) {
				return "", fmt.Errorf("string %s is not UTF-8", quote(string(value)))
			}
			return string(value), nil
		case r == '\\':
			var err error
			if value, err = l.escape(value); err != nil {
				return "", err
			}
		case r < ' ' || r == 0x7f:
			return "", fmt.Errorf("unescaped %q in a string", r)
		default:
			if err := checkSeen(written); err != nil {
				return "", err
			}
			value = append(value, written...)
		}
	}
	return "", errors.New("unclosed string")
}

// escape reads what follows a backslash and appends its meaning to value.
func (l *lexer) escape(value []byte) ([]byte, error) {
	rest := l.text[l.at:]
	if rest == "" {
		return nil, errors.New("unclosed string")
	}
	if i := strings.IndexByte(`tnr"'\`, rest[0]); i >= 0 {
		l.at++
		return append(value, "\t\n\r\"'\\"[i]), nil
	}
	if strings.HasPrefix(rest, "u{") {
		digits, _, closed := strings.Cut(rest[2:], "}")
		if !closed || digits == "" || digits[0] == '_' || digits[len(digits)-1] == '_' {
			return nil, errors.New(`bad escape \u{…} in a string`)
		}
		n, err := strconv.ParseUint(strings.ReplaceAll(digits, "_", ""), 16, 32)
		if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return nil, fmt.Errorf(`bad escape \u{%s} in a string`, clip(digits))
		}
		l.at += len("u{}") + len(digits)
		return utf8.AppendRune(value, rune(n)), nil
	}
	if len(rest) >= 2 && isHex(rest[0]) && isHex(rest[1]) {
		n, _ := strconv.ParseUint(rest[:2], 16, 8) // two hex digits cannot fail
		l.at += 2
		return append(value, byte(n)), nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return nil, fmt.Errorf("bad escape in a string: backslash and %q", r)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// isWordByte reports whether c continues a word. Not all words mean something.
func isWordByte(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-./:<=>?@\\^_`|~", c) >= 0
}

// isIdent reports whether s, as a word, is an identifier and means itself.
func isIdent(s string) bool {
	if s == "" || !isLetter(s[0]) && strings.IndexByte("!%&*/<=>?~_^", s[0]) < 0 {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && strings.IndexByte("!$%&*/<=>?~_^+-.:@", s[i]) < 0 {
			return false
		}
	}
	return s != "true" && s != "false" && classify(s) == notNumber
}
