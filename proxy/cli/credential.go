package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

func newCredential(c *console) *cobra.Command {
	return group("credential", "Issue, check and keep credentials",
		newCredentialIssue(c), newCredentialVerify(c), newCredentialStore(c), newCredentialList(c))
}

// issueFlags are the options of credential issue.
type issueFlags struct {
	as         string
	subject    identifierValue
	attributes []string
	ttl        duration
	encoding   choice
}

func newCredentialIssue(c *console) *cobra.Command {
	o := issueFlags{ttl: duration(30 * time.Minute), encoding: choice{value: "plain", of: []string{"plain", "hex"}}}
	cmd := &cobra.Command{
		Use:   "issue [VAULT] --for IDENTIFIER",
		Short: "State attributes of an identity",
		Long: `Makes a credential: a statement, signed by one of our identities, about the
attributes of another, whose change history must be known here. VAULT is where
the key of the issuer is, if not where it was made.`,
		Example: `  # What it says
  ockam credential issue --as authority --for "$(ockam identity show member)" -a role=reader

  # As text to pass on, valid for a day
  ockam credential issue --as authority --for "$(ockam identity show member)" --ttl 1d --encoding hex`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.StringVar(&o.as, "as", "", "the identity that issues it; the default one if left out")
	f.Var(&o.subject, "for", "the identity that it is about")
	f.StringArrayVarP(&o.attributes, "attribute", "a", nil, "an attribute, NAME=VALUE; may be given again")
	f.Var(&o.ttl, "ttl", "how long it is valid")
	f.Var(&o.encoding, "encoding", "form of the credential: plain or hex")
	require(cmd, false, "for")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			cred, err := s.issue(ctx, &o, args)
			if err != nil {
				return err
			}
			shown, err := shownCredential(cred)
			if err != nil {
				return err
			}
			r := result{plain: shown.block(":credential"), machine: cred.Text(), json: shown}
			if o.encoding.value == "plain" {
				r.machine, err = describeCredential(cred)
			}
			if err != nil {
				return err
			}
			return c.print(r)
		})
	}
	return cmd
}

// issue makes the credential that the options describe.
func (s *store) issue(ctx context.Context, o *issueFlags, vault []string) (*identity.Credential, error) {
	attributes := identity.Attributes{Schema: 1, Values: map[string]string{}}
	for _, a := range o.attributes {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("the attribute %q has no value: write NAME=VALUE", a)
		}
		attributes.Values[name] = value
	}
	var as []string
	if o.as != "" {
		as = []string{o.as}
	}
	if _, err := s.history(ctx, as); err != nil {
		return nil, err
	}
	issuer, err := s.Identity(ctx, o.as)
	if err != nil {
		return nil, err
	}
	if len(vault) > 0 {
		if err := s.knowVault(ctx, vault[0]); err != nil {
			return nil, err
		}
		if issuer.Vault, err = s.VaultNamed(ctx, vault[0]); err != nil {
			return nil, err
		}
	}
	subject, err := s.History(o.subject.Identifier)
	if errors.Is(err, identity.ErrUnknownIdentity) {
		return nil, &failure{
			code: codeNotFound, err: fmt.Errorf("the change history of %s is not known here", o.subject.Identifier),
			help: "Import it: ockam identity create NAME --identity HEX",
		}
	}
	if err != nil {
		return nil, err
	}
	return issuer.IssueCredential(subject, attributes, time.Duration(o.ttl))
}

// A credentialObject is a credential for programs, keys in alphabetical order.
type credentialObject struct {
	Attributes map[string]string `json:"attributes"`
	CreatedAt  uint64            `json:"created_at"`
	Credential string            `json:"credential"`
	ExpiresAt  uint64            `json:"expires_at"`
	Issuer     string            `json:"issuer"`
	Subject    string            `json:"subject"`
}

func shownCredential(cred *identity.Credential) (*credentialObject, error) {
	data, err := cred.Data()
	if err != nil {
		return nil, err
	}
	return &credentialObject{
		Attributes: readable(data.Attributes.Values), CreatedAt: uint64(data.CreatedAt), Credential: cred.Text(),
		ExpiresAt: uint64(data.ExpiresAt), Issuer: data.Issuer.String(), Subject: data.Subject.String(),
	}, nil
}

// readable returns attributes as they can be shown.
func readable(values map[string]string) map[string]string {
	text := func(s string) string {
		if strings.ToValidUTF8(s, "") != s {
			return "**binary**"
		}
		return s
	}
	shown := map[string]string{}
	for name, value := range values {
		shown[text(name)] = text(value)
	}
	return shown
}

// compactJSON returns attributes on one line; it cannot fail for texts.
func compactJSON(values map[string]string) string {
	b, _ := json.Marshal(values)
	return string(b)
}

// fields are the lines about a credential; the hex has the given label.
func (o *credentialObject) fields(label string) []string {
	return []string{
		"subject: " + o.Subject, "issuer: " + o.Issuer,
		"created at: " + strconv.FormatUint(o.CreatedAt, 10), "expires at: " + strconv.FormatUint(o.ExpiresAt, 10),
		"attributes: " + compactJSON(o.Attributes), label + " " + o.Credential,
	}
}

// block is what people see of a credential.
func (o *credentialObject) block(label string) string {
	return markText + "Credential:\n" + markText + "  " + strings.Join(o.fields(label), "\n"+markText+"  ")
}

// describeCredential lists what a credential and the attestation in it say.
func describeCredential(cred *identity.Credential) (string, error) {
	data, err := cred.Data()
	if err != nil {
		return "", err
	}
	key := cred.Attestation()
	if key == nil {
		return "", errors.New("the attestation in the credential is malformed")
	}
	var b strings.Builder
	stamp := func(t identity.Timestamp) string { return t.Time().Format(time.RFC3339) }
	section := func(name string, subject identity.Identifier, change identity.ChangeHash, from, to identity.Timestamp) {
		fmt.Fprintf(&b, "    %s:\n      Version: 1\n      Subject: %s\n      Subject Latest Change Hash: %s\n", name, subject, change)
		fmt.Fprintf(&b, "      Created: %s\n      Expires: %s\n", stamp(from), stamp(to))
	}
	section("Credential", data.Subject, data.SubjectChange, data.CreatedAt, data.ExpiresAt)
	fmt.Fprintf(&b, "      Attributes:\n        Schema: %d; %s\n", data.Attributes.Schema, compactJSON(readable(data.Attributes.Values)))
	section("Purpose key", key.Subject, key.SubjectChange, key.CreatedAt, key.ExpiresAt)
	fmt.Fprintf(&b, "      Public key: %s\n", key.PublicKey)
	return b.String(), nil
}

// givenCredential are the options that give a credential to a command.
type givenCredential struct {
	issuer     identifierValue
	text, path string
}

func (g *givenCredential) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&g.issuer, "issuer", "the identity that has issued it")
	f.StringVar(&g.text, "credential", "", "the credential, in hex")
	f.StringVar(&g.path, "credential-path", "", "the file that holds it, in hex")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("credential") && cmd.Flags().Changed("credential-path") {
			return &usageError{cmd: cmd, text: "--credential cannot be used with --credential-path"}
		}
		return nil
	}
}

// verify returns the credential if the issuer has issued it and it is in
// force; bad says why it is not.
func (g *givenCredential) verify(s *store) (cred *identity.Credential, data *identity.CredentialData, bad error) {
	text := g.text
	switch {
	case g.path != "":
		b, err := os.ReadFile(g.path)
		if err != nil {
			return nil, nil, err
		}
		text = string(b)
	case text == "":
		return nil, nil, errors.New("there is no credential: use --credential or --credential-path")
	}
	cred, err := identity.ParseCredentialText(strings.TrimSpace(text))
	if err != nil {
		return nil, nil, err
	}
	data, err = cred.Verify(identity.VerifyOptions{Histories: s.Store, Authorities: []identity.Identifier{g.issuer.Identifier}})
	return cred, data, err
}

func newCredentialVerify(c *console) *cobra.Command {
	var g givenCredential
	cmd := &cobra.Command{
		Use:   "verify --issuer IDENTIFIER",
		Short: "Say whether a credential is valid",
		Long: `Prints true if the issuer, whose change history must be known here, has issued the
credential and it is in force; false, and why on standard error, if not. It ends
with 0 in both cases.`,
		Example: `  # One that was passed on as text
  ockam credential verify --issuer "$ISSUER" --credential "$CREDENTIAL"

  # One in a file
  echo "$CREDENTIAL" > member.credential
  ockam credential verify --issuer "$ISSUER" --credential-path member.credential`,
		Args: arguments(0, 0),
	}
	g.flags(cmd)
	require(cmd, false, "issuer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), func(_ context.Context, s *store) error {
			r := result{plain: markOK + "The credential is valid", machine: "true", json: object{"is_valid": true}}
			if _, _, bad := g.verify(s); bad != nil {
				c.say(markText, "%v", bad)
				r = result{plain: markError + "The credential is not valid", machine: "false", json: object{"is_valid": false}}
			}
			return c.print(r)
		})
	}
	return cmd
}

func newCredentialStore(c *console) *cobra.Command {
	var g givenCredential
	scope, at := "", ""
	cmd := &cobra.Command{
		Use:   "store --issuer IDENTIFIER --scope TEXT",
		Short: "Keep a credential for a node",
		Long: `Checks a credential, as ockam credential verify does, and keeps it for a node, in
place of another one of the same issuer, subject and scope. The scope is a word
that tells it from others.`,
		Example: `  # For the default node
  ockam credential store --issuer "$ISSUER" --scope work --credential "$CREDENTIAL"

  # For another one, from a file
  echo "$CREDENTIAL" > member.credential
  ockam credential store --issuer "$ISSUER" --scope work --credential-path member.credential --at n1`,
		Args: arguments(0, 0),
	}
	g.flags(cmd)
	cmd.Flags().StringVar(&scope, "scope", "", "a word that tells it from others")
	cmd.Flags().StringVar(&at, "at", "", "the node; the default one if left out")
	require(cmd, false, "issuer", "scope")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			node, err := c.findNode(ctx, s, at, true)
			if err != nil {
				return err
			}
			cred, data, bad := g.verify(s)
			if bad != nil {
				return fmt.Errorf("Credential is not verified: %w", bad) //nolint:staticcheck // the words that scripts look for
			}
			err = s.PutCredential(ctx, state.StoredCredential{
				CredentialKey: state.CredentialKey{Node: node.Name, Issuer: data.Issuer, Subject: data.Subject, Scope: scope},
				Credential:    cred.Bytes(), ExpiresAt: data.ExpiresAt,
			})
			if err != nil {
				return err
			}
			return c.print(result{
				plain: markOK + "The credential is stored for the node " + node.Name, machine: cred.Text(),
				json: object{"credential": cred.Text(), "issuer": g.issuer.String()},
			})
		})
	}
	return cmd
}
