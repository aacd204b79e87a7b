package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// ParseRecord reads the JSON form of a record and verifies it, by the rules of
// the reference implementation of 2024: id, name, space_name, access_route,
// users, space_id and user_roles must be there, and unknown keys are ignored
// (Ockam protocol, projects, import rules). Errors name the key that is wrong.
func ParseRecord(b []byte) (*Record, error) {
	r, err := parseRecord(b, false)
	if err != nil {
		return nil, fmt.Errorf("project: the record is no good: %w", err)
	}
	return r, nil
}

// ParseRecordLeniently is ParseRecord for files that programs of 2022 and 2023
// wrote, too: space_name, users, space_id and user_roles may be missing.
func ParseRecordLeniently(b []byte) (*Record, error) {
	r, err := parseRecord(b, true)
	if err != nil {
		return nil, fmt.Errorf("project: the record is no good: %w", err)
	}
	return r, nil
}

func parseRecord(b []byte, lenient bool) (*Record, error) {
	o, err := parseObject(b)
	if err != nil {
		return nil, err
	}
	var r Record
	var access, authorityRoute, id, history, authority string
	o.need("id", &r.ID)
	o.need("name", &r.Name)
	o.need("access_route", &access)
	need := o.need
	if lenient {
		need = o.may
	}
	need("space_name", &r.SpaceName)
	need("space_id", &r.SpaceID)
	need("users", (*texts)(&r.Users))
	need("user_roles", (*roles)(&r.UserRoles))
	o.may("identity", &id)
	o.may("project_change_history", &history)
	o.may("authority_access_route", &authorityRoute)
	o.may("authority_identity", &authority)
	o.may("version", &r.Version)
	o.may("running", &r.Running)
	o.may("operation_id", &r.OperationID)
	var okta *oktaConfig
	var kafka *object
	o.may("okta_config", &okta)
	o.may("kafka_config", &kafka)
	if o.err != nil {
		return nil, o.err
	}
	r.Okta, r.Kafka = (*Okta)(okta), kafka != nil
	if id != "" {
		if r.Identity, err = identity.ParseIdentifier(id); err != nil {
			return nil, fmt.Errorf(`"identity": %w`, err)
		}
		if r.Identity.IsZero() {
			return nil, errors.New(`"identity" is nobody's`)
		}
	}
	if r.AccessRoute, err = parseRoute("access_route", access); err != nil {
		return nil, err
	}
	if r.AuthorityRoute, err = parseRoute("authority_access_route", authorityRoute); err != nil {
		return nil, err
	}
	if r.History, err = parseHistory("project_change_history", history); err != nil {
		return nil, err
	}
	if r.Authority, err = parseHistory("authority_identity", authority); err != nil {
		return nil, err
	}
	return &r, r.verify()
}

func parseRoute(key, text string) (multiaddr.Addr, error) {
	a, err := multiaddr.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", key, err)
	}
	return a, nil
}

func parseHistory(key, text string) (*identity.History, error) {
	if text == "" {
		return nil, nil
	}
	h, err := identity.ParseHistoryText(text)
	if err != nil {
		return nil, fmt.Errorf("%q was cut short or altered: %w", key, err)
	}
	return h, nil
}

// An object is a JSON object whose members are read one by one; err is the first
// thing that was wrong. Unlike with encoding/json alone, keys are those of the
// reference implementation to the letter, and none counts that stands twice.
type object struct {
	members map[string]json.RawMessage
	err     error
}

func parseObject(b []byte) (*object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is no text")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		return nil, placed(b, err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(whole, " \t\r\n"), []byte("{")) {
		return nil, errors.New("it is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	o := &object{members: make(map[string]json.RawMessage)}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := o.members[key]; twice {
			return nil, fmt.Errorf("%q stands there twice", key)
		}
		o.members[key] = value
	}
	return o, nil
}

// A syntaxError is text that is no JSON.
type syntaxError struct {
	text string
	cut  bool // it ends too early
}

func (e *syntaxError) Error() string { return e.text }

// placed says where a syntax error is.
func placed(b []byte, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return err
	}
	before := b[:min(max(int(syntax.Offset)-1, 0), len(b))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return &syntaxError{
		text: fmt.Sprintf("it is no JSON: line %d, column %d: %v", line, column, err),
		cut:  strings.HasPrefix(err.Error(), "unexpected end"),
	}
}

// need reads a member that must be there.
func (o *object) need(key string, v any) { o.read(key, v, true) }

// may reads a member, if it is there and not null.
func (o *object) may(key string, v any) { o.read(key, v, false) }

func (o *object) read(key string, v any, needed bool) {
	b, there := o.members[key]
	switch {
	case o.err != nil:
	case !there && needed:
		o.err = fmt.Errorf("%q is missing", key)
	case !there || isNull(b) && !needed:
	case isNull(b):
		o.err = fmt.Errorf("%q is null", key)
	default:
		if err := json.Unmarshal(b, v); err != nil {
			o.err = fmt.Errorf("%q: %w", key, plainly(err))
		}
	}
}

func isNull(b json.RawMessage) bool { return string(b) == "null" }

// plainly says what kind of value was expected in words of JSON.
func plainly(err error) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	want := map[string]string{"string": "text", "bool": "true or false", "uint64": "a whole number from 0 on", "slice": "a list"}[e.Type.Kind().String()]
	return fmt.Errorf("it is a %s, and must be %s", e.Value, want)
}

// UnmarshalJSON reads any object.
func (o *object) UnmarshalJSON(b []byte) error {
	read, err := parseObject(b)
	if err == nil {
		*o = *read
	}
	return err
}

// texts is a list of texts, none of which is null.
type texts []string

// UnmarshalJSON reads the list.
func (t *texts) UnmarshalJSON(b []byte) error {
	var all []*string
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, s := range all {
		if s == nil {
			return errors.New("it holds null, and must hold texts")
		}
		*t = append(*t, *s)
	}
	return nil
}

// roles is a list of user roles.
type roles []UserRole

// UnmarshalJSON reads the list.
func (r *roles) UnmarshalJSON(b []byte) error {
	var all []object
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for i := range all {
		o, u := &all[i], UserRole{}
		o.need("email", &u.Email)
		o.need("id", &u.ID)
		o.need("role", &u.Role)
		o.need("scope", &u.Scope)
		o.oneOf("role", u.Role, "Admin", "Guest", "Service")
		o.oneOf("scope", u.Scope, "Project", "Service", "Space")
		if o.err != nil {
			return o.err
		}
		*r = append(*r, u)
	}
	return nil
}

func (o *object) oneOf(key, value string, of ...string) {
	if o.err == nil && !slices.Contains(of, value) {
		o.err = fmt.Errorf("%q is %q, and must be one of %s", key, value, strings.Join(of, ", "))
	}
}

// oktaConfig is Okta, as it is read.
type oktaConfig Okta

// UnmarshalJSON reads the object and gives the URL a path.
func (c *oktaConfig) UnmarshalJSON(b []byte) error {
	o, err := parseObject(b)
	if err != nil {
		return err
	}
	var base string
	o.need("tenant_base_url", &base)
	o.need("certificate", &c.Certificate)
	o.need("client_id", &c.ClientID)
	o.need("attributes", (*texts)(&c.Attributes))
	if o.err != nil {
		return o.err
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf(`"tenant_base_url" is %q, which is no URL`, base)
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	c.TenantBaseURL = u.String()
	return nil
}

// recordJSON has the members of a record in the order of the reference
// implementation, which tickets show.
type recordJSON struct {
	ID             string               `json:"id"`
	Name           string               `json:"name"`
	SpaceName      string               `json:"space_name"`
	AccessRoute    string               `json:"access_route"`
	Users          []string             `json:"users"`
	SpaceID        string               `json:"space_id"`
	Identity       *identity.Identifier `json:"identity"`
	AuthorityRoute *string              `json:"authority_access_route"`
	Authority      *string              `json:"authority_identity"`
	Okta           *Okta                `json:"okta_config,omitempty"`
	Kafka          *struct{}            `json:"kafka_config,omitempty"`
	Version        *string              `json:"version"`
	Running        *bool                `json:"running"`
	OperationID    *string              `json:"operation_id"`
	UserRoles      []UserRole           `json:"user_roles"`
	History        *string              `json:"project_change_history"`
}

func (r *Record) members() recordJSON {
	m := recordJSON{
		ID: r.ID, Name: r.Name, SpaceName: r.SpaceName, Users: listed(r.Users), SpaceID: r.SpaceID,
		Version: orNull(r.Version), Running: r.Running, OperationID: orNull(r.OperationID), UserRoles: listed(r.UserRoles),
		Authority: historyText(r.Authority), History: historyText(r.History),
	}
	if len(r.AccessRoute) > 0 {
		m.AccessRoute = r.AccessRoute.String()
	}
	if len(r.AuthorityRoute) > 0 {
		m.AuthorityRoute = orNull(r.AuthorityRoute.String())
	}
	if !r.Identity.IsZero() {
		m.Identity = &r.Identity
	}
	if r.Okta != nil {
		okta := *r.Okta
		okta.Attributes = listed(okta.Attributes)
		m.Okta = &okta
	}
	if r.Kafka {
		m.Kafka = &struct{}{}
	}
	return m
}

// listed returns a list that is printed as one when it is empty.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func historyText(h *identity.History) *string {
	if h == nil {
		return nil
	}
	return orNull(h.Text())
}

// MarshalJSON returns the JSON form with the keys that ParseRecord reads, in the
// order of the reference implementation.
func (r *Record) MarshalJSON() ([]byte, error) { return encode(r.members()) }

// UnmarshalJSON sets r to what ParseRecord reads.
func (r *Record) UnmarshalJSON(b []byte) error {
	read, err := ParseRecord(b)
	if err == nil {
		*r = *read
	}
	return err
}

// encode returns compact JSON whose texts are as the reference implementation
// writes them, without escapes for web pages.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
