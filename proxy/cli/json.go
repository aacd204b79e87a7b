package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"
)

// compileQuery prepares --jq, before the command does anything.
func (c *console) compileQuery() error {
	if c.jq == "" {
		return nil
	}
	q, err := gojq.Parse(c.jq)
	if err == nil {
		c.query, err = gojq.Compile(q)
	}
	if err != nil {
		return fmt.Errorf("the query of --jq, %q, cannot be used: %w", c.jq, err)
	}
	return nil
}

// json returns the JSON form of a result: what --jq makes of it, a value a
// line. nil gives nothing.
func (c *console) json(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	if c.output.set && c.output.value == "plain" { // then nothing is asked of the JSON
		whole := *c
		whole.query, whole.compact, whole.output.set = nil, false, false
		return whole.json(v)
	}
	v, err := plainValue(v)
	if err != nil {
		return "", err
	}
	if c.query == nil {
		return c.encode(v)
	}
	var all []string
	for i := c.query.Run(v); ; {
		v, more := i.Next()
		if _, failed := v.(error); failed || !more {
			// What fails while it runs ends the output, and says nothing
			// (Ockam protocol, command line, what goes where).
			return strings.Join(all, "\n"), nil
		}
		text, err := c.encode(v)
		if err != nil {
			return "", err
		}
		all = append(all, text)
	}
}

// plainValue turns v into maps, slices, strings and numbers: maps are written
// with their keys in order, and a query understands nothing else.
func plainValue(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the result has no JSON form: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var plain any
	err = d.Decode(&plain)
	return plain, err
}

// encode writes a value with sorted keys, on one line or indented.
func (c *console) encode(v any) (string, error) {
	b, err := gojq.Marshal(v)
	if err != nil || c.compact {
		return string(b), err
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, b, "", "  ")
	return indented.String(), err
}
