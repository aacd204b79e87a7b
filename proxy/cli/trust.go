package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// A trustFlags are the options that say whose credentials are believed, and
// which are presented (Ockam protocol, command line, trust of a node).
type trustFlags struct {
	project   string
	authority historyValue
	route     routeValue
	scope     string
}

// historyValue is the value of an option that takes a change history in hex.
type historyValue struct{ *identity.History }

// Set reads the hex.
func (v *historyValue) Set(s string) (err error) {
	v.History, err = identity.ParseHistoryText(strings.TrimSpace(s))
	return err
}

// String returns the hex.
func (v *historyValue) String() string {
	if v.History == nil {
		return ""
	}
	return v.Text()
}

// Type returns what the help calls the value.
func (v *historyValue) Type() string { return "identity" }

// trustOptions gives cmd the options.
func trustOptions(cmd *cobra.Command) *trustFlags {
	t := new(trustFlags)
	f := cmd.Flags()
	f.StringVar(&t.project, "project", "", "the project whose authority is believed")
	f.Var(&t.authority, "authority-identity", "change history, in hex, of the authority whose credentials are believed")
	f.Var(&t.route, "authority-route", "where the authority issues credentials")
	f.StringVar(&t.scope, "credential-scope", "", "scope of the stored credential, by that authority, that is presented; nothing without --authority-identity")
	return t
}

// check refuses options that contradict each other, and what there is not.
func (t *trustFlags) check() error {
	authority, route := t.authority.History != nil, len(t.route.addr) > 0
	switch {
	case t.project != "" && (authority || route):
		return &failure{
			err:  errors.New("--project says which authority is believed: it cannot be used with another one"),
			help: "Leave out either --project, or --authority-identity and --authority-route.",
		}
	case route && !authority:
		return &failure{
			err:  errors.New("--authority-route without --authority-identity: it is not known who answers there"),
			help: "Add the change history of the authority: --authority-identity HEX",
		}
	case route && t.scope == "":
		return &failure{
			err:  errors.New("--authority-route without --credential-scope: it is not known where to keep the credential"),
			help: "Add a word for it: --credential-scope TEXT",
		}
	}
	return nil
}

// memberOf returns the project in which the one who uses the options is a member:
// that of --project, or else the default one, if there is one and no other
// authority is named. Nil: none.
func (t *trustFlags) memberOf(ctx context.Context, s *store) (*project.Record, error) {
	switch {
	case t.authority.History != nil:
		return nil, nil
	case t.project == "":
		known, err := s.Project(ctx, "")
		if errors.Is(err, state.ErrNotFound) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return known.Record, nil
	}
	return s.projectOf(ctx, t.project)
}

// projectOf returns the project that the value of an option means: its name, or a
// file with what is known of it, or that itself, which is kept then.
func (s *store) projectOf(ctx context.Context, value string) (*project.Record, error) {
	b, err := []byte(value), error(nil)
	if !strings.HasPrefix(value, "{") {
		b, err = os.ReadFile(value)
	}
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return s.knownProject(ctx, value)
	}
	rec, err := project.ParseRecordLeniently(b)
	if err != nil {
		return nil, &failure{err: fmt.Errorf("the project file %.40s: %w", value, err), help: "Such a file is what ockam project information --output json prints."}
	}
	return rec, s.keepProject(ctx, rec)
}

// implicitTimeout bounds the fetching of a credential that nobody asked for.
const implicitTimeout = 3 * time.Second

// presents returns what gives the credential that a command presents in the name
// of an identity; nil if it presents none. As a member of a project that was not
// named it presents one if there is one.
func (t *trustFlags) presents(ctx context.Context, s *store, id *identity.Identity) (func() (*identity.Credential, error), error) {
	switch {
	case t.authority.History != nil && len(t.route.addr) > 0:
		rec := &project.Record{Name: t.scope, Authority: t.authority.History, AuthorityRoute: t.route.addr}
		return func() (*identity.Credential, error) { return s.memberCredential(ctx, rec, t.scope, id) }, nil
	case t.authority.History != nil && t.scope != "":
		return func() (*identity.Credential, error) { return s.keptCredential(ctx, t, id.Identifier()) }, nil
	}
	rec, err := t.memberOf(ctx, s)
	if err != nil || rec == nil || rec.Authority == nil {
		return nil, err
	}
	return func() (*identity.Credential, error) {
		if t.project != "" {
			return s.memberCredential(ctx, rec, scopeOf(rec), id)
		}
		ctx, cancel := context.WithTimeout(ctx, implicitTimeout)
		defer cancel()
		c, err := s.memberCredential(ctx, rec, scopeOf(rec), id)
		if err != nil {
			return nil, nil //nolint:nilerr // nobody has asked for one
		}
		return c, nil
	}, nil
}

// keptCredential returns the credential that is stored for any node, or for none.
func (s *store) keptCredential(ctx context.Context, t *trustFlags, subject identity.Identifier) (*identity.Credential, error) {
	key := state.CredentialKey{Issuer: t.authority.Identifier(), Subject: subject, Scope: t.scope}
	_, nodes, err := s.nodeNames(ctx)
	if err != nil {
		return nil, err
	}
	for _, key.Node = range append([]string{""}, nodes...) {
		c, err := s.Credential(ctx, key)
		if errors.Is(err, state.ErrNotFound) || err == nil && c.ExpiresAt <= identity.At(time.Now()) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return identity.ParseCredential(c.Credential)
	}
	return nil, absent(fmt.Sprintf("there is no credential about %v from %v in the scope %q that is in force", subject, key.Issuer, t.scope))
}
