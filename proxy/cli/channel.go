package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

func newSecureChannel(c *console) *cobra.Command {
	return group("secure-channel", "Open and close secure channels", newChannelCreate(c),
		newChannelList(c), newChannelShow(c), newChannelDelete(c))
}

// identifiers is the value of an option that takes several of them.
type identifiers []identity.Identifier

// Set adds one.
func (v *identifiers) Set(s string) error {
	id, err := identity.ParseIdentifier(s)
	if err != nil {
		return err
	}
	*v = append(*v, id)
	return nil
}

// String returns them as they are written.
func (v *identifiers) String() string {
	var all []string
	for _, id := range *v {
		all = append(all, id.String())
	}
	return strings.Join(all, ",")
}

// Type returns what the help calls the value; "count" lets the option be given
// more than once.
func (v *identifiers) Type() string { return "count" }

func newChannelCreate(c *console) *cobra.Command {
	var from nodeName
	var to routeValue
	var authorized identifiers
	name, credential := "", ""
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Open a secure channel from a node to a listener",
		Long: `Opens a secure channel from a node to the listener at the end of a route and prints
the address of its near end, which other routes can begin with. Without --identity
the node uses your default identity. With --credential it shows the far end what an
authority says about that identity.`,
		Example: `  # Between two nodes
  ockam secure-channel create --from a --to /node/b/service/api

  # A message through it
  ockam secure-channel create --from a --to /node/b/service/api |
    ockam message send hello --from a --to -/service/uppercase`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.Var(&from, "from", "the node that opens the channel")
	f.Var(&to, "to", "route to the listener, such as /node/b/service/api")
	f.VarP(&authorized, "authorized", "a", "who may be at the far end; anyone if it is left out; repeatable")
	f.StringVarP(&credential, "credential", "c", "", "the credential to present, in hex")
	f.StringVar(&name, "identity", "", "the identity that the node uses")
	require(cmd, true, "from", "to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var presented *identity.Credential
		if cmd.Flags().Changed("credential") {
			var err error
			if presented, err = identity.ParseCredentialText(strings.TrimSpace(credential)); err != nil {
				return fmt.Errorf("--credential is none: %w", err)
			}
		}
		return c.at(cmd, from, true, func(ctx context.Context, n *remote) error {
			route, err := n.store.resolve(ctx, to.addr)
			if err != nil {
				return err
			}
			if name == "" {
				if name, err = c.ensureIdentity(ctx, n.store, ""); err != nil {
					return err
				}
			}
			timeout := n.Timeout
			made, err := n.CreateSecureChannel(ctx, control.CreateSecureChannel{
				To: route, Authorized: authorized, Timeout: &timeout, IdentityName: name, Credential: presented,
			})
			if err != nil {
				return err
			}
			address := "/service/" + made.Address.Name
			return c.print(result{
				plain:   markOK + "Secure channel from " + n.name + " to " + to.String() + "\n" + markText + "at " + address,
				machine: address, json: []any{object{"address": address}},
			})
		})
	}
	return cmd
}

func newChannelList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secure channels that a node has opened",
		Example: `  # Of the default node
  ockam secure-channel list --quiet

  # Of another one
  ockam secure-channel list --at a`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	require(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := n.SecureChannels(ctx)
			if err != nil {
				return err
			}
			var lines [][]string
			for _, address := range all {
				shown, err := n.SecureChannel(ctx, tunnel.LocalAddress(bare(address)))
				if errors.Is(err, api.ErrNotFound) {
					continue // it ended meanwhile
				}
				if err != nil {
					return err
				}
				lines = append(lines, []string{"Secure channel from " + n.name + " to " + asServices(shown.Route), "at /service/" + bare(address)})
			}
			return c.print(result{plain: list("secure channel", lines) + noneAt(len(lines), n)})
		})
	}
	return cmd
}

func newChannelShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show a secure channel",
		Example: `  # By its address, without /service/
  ockam secure-channel show "$ADDRESS" --at a

  # Where it leads
  ockam secure-channel show "$ADDRESS" --at a --jq .route`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			shown, err := n.SecureChannel(ctx, tunnel.LocalAddress(args[0]))
			if err != nil {
				return whenAbsent(err, "secure channel", args[0])
			}
			o := object{"authorized_identifiers": nil, "channel": orNull(shown.Channel), "flow_control_id": nil, "route": orNull(shown.Route)}
			if shown.Authorized != nil {
				o["authorized_identifiers"] = shown.Authorized
			}
			if shown.Flow != nil {
				o["flow_control_id"] = shown.Flow.ID
			}
			plain := fmt.Sprintf("%sSecure channel %s\n%sto %s", markText, args[0], markText, shown.Route)
			return c.print(result{plain: plain, json: o})
		})
	}
	return cmd
}

func newChannelDelete(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "delete ADDRESS",
		Short: "Close a secure channel",
		Example: `  # By its address, as create printed it
  ockam secure-channel delete "$ADDRESS" --at a --yes

  # In a pipe
  ockam secure-channel create --from a --to /node/b/service/api | ockam secure-channel delete /- --at a --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "secure channel", nil, &yes)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		address := strings.TrimPrefix(args[0], "/service/")
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			if err := c.confirm(yes, "Close the secure channel "+address+"?"); err != nil {
				return err
			}
			_, err := n.DeleteSecureChannel(ctx, tunnel.LocalAddress(address))
			if err != nil {
				return whenAbsent(err, "secure channel", address)
			}
			text := "/service/" + address
			if !c.outTTY && c.lines == nil {
				return c.printClosed(text)
			}
			return c.print(result{plain: markOK + "Closed the secure channel " + text, machine: text, json: []any{object{"address": text}}})
		})
	}
	return cmd
}

// requireAddress demands the argument of cmd; without any argument at all its
// help is printed.
func requireAddress(cmd *cobra.Command) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && cmd.Flags().NFlag() == 0 {
			return helpInstead(cmd)
		}
		if len(args) == 0 {
			return &usageError{cmd: cmd, text: "an argument is missing: <ADDRESS>"}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// whenAbsent says what was not found, if that is what err means.
func whenAbsent(err error, kind, name string) error {
	if errors.Is(err, api.ErrNotFound) {
		return absent(fmt.Sprintf("The %s %s was not found", kind, name))
	}
	return err
}

// printClosed prints what scripts know of a closed channel: unlike all others
// this result ends its lines (Ockam protocol, command line, secure-channel).
func (c *console) printClosed(address string) error {
	text := address + "\n"
	if c.wantsJSON() {
		text += `[{"address":"` + address + `"}]` + "\n"
	}
	_, err := io.WriteString(c.stdout, text)
	return err
}

// asServices writes a route of the form 0#a => 0#b as /service/a/service/b.
func asServices(route string) string {
	var b strings.Builder
	for hop := range strings.SplitSeq(route, " => ") {
		b.WriteString("/service/" + bare(hop))
	}
	return b.String()
}
