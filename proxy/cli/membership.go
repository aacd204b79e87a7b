package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/proxy/node"
	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

// authorityTimeout bounds what a command asks an authority for.
const authorityTimeout = 30 * time.Second

// knownProject returns a project that is known here, the default one if name is
// empty. Where the name "default" is none it means the default one too, so that
// what is written for one machine holds on another.
func (s *store) knownProject(ctx context.Context, name string) (*project.Record, error) {
	known, err := s.Project(ctx, name)
	if errors.Is(err, state.ErrNotFound) && name == "default" {
		known, err = s.Project(ctx, "")
	}
	if err == nil {
		return known.Record, nil
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	all, err := s.Projects(ctx)
	if err != nil {
		return nil, err
	}
	what := errors.New("there is no project on this machine") // else one is the default
	if name != "" {
		what = notFound("project", name, "there is "+cmp.Or(enumerate(projectNames(all)), "none on this machine"))
	}
	return nil, &failure{
		code: codeNotFound, err: what,
		help: "Become a member with a ticket: ockam project enroll TICKET. Or import what is known of it: ockam project import --project-file project.json. Or make one: ockam project create default --listen HOST:PORT",
	}
}

// scopeOf names the credentials of a project's members (Ockam protocol,
// credentials, scopes).
func scopeOf(rec *project.Record) string { return "project-member-" + rec.ID }

// An authorityCall is a connection of this process to an authority, in the name
// of an identity.
type authorityCall struct {
	*authority.Client
	caller identity.Identifier
	walker walker
}

func (a *authorityCall) close() { a.walker.close() }

// callAuthority connects to the authority of a project. It must prove to be that.
func (s *store) callAuthority(ctx context.Context, rec *project.Record, id *identity.Identity) (*authorityCall, error) {
	if rec.Authority == nil || len(rec.AuthorityRoute) == 0 {
		return nil, &failure{err: fmt.Errorf("nothing is known of the authority of the project %q", rec.Name), help: "Import a complete project file: ockam project import --project-file project.json"}
	}
	rec, err := s.nearby(ctx, rec)
	if err != nil {
		return nil, err
	}
	a := &authorityCall{caller: id.Identifier(), walker: walker{router: tunnel.NewRouter()}}
	want := rec.Authority.Identifier()
	err = a.walker.through(ctx, rec.AuthorityRoute, &secure.Config{
		Router: a.walker.router, Identity: id, Histories: s, Authorize: exactly(want),
	})
	if err != nil {
		a.close()
		return nil, passing(fmt.Errorf("the authority of the project %q at %s cannot be reached: %w", rec.Name, rec.AuthorityRoute, err))
	}
	a.Client = &authority.Client{Router: a.walker.router, Path: a.walker.path, Timeout: authorityTimeout}
	return a, nil
}

// nearby returns rec with the ways by which a project is reached that a node of
// this home serves: the address that others know may not lead back to the machine.
func (s *store) nearby(ctx context.Context, rec *project.Record) (*project.Record, error) {
	all, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		n := &all[i]
		if !n.Authority || !n.Running() {
			continue
		}
		o, err := settingsOf(n)
		if err != nil || o.Server == nil || o.Server.Name != rec.Name {
			continue
		}
		id, err := s.Named(ctx, n.Identity)
		if err != nil || id.Identifier != rec.Identity {
			continue
		}
		near := *rec
		if near.AccessRoute, near.AuthorityRoute, err = node.ProjectRoutes(dialable(n.ListenerAddress)); err != nil {
			return nil, err
		}
		return &near, nil
	}
	return rec, nil
}

// mayKeep looks, before a ticket is used, whether what it says of a project may be
// kept. It must not put another one in the place of a project that is known: who
// makes a ticket may write anything into it.
func (s *store) mayKeep(ctx context.Context, rec *project.Record) error {
	return alreadyThere(s.MayPutProject(ctx, rec))
}

// keepProject keeps what is known of a project, unless that would put it in the
// place of another one.
func (s *store) keepProject(ctx context.Context, rec *project.Record) error {
	return alreadyThere(s.PutProject(ctx, rec))
}

// keepTicket keeps what a ticket says of its project, and returns what is known
// then. The authority looks at the code only of who is no member yet: of a ticket
// that was not used nothing shows who made it, and what is known stays.
func (s *store) keepTicket(ctx context.Context, rec *project.Record, used bool) (*project.Record, error) {
	if !used {
		all, err := s.Projects(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if (p.Record.ID == rec.ID || p.Record.Name == rec.Name) && p.Record.Authority != nil {
				return p.Record, s.mayKeep(ctx, rec)
			}
		}
	}
	return rec, s.keepProject(ctx, rec)
}

// exactly admits one identity.
func exactly(want identity.Identifier) func(identity.Identifier) error {
	return func(got identity.Identifier) error {
		if got != want {
			return fmt.Errorf("%v answers there, in place of %v", got, want)
		}
		return nil
	}
}

// through goes on along a route whose last part is a channel listener, and opens
// a channel there. It must be the first thing that w does.
func (w *walker) through(ctx context.Context, to multiaddr.Addr, cfg *secure.Config) error {
	hops, err := to.Hops()
	if err != nil {
		return err
	}
	last := len(hops) - 1
	if last < 0 || hops[last].Kind != multiaddr.HopService && hops[last].Kind != multiaddr.HopSecure {
		return fmt.Errorf("the route %s does not end with a channel listener", to)
	}
	if err := w.follow(ctx, hops[:last], notFollowed); err != nil {
		return err
	}
	return w.open(ctx, cfg, hops[last].Value)
}

// open goes on through a channel to a listener.
func (w *walker) open(ctx context.Context, cfg *secure.Config, listener string) error {
	if w.path == nil {
		return errors.New("there is no secure channel listener in this command")
	}
	channel, err := secure.Dial(ctx, cfg, w.path, w.rest.Join(tunnel.NewRoute(tunnel.LocalAddress(listener))))
	if err != nil {
		return err
	}
	w.path, w.rest = channel, tunnel.Route{}
	return nil
}

// memberCredential returns the credential of an identity as a member of a
// project: one that has been kept under a scope and is in force for a while, or a
// new one.
func (s *store) memberCredential(ctx context.Context, rec *project.Record, scope string, id *identity.Identity) (*identity.Credential, error) {
	if err := s.UpdateHistory(rec.Authority); err != nil && !errors.Is(err, identity.ErrOlderHistory) {
		return nil, err
	}
	key := state.CredentialKey{Issuer: rec.Authority.Identifier(), Subject: id.Identifier(), Scope: scope}
	kept, err := s.Credential(ctx, key)
	if err == nil && kept.ExpiresAt > identity.At(time.Now().Add(time.Minute)) {
		return identity.ParseCredential(kept.Credential)
	}
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	return s.newCredential(ctx, rec, scope, id)
}

// newCredential gets a new credential, and keeps it.
func (s *store) newCredential(ctx context.Context, rec *project.Record, scope string, id *identity.Identity) (*identity.Credential, error) {
	key := state.CredentialKey{Issuer: rec.Authority.Identifier(), Subject: id.Identifier(), Scope: scope}
	a, err := s.callAuthority(ctx, rec, id)
	if err != nil {
		return nil, err
	}
	defer a.close()
	cred, err := a.Issue(ctx)
	if err != nil {
		return nil, notMember(rec, id.Identifier(), err)
	}
	return cred, s.keepCredential(ctx, key, cred)
}

// keepCredential keeps what the issuer that key names has issued, if that is valid.
func (s *store) keepCredential(ctx context.Context, key state.CredentialKey, cred *identity.Credential) error {
	data, err := cred.Verify(identity.VerifyOptions{Histories: s, Authorities: []identity.Identifier{key.Issuer}, Subject: &key.Subject})
	if err != nil {
		return fmt.Errorf("what the authority %v issued is not valid: %w", key.Issuer, err)
	}
	return s.PutCredential(ctx, state.StoredCredential{CredentialKey: key, Credential: cred.Bytes(), ExpiresAt: data.ExpiresAt})
}

// notMember says what to do when the authority refuses a credential.
func notMember(rec *project.Record, id identity.Identifier, err error) error {
	if !errors.Is(err, authority.ErrNotMember) {
		return fmt.Errorf("the authority of the project %q: %w", rec.Name, err)
	}
	return &failure{
		code: codeForbidden, err: fmt.Errorf("%v is not a member of the project %q: %w", id, rec.Name, err),
		help: "Ask an enroller of the project for a ticket (ockam project ticket), then: ockam project enroll TICKET",
	}
}
