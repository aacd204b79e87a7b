package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// write writes the file, and checks it as Load would.
func (c *converter) write() ([]byte, error) {
	if len(c.order) == 0 {
		return nil, fmt.Errorf("config: %s: there is nothing to run", c.file)
	}
	return c.text(false), checkText(c.text(true), "converted.hcl")
}

// text returns the file. That for a check has no ticket that is in a file of its
// own: it need not be on this machine.
func (c *converter) text(check bool) []byte {
	f := hclwrite.NewEmptyFile()
	comments(f.Body(), append([]string{"Made of " + filepath.Base(c.file) + ", for: ockam run FILE"}, c.notes...))
	for _, n := range c.order {
		f.Body().AppendNewline()
		n.write(f.Body().AppendNewBlock("node", []string{n.name}).Body(), check)
	}
	return hclwrite.Format(f.Bytes())
}

func (n *hclNode) write(body *hclwrite.Body, check bool) {
	comments(body, n.notes)
	text := func(b *hclwrite.Body, name, value string) { b.SetAttributeValue(name, cty.StringVal(value)) }
	if n.identity != "" {
		text(body, "identity", n.identity)
	}
	if n.project != "" {
		text(body, "project", n.project)
	}
	n.writeTicket(body, check)
	comments(body, []string{"What the reference's nodes offer, besides echo, to whoever can connect."})
	body.SetAttributeValue("services", cty.ListVal([]cty.Value{cty.StringVal("uppercase")}))
	text(body.AppendNewBlock("listener", []string{"tcp"}).Body(), "address", n.listen)
	if service := body.AppendNewBlock("relay_service", nil).Body(); !n.member() {
		text(service, "allow", "anyone")
	}
	for _, e := range n.blocks {
		inner := body.AppendNewBlock(e.kind, []string{e.label}).Body()
		comments(inner, e.notes)
		for _, attr := range e.attrs {
			text(inner, attr[0], attr[1])
		}
		if e.allow != "" {
			text(inner, "allow", e.allow)
		}
	}
}

// comments writes a line each.
func comments(body *hclwrite.Body, lines []string) {
	for _, line := range lines {
		line = strings.Join(strings.Fields(line), " ")
		body.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + line + "\n")}})
	}
}

// checkText reports everything that is wrong with the text of a configuration.
func checkText(src []byte, name string) error {
	l := &loader{env: os.LookupEnv, files: map[string]*hcl.File{}, locals: map[string]*local{}, nodes: map[string]*nodeBlock{}}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	l.diags, l.files[name] = diags, f
	if !l.diags.HasErrors() {
		l.file([]hcl.Body{f.Body})
	}
	if l.diags.HasErrors() {
		l.diags = slices.DeleteFunc(l.diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
		return l.err()
	}
	return nil
}
