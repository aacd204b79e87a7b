package authority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// DefaultCredentialLifetime is how long a credential is valid by default, that of
// the reference implementation: 30 days.
const DefaultCredentialLifetime = 30 * 24 * time.Hour

// DefaultTokenLifetime is how long a code can be redeemed unless who has it made
// says otherwise.
const DefaultTokenLifetime = 10 * time.Minute

// An Authority is an identity that says who is a member. It must not be changed
// after Register.
type Authority struct {
	// Identity signs the credentials.
	Identity *identity.Identity
	// Histories has the histories of those who open channels.
	Histories identity.Histories
	// Project is the identifier of the project, which is in all credentials as
	// the attribute AttributeContext unless OmitContext is set.
	Project     string
	OmitContext bool
	// Store keeps members and tokens.
	Store Store
	// CredentialLifetime, in whole seconds, replaces DefaultCredentialLifetime if
	// it is not zero.
	CredentialLifetime time.Duration
	// NoDirect leaves out the direct authenticator, NoTokens issuer and acceptor
	// of enrollment tokens.
	NoDirect, NoTokens bool
	// AccountAuthority, if it is not zero, makes administrators: those of whom it
	// says, in a credential that they have presented, that their project is
	// Project. Attributes has what it said.
	AccountAuthority identity.Identifier
	Attributes       identity.AttributeStore
	// EnforceAdminChecks leaves what only administrators may do to those, where
	// there is an AccountAuthority; else enrollers may do it as well.
	EnforceAdminChecks bool
	// Okta, if set, makes members of those whom that service knows.
	Okta *Okta
	// Events, if set, is told what is changed and refused, on the goroutine of the
	// request; several may call it at once.
	Events func(Event)
	// Now tells the time; nil is time.Now. Identity.Now is another clock.
	Now func() time.Time
}

// An Event is a change or a refusal.
type Event struct {
	// Service, Method and Path are those of the request; Service is empty for
	// what the authority does by itself.
	Service string
	Method  api.Method
	Path    string
	// Caller is who sent it; zero without a secure channel.
	Caller identity.Identifier
	// Status is that of the answer: api.StatusOK for a change.
	Status api.Status
	// Text says what was changed, or by which rule the request is refused, as the
	// caller is told.
	Text string
	// Err is what the caller is not told, mostly nil.
	Err error
}

// String returns the event in a line.
func (e Event) String() string {
	s := fmt.Sprintf("%s: %v %q of %v: ", e.Service, e.Method, e.Path, e.Caller)
	if e.Status != api.StatusOK {
		s += fmt.Sprintf("refused with %d: ", e.Status)
	}
	s += e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Services are the registered services of an authority.
type Services struct {
	servers       []*api.Server
	registrations []*tunnel.Registration
}

// Close takes the services off the router, cancels the requests that are carried
// out and waits until they have ended.
func (s *Services) Close() {
	for _, r := range s.registrations {
		r.Close()
	}
	for _, srv := range s.servers {
		srv.Close()
	}
}

// Register registers the services at their addresses. Access opens them to the
// group of the authority's channel listener: what comes by way of anything else,
// even of a worker of the node, is not from a secure channel to them. If an
// address is taken the error is tunnel.ErrInUse and nothing is registered.
func (a *Authority) Register(r *tunnel.Router, access tunnel.Access) (*Services, error) {
	if a.CredentialLifetime != 0 && a.CredentialLifetime < time.Second {
		return nil, fmt.Errorf("authority: credentials that live for %v", a.CredentialLifetime)
	}
	s := &Services{}
	for _, svc := range a.services() {
		srv := a.server(r, svc, access.Open)
		reg, err := r.Handle(tunnel.LocalAddress(svc.name), srv, access)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("authority: %w", err)
		}
		s.servers = append(s.servers, srv)
		s.registrations = append(s.registrations, reg)
	}
	return s, nil
}

// A service answers requests at an address.
type service struct {
	name   string
	answer func(*call) (api.Body, error)
	// noChannel is the status for who comes without a secure channel.
	noChannel api.Status
}

func (a *Authority) services() []service {
	all := []service{{CredentialIssuer, a.issue, api.StatusBadRequest}}
	if !a.NoDirect {
		all = append(all, service{DirectAuthenticator, a.direct, api.StatusBadRequest})
	}
	if !a.NoTokens {
		all = append(all,
			service{TokenIssuer, a.issueToken, api.StatusBadRequest},
			service{TokenAcceptor, a.acceptToken, api.StatusBadRequest})
	}
	if a.Okta != nil {
		all = append(all, service{OktaAuthenticator, a.enrollByOkta, api.StatusForbidden})
	}
	return all
}

func (a *Authority) server(r *tunnel.Router, svc service, open []tunnel.Source) *api.Server {
	return &api.Server{
		Router: r, Name: svc.name,
		Answer: func(ctx context.Context, from *tunnel.Origin, req api.Request) api.Response {
			c := &call{a: a, ctx: ctx, service: svc.name, req: req, now: a.now()}
			if !c.authenticate(from, open) {
				return c.noChannel(svc.noChannel)
			}
			body, err := svc.answer(c)
			return c.respond(body, err)
		},
		Unread: func(from *tunnel.Origin, err error) api.Response {
			c := &call{a: a, service: svc.name}
			c.authenticate(from, open)
			return c.refuse(&api.Error{Status: api.StatusBadRequest, Message: "malformed request"}, err)
		},
	}
}

func (a *Authority) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// A call is a request that is carried out.
type call struct {
	a       *Authority
	ctx     context.Context
	service string
	caller  identity.Identifier
	req     api.Request
	now     time.Time
	did     string // what was changed; empty if nothing
	hidden  error  // behind a refusal: what the caller is not told
}

// authenticate finds out whom the secure channel proved that brought the request.
func (c *call) authenticate(from *tunnel.Origin, open []tunnel.Source) bool {
	if from == nil || from.Peer == "" {
		return false
	}
	// A worker of this node may have passed it on from elsewhere.
	if !slices.Contains(open, tunnel.Source(from)) && (from.Group == nil || !slices.Contains(open, tunnel.Source(from.Group))) {
		return false
	}
	id, err := identity.ParseIdentifier(from.Peer)
	if err != nil || id.IsZero() {
		return false
	}
	c.caller = id
	return true
}

// noChannel refuses who is nobody. As with the reference implementation the
// answer is to no request in particular, but for a service that says 403.
func (c *call) noChannel(status api.Status) api.Response {
	const text = "secure channel required"
	if status == api.StatusBadRequest {
		c.event(status, text, nil)
		return api.Fail(api.Request{}, &api.Error{Status: status, Message: text})
	}
	return c.refuse(&api.Error{Status: status, Message: text}, nil)
}

// respond makes the answer of what a service returned.
func (c *call) respond(body api.Body, err error) api.Response {
	var answer api.Response
	if err == nil {
		answer, err = api.Respond(c.req, body)
	}
	if err != nil {
		e, hidden := toldOf(err)
		return c.refuse(e, cmp.Or(hidden, c.hidden))
	}
	if c.did != "" {
		c.event(api.StatusOK, c.did, nil)
	}
	return answer
}

func (c *call) refuse(e *api.Error, hidden error) api.Response {
	c.event(e.Status, e.Message, hidden)
	e.Path, e.Method = c.req.Path, c.req.Method
	return api.Fail(c.req, e)
}

func (c *call) event(status api.Status, text string, err error) {
	if c.a.Events != nil {
		c.a.Events(Event{
			Service: c.service, Method: c.req.Method, Path: c.req.Path, Caller: c.caller,
			Status: status, Text: text, Err: err,
		})
	}
}

// toldOf says what the caller is told of an error, and what only the log.
func toldOf(err error) (told *api.Error, hidden error) {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e, nil
	}
	text := "authority: internal error"
	if e, ok := errors.AsType[*databaseError](err); ok {
		text, err = "authority: database: it does not do its work at present, try again later", e.err
	}
	return &api.Error{Status: api.StatusInternalError, Message: text}, err
}

// A databaseError is an error of the Store that is none of its own. Where the
// database is, and what is wrong with it, is nothing for peers.
type databaseError struct{ err error }

func (e *databaseError) Error() string { return "authority: database: " + e.err.Error() }
func (e *databaseError) Unwrap() error { return e.err }

// stored marks an error of the Store as one.
func stored(err error) error {
	if err == nil {
		return nil
	}
	return &databaseError{err}
}

func forbidden(format string, args ...any) error {
	return &api.Error{Status: api.StatusForbidden, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &api.Error{Status: api.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func unknownPath() error { return badRequest("unknown path") }

// body reads the body of the request, whether or not it says that it has one.
func (c *call) body(v api.Body) error {
	if _, err := api.Parse(c.req.Body, v); err != nil {
		return badRequest("malformed body: %v", err)
	}
	return nil
}

// after returns the time that many seconds from now.
func (c *call) after(seconds uint64) identity.Timestamp {
	now := uint64(identity.At(c.now))
	if seconds > math.MaxInt64-now { // beyond what a database can hold
		return math.MaxInt64
	}
	return identity.Timestamp(now + seconds)
}
