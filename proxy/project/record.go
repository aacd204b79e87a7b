// Package project holds what members know of a project, and tickets, as text.
//
// A project is two nodes known under one name: a project node, which has relays
// for its members, and an authority, which says who is a member. A [Record]
// says where both are and who they are; a [Ticket] is a record with a one-time
// code that makes its holder a member. Nothing in a record is secret; the code
// is, until it has been used.
//
// The package reads, verifies and prints both. It opens no file and no
// connection, and keeps nothing: that is the work of proxy/cli, proxy/node and
// proxy/state.
package project

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// A Record is what a member keeps of a project (Ockam protocol, projects, the
// project record). Records are not changed after they have been parsed.
type Record struct {
	// ID tells the project from all others; any printable text.
	ID string
	// Name is what stands in /project/NAME.
	Name string
	// AccessRoute is the place of the secure channel listener of the project
	// node; nil if that node is not up yet.
	AccessRoute multiaddr.Addr
	// Identity is who the project node must prove to be; zero if not given.
	Identity identity.Identifier
	// History is the change history of the project node; nil if not given.
	History *identity.History
	// AuthorityRoute is the place of the secure channel listener of the
	// authority; nil if not given.
	AuthorityRoute multiaddr.Addr
	// Authority is the change history of the authority; nil if not given.
	Authority *identity.History

	// What follows is book-keeping of those who made the project. It is kept
	// and printed, and decides nothing here.

	SpaceID   string
	SpaceName string
	// Users are e-mail addresses.
	Users     []string
	UserRoles []UserRole
	// Version is of the software of the project node; empty if not given.
	Version string
	// Running says whether the project node runs; nil if not given.
	Running *bool
	// OperationID is of the operation that makes the project; empty if not given.
	OperationID string
	// Okta says how members prove themselves with Okta; nil if they do not.
	Okta *Okta
	// Kafka says that the project has a Kafka add-on; the JSON form does not
	// tell more of it.
	Kafka bool
}

// A UserRole says what a user may do. Its JSON form is that of a record.
type UserRole struct {
	Email string `json:"email"`
	ID    uint64 `json:"id"`
	// Role is "Admin", "Guest" or "Service".
	Role string `json:"role"`
	// Scope is "Project", "Service" or "Space".
	Scope string `json:"scope"`
}

// Okta is how an authority asks Okta about a member. Its JSON form is that of a
// record.
type Okta struct {
	// TenantBaseURL has a path, which is "/" if it was written without one.
	TenantBaseURL string   `json:"tenant_base_url"`
	Certificate   string   `json:"certificate"`
	ClientID      string   `json:"client_id"`
	Attributes    []string `json:"attributes"`
}

// Verify checks what parts of a record say of each other: id and name can be
// used, routes begin with a host and a TCP port, and the change history of the
// project node is that of its identifier. Histories are verified when they are
// parsed. [ParseRecord] and [ParseRecordLeniently] have called it.
func (r *Record) Verify() error {
	if err := r.verify(); err != nil {
		return fmt.Errorf("project: %w", err)
	}
	return nil
}

func (r *Record) verify() error {
	if err := checkWord("id", r.ID); err != nil {
		return err
	}
	if err := checkWord("name", r.Name); err != nil {
		return err
	}
	if strings.Contains(r.Name, "/") {
		return fmt.Errorf(`"name" is %q: a name with a slash cannot stand in /project/NAME`, r.Name)
	}
	for _, route := range []struct {
		key  string
		addr multiaddr.Addr
	}{{"access_route", r.AccessRoute}, {"authority_access_route", r.AuthorityRoute}} {
		if len(route.addr) > 0 && hostPort(route.addr) == "" {
			return fmt.Errorf("%q is %q: it must begin with a host and a TCP port, such as /dnsaddr/project.example.com/tcp/4000",
				route.key, route.addr)
		}
	}
	if r.History != nil && !r.Identity.IsZero() && r.History.Identifier() != r.Identity {
		return fmt.Errorf(`"project_change_history" is that of %s, but "identity" is %s: one of the two was altered`,
			r.History.Identifier(), r.Identity)
	}
	return nil
}

// checkWord refuses what cannot be told apart, or plays tricks, on a terminal.
func checkWord(key, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%q is empty", key)
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("%q is %q: only printable characters can be used, and no spaces around them", key, s)
	}
	return nil
}

// Identifier returns who the project node must prove to be: Identity, or what
// the history says where only that is given; zero if neither is. (The reference
// implementation looks at Identity only.)
func (r *Record) Identifier() identity.Identifier {
	if r.Identity.IsZero() && r.History != nil {
		return r.History.Identifier()
	}
	return r.Identity
}

// Ready reports whether both nodes of the project are there: both routes and
// both change histories are given, which the reference implementation waits
// for. See also [Record.Usable].
func (r *Record) Ready() bool {
	return len(r.AccessRoute) > 0 && len(r.AuthorityRoute) > 0 && r.History != nil && r.Authority != nil
}

// Usable returns nil if a member can use the project: it is known where and who
// both nodes are. Else the error names what is missing. Unlike Ready it does
// not need the history of the project node, which files of 2023 lack.
func (r *Record) Usable() error {
	if missing := r.missing(); len(missing) > 0 {
		return errors.New("project: the record of " + r.Name + " lacks " + strings.Join(missing, ", ") +
			": import one that has it: ockam project import --project-file FILE")
	}
	return nil
}

// missing returns the keys of what a member needs and r does not say.
func (r *Record) missing() (missing []string) {
	if len(r.AccessRoute) == 0 {
		missing = append(missing, "access_route")
	}
	if r.Identifier().IsZero() {
		missing = append(missing, "identity")
	}
	if len(r.AuthorityRoute) == 0 {
		missing = append(missing, "authority_access_route")
	}
	if r.Authority == nil {
		missing = append(missing, "authority_identity")
	}
	return missing
}

// AccessAddress returns host:port of the project node, empty if it is not known.
func (r *Record) AccessAddress() string { return hostPort(r.AccessRoute) }

// AuthorityAddress returns host:port of the authority, empty if it is not known.
func (r *Record) AuthorityAddress() string { return hostPort(r.AuthorityRoute) }

// EgressAllowList returns the addresses that a firewall has to let members
// reach: those of the project node and of the authority, each once.
func (r *Record) EgressAllowList() []string {
	list := []string{}
	for _, a := range []string{r.AccessAddress(), r.AuthorityAddress()} {
		if a != "" && (len(list) == 0 || list[0] != a) {
			list = append(list, a)
		}
	}
	return list
}

// hostPort returns host:port of a route that begins with a host and a TCP port,
// empty if it does not.
func hostPort(route multiaddr.Addr) string {
	if len(route) < 2 || route[0].Value == "" || route[1].Protocol != multiaddr.TCP {
		return ""
	}
	switch route[0].Protocol {
	case multiaddr.IP4, multiaddr.IP6, multiaddr.DNSAddr:
		return net.JoinHostPort(route[0].Value, route[1].Value)
	default:
		return ""
	}
}
