package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"ockam/tunnel/policy"
)

// An Allow says who is permitted something, as the file has it: anyone,
// identifiers, of which some are those of nodes that have none yet, or whom a
// policy allows. The zero Allow permits nobody.
type Allow struct {
	Range hcl.Range // where it stands, for errors found later

	anyone      bool
	bad         bool     // was wrong, which has been reported
	identifiers []string // as the file has them, in canonical form
	nodes       []string // names of nodes of this configuration
	policy      *Policy
}

// A Policy is a policy with the text that was written for it (Ockam protocol,
// policies, boolean and full form).
type Policy struct {
	Text string
	Expr policy.Expr
	// Default says that the file has no allow there, and the node an authority.
	Default bool
}

// An AllowList is an Allow whose nodes have identifiers. The zero AllowList
// permits nobody.
type AllowList struct {
	Anyone      bool
	Identifiers []string // "I" and 64 hex digits in lower case; sorted, no two equal
	// Policy, if not nil, also permits those whom it allows, of whom a channel
	// has proved who they are. Permits knows nothing of it.
	Policy *Policy
}

// Permits reports whether identifier, in canonical form, is permitted by name. The
// empty identifier, of somebody who has proved none, is so only to anyone.
func (a AllowList) Permits(identifier string) bool {
	return a.Anyone || identifier != "" && slices.Contains(a.Identifiers, identifier)
}

// Anyone reports whether everybody is permitted.
func (a Allow) Anyone() bool { return a.anyone }

// Policy returns the policy that decides, nil if none does.
func (a Allow) Policy() *Policy { return a.policy }

// Nodes returns the names of the nodes whose identifiers Resolve needs.
func (a Allow) Nodes() []string { return slices.Clone(a.nodes) }

// Resolve returns whom a permits. The identifiers are those of the nodes of
// the configuration, by the nodes' names; it is an error if one is missing
// that a refers to, or is none.
func (a Allow) Resolve(identifiers map[string]string) (AllowList, error) {
	if a.anyone {
		return AllowList{Anyone: true}, nil
	}
	if a.policy != nil {
		return AllowList{Policy: a.policy}, nil
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
	if !a.bad && !a.anyone && a.policy == nil && len(a.identifiers)+len(a.nodes) == 0 {
		b.errorf(a.Range, "Nobody is allowed", "The list is empty. Write identifiers into it, or allow = \"anyone\".")
		a.bad = true
	}
	return *a
}

// defaultAllow is the allow of a block that has none, in a node with an
// authority: whoever has a credential.
func (b *block) defaultAllow() Allow {
	e := policy.Default()
	return Allow{Range: b.at, policy: &Policy{Text: e.String(), Expr: e, Default: true}}
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
		b.errorf(at, "Wrong type", "allow takes \"anyone\", an identifier in quotes, a list of identifiers, or a policy in quotes; this is %s.", describe(v))
	default:
		text := strings.TrimSpace(v.AsString())
		if len(marks) == 0 && b.meansPolicy(text) {
			b.addPolicy(a, text, at, inList)
		} else if problem := a.addText(text, marks, inList); problem != "" {
			a.bad = true
			if b.nodes[text] != nil {
				problem = fmt.Sprintf("%q is not an identifier. Did you mean node.%s.identifier?", text, text)
			}
			b.errorf(at, "Bad allow", "%s", problem)
		}
	}
}

// everybodyWords are what people may write for "anyone".
var everybodyWords = []string{"*", "all", "any", "anybody", "everybody", "everyone"}

// meansPolicy reports whether a text is meant as a policy. A single word is so
// only where attributes are known, and if it is not rather something else that
// is written wrongly.
func (b *block) meansPolicy(text string) bool {
	if strings.ContainsAny(text, "() \t\r\n") {
		return true
	}
	digits := strings.Trim(strings.TrimLeft(text, "IiP"), "0123456789abcdefABCDEF….")
	switch {
	case text == "" || text == "anyone" || !b.believes || b.nodes[text] != nil:
		return false
	case digits == "" && len(text) > 8:
		return false
	}
	return !slices.Contains(everybodyWords, strings.ToLower(text)) && nearest(text, []string{"anyone"}) == ""
}

// addPolicy adds a text that is meant as a policy.
func (b *block) addPolicy(a *Allow, text string, at hcl.Range, inList bool) {
	const advice = "Write names of attributes with and, or and not, such as \"admin and not intern\", or in full: \"(= subject.team \\\"web\\\")\"."
	in, err := policy.ParseInput(text)
	switch {
	case inList:
		b.errorf(at, "Bad allow", "%q is not an identifier. A policy stands alone; to name somebody in it, write (= subject.identifier \"I…\").", text)
	case err != nil:
		b.errorf(at, "Bad policy", "%s %s", sentence(err), advice)
	case in.Formula != nil && !b.believes:
		b.errorf(at, "Nobody to believe", "Attributes are what an authority says about somebody, and the node believes none, so that this allows nobody. "+
			"Make the node a member of a project (project = \"NAME\"), give it an authority (authority = file(\"authority.hex\")), or write an identifier, a list of them or \"anyone\".")
	default:
		if !b.believes && in.Expr.NeedsAuthority() {
			b.warnf(at, "Nobody to believe", "Attributes are what an authority says about somebody, and the node believes none: "+
				"of a subject only subject.identifier is known. Make the node a member of a project (project = \"NAME\"), or give it an authority (authority = file(\"authority.hex\")).")
		}
		a.policy = &Policy{Text: text, Expr: in.Expr}
		return
	}
	a.bad = true
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
	case slices.Contains(everybodyWords, strings.ToLower(text)) || nearest(text, []string{"anyone"}) != "":
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
