package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// An Allow says who is permitted something, as the file has it: anyone, or
// identifiers, of which some are those of nodes that have none yet. The zero
// Allow permits nobody.
type Allow struct {
	Range hcl.Range // where it stands, for errors found later

	anyone      bool
	bad         bool     // was wrong, which has been reported
	identifiers []string // as the file has them, in canonical form
	nodes       []string // names of nodes of this configuration
}

// An AllowList is an Allow whose nodes have identifiers. The zero AllowList
// permits nobody.
type AllowList struct {
	Anyone      bool
	Identifiers []string // "I" and 64 hex digits in lower case; sorted, no two equal
}

// Permits reports whether identifier, in canonical form, is permitted. The
// empty identifier, of somebody who has proved none, is so only to anyone.
func (a AllowList) Permits(identifier string) bool {
	return a.Anyone || identifier != "" && slices.Contains(a.Identifiers, identifier)
}

// Anyone reports whether everybody is permitted.
func (a Allow) Anyone() bool { return a.anyone }

// Nodes returns the names of the nodes whose identifiers Resolve needs.
func (a Allow) Nodes() []string { return slices.Clone(a.nodes) }

// Resolve returns whom a permits. The identifiers are those of the nodes of
// the configuration, by the nodes' names; it is an error if one is missing
// that a refers to, or is none.
func (a Allow) Resolve(identifiers map[string]string) (AllowList, error) {
	if a.anyone {
		return AllowList{Anyone: true}, nil
	}
	all := slices.Clone(a.identifiers)
	for _, name := range a.nodes {
		id, ok := parseIdentifier(identifiers[name])
		if !ok {
			return AllowList{}, fmt.Errorf("config: %s: the identifier of node %q is not known", a.Range, name)
		}
		all = append(all, id)
	}
	slices.Sort(all)
	return AllowList{Identifiers: slices.Compact(all)}, nil
}

// allow decodes the attribute allow, which is there.
func (b *block) allow() Allow {
	attr := b.attrs["allow"]
	a := &Allow{Range: attr.Expr.Range()}
	if exprs, diags := hcl.ExprList(attr.Expr); !diags.HasErrors() {
		for _, e := range exprs { // one by one, so that errors point to the element
			b.addAllowed(a, b.eval(e), e.Range(), true)
		}
	} else {
		b.addAllowed(a, b.eval(attr.Expr), a.Range, false)
	}
	if !a.bad && !a.anyone && len(a.identifiers)+len(a.nodes) == 0 {
		b.errorf(a.Range, "Nobody is allowed", "The list is empty. Write identifiers into it, or allow = \"anyone\".")
		a.bad = true
	}
	return *a
}

// addAllowed adds one value to a: a text, or a list of values.
func (b *block) addAllowed(a *Allow, v cty.Value, at hcl.Range, inList bool) {
	v, marks := v.Unmark()
	t := v.Type()
	switch {
	case !v.IsKnown():
		a.bad = true // has been reported
	case !v.IsNull() && (t.IsTupleType() || t.IsListType() || t.IsSetType()):
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			b.addAllowed(a, e.WithMarks(marks), at, true)
		}
	case v.IsNull() || t != cty.String:
		a.bad = true
		b.errorf(at, "Wrong type", "allow takes \"anyone\", an identifier in quotes, or a list of identifiers; this is %s.", describe(v))
	default:
		if problem := a.addText(v.AsString(), marks, inList); problem != "" {
			a.bad = true
			if n := v.AsString(); b.nodes[n] != nil {
				problem = fmt.Sprintf("%q is not an identifier. Did you mean node.%s.identifier?", n, n)
			}
			b.errorf(at, "Bad allow", "%s", problem)
		}
	}
}

// addText adds one text; it returns what is wrong with it, if anything.
func (a *Allow) addText(text string, marks cty.ValueMarks, inList bool) (problem string) {
	text = strings.TrimSpace(text)
	for m := range marks {
		if m, ok := m.(nodeMark); ok && text == m.placeholder() {
			if !slices.Contains(a.nodes, m.name) {
				a.nodes = append(a.nodes, m.name)
			}
			return ""
		}
	}
	id, isIdentifier := parseIdentifier(text)
	switch {
	case len(marks) > 0:
		names := slices.Sorted(maps.Keys(markedNodes(marks)))
		return fmt.Sprintf("node.%s.identifier is a whole identifier; it cannot be part of another text.", names[0])
	case text == "anyone" && inList:
		return `"anyone" stands alone: allow = "anyone".`
	case text == "anyone":
		a.anyone = true
		return ""
	case isIdentifier:
		a.identifiers = append(a.identifiers, id)
		return ""
	case strings.HasPrefix(text, "(") || strings.ContainsAny(text, " \t\n"):
		return `Policy expressions come with projects, not in this version; use an identifier, a list or "anyone".`
	case slices.Contains([]string{"*", "all", "any", "anybody", "everybody", "everyone"}, strings.ToLower(text)) || nearest(text, []string{"anyone"}) != "":
		return fmt.Sprintf("%q is not an identifier. Did you mean \"anyone\"?", text)
	}
	return fmt.Sprintf("%q is not an identifier.%s", text, identifierHint(text))
}

func markedNodes(marks cty.ValueMarks) map[string]bool {
	names := map[string]bool{}
	for m := range marks {
		if m, ok := m.(nodeMark); ok {
			names[m.name] = true
		}
	}
	return names
}

var identifierText = regexp.MustCompile(`^I[0-9a-fA-F]{64}$`)

// parseIdentifier returns the canonical form of an identifier: "I" and 64 hex
// digits in lower case (Ockam protocol, identities, identifier).
func parseIdentifier(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if !identifierText.MatchString(text) {
		return "", false
	}
	return "I" + strings.ToLower(text[1:]), true
}

// identifierHint says in what a text differs from an identifier.
func identifierHint(text string) string {
	const rule = " Identifiers are \"I\" and 64 hex digits, as \"ockam identity show\" prints them"
	digits := strings.TrimLeft(text, "IiP")
	switch {
	case text == "":
		return rule + "."
	case strings.Trim(digits, "0123456789abcdefABCDEF….") != "" || len(digits) < 8:
		return rule + ", or \"anyone\"."
	case len(digits) == 64:
		return rule + "; this one does not begin with \"I\"."
	}
	return rule + fmt.Sprintf("; this one has %d.", len(strings.Trim(digits, "….")))
}
