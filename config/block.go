package config

import (
	"fmt"
	"math"
	"net"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"ockam/tunnel/multiaddr"
)

// A block is one block of a file that is being decoded: the scope of its
// expressions and what stands in it.
type block struct {
	scope
	kind  string    // its type, for messages
	name  string    // its label, with the key of for_each behind it
	at    hcl.Range // type and labels
	attrs hcl.Attributes
}

// content takes a body apart and reports what does not belong there.
func (l *loader) content(body hcl.Body, schema *hcl.BodySchema) *hcl.BodyContent {
	content, diags := body.Content(schema)
	for _, d := range diags {
		l.diags = append(l.diags, l.withHint(d, schema == topSchema))
	}
	return content
}

// later are blocks of design and command line that this version lacks.
var later = []string{
	"credential", "influxdb_inlet", "influxdb_outlet", "kafka_inlet", "kafka_outlet", "metrics", "policy",
	"rendezvous", "udp_inlet", "udp_outlet",
}

// withHint adds to the library's message on an unknown block what is known
// about it.
func (l *loader) withHint(d *hcl.Diagnostic, top bool) *hcl.Diagnostic {
	f := l.files[subject(d).Filename]
	if f == nil || d.Summary != "Unsupported block type" {
		return d
	}
	name := string(d.Subject.SliceBytes(f.Bytes))
	inNode := false
	for _, b := range nodeSchema.Blocks {
		inNode = inNode || b.Type == name
	}
	switch {
	case top && inNode:
		d.Detail = fmt.Sprintf("A %s stands inside the node that it belongs to: node \"NAME\" { %s … }", name, name)
	case nearest(name, later) == name:
		d.Detail = fmt.Sprintf("Blocks of type %q come in a later version of this program.", name)
	case name == "tcp_listener":
		d.Detail = `Write: listener "tcp" { address = "HOST:PORT" }`
	case name == "authority":
		d.Detail = `An authority stands inside a project: project "NAME" { authority { … } }`
	case name == "forwarder":
		d.Detail = `Did you mean "relay"?`
	}
	return d
}

// instances returns the blocks that b stands for: itself, or one for each key
// of for_each. Their labels are then LABEL-KEY.
func (s scope) instances(b *hcl.Block, schema *hcl.BodySchema) []*block {
	content := s.content(b.Body, schema)
	name := ""
	if len(b.Labels) > 0 {
		name = b.Labels[0]
	}
	newBlock := func(s scope, name string) *block {
		return &block{scope: s, kind: b.Type, name: name, at: b.DefRange, attrs: content.Attributes}
	}
	forEach := content.Attributes["for_each"]
	if forEach == nil {
		return []*block{newBlock(s, name)}
	}
	var all []*block
	for _, e := range s.elements(forEach) {
		all = append(all, newBlock(s.withEach(e.key, e.value), name+"-"+e.key.AsString()))
	}
	return all
}

type element struct{ key, value cty.Value }

// elements evaluates for_each: a map, of any values, or a list or set of
// texts that differ.
func (s scope) elements(attr *hcl.Attribute) []element {
	at := attr.Expr.Range()
	v := s.eval(attr.Expr)
	if v.IsMarked() {
		s.errorf(at, "Wrong for_each", "What to repeat for must be known before the nodes run; an identifier is not.")
		return nil
	}
	if !v.IsKnown() {
		return nil
	}
	t := v.Type()
	byKey := t.IsObjectType() || t.IsMapType()
	if v.IsNull() || !byKey && !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		s.errorf(at, "Wrong for_each", "for_each takes a map such as { a = 1, b = 2 } or a list of texts such as [\"a\", \"b\"].")
		return nil
	}
	var all []element
	seen := map[string]bool{}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if !byKey {
			key = value
		}
		if key.IsMarked() || key.Type() != cty.String || key.IsNull() || !key.IsKnown() {
			s.errorf(at, "Wrong for_each", "A list in for_each must hold texts that are known before the nodes run; for other values use a map.")
			return nil
		}
		if seen[key.AsString()] {
			s.errorf(at, "Wrong for_each", "%q stands in the list twice.", key.AsString())
			return nil
		}
		seen[key.AsString()] = true
		all = append(all, element{key, value})
	}
	return all
}

// goodName is what names of nodes, relays, inlets and outlets look like: they
// become part of addresses and file names.
var goodName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// checkName checks the label of b.
func (b *block) checkName() {
	if !goodName.MatchString(b.name) {
		b.errorf(b.at, "Bad name", "%q cannot be the name of a %s. Names are made of letters, digits, '-', '_' and '.'.", b.name, b.kind)
	}
}

// missing reports that an attribute is not there.
func (b *block) missing(name, detail string, args ...any) {
	b.errorf(b.at, fmt.Sprintf("Missing %q", name), detail, args...)
}

// value returns an attribute's value of the wanted type; ok is false if it is
// not there or wrong, which has been reported then.
func (b *block) value(name string, want cty.Type, example string) (v cty.Value, at hcl.Range, ok bool) {
	attr := b.attrs[name]
	if attr == nil {
		return cty.NilVal, b.at, false
	}
	at = attr.Expr.Range()
	v = b.eval(attr.Expr)
	switch {
	case v.ContainsMarked():
		b.errorf(at, "Not known yet", "The identifier of a node is known once that node runs, so it can stand only in allow.")
	case !v.IsKnown(): // has been reported
	case v.IsNull() || v.Type() != want:
		b.errorf(at, "Wrong type", "%s takes %s, such as %s; this is %s.", name, typeName(want), example, describe(v))
	default:
		return v, at, true
	}
	return cty.NilVal, at, false
}

// text returns an attribute that is a text.
func (b *block) text(name, example string) (string, hcl.Range, bool) {
	v, at, ok := b.value(name, cty.String, fmt.Sprintf("%q", example))
	if !ok {
		return "", at, false
	}
	return v.AsString(), at, true
}

// flag returns an attribute that is true or false; false if it is not there.
func (b *block) flag(name string) (bool, hcl.Range) {
	v, at, ok := b.value(name, cty.Bool, "true")
	return ok && v.True(), at
}

// count returns an attribute that is a whole number from 1; 0 if it is not
// there.
func (b *block) count(name string) int {
	v, at, ok := b.value(name, cty.Number, "100")
	if !ok {
		return 0
	}
	n, exact := v.AsBigFloat().Int64()
	if exact != 0 || n < 1 || n > math.MaxInt32 {
		b.errorf(at, "Bad number", "%s is a whole number from 1.", name)
		return 0
	}
	return int(n)
}

// place returns an attribute that is a place in another node, with what has
// to be done to get there. It begins with a connection, or at a project.
func (b *block) place(name, example string) (multiaddr.Addr, []multiaddr.Hop, hcl.Range, bool) {
	text, at, ok := b.text(name, example)
	if !ok {
		return nil, nil, at, false
	}
	addr, err := multiaddr.Parse(text)
	if err == nil {
		if addr, ok = b.expandNodes(addr, at); !ok {
			return nil, nil, at, false
		}
	}
	var hops []multiaddr.Hop
	if err == nil {
		hops, err = addr.Hops()
	}
	if err != nil && hostPortPlace(text) != "" {
		b.errorf(at, "Bad address", "%q is not a place. Did you mean %q, with what follows at that node?", text, hostPortPlace(text))
		return nil, nil, at, false
	}
	if err != nil {
		b.errorf(at, "Bad address", "%s A place in another node reads like %s.", sentence(err), example)
		return nil, nil, at, false
	}
	for i, h := range hops {
		switch {
		case h.Kind == multiaddr.HopDial && i > 0:
			b.errorf(at, "Bad address", "A connection is where a way begins; %q has something before it.", text)
			return nil, nil, at, false
		case h.Kind == multiaddr.HopProject && i > 0:
			b.errorf(at, "Bad address", "A project is where a way begins: leave out what stands before /project/%s.", h.Value)
			return nil, nil, at, false
		case h.Kind == multiaddr.HopProject && !b.through(h.Value, at):
			return nil, nil, at, false
		}
	}
	if len(hops) == 0 || hops[0].Kind != multiaddr.HopDial && hops[0].Kind != multiaddr.HopProject {
		b.errorf(at, "Bad address", "%q does not begin with the address of a node. Write, for example, %s.", text, example)
		return nil, nil, at, false
	}
	return addr, hops, at, true
}

// hostPortPlace returns the place of "HOST:PORT", or nothing if text is not of
// that form.
func hostPortPlace(text string) string {
	s, err := parseSocket(text, socketDial)
	if err != nil || s.Network != "tcp" {
		return ""
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return ""
	}
	return multiaddr.Addr{hostComponent(host), {Protocol: multiaddr.TCP, Value: port}}.String()
}

// line returns "file:line" for a message about another place.
func line(r hcl.Range) string {
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}

// typeName is what people call a type.
func typeName(t cty.Type) string {
	switch t {
	case cty.String:
		return "a text in quotes"
	case cty.Number:
		return "a number"
	case cty.Bool:
		return "true or false"
	}
	return t.FriendlyName()
}

// describe says what a value is.
func describe(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.String:
		return "a text"
	case v.Type() == cty.Number:
		return "a number"
	case v.Type() == cty.Bool:
		return "true or false"
	case v.Type().IsTupleType(), v.Type().IsListType(), v.Type().IsSetType():
		return "a list"
	}
	return "a map"
}
