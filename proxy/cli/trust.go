package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	case t.project != "":
		return &failure{
			code: codeNotFound, err: fmt.Errorf("there is no project named %q", t.project),
			help: "This version has no projects; an authority of your own is given with --authority-identity.",
		}
	}
	return nil
}

// checkStored refuses, besides, to ask an authority for a credential.
func (t *trustFlags) checkStored() error {
	if err := t.check(); err != nil || len(t.route.addr) == 0 {
		return err
	}
	return &failure{
		err:  errors.New("this command asks no authority for a credential"),
		help: "Send the message from a node that was created with --authority-route: --from NODE",
	}
}

// presents returns what gives the credential about an identity that a command
// presents; nil if it presents none. It is kept for any node, or for none.
func (t *trustFlags) presents(ctx context.Context, s *store, subject identity.Identifier) func() (*identity.Credential, error) {
	if t.authority.History == nil || t.scope == "" {
		return nil
	}
	key := state.CredentialKey{Issuer: t.authority.Identifier(), Subject: subject, Scope: t.scope}
	return func() (*identity.Credential, error) {
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
}
