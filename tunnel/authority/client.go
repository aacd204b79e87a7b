package authority

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// A Client asks an authority for something in the name of the identity whose
// secure channel Path is. Any number of goroutines may use it.
//
// A refusal wraps an *api.Error with the authority's own words, and
// ErrAlreadyMember, ErrUnknownCode or ErrNotMember where it means that. A service
// that the authority does not have, and a request that an authority of the
// reference implementation cannot read, is not answered: api.ErrNoAnswer.
type Client struct {
	Router *tunnel.Router
	// Path is the secure channel, which requires the authority's identifier.
	Path tunnel.Path
	// Via stands between the end of Path and the authority's services; mostly it is
	// empty.
	Via tunnel.Route
	// Timeout replaces api.DefaultTimeout for each request if it is not zero.
	Timeout time.Duration
}

// A refusal is an error of the authority, and what it means.
type refusal struct {
	kind error // nil: nothing that a caller looks at
	said *api.Error
}

func (e *refusal) Error() string { return "the authority refuses: " + e.said.Error() }

// Unwrap returns what the refusal means, and the authority's error.
func (e *refusal) Unwrap() []error {
	if e.kind == nil {
		return []error{e.said}
	}
	return []error{e.kind, e.said}
}

// meanings are the words by which refusals are told apart, since all of them have
// the same status (Ockam protocol, authority, refusals).
var meanings = []struct {
	words string
	means error
}{
	{"already a member", ErrAlreadyMember},
	{"unknown enrollment token", ErrUnknownCode},
	{"unauthorized member", ErrNotMember},
	{"not found", ErrNotMember},
}

func refused(said *api.Error) error {
	r := &refusal{said: said}
	if said.Status != api.StatusForbidden {
		return r
	}
	for e := said; e != nil; e = e.Cause {
		text := strings.ToLower(e.Message)
		for _, m := range meanings {
			if r.kind == nil && strings.Contains(text, m.words) {
				r.kind = m.means
			}
		}
	}
	return r
}

// ask sends a request to a service and returns the answer, if it is a success.
func (c *Client) ask(ctx context.Context, service string, m api.Method, path string, in api.Body) (api.Response, error) {
	r := api.Request{ID: 1 + rand.Uint32N(1<<32-1), Method: m, Path: path}
	if in != nil {
		enc, err := api.Append(nil, in)
		if err != nil {
			return api.Response{}, fmt.Errorf("authority: %s: %w", service, err)
		}
		r.HasBody, r.Body = true, enc
	}
	to := c.Via.Join(tunnel.NewRoute(tunnel.LocalAddress(service)))
	a, err := (&api.Client{Router: c.Router, Path: c.Path, To: to, Timeout: c.Timeout}).Do(ctx, r)
	switch {
	case err != nil:
		return a, fmt.Errorf("authority: %s: %w", service, err)
	case a.Re != 0 && a.Re != r.ID: // 0: the authority could not read the request
		return a, fmt.Errorf("authority: %s answers another request", service)
	case a.Status != api.StatusOK:
		return a, fmt.Errorf("authority: %s: %w", service, refused(api.ParseError(a)))
	}
	return a, nil
}

// read is ask for an answer with a body, which it reads into out.
func (c *Client) read(ctx context.Context, service string, m api.Method, path string, in, out api.Body) error {
	a, err := c.ask(ctx, service, m, path, in)
	if err != nil {
		return err
	}
	if !a.HasBody {
		return fmt.Errorf("authority: %s: %w", service, api.ErrNoBody)
	}
	if _, err := api.Parse(a.Body, out); err != nil {
		return fmt.Errorf("authority: answer of %s: %w", service, err)
	}
	return nil
}

// Issue asks for a credential about the caller, which it does not verify. A caller
// who is no member gets ErrNotMember.
func (c *Client) Issue(ctx context.Context) (*identity.Credential, error) {
	var body CredentialBody
	if err := c.read(ctx, CredentialIssuer, api.MethodPost, "/", nil, &body); err != nil {
		return nil, err
	}
	return body.Credential, nil
}

// AddMember makes somebody a member, or replaces the attributes of a member. The
// caller must be an enroller.
func (c *Client) AddMember(ctx context.Context, id identity.Identifier, attributes map[string]string) error {
	_, err := c.ask(ctx, DirectAuthenticator, api.MethodPost, "/", &AddMember{Member: id, Attributes: attributes})
	return err
}

// MemberIDs returns the identifiers of all members, in the order in which the
// authority has them. The caller must be an enroller.
func (c *Client) MemberIDs(ctx context.Context) ([]identity.Identifier, error) {
	var body Identifiers
	err := c.read(ctx, DirectAuthenticator, api.MethodGet, "/member_ids", nil, &body)
	return body.List, err
}

// Members returns all members. The caller must be an enroller.
func (c *Client) Members(ctx context.Context) (Entries, error) {
	var body Entries
	err := c.read(ctx, DirectAuthenticator, api.MethodGet, "/", nil, &body)
	return body, err
}

// Member returns what is known of a member, or ErrNotMember. The caller must be an
// enroller.
func (c *Client) Member(ctx context.Context, id identity.Identifier) (Entry, error) {
	var body Entry
	err := c.read(ctx, DirectAuthenticator, api.MethodGet, "/"+id.String(), nil, &body)
	return body, err
}

// DeleteMember deletes a member, if there is one. The caller must be an enroller.
func (c *Client) DeleteMember(ctx context.Context, id identity.Identifier) error {
	_, err := c.ask(ctx, DirectAuthenticator, api.MethodDelete, "/"+id.String(), nil)
	return err
}

// DeleteMembers deletes all members but the caller, who must be an enroller, and
// those whom the caller may not delete.
func (c *Client) DeleteMembers(ctx context.Context) error {
	_, err := c.ask(ctx, DirectAuthenticator, api.MethodDelete, "/members", nil)
	return err
}

// CreateToken makes a code that gives whoever redeems it these attributes, for so
// long, in whole seconds, and so many times. Zero leaves that to the authority: 10
// minutes, once. The caller must be an enroller.
func (c *Client) CreateToken(ctx context.Context, attributes map[string]string, ttl time.Duration, uses uint64) (Code, error) {
	in := CreateToken{Attributes: attributes}
	if ttl < 0 {
		return Code{}, errors.New("authority: a code that has expired before it is made")
	}
	if ttl > 0 {
		seconds := uint64((ttl + time.Second - 1) / time.Second)
		in.TTL = &seconds
	}
	if uses > 0 {
		in.Uses = &uses
	}
	var body CodeBody
	err := c.read(ctx, TokenIssuer, api.MethodPost, "/", &in, &body)
	return body.Code, err
}

// Redeem makes the caller a member by a code. It returns ErrAlreadyMember, and the
// code is as it was, or ErrUnknownCode.
func (c *Client) Redeem(ctx context.Context, code Code) error {
	_, err := c.ask(ctx, TokenAcceptor, api.MethodPost, "/", &CodeBody{Code: code})
	return err
}
