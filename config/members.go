package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Members are those who are members of a project because its file says so, with
// their attributes. The zero Members are none.
type Members struct {
	Range hcl.Range // where they stand, for errors found later

	byIdentifier map[string]map[string]string // identifiers in canonical form
	byNode       map[string]map[string]string // of nodes of this configuration
}

// Nodes returns the names of the nodes whose identifiers Resolve needs, sorted.
func (m Members) Nodes() []string { return slices.Sorted(maps.Keys(m.byNode)) }

// Resolve returns the attributes of the members, by their identifiers in
// canonical form. The identifiers given are those of the nodes of the
// configuration, by the nodes' names; it is an error if one is missing that m
// refers to, or if it is written out as well.
func (m Members) Resolve(identifiers map[string]string) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for id, attributes := range m.byIdentifier {
		all[id] = maps.Clone(attributes)
	}
	for _, name := range m.Nodes() {
		id, ok := parseIdentifier(identifiers[name])
		if !ok {
			return nil, fmt.Errorf("config: %s: the identifier of node %q is not known", m.Range, name)
		}
		if all[id] != nil {
			return nil, fmt.Errorf("config: %s: the member %s is given twice: node.%s.identifier is the same", m.Range, id, name)
		}
		all[id] = maps.Clone(m.byNode[name])
	}
	return all, nil
}

// maxMemberAttributes is the largest size of a member's attributes: they must
// fit into a handshake message, with what proves them.
const maxMemberAttributes = 60 << 10

// members decodes the attribute of that name.
func (b *block) members() Members {
	attr := b.attrs["members"]
	if attr == nil {
		return Members{}
	}
	m := &Members{Range: attr.Expr.Range(), byIdentifier: map[string]map[string]string{}, byNode: map[string]map[string]string{}}
	if pairs, diags := hcl.ExprMap(attr.Expr); !diags.HasErrors() {
		for _, p := range pairs { // one by one, so that errors point to the member
			b.addMember(m, b.eval(p.Key), b.eval(p.Value), p.Key.Range())
		}
		return *m
	}
	v, marks := b.eval(attr.Expr).Unmark()
	switch t := v.Type(); {
	case !v.IsKnown(): // has been reported
	case v.IsNull() || !t.IsObjectType() && !t.IsMapType():
		b.errorf(m.Range, "Wrong type", "members takes a map of identifiers to attributes, such as { \"I…\" = { team = \"web\" } }; this is %s.", describe(v))
	default:
		for it := v.ElementIterator(); it.Next(); {
			key, value := it.Element()
			for mark := range marks { // of any key: they are on the whole map
				if n, ok := mark.(nodeMark); ok && key.AsString() == n.placeholder() {
					key = key.Mark(mark)
				}
			}
			b.addMember(m, key, value, m.Range)
		}
	}
	return *m
}

// addMember adds one member to m.
func (b *block) addMember(m *Members, key, value cty.Value, at hcl.Range) {
	key, marks := key.Unmark()
	if !key.IsKnown() || !value.IsKnown() {
		return // has been reported
	}
	if key.IsNull() || key.Type() != cty.String {
		b.errorf(at, "Wrong type", "A member is an identifier in quotes; this is %s.", describe(key))
		return
	}
	into, text := m.byIdentifier, key.AsString()
	name, ok := parseIdentifier(text)
	for mark := range marks {
		if n, isNode := mark.(nodeMark); isNode && text == n.placeholder() {
			into, name, ok = m.byNode, n.name, true
		}
	}
	switch {
	case ok:
	case b.nodes[text] != nil:
		b.errorf(at, "Bad member", "%q is not an identifier. Did you mean (node.%s.identifier), in parentheses?", text, text)
		return
	case len(marks) > 0:
		b.errorf(at, "Bad member", "The identifier of a node is a whole one; it cannot be part of another text.")
		return
	default:
		b.errorf(at, "Bad member", "%q is not an identifier. Identifiers are \"I\" and 64 hex digits, as \"ockam identity show\" prints them.", text)
		return
	}
	if into[name] != nil {
		b.errorf(at, "Duplicate member", "%s is given twice.", text)
		return
	}
	if attributes, ok := b.attributes(value, at); ok {
		into[name] = attributes
	}
}

// attributes returns the attributes of a member.
func (b *block) attributes(v cty.Value, at hcl.Range) (map[string]string, bool) {
	t := v.Type()
	switch {
	case v.ContainsMarked():
		b.errorf(at, "Not known yet", "The identifier of a node is known once that node runs; it cannot be an attribute.")
		return nil, false
	case v.IsNull() || !t.IsObjectType() && !t.IsMapType():
		b.errorf(at, "Wrong type", "A member has a map of attributes, such as { team = \"web\" }, or {} for none; this is %s.", describe(v))
		return nil, false
	}
	all, size := map[string]string{}, 0
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		name := key.AsString()
		switch {
		case !value.IsKnown():
			return nil, false // has been reported
		case value.IsNull() || value.Type() != cty.String:
			b.errorf(at, "Wrong type", "The value of an attribute is a text in quotes; that of %s is %s.", name, describe(value))
			return nil, false
		case name == "":
			b.errorf(at, "Bad attribute", "An attribute without a name says nothing.")
			return nil, false
		}
		all[name] = value.AsString()
		size += len(name) + len(all[name])
		b.checkAttribute(name, all[name], at)
	}
	if size > maxMemberAttributes {
		b.errorf(at, "Too many attributes", "The attributes of a member must fit into a credential: they may have %d bytes, and these have %d.", maxMemberAttributes, size)
		return nil, false
	}
	return all, true
}

// checkAttribute warns of an attribute that looks like one with a meaning, and
// has none.
func (b *block) checkAttribute(name, value string, at hcl.Range) {
	const role, relay = "ockam-role", "ockam-relay"
	switch near := nearest(name, []string{role, relay}); {
	case near != "" && near != name:
		b.warnf(at, "Attribute without a meaning", "%q means nothing to an authority. Did you mean %q?", name, near)
	case name == role && value != "enroller":
		b.warnf(at, "Role without a meaning", "There is one role, \"enroller\": it makes tickets and adds members.")
	}
}
