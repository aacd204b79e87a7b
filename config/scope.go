package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// A scope is what expressions at one place of a file may refer to.
type scope struct {
	*loader
	functions map[string]function.Function
	each      map[string]cty.Value // key and value of a for_each; nil outside of one
	believes  bool                 // within a node that believes an authority
	project   *projectUse          // of the node around; nil outside of one
}

// newScope returns the scope of a file: file("PATH") is relative to it.
func (l *loader) newScope(body hcl.Body) scope {
	return scope{loader: l, functions: functions(l.env, body.MissingItemRange().Filename)}
}

// withEach returns the scope of one instance of a block with for_each.
func (s scope) withEach(key, value cty.Value) scope {
	s.each = map[string]cty.Value{"key": key, "value": value}
	return s
}

// A local is one name of a locals block.
type local struct {
	attr  *hcl.Attribute
	scope scope
	state int       // one of the three below
	value cty.Value // when done
}

const (
	localWaiting = iota
	localBusy    // being evaluated: meeting it again is a circle
	localDone
)

// addLocals takes up the names of a locals block.
func (l *loader) addLocals(b *hcl.Block, s scope) {
	attrs, diags := b.Body.JustAttributes()
	l.diags = append(l.diags, diags...)
	for name, attr := range attrs {
		if first := l.locals[name]; first != nil {
			if attr.NameRange.Filename == first.attr.NameRange.Filename && attr.NameRange.Start.Byte < first.attr.NameRange.Start.Byte {
				attr, first.attr = first.attr, attr
			}
			l.errorf(attr.NameRange, "Duplicate local", "local.%s is defined at %s already.", name, line(first.attr.NameRange))
			continue
		}
		l.locals[name] = &local{attr: attr, scope: s}
	}
}

// evalLocals evaluates every local, used or not: a mistake in it is one.
func (l *loader) evalLocals() {
	for _, name := range slices.Sorted(maps.Keys(l.locals)) {
		l.evalLocal(l.locals[name])
	}
}

func (l *loader) evalLocal(v *local) cty.Value {
	if v.state == localWaiting {
		v.state, v.value = localBusy, cty.DynamicVal
		v.value = v.scope.eval(v.attr.Expr)
		v.state = localDone
	}
	return v.value
}

// eval evaluates an expression. It reports what is wrong and then returns an
// unknown value, which its user passes over in silence.
func (s scope) eval(expr hcl.Expression) cty.Value {
	locals := map[string]cty.Value{}
	ok := true
	for _, t := range expr.Variables() {
		name, good := s.checkReference(t)
		if !good {
			ok = false
			continue
		}
		if v := s.locals[name]; t.RootName() == "local" && v != nil {
			if v.state == localBusy {
				s.errorf(t.SourceRange(), "Circle of locals", "local.%s needs itself to be known.", name)
				ok = false
				continue
			}
			locals[name] = s.evalLocal(v)
		}
	}
	if !ok {
		return cty.DynamicVal
	}
	v, diags := expr.Value(&hcl.EvalContext{
		Functions: s.functions,
		Variables: map[string]cty.Value{
			"local": cty.ObjectVal(locals),
			"node":  cty.ObjectVal(s.nodeValues()),
			"each":  cty.ObjectVal(s.each),
		},
	})
	s.diags = append(s.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	return v
}

// A nodeMark is on the value of node.NAME.identifier, which is not known yet.
// It stays on everything made of that value.
type nodeMark struct{ name string }

// placeholder is the text that stands for the identifier of a node.
func (m nodeMark) placeholder() string { return "node." + m.name + ".identifier" }

// nodeValues returns what expressions see as "node".
func (l *loader) nodeValues() map[string]cty.Value {
	values := map[string]cty.Value{}
	for name := range l.nodes {
		m := nodeMark{name}
		values[name] = cty.ObjectVal(map[string]cty.Value{
			"identifier": cty.StringVal(m.placeholder()).Mark(m),
		})
	}
	return values
}

// checkReference checks that what t refers to exists. It returns the name
// behind the root: of a local, a node, or key and value of each.
func (s scope) checkReference(t hcl.Traversal) (string, bool) {
	root, at := t.RootName(), t.SourceRange()
	name, named := stepName(t, 1)
	switch root {
	case "local":
		if !named {
			s.errorf(at, "Incomplete reference", "Say which one: local.NAME.")
			return "", false
		}
		if s.locals[name] == nil {
			s.errorf(at, "Unknown local", "There is no local %q.%s", name, didYouMean(name, slices.Sorted(maps.Keys(s.locals)), "local.%s"))
			return "", false
		}
	case "node":
		return name, s.checkNodeReference(t)
	case "each":
		if s.each == nil {
			s.errorf(at, "Reference outside of for_each", "each.key and each.value are known only inside a block that has for_each.")
			return "", false
		}
		if name != "key" && name != "value" {
			s.errorf(at, "Unknown reference", "Of each there are each.key and each.value.")
			return "", false
		}
	default:
		if len(t) == 1 {
			s.errorf(at, "Unknown name", "%s means nothing here. If it is a text, write it in quotes: %q.", root, root)
		} else {
			mean := ""
			if near := nearest(root, []string{"local", "node", "each"}); near != "" {
				mean = fmt.Sprintf(" Did you mean %q?", near)
			}
			s.errorf(at, "Unknown name", "There is no %q; one can refer to local.NAME, node.NAME.identifier, each.key and each.value.%s",
				root, mean)
		}
		return "", false
	}
	return name, true
}

// checkNodeReference checks a reference that begins with "node".
func (s scope) checkNodeReference(t hcl.Traversal) bool {
	at := t.SourceRange()
	name, named := stepName(t, 1)
	if !named {
		s.errorf(at, "Incomplete reference", "Say which node: node.NAME.identifier.")
		return false
	}
	if s.nodes[name] == nil {
		s.errorf(at, "Unknown node", "There is no node %q in this configuration.%s", name,
			didYouMean(name, slices.Sorted(maps.Keys(s.nodes)), "node.%s.identifier"))
		return false
	}
	if attr, ok := stepName(t, 2); !ok || attr != "identifier" {
		s.errorf(at, "Unknown reference", "The only thing to refer to is node.%s.identifier.", name)
		return false
	}
	if len(t) > 3 {
		s.errorf(at, "Unknown reference", "An identifier has no parts; write node.%s.identifier.", name)
		return false
	}
	return true
}

// stepName returns step i of a traversal if it is a name: x.name or x["name"].
func stepName(t hcl.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// didYouMean returns " Did you mean …?" with the nearest of names in format,
// or all of them when there are few and none is near, or nothing.
func didYouMean(given string, names []string, format string) string {
	if near := nearest(given, names); near != "" {
		return " Did you mean " + fmt.Sprintf(format, near) + "?"
	}
	if len(names) == 0 || len(names) > 5 {
		return ""
	}
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf(format, name))
	}
	return " There is " + strings.Join(all, ", ") + "."
}
