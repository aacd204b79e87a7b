package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel"
)

func newChannelListener(c *console) *cobra.Command {
	return group("secure-channel-listener", "Have nodes accept secure channels", newChannelListenerCreate(c),
		newChannelListenerList(c), newChannelListenerShow(c), newChannelListenerDelete(c))
}

func newChannelListenerCreate(c *console) *cobra.Command {
	var authorized identifiers
	name := ""
	cmd := &cobra.Command{
		Use:   "create ADDRESS",
		Short: "Have a node accept secure channels at a further address",
		Example: `  # At the default node
  ockam secure-channel-listener create inner

  # At another one
  ockam secure-channel-listener create inner --at n1`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.Flags().VarP(&authorized, "authorized", "a", "who may open channels; anyone if it is left out; repeatable")
	cmd.Flags().StringVar(&name, "identity", "", "the identity of the near end; the node's if it is left out")
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, true, func(ctx context.Context, n *remote) error {
			err := n.CreateSecureChannelListener(ctx, control.CreateSecureChannelListener{
				Address: tunnel.LocalAddress(args[0]), Authorized: authorized, IdentityName: name,
			})
			if err != nil {
				return err
			}
			address := "/service/" + args[0]
			return c.print(result{
				plain:   markOK + "The node " + n.name + " accepts secure channels at " + address,
				machine: address, json: []any{object{"address": address}},
			})
		})
	}
	return cmd
}

func newChannelListenerList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List where a node accepts secure channels",
		Example: `  # Of the default node
  ockam secure-channel-listener list --quiet

  # Of another one
  ockam secure-channel-listener list --at n1`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	require(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := n.SecureChannelListeners(ctx)
			if err != nil {
				return err
			}
			var lines [][]string
			for _, e := range all {
				lines = append(lines, []string{"Address /service/" + e.Address.Name})
			}
			return c.print(result{plain: list("secure channel listener", lines) + noneAt(len(all), n)})
		})
	}
	return cmd
}

func newChannelListenerShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show where a node accepts secure channels",
		Example: `  # By its address, without /service/
  ockam secure-channel-listener show inner

  # Of another node
  ockam secure-channel-listener show inner --at n1`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			e, err := n.SecureChannelListener(ctx, tunnel.LocalAddress(args[0]))
			if err != nil {
				return whenAbsent(err, "secure channel listener", args[0])
			}
			return c.print(result{plain: "/service/" + e.Address.Name})
		})
	}
	return cmd
}

func newChannelListenerDelete(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete ADDRESS",
		Short: "End that a node accepts secure channels at an address",
		Example: `  # By its address, without /service/
  ockam secure-channel-listener delete inner

  # Of another node
  ockam secure-channel-listener delete inner --at n1`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			if err := n.DeleteSecureChannelListener(ctx, tunnel.LocalAddress(args[0])); err != nil {
				return whenAbsent(err, "secure channel listener", args[0])
			}
			return c.print(result{plain: "0#" + args[0]})
		})
	}
	return cmd
}
