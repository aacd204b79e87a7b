package config

import (
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DefaultProject stands in /project/NAME for the default project of the machine,
// if it has none of that name.
const DefaultProject = "default"

// A Membership says of which project a node is a member. A node has one if its
// file says project or ticket, or if a way of it leads through a project.
type Membership struct {
	// Project is the project as the file has it: a name that is known to this
	// machine, or the record in JSON, which begins with "{". It is empty if the
	// file does not say: the project is that of the ticket then, or that of Name.
	Project string
	// Ticket makes the node a member when it runs for the first time, empty if
	// there is none. It is a secret: it belongs in no log.
	Ticket string
	// Name is what all places of the node have in /project/NAME, and the short
	// forms stand for: the name in Project or Ticket. Without both it is what the
	// places say, DefaultProject if they do not say.
	Name  string
	Range hcl.Range // where it stands, for errors found later
}

// A projectUse is what a node has to do with a project, while it is decoded.
type projectUse struct {
	server bool   // the node is that of a project
	name   string // as attributes say; empty if they do not
	bad    bool   // they say something wrong, which has been reported
	ways   []projectWay
}

// A projectWay is a way through a project.
type projectWay struct {
	name string
	at   hcl.Range
}

// short returns the name that short forms stand for.
func (p *projectUse) short() string {
	if p.name == "" {
		return DefaultProject
	}
	return p.name
}

// usesProject reports whether the body of a node says, by itself, that the node
// has to do with a project: by an attribute, by the block, or in a short form.
func usesProject(content *hcl.BodyContent) bool {
	if content.Attributes["project"] != nil || content.Attributes["ticket"] != nil {
		return true
	}
	for _, hb := range content.Blocks {
		body, ok := hb.Body.(*hclsyntax.Body)
		switch {
		case !ok:
		case hb.Type == "project",
			hb.Type == "relay" && body.Attributes["at"] == nil,
			hb.Type == "tcp_inlet" && body.Attributes["via"] != nil:
			return true
		}
	}
	return false
}

// decodeMembership decodes the attributes project and ticket.
func (n *nodeBlock) decodeMembership() {
	n.project.server = len(n.blocks.OfType("project")) > 0
	before := len(n.diags)
	defer func() { n.project.bad = len(n.diags) > before }()
	for _, name := range []string{"project", "ticket", "authority"} {
		if attr := n.attrs[name]; attr != nil && n.project.server {
			n.errorf(attr.NameRange, "Node of a project", "The node is that of a project, by its block, so that it cannot be a member and believes the authority of its own. Leave %s out, or have a node beside it.", name)
		}
	}
	if n.project.server || n.attrs["project"] == nil && n.attrs["ticket"] == nil {
		return
	}
	if attr := n.attrs["authority"]; attr != nil {
		n.errorf(attr.NameRange, "Two authorities", "A member of a project believes the authority of the project: leave authority out.")
	}
	m := &Membership{}
	if text, at, ok := n.text("project", DefaultProject); ok {
		m.Project, m.Range = strings.TrimSpace(text), at
		n.project.name = n.projectName(m.Project, at)
	}
	if text, at, ok := n.text("ticket", "7b226f6e65…"); ok {
		m.Ticket, m.Range = strings.TrimSpace(text), at
		name := n.ticketName(m.Ticket, at)
		if n.project.name != "" && name != "" && name != n.project.name {
			n.secretf(at, "Ticket for another project", "The ticket is for the project %q, and the node is to be a member of %q. Leave project out, or ask for another ticket.", name, n.project.name)
		}
		if n.project.name == "" {
			n.project.name = name
		}
	}
	n.node.Membership = m
}

// projectName returns the name of what the attribute project says, empty if it
// says nothing good, which has been reported then.
func (n *nodeBlock) projectName(text string, at hcl.Range) string {
	const advice = `Write the name of a project that "ockam project list" shows, or file("project.json") with what "ockam project information --output json" prints.`
	if strings.HasPrefix(text, "{") {
		var record struct {
			Name     string `json:"name"`
			Identity string `json:"identity"`
			Route    string `json:"access_route"`
		}
		err := json.Unmarshal([]byte(text), &record)
		switch {
		case err != nil:
			n.errorf(at, "Bad project", "This is no record of a project: it is not valid JSON, or was cut short. %s", advice)
		case record.Name == "" || record.Identity == "" || record.Route == "":
			n.errorf(at, "Bad project", "This is no record of a project: one has name, identity and access_route, none of them empty. %s", advice)
		case !goodName.MatchString(record.Name):
			n.errorf(at, "Bad project", "The record calls the project %q, which cannot stand in /project/NAME.", record.Name)
		default:
			return record.Name
		}
		return ""
	}
	switch {
	case strings.HasSuffix(text, ".json") || strings.Contains(text, "/"):
		n.errorf(at, "Bad project", "%q is no name of a project. Did you mean file(%q)?", text, text)
	case !goodName.MatchString(text):
		n.errorf(at, "Bad project", "%q cannot be the name of a project. %s", text, advice)
	default:
		return text
	}
	return ""
}

// ticketName returns the name of the project that a ticket is for, empty if it
// is none, which has been reported then. The empty text, of a variable that is
// no longer set after the first start, is no ticket and no mistake.
func (n *nodeBlock) ticketName(text string, at hcl.Range) string {
	name, ok := ticketProject(text)
	switch {
	case text == "":
	case !ok && (strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./")):
		n.secretf(at, "Bad ticket", "A ticket stands here itself. If it is in a file: ticket = file(\"PATH\").")
	case !ok && strings.Contains(text, "://"):
		n.secretf(at, "Bad ticket", "A ticket stands here itself, not where it is to be had. Fetch it into a file: ticket = file(\"PATH\").")
	case !ok:
		n.secretf(at, "Bad ticket", "This is no ticket, or not all of one. Write what \"ockam project ticket\" prints: ticket = file(\"PATH\") or env(\"NAME\", \"\").")
	case !goodName.MatchString(name):
		n.secretf(at, "Bad ticket", "The ticket calls the project %q, which cannot stand in /project/NAME.", name)
	default:
		return name
	}
	return ""
}

// ticketProject returns the name of the project of a ticket, in either of its
// forms (Ockam protocol, enrollment tickets). Whether the rest of it is good is
// for those to say who use it.
func ticketProject(text string) (string, bool) {
	if b, err := hex.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		text = string(b)
	}
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "{") {
		var t struct {
			Code    string `json:"one_time_code"`
			Project struct {
				Name string `json:"name"`
			} `json:"project"`
		}
		err := json.Unmarshal([]byte(text), &t)
		return t.Project.Name, err == nil && t.Code != "" && t.Project.Name != ""
	}
	if fields := strings.Split(text, ","); len(fields) >= 6 {
		name := strings.TrimSpace(fields[2])
		return name, name != ""
	}
	return "", false
}

// through notes a way through a project, and reports whether the node may have
// it.
func (b *block) through(name string, at hcl.Range) bool {
	p := b.project
	switch {
	case p.bad:
	case p.server:
		b.errorf(at, "Node of a project", "The node is that of a project, and no member of one, so that no way of it leads through a project. Have a node beside it that is a member.")
	case !goodName.MatchString(name):
		b.errorf(at, "Bad address", "%q cannot be the name of a project.", name)
	case p.name != "" && name != p.name:
		b.errorf(at, "Another project", "The node is a member of the project %q. Did you mean /project/%s? A node is a member of one project; for another one have another node.", p.name, p.name)
	default:
		p.ways = append(p.ways, projectWay{name, at})
		return true
	}
	return false
}

// endMembership decides on the membership of a node all of which is known.
func (n *nodeBlock) endMembership() {
	m, ways := n.node.Membership, n.project.ways
	if m == nil && len(ways) == 0 {
		return
	}
	if m == nil {
		m = &Membership{Range: ways[0].at}
		n.node.Membership = m
	}
	m.Name = n.project.short()
	if n.project.name != "" || len(ways) == 0 {
		return
	}
	m.Name = ways[0].name
	for _, w := range ways[1:] {
		if w.name != m.Name {
			n.errorf(w.at, "Two projects", "This is the way through the project %q, that at %s through %q. A node is a member of one project; say of which: project = \"NAME\"", w.name, line(ways[0].at), m.Name)
		}
	}
}

// checkMembers reports members that cannot last, and projects with one name.
func (l *loader) checkMembers(f *File) {
	servers := map[string]*ProjectServer{}
	for _, n := range f.Nodes {
		p := n.Project
		if p == nil {
			continue
		}
		if first := servers[p.Name]; first != nil {
			l.errorf(p.Range, "Duplicate project", "A project %q stands at %s already.", p.Name, line(first.Range))
		}
		servers[p.Name] = p
	}
	for _, n := range f.Nodes {
		if m := n.Membership; m != nil && n.Ephemeral && m.Ticket == "" && servers[m.Name] == nil {
			l.warnf(m.Range, "Nobody's member", "The node has a new identity for each run, of which the project has not heard. Leave ephemeral out, or give the node a ticket that may be used often.")
		}
	}
}
