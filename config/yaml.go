package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes is how many parts of a YAML text are looked at, aliases followed:
// a short text can stand for a very long one.
const maxNodes = 1 << 18

// A yamlReader reads one text; it collects mistakes.
type yamlReader struct {
	file     string
	left     int // of maxNodes
	mistakes []error
}

// parseYAML returns the mapping of a text, nil for an empty one.
func (r *yamlReader) parseYAML(text string) (*yaml.Node, error) {
	if len(text) > maxRecipe {
		return nil, fmt.Errorf("config: %s: %w", r.file, errTooLarge)
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	var document, more yaml.Node
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil && !errors.Is(d.Decode(&more), io.EOF) {
		err = errors.New("there is a second document, or something else behind the first")
	}
	if err != nil {
		return nil, fmt.Errorf("config: %s: not valid YAML: %s", r.file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) != 1 {
		return nil, nil
	}
	top := r.follow(document.Content[0])
	if top == nil || top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("config: %s: a configuration is a mapping of sections, such as {name: n1, tcp-outlets: {db: {to: 5432}}}", r.file)
	}
	return top, nil
}

// errorf records a mistake at n.
func (r *yamlReader) errorf(n *yaml.Node, format string, args ...any) {
	if len(r.mistakes) < 20 {
		r.mistakes = append(r.mistakes, fmt.Errorf("config: %s:%d:%d: %s", r.file, n.Line, n.Column, fmt.Sprintf(format, args...)))
	}
}

func (r *yamlReader) err() error { return errors.Join(r.mistakes...) }

// follow returns what an alias stands for. It returns nil when too much has
// been looked at.
func (r *yamlReader) follow(n *yaml.Node) *yaml.Node {
	if r.left--; r.left < 0 {
		if r.left == -1 {
			r.errorf(n, "too many values; aliases count each time")
		}
		return nil
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// A pair is a key of a mapping and its value.
type pair struct {
	key       string
	at, value *yaml.Node
}

// pairs returns the keys and values of a mapping, in its order.
func (r *yamlReader) pairs(n *yaml.Node) []pair {
	var all []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at, value := r.follow(n.Content[i]), r.follow(n.Content[i+1])
		if at == nil || value == nil {
			return nil
		}
		if at.Kind != yaml.ScalarNode {
			r.errorf(at, "a key is a text")
			continue
		}
		if at.Tag == "!!merge" {
			r.errorf(at, "mappings are not merged: write the options out, or give an alias in the place of all of them")
			continue
		}
		if first := seen[at.Value]; first != 0 {
			r.errorf(at, "%q is given twice; it stands at line %d already", at.Value, first)
			continue
		}
		seen[at.Value] = at.Line
		all = append(all, pair{at.Value, at, value})
	}
	return all
}

// The kinds of plain values.
type scalarKind int

const (
	notScalar scalarKind = iota
	nullScalar
	boolScalar
	intScalar
	floatScalar
	textScalar
)

// named is what people call a kind.
func (k scalarKind) String() string {
	return [...]string{"a list or mapping", "nothing", "true or false", "a whole number", "a decimal number", "a text"}[k]
}

var (
	decimalInt = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	prefixInt  = regexp.MustCompile(`^[-+]?0[xob][0-9a-fA-F]+$`)
	floatText  = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
	leadingNul = regexp.MustCompile(`^[-+]?0[0-9]+$`)
)

// scalar returns a value as text, by the rules of YAML 1.2: yes, on and 012 are
// texts.
func scalar(n *yaml.Node) (string, scalarKind) {
	if n.Kind != yaml.ScalarNode {
		return "", notScalar
	}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quoted != 0 || n.Style&yaml.TaggedStyle != 0 && n.ShortTag() == "!!str" {
		return n.Value, textScalar
	}
	switch v := n.Value; {
	case v == "", v == "~", v == "null", v == "Null", v == "NULL":
		return "", nullScalar
	case v == "true", v == "True", v == "TRUE":
		return "true", boolScalar
	case v == "false", v == "False", v == "FALSE":
		return "false", boolScalar
	case decimalInt.MatchString(v):
		return strings.TrimPrefix(v, "+"), intScalar
	case prefixInt.MatchString(v):
		if i, err := strconv.ParseInt(v, 0, 64); err == nil {
			return strconv.FormatInt(i, 10), intScalar
		}
	case floatText.MatchString(v) && !leadingNul.MatchString(v):
		return v, floatScalar
	}
	return n.Value, textScalar
}
