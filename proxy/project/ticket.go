package project

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// A Ticket lets whoever holds it become a member of a project, once or as often
// as the authority said when it made the code. Tickets are not changed after
// they have been parsed.
type Ticket struct {
	// Code is what the authority asks for. Who has it can become a member: it
	// belongs in no log and no error.
	Code [32]byte
	// Project says where the authority is, and of which project.
	Project *Record
}

// cloudDomain is where the projects of the vendor of the reference
// implementation are; tickets of theirs leave it out.
const cloudDomain = ".projects.orchestrator.ockam.io"

// ParseTicket reads a ticket in either of its two forms, as hexadecimal digits
// or as the text that they stand for, and verifies what it says (Ockam protocol,
// enrollment tickets): it must name both nodes of the project. White space around a
// ticket and between digits does not count: tickets are pasted. Errors say what is
// wrong, and never hold the code.
func ParseTicket(text string) (*Ticket, error) {
	t, err := parseTicket(text)
	if err != nil {
		return nil, fmt.Errorf("project: the ticket %w", err)
	}
	return t, nil
}

func parseTicket(text string) (*Ticket, error) {
	text = trim(text)
	if text == "" {
		return nil, errors.New("is empty")
	}
	digits := strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return -1
		}
		return c
	}, text)
	wrong := strings.IndexFunc(digits, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) })
	switch {
	case wrong < 0 && len(digits)%2 != 0:
		return nil, fmt.Errorf("was cut short: it ends after %d hexadecimal digits, an odd number", len(digits))
	case wrong < 0:
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, err
		}
		text = trim(string(b))
	case !isText(text):
		c := []rune(digits[wrong:])[0]
		return nil, fmt.Errorf("is neither hexadecimal digits nor fields with commas between: the character %q, after %d others, is no digit", c, wrong)
	}
	switch {
	case strings.HasPrefix(text, "{"):
		return parseObjectTicket(text)
	case strings.Contains(text, ","):
		return parseFieldsTicket(text)
	case isText(text):
		return nil, errors.New("was cut short: it ends within the first field")
	}
	return nil, errors.New("is that of something else: its digits hold neither a JSON object nor fields with commas between")
}

// isText reports whether text looks like what the digits of a ticket stand for.
func isText(text string) bool {
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "/") || strings.Contains(text, ",")
}

// trim removes white space and the mark that editors put before a text.
func trim(text string) string {
	return strings.TrimFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' })
}

// parseObjectTicket reads the form that is a JSON object, the one that commands
// print ("legacy" in the reference implementation).
func parseObjectTicket(text string) (*Ticket, error) {
	o, err := parseObject([]byte(text))
	if syntax, ok := errors.AsType[*syntaxError](err); ok && syntax.cut {
		return nil, fmt.Errorf("was cut short: it ends after %d characters, within what it says of the project", len(text))
	} else if err != nil {
		return nil, fmt.Errorf("was altered: %w", err)
	}
	var code string
	var record *object
	o.need("one_time_code", &code)
	o.need("project", &record)
	if o.err != nil {
		return nil, fmt.Errorf("is incomplete: %w", o.err)
	}
	t := &Ticket{}
	if t.Code, err = parseCode(code); err != nil {
		return nil, err
	}
	if t.Project, err = parseRecord(o.members["project"], false); err != nil {
		return nil, fmt.Errorf("is no good in what it says of the project: %w", err)
	}
	if missing := t.Project.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("is incomplete: what it says of the project lacks %s", strings.Join(missing, ", "))
	}
	return t, nil
}

func parseCode(text string) (code [32]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(code) { // err would hold a part of the code
		return code, fmt.Errorf("was cut short or altered: its one-time code has %d characters, and must be 64 hexadecimal digits", len(text))
	}
	copy(code[:], b)
	return code, nil
}

// fieldNames are what the fields of the other form are called in errors.
var fieldNames = [...]string{
	"route to the project", "identifier of the project", "name of the project", "one-time code",
	"change history of the project", "change history of the authority", "route to the authority",
}

// parseFieldsTicket reads the form that is fields with commas between
// ("exported" in the reference implementation). The identifier is not looked
// at, since the change history says it; fields after the seventh are ignored.
func parseFieldsTicket(text string) (*Ticket, error) {
	fields := strings.Split(text, ",")
	if len(fields) < 6 {
		return nil, fmt.Errorf("was cut short: it has %d of 6 fields and ends within the %s", len(fields), fieldNames[len(fields)-1])
	}
	for i, f := range fields[:min(len(fields), len(fieldNames))] {
		if f = strings.TrimSpace(f); f == "" {
			return nil, fmt.Errorf("was cut short or altered: its field %d, the %s, is empty", i+1, fieldNames[i])
		}
		fields[i] = f
	}
	wrong := func(i int, err error) error {
		return fmt.Errorf("was cut short or altered: its field %d, the %s: %w", i+1, fieldNames[i], err)
	}
	r := &Record{Name: fields[2]}
	t := &Ticket{Project: r}
	var err error
	if r.ID, r.AccessRoute, err = parsePlace(fields[0]); err != nil {
		return nil, wrong(0, err)
	}
	if t.Code, err = parseCode(fields[3]); err != nil {
		return nil, err
	}
	if r.History, err = identity.ParseHistoryText(fields[4]); err != nil {
		return nil, wrong(4, err)
	}
	r.Identity = r.History.Identifier()
	if r.Authority, err = identity.ParseHistoryText(fields[5]); err != nil {
		return nil, wrong(5, err)
	}
	route := "/dnsaddr/" + r.ID + cloudDomain + "/tcp/443/service/" + r.ID + "/service/authority/service/api"
	if len(fields) > 6 {
		route = fields[6]
	}
	if r.AuthorityRoute, err = multiaddr.Parse(route); err != nil {
		return nil, wrong(6, err)
	}
	if err := r.verify(); err != nil {
		return nil, fmt.Errorf("was cut short or altered: %w", err)
	}
	return t, nil
}

// parsePlace reads the first field: a route, whose host says the id of the
// project, or the id itself, which says the route.
func parsePlace(text string) (id string, route multiaddr.Addr, err error) {
	route, err = multiaddr.Parse(text)
	switch {
	case err != nil && strings.Contains(text, "/"):
		return "", nil, err
	case err != nil: // an id
		route, err = multiaddr.Parse("/dnsaddr/" + text + cloudDomain + "/tcp/443/service/" + text + "/service/api")
		return text, route, err
	case len(route) == 0 || route[0].Protocol != multiaddr.DNSAddr:
		return "", nil, fmt.Errorf("the route %s does not begin with /dnsaddr", route)
	}
	id, _, _ = strings.Cut(route[0].Value, ".")
	return id, route, nil
}

// Text returns the ticket as commands print it, to be written without a line
// end: hexadecimal digits of the JSON form, which the reference implementation
// reads, too. The id of the project is kept, which the reference implementation
// replaces by a part of the host's name. What is only book-keeping stays behind.
func (t *Ticket) Text() (string, error) {
	if t.Project == nil {
		return "", errors.New("project: a ticket needs a project")
	}
	if err := t.Project.Verify(); err != nil {
		return "", err
	}
	p := t.Project
	if err := p.Usable(); err != nil {
		return "", err
	}
	b, err := encode(struct {
		Code    string     `json:"one_time_code"`
		Project recordJSON `json:"project"`
	}{
		hex.EncodeToString(t.Code[:]),
		(&Record{
			ID: p.ID, Name: p.Name, AccessRoute: p.AccessRoute, AuthorityRoute: p.AuthorityRoute,
			Identity: p.Identifier(), History: p.History, Authority: p.Authority,
		}).members(),
	})
	return hex.EncodeToString(b), err
}

// Fields returns the ticket in its other form, which is shorter: hexadecimal
// digits of fields with commas between. It has no room for the id of the
// project: who reads it takes the host's name up to the first dot. The project
// needs both change histories, both routes, the first of which begins with
// /dnsaddr, and a name without a comma.
func (t *Ticket) Fields() (string, error) {
	p := t.Project
	if p == nil || !p.Ready() {
		return "", errors.New("project: a ticket of fields needs both change histories and both routes of its project")
	}
	if err := p.Verify(); err != nil {
		return "", err
	}
	fields := []string{
		p.AccessRoute.String(), p.History.Identifier().String(), p.Name, hex.EncodeToString(t.Code[:]),
		p.History.Text(), p.Authority.Text(), p.AuthorityRoute.String(),
	}
	for i, f := range fields {
		if strings.Contains(f, ",") {
			return "", fmt.Errorf("project: the %s is %q: a ticket of fields cannot hold a comma", fieldNames[i], f)
		}
	}
	if p.AccessRoute[0].Protocol != multiaddr.DNSAddr {
		return "", fmt.Errorf("project: a ticket of fields needs a route that begins with /dnsaddr, not %s", p.AccessRoute)
	}
	return hex.EncodeToString([]byte(strings.Join(fields, ","))), nil
}
