package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

func newIdentity(c *console) *cobra.Command {
	return group("identity", "Make and show identities",
		newIdentityCreate(c), newIdentityList(c), newIdentityShow(c), newIdentityDefault(c), newIdentityDelete(c))
}

// identifierResult is what most commands print about an identity.
func identifierResult(id identity.Identifier) result {
	return result{machine: id.String(), json: struct {
		Identifier string `json:"identifier"`
	}{id.String()}}
}

func newIdentityCreate(c *console) *cobra.Command {
	vault, history, key := "", "", ""
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make an identity",
		Long: `Makes an identity with a new key and prints its identifier, which others write
into the "allow" of what the identity may use. The key stays in OCKAM_HOME
(~/.ockam), in the default vault or that of --vault, which is made if there is
none of that name. If an identity of that name exists, its identifier is printed
and nothing changes. Without NAME the identity gets a random one. With --identity
no key is made: a change history from elsewhere gets a name.`,
		Example: `  # An identity for the node "database", before its first run
  ockam identity create database

  # Use it in a script
  export DATABASE_ID="$(ockam identity create database --quiet)"

  # With its keys in a file of their own
  ockam identity create alice --vault work`,
		Args: arguments(0, 1),
	}
	cmd.Flags().StringVar(&vault, "vault", "", "where its keys are; the default vault if left out")
	cmd.Flags().StringVar(&history, "identity", "", "the change history to import, in hex")
	cmd.Flags().StringVarP(&key, "key-id", "k", "", "the key in AWS KMS, which this version does not have")
	cmd.Flags().Lookup("key-id").Hidden = true
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("identity") && cmd.Flags().Changed("key-id") {
			return &usageError{cmd: cmd, text: "--identity cannot be used with --key-id"}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("key-id") {
			return errKMS
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			name := strings.Join(args, "")
			if len(args) == 0 {
				var err error
				if name, err = s.freeName(ctx); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("identity") {
				return c.importIdentity(ctx, s, vault, name, history)
			}
			return c.createIdentity(ctx, s, vault, name)
		})
	}
	return cmd
}

// createIdentity makes an identity in a vault and prints its identifier.
func (c *console) createIdentity(ctx context.Context, s *store, vault, name string) error {
	id, err := s.Named(ctx, name)
	if name == "" || errors.Is(err, state.ErrNotFound) {
		if err := c.ensureVault(ctx, s, vault); err != nil {
			return err
		}
		created := false
		if id, created, err = s.createIn(ctx, vault, name); err == nil && created {
			c.sayCreated(id)
		}
	}
	if err != nil {
		return err
	}
	r := identifierResult(id.Identifier)
	r.plain = markOK + "Identity " + id.Identifier.String() + "\n" + markText + "named " + name
	return c.print(r)
}

// sayCreated tells people about a new identity.
func (c *console) sayCreated(id *state.Named) {
	c.say(markOK, "New identity %s", id.Name)
	c.say(markText, "%s: %s", id.Name, id.Identifier)
	if id.Default {
		c.say(markOK, "Marked %s as your default", id.Name)
	}
}

// ensureVault makes the vault if there is none of that name; the empty name
// means the default one, which the store makes.
func (c *console) ensureVault(ctx context.Context, s *store, name string) error {
	if name == "" {
		return nil
	}
	_, err := s.NamedVault(ctx, name)
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	v, err := s.CreateVault(ctx, name, "")
	if errors.Is(err, state.ErrExists) {
		if _, again := s.NamedVault(ctx, name); again == nil { // another process was faster
			return nil
		}
	}
	if err != nil {
		return alreadyThere(err)
	}
	c.say(markOK, "New vault %s", v.Name)
	return nil
}

// importIdentity gives a name to the identity of a history in text form.
func (c *console) importIdentity(ctx context.Context, s *store, vault, name, text string) error {
	h, err := identity.ParseHistoryText(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("--identity is no change history: %w", err)
	}
	if err := c.ensureVault(ctx, s, vault); err != nil {
		return err
	}
	id, renamed, err := s.ImportIdentity(ctx, vault, name, h)
	if err != nil {
		return alreadyThere(err)
	}
	text = markOK + "Identity " + id.Identifier.String() + " is imported as " + id.Name
	if renamed != "" && renamed != id.Name {
		text += "; it was called " + renamed + " before"
	}
	return c.print(result{plain: text})
}

func newIdentityList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the identities",
		Example: `  # All identities of this home
  ockam identity list

  # The same for programs, also on a terminal
  ockam identity list --output json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, err := s.Identities(ctx)
				if err != nil {
					return err
				}
				return c.print(identityList(all))
			})
		},
	}
}

// listed is an identity in a list, keys in alphabetical order.
type listed struct {
	Identifier string `json:"identifier"`
	IsDefault  bool   `json:"is_default"`
	Name       string `json:"name"`
	VaultName  string `json:"vault_name"`
}

func identityList(all []state.Named) result {
	items, lines := []listed{}, [][]string{}
	for _, e := range all {
		id := e.Identifier.String()
		items = append(items, listed{id, e.Default, e.Name, e.Vault})
		name := e.Name
		if e.Default {
			name += " (default)"
		}
		lines = append(lines, []string{name, id})
	}
	return result{plain: list("identity", lines), json: items}
}

func newIdentityShow(c *console) *cobra.Command {
	full := false
	encoding := choice{value: "plain", of: []string{"plain", "hex"}}
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Print the identifier of an identity, or all of its changes",
		Long: `Prints the identifier of an identity; of the default one without NAME. With --full
it prints the changes of the identity's keys, with --encoding hex as the text
that others can import. No secret is printed.`,
		Example: `  # What others write into "allow"
  ockam identity show database

  # The whole change history, to give to somebody
  ockam identity show database --full --encoding hex`,
		Args: arguments(0, 1),
	}
	cmd.Flags().BoolVarP(&full, "full", "f", false, "print the change history")
	cmd.Flags().Var(&encoding, "encoding", "form of the change history: plain or hex; needs --full")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if encoding.set && !full {
			return &usageError{cmd: cmd, text: "--encoding needs --full"}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			h, err := s.history(ctx, args)
			if err != nil {
				return err
			}
			return c.print(showResult(h, full, encoding.value == "hex"))
		})
	}
	return cmd
}

// showResult is what there is to say about a history.
func showResult(h *identity.History, full, hex bool) result {
	switch {
	case full && hex:
		return result{machine: h.Text(), json: struct {
			Encoded string `json:"encoded"`
		}{h.Text()}}
	case full:
		return fullResult(h)
	}
	return identifierResult(h.Identifier())
}

// shownChange is a change of a history, keys in alphabetical order.
type shownChange struct {
	Identifier string `json:"identifier"`
	PublicKey  string `json:"primary_public_key"`
	Revoke     bool   `json:"revoke_all_purpose_keys"`
}

func fullResult(h *identity.History) result {
	var b strings.Builder
	fmt.Fprintf(&b, "Identifier: %s\n", h.Identifier())
	changes := []shownChange{}
	for i, ch := range h.Changes() {
		s := shownChange{ch.Hash.String(), ch.PublicKey.String(), ch.RevokePurposeKeys}
		changes = append(changes, s)
		fmt.Fprintf(&b, "  Change[%d]:\n", i)
		fmt.Fprintf(&b, "    identifier:              %s\n", s.Identifier)
		fmt.Fprintf(&b, "    primary_public_key:      %s\n", s.PublicKey)
		fmt.Fprintf(&b, "    revoke_all_purpose_keys: %v\n", s.Revoke)
	}
	return result{plain: b.String(), machine: b.String(), json: struct {
		Changes    []shownChange `json:"changes"`
		Identifier string        `json:"identifier"`
	}{changes, h.Identifier().String()}}
}
