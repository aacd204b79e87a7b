package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ockam/proxy/node"
	"ockam/tunnel/identity"
)

func newAuthority(c *console) *cobra.Command {
	return group("authority", "Run the authority of a project", newAuthorityCreate(c))
}

// membersValue is the value of an option that takes members with their
// attributes, in JSON.
type membersValue struct {
	to   *map[identity.Identifier]map[string]string
	text string
}

// Set reads {"I…": {"NAME": "VALUE"}}.
func (v *membersValue) Set(s string) error {
	var all map[identity.Identifier]map[string]string
	if err := json.Unmarshal([]byte(s), &all); err != nil {
		return fmt.Errorf(`a JSON object such as {"I…": {"ockam-role": "enroller"}}: %w`, err)
	}
	*v.to, v.text = all, s
	return nil
}

// String returns what was given.
func (v *membersValue) String() string { return v.text }

// Type returns what the help calls the value.
func (v *membersValue) Type() string { return "json_object" }

// authorityOptions are those of authority create.
type authorityOptions struct {
	createFlags
	server  node.ProjectServer
	account historyValue
	okta    node.OktaTenant

	accessRoute    routeValue // without effect, as identifierFile
	identifierFile string
}

func newAuthorityCreate(c *console) *cobra.Command {
	o := &authorityOptions{createFlags: createFlags{nodeOptions: nodeOptions{name: "authority", listen: "127.0.0.1:4000", identity: "authority"}}}
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Run an authority in the background",
		Long: `Runs an authority: a node that knows the members of a project, enrolls new ones by
tickets, and issues the credentials that they show each other. --trusted-identities
are members from the beginning; one with ockam-role=enroller can make tickets.

A project has a relay as well, and one command makes both: ockam project create.`,
		Example: `  # An authority whose enroller is the default identity of this machine
  ockam authority create --project-identifier p1 --trusted-identities "{\"$(ockam identity show)\": {\"ockam-role\": \"enroller\"}}"

  # In the foreground, reachable from other machines
  ockam authority create --foreground --tcp-listener-address 0.0.0.0:4001 --project-identifier p1 --trusted-identities '{}'`,
		Args: arguments(0, 1),
	}
	o.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			o.name = args[0]
		}
		if err := checkNodeName(o.name); err != nil {
			return err
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error { return c.createAuthority(ctx, s, o) })
	}
	return cmd
}

func (o *authorityOptions) flags(cmd *cobra.Command) {
	f, a := cmd.Flags(), &o.server.Authority
	f.BoolVarP(&o.foreground, "foreground", "f", false, "run in this process")
	f.BoolVar(&o.child, "child-process", false, "how this program starts a background node")
	f.BoolVarP(&o.skip, "skip-is-running-check", "s", false, "leave it to the node to find out that it runs already")
	f.StringVarP(&o.listen, "tcp-listener-address", "t", o.listen, "where to listen: host:port")
	f.StringVar(&o.identity, "identity", o.identity, "its identity, made if there is none of that name")
	f.Var((*projectIdentifier)(&o.server.ID), "project-identifier", "the project that its credentials are for")
	f.Var(&membersValue{to: &a.Members}, "trusted-identities", "members from the beginning, with their attributes")
	f.BoolVar(&a.NoDirect, "no-direct-authentication", false, "enrollers cannot manage members")
	f.BoolVar(&a.NoTokens, "no-token-enrollment", false, "there are no tickets")
	f.Var(&o.account, "account-authority", "change history, in hex, of who names administrators of the project")
	f.BoolVar(&a.EnforceAdminChecks, "enforce-admin-checks", false, "only administrators make enrollers")
	f.BoolVar(&a.OmitContext, "disable-trust-context-id", false, "leave the project out of credentials")
	f.Var((*lifetimeValue)(&a.Lifetime), "credential-lifetime", "how long a credential is valid; 30 days if left out")
	f.StringVar(&o.okta.BaseURL, "tenant-base-url", "", "the tenant at Okta whose users can become members")
	f.StringVar(&o.okta.Certificate, "certificate", "", "the certificate of the tenant, in PEM")
	f.StringArrayVar(&o.okta.Attributes, "attributes", nil, "an attribute to take over from Okta; may be given again")
	f.Var(&o.accessRoute, "project-access-route", "where the relay of the project is")
	f.StringVar(&o.identifierFile, "project-identity-identifier-file", "", "the file with the identifier of the relay of the project")
	for _, name := range []string{"child-process", "tenant-base-url", "certificate", "attributes", "project-access-route", "project-identity-identifier-file"} {
		f.Lookup(name).Hidden = true
	}
	require(cmd, false, "project-identifier", "trusted-identities")
}

func (c *console) createAuthority(ctx context.Context, s *store, o *authorityOptions) error {
	a := &o.server.Authority
	if t := o.okta; t.BaseURL != "" && t.Certificate != "" && len(t.Attributes) > 0 { // with fewer there is no such service
		a.Okta = &t
	}
	a.Identity, a.AccountAuthority, o.server.Address = o.identity, o.account.String(), o.listen
	o.Server = &o.server
	if o.foreground {
		return c.runForeground(ctx, s, &o.createFlags)
	}
	if err := c.mayCreate(ctx, s, o.name); err != nil {
		return err
	}
	if _, _, err := s.create(ctx, o.identity); err != nil { // without a word
		return err
	}
	if err := c.startProcess(ctx, s, &o.nodeOptions); err != nil {
		return err
	}
	if c.errTTY { // scripts expect nothing
		c.say(markOK, "The authority %s runs at %s", o.name, o.listen)
	}
	return nil
}

// serverVariable hands what a node serves a project with to the process of the
// node: it may hold the password of a database, which others must not see in a
// list of processes.
const serverVariable = "OCKAM_NODE_PROJECT_SERVER"

// serverFromEnvironment returns what this process is to serve; nil: nothing.
func serverFromEnvironment() (*node.ProjectServer, error) {
	text := os.Getenv(serverVariable)
	if text == "" {
		return nil, nil
	}
	var server node.ProjectServer
	if err := json.Unmarshal([]byte(text), &server); err != nil {
		return nil, fmt.Errorf("%s: %w", serverVariable, err)
	}
	return &server, nil
}

// projectIdentifier is the value of an option that takes the identifier of a
// project: any text.
type projectIdentifier string

// Set takes the text.
func (v *projectIdentifier) Set(s string) error {
	*v = projectIdentifier(s)
	return nil
}

// String returns the text.
func (v *projectIdentifier) String() string { return string(*v) }

// Type returns what the help calls the value.
func (v *projectIdentifier) Type() string { return "project_identifier" }
