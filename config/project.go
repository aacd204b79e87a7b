package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/identity"
)

// A ProjectServer makes its node the node of a project: the one with the relays
// of the members, and, at the same port, the authority that says who is a
// member.
type ProjectServer struct {
	Name string // what stands in /project/NAME
	ID   string // tells the project from all others; empty: made from its identity
	// Listen is the host:port where both are reached; port 0 takes a free one.
	Listen string
	// Address is the host:port by which members reach Listen. It is empty if
	// the file does not say and Listen does not tell: its host stands for all
	// addresses of the machine, or its port is 0.
	Address string

	// AuthorityIdentity is the name of the authority's stored identity, which is
	// made when there is none; never that of the node.
	AuthorityIdentity string
	Lifetime          time.Duration // of credentials
	// Database is the URL of the PostgreSQL that keeps the members, empty for the
	// database of the state. It may hold a password: it belongs in no log.
	Database string

	Members Members // those who are members without a ticket
	// AccountAuthority attests who administers the project; nil for nobody. With
	// EnforceAdminChecks enrollers then cannot do what administrators do.
	AccountAuthority   *identity.History
	EnforceAdminChecks bool
	Range              hcl.Range // where it stands, for errors found later
}

// DefaultLifetime is how long credentials of a project last if its file does not
// say. For so long may go on who is no longer a member.
const DefaultLifetime = 5 * time.Minute

// Bounds of a lifetime: members renew a credential before it expires, and those
// of the reference implementation last for thirty days.
const (
	minLifetime = time.Minute
	maxLifetime = 30 * 24 * time.Hour
)

var projectSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{
		{Name: "listen"}, {Name: "address"}, {Name: "id"}, {Name: "members"}, {Name: "account_authority"}, {Name: "enforce_admin_checks"},
	},
	Blocks: []hcl.BlockHeaderSchema{{Type: "authority"}},
}

var authoritySchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "identity"}, {Name: "lifetime"}, {Name: "database"}}}

// decodeProject decodes the block project of a node.
func (n *nodeBlock) decodeProject() {
	all := n.blocks.OfType("project")
	if len(all) == 0 {
		return
	}
	for _, hb := range all[1:] {
		n.errorf(hb.DefRange, "Two projects", "A node is the node of one project; there is another at %s.", line(all[0].DefRange))
	}
	if n.node.Ephemeral {
		n.errorf(all[0].DefRange, "No lasting identity", "Members know the node of a project by its identity, so that it cannot be another one for each run: leave ephemeral out.")
	}
	content := n.content(all[0].Body, projectSchema)
	b := &block{scope: n.scope, kind: "project", name: all[0].Labels[0], at: all[0].DefRange, attrs: content.Attributes}
	n.node.Project = b.projectServer(n.node, content.Blocks)
}

func (b *block) projectServer(n *Node, authorities hcl.Blocks) *ProjectServer {
	p := &ProjectServer{Name: b.name, Range: b.at, Members: b.members()}
	b.checkName()
	if id, at, ok := b.text("id", "my-project"); ok {
		if p.ID = id; !goodName.MatchString(id) {
			b.errorf(at, "Bad id", "%q cannot be the id of a project. Ids are made of letters, digits, '-', '_' and '.'.", id)
		}
	}
	p.Listen, p.Address = b.projectAddresses()
	if text, at, ok := b.text("account_authority", "81825837…"); ok {
		p.AccountAuthority = b.history("account_authority", text, at)
	}
	var at hcl.Range
	if p.EnforceAdminChecks, at = b.flag("enforce_admin_checks"); p.EnforceAdminChecks && b.attrs["account_authority"] == nil {
		b.errorf(at, "Nobody administers the project", "enforce_admin_checks leaves to administrators what enrollers do otherwise, and nobody says who they are: write account_authority, or leave it out.")
	}
	a := &block{scope: b.scope, kind: "authority", at: b.at}
	for i, hb := range authorities {
		if i > 0 {
			b.errorf(hb.DefRange, "Duplicate authority", "A project has one authority; there is another at %s.", line(authorities[0].DefRange))
			break
		}
		a.at, a.attrs = hb.DefRange, b.content(hb.Body, authoritySchema).Attributes
	}
	a.authority(p, n)
	return p
}

// projectAddresses decodes listen and address.
func (b *block) projectAddresses() (listen, address string) {
	const example = "0.0.0.0:4000"
	if b.attrs["listen"] == nil {
		b.missing("listen", "Say where members reach the project: listen = %q.", example)
	} else if text, at, ok := b.text("listen", example); ok {
		listen = b.hostPort(text, at, socketListen, example)
	}
	if text, at, ok := b.text("address", "relay.example.com:4000"); ok {
		if _, port, err := net.SplitHostPort(listen); err == nil && port != "0" && goodHost(strings.Trim(text, "[]")) {
			text = net.JoinHostPort(strings.Trim(text, "[]"), port) // a host alone
		}
		address = b.hostPort(text, at, socketDial, "relay.example.com:4000")
		if host, _, err := net.SplitHostPort(address); err == nil && isWildcard(host) {
			b.errorf(at, "Bad address", "%q stands for all addresses of a machine; members need one of them, or its name.", host)
		}
		return listen, address
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || isWildcard(host) || port == "0" {
		return listen, ""
	}
	return listen, listen
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}

// hostPort returns text as host:port, empty if it is none, which has been
// reported then.
func (b *block) hostPort(text string, at hcl.Range, use socketUse, example string) string {
	s, err := parseSocket(text, use)
	switch {
	case err != nil:
		b.errorf(at, "Bad address", "%s Write, for example, %q.", sentence(err), example)
	case s.Network != "tcp":
		b.errorf(at, "Bad address", "Other machines reach a project at HOST:PORT. Write, for example, %q.", example)
	default:
		return s.Address
	}
	return ""
}

// authority decodes the block of that name, or what holds without it.
func (b *block) authority(p *ProjectServer, n *Node) {
	p.AuthorityIdentity, p.Lifetime = p.Name+"-authority", DefaultLifetime
	name, at, ok := b.text("identity", p.AuthorityIdentity)
	if ok {
		p.AuthorityIdentity = name
	}
	switch {
	case ok && !goodName.MatchString(name):
		b.errorf(at, "Bad name", "%q cannot be the name of an identity. Names are made of letters, digits, '-', '_' and '.'.", name)
	case p.AuthorityIdentity == n.Identity:
		b.errorf(at, "One identity for two", "%q is the identity of the node. Its authority needs one of its own: what the node is trusted with is to carry, not to say who is a member.", n.Identity)
	}
	if text, at, ok := b.text("lifetime", "5m"); ok {
		p.Lifetime = b.lifetime(text, at)
	}
	if text, at, ok := b.text("database", "postgres://ockam@db.example.com/ockam"); ok {
		p.Database = text
		if problem := databaseProblem(text); problem != "" {
			b.secretf(at, "Bad database", "%s Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or leave it out: members are kept in the state of this machine then.", problem)
		}
	}
}

func (b *block) lifetime(text string, at hcl.Range) time.Duration {
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		b.errorf(at, "Bad duration", "%q is no duration: write a whole number with d, h, m or s, such as \"5m\".", text)
	case d < minLifetime || d > maxLifetime:
		b.errorf(at, "Bad lifetime", "Credentials last between one minute (\"1m\") and thirty days (\"30d\"). Who is no longer a member may go on for so long.")
	default:
		return d
	}
	return DefaultLifetime
}

// databaseProblem says what is wrong with the URL of a database, which may hold
// a password.
func databaseProblem(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "This is no URL."
	case u.Scheme != "postgres" && u.Scheme != "postgresql" && u.Scheme != "":
		return "Members are kept in PostgreSQL or in the state of this machine; this is a URL of another kind."
	case u.Scheme == "":
		return "This is no URL."
	case u.Host == "" && !u.Query().Has("host"):
		return "The URL names no host."
	case strings.Trim(u.Path, "/") == "":
		return "The URL names no database."
	}
	return ""
}
