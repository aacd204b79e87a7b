package project

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Shown returns a record as commands print it in JSON: its members, and what
// follows from them: access_address, authority_access_address and
// egress_allow_list, which are never read (Ockam protocol, projects, the
// project record). The caller prints the keys in order.
func (r *Record) Shown() any {
	return struct {
		recordJSON
		AccessAddress    *string  `json:"access_address"`
		AuthorityAddress *string  `json:"authority_access_address"`
		EgressAllowList  []string `json:"egress_allow_list"`
	}{r.members(), orNull(r.AccessAddress()), orNull(r.AuthorityAddress()), r.EgressAllowList()}
}

// Text returns a record as commands print it for people, in lines that end
// without a line end at last: the name, and below it what is known, with N/A
// for what is not (Ockam protocol, projects, text form).
func (r *Record) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s:", printable(r.Name))
	line := func(label, value string) { fmt.Fprintf(&b, "\n      %s: %s", label, value) }
	id, authority := "", ""
	if !r.Identity.IsZero() {
		id = r.Identity.String()
	}
	if r.Authority != nil {
		authority = r.Authority.Identifier().String()
	}
	m := r.members()
	route := ""
	if m.AuthorityRoute != nil {
		route = *m.AuthorityRoute
	}
	line("Id", printable(r.ID))
	line("Name", printable(r.Name))
	line("Space", printable(r.SpaceName))
	line("Route", known(m.AccessRoute))
	line("Address", known(r.AccessAddress()))
	line("Identifier", known(id))
	line("Version", known(r.Version))
	line("Is running", strconv.FormatBool(r.Running != nil && *r.Running))
	line("Authority route", known(route))
	line("Authority address", known(r.AuthorityAddress()))
	line("Authority identifier", known(authority))
	line("Egress allow list", printable(strings.Join(r.EgressAllowList(), ", ")))
	return strings.TrimRight(b.String(), " ")
}

// known returns what is printed for a value that may be missing.
func known(s string) string {
	if s == "" {
		return "N/A"
	}
	return printable(s)
}

// printable quotes what would do something else on a terminal than be read.
func printable(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.Quote(s)
	}
	return s
}
