package cli

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
)

func newTCPConnection(c *console) *cobra.Command {
	return group("tcp-connection", "Open and close TCP connections between nodes", newConnectionCreate(c),
		newTransportList(c, "tcp-connection", "connection", (*control.Client).Connections),
		newConnectionShow(c), newConnectionDelete(c))
}

func newTCPListener(c *console) *cobra.Command {
	return group("tcp-listener", "Have nodes listen for connections of others", newListenerCreate(c),
		newTransportList(c, "tcp-listener", "listener", (*control.Client).Listeners),
		newListenerShow(c), newListenerDelete(c))
}

func newConnectionCreate(c *console) *cobra.Command {
	var from nodeName
	to := ""
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Connect a node to another one",
		Example: `  # To a node of another machine
  ockam tcp-connection create --from n1 --to node.example.com:4000

  # A message over it
  ockam tcp-connection create --from n1 --to 6000 | ockam message send hello --from n1 --to -/service/echo`,
		Args: arguments(0, 0),
	}
	cmd.Flags().Var(&from, "from", "the node that connects; the default one if it is left out")
	cmd.Flags().StringVarP(&to, "to", "t", "", "where the other node listens: host:port, or a port of this machine")
	require(cmd, true, "to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, from, true, func(ctx context.Context, n *remote) error {
			target, err := parseHostPort(to)
			if err != nil {
				return fmt.Errorf("cannot connect: %w", err)
			}
			made, err := n.CreateConnection(ctx, hostPort(target))
			if err != nil {
				return whenAbsent(err, "node at", to)
			}
			address := "/worker/" + bare(made.Worker)
			return c.print(result{
				plain:   markOK + "The node " + n.name + " is connected\n" + markText + "to " + made.Socket,
				machine: address, json: object{"address": address, "from": n.name, "to": made.Socket},
			})
		})
	}
	return cmd
}

// newTransportList lists connections or listeners.
func newTransportList(c *console, command, kind string, all func(*control.Client, context.Context) ([]control.TransportStatus, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the TCP " + plural(kind) + " of a node",
		Example: fmt.Sprintf("  # Of the default node\n  ockam %[1]s list\n\n  # Of another one\n  ockam %[1]s list --at n1", command),
		Args:    arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			found, err := all(n.Client, ctx)
			if err != nil {
				return err
			}
			var lines [][]string
			for _, e := range found {
				lines = append(lines, []string{fmt.Sprintf("TCP %s %v at %s", kind, e.Shown().Mode, e.Socket)})
			}
			return c.print(result{plain: list("TCP "+kind, lines)})
		})
	}
	return cmd
}

func newConnectionShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show a TCP connection of a node",
		Example: `  # By its socket address
  ockam tcp-connection show 127.0.0.1:6000 --at n1

  # By its worker, without /worker/
  ockam tcp-connection show "$WORKER" --at n1`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			e, err := n.Connection(ctx, args[0])
			if err != nil {
				return whenAbsent(err, "TCP connection", args[0])
			}
			o := e.Shown()
			return c.print(result{plain: fmt.Sprintf("%sTCP connection of the node %s\n%[3]sType: %[4]v\n%[3]sMode: %[5]v\n%[3]sSocket: %[6]s\n%[3]sProcessor: %[7]s\n%[3]sFlow control: %[8]s",
				markOK, n.name, markText, o.Type, o.Mode, e.Socket, e.Processor, e.Flow.ID)})
		})
	}
	return cmd
}

func newConnectionDelete(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "delete ADDRESS",
		Short: "Close a TCP connection of a node",
		Example: `  # By its socket address
  ockam tcp-connection delete 127.0.0.1:6000 --at n1 --yes

  # By its worker, without /worker/
  ockam tcp-connection delete "$WORKER" --at n1 --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "", nil, &yes)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			if err := c.confirm(yes, "Close the connection "+args[0]+"?"); err != nil {
				return err
			}
			if err := n.DeleteConnection(ctx, args[0]); err != nil {
				return whenAbsent(err, "TCP connection", args[0])
			}
			return c.print(result{plain: markOK + "Closed the connection " + args[0], json: object{"address": args[0]}})
		})
	}
	return cmd
}

func newListenerCreate(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create ADDRESS",
		Short: "Have a node listen at a further address",
		Example: `  # At all addresses of this machine
  ockam tcp-listener create 0.0.0.0:4000 --at n1

  # At a free port of this machine only
  ockam tcp-listener create 127.0.0.1:0`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, true, func(ctx context.Context, n *remote) error {
			if _, _, err := net.SplitHostPort(args[0]); err != nil {
				return fmt.Errorf("the address %q is not host:port", args[0])
			}
			made, err := n.CreateListener(ctx, args[0])
			if err != nil {
				return err
			}
			_, port, err := net.SplitHostPort(made.Socket)
			if err != nil {
				return err
			}
			return c.print(result{plain: markOK + "The node " + n.name + " listens at\n" + markText + "/dnsaddr/localhost/tcp/" + port})
		})
	}
	return cmd
}

func newListenerShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show a TCP listener of a node",
		Example: `  # By its socket address
  ockam tcp-listener show 127.0.0.1:4000 --at n1

  # Its flow control
  ockam tcp-listener show 127.0.0.1:4000 --jq .flow_control_id`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			e, err := n.Listener(ctx, args[0])
			if err != nil {
				return whenAbsent(err, "TCP listener", args[0])
			}
			return c.print(result{plain: "TCP listener at " + e.Socket, json: e.Shown()})
		})
	}
	return cmd
}

func newListenerDelete(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "delete ADDRESS",
		Short: "End that a node listens at an address",
		Example: `  # By its socket address
  ockam tcp-listener delete 127.0.0.1:4000 --at n1 --yes

  # Of the default node
  ockam tcp-listener delete 127.0.0.1:4000 --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "", nil, &yes)
	requireAddress(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			if _, err := n.Listener(ctx, args[0]); err != nil {
				return whenAbsent(err, "TCP listener", args[0])
			}
			if err := c.confirm(yes, "End listening at "+args[0]+"?"); err != nil {
				return err
			}
			if err := n.DeleteListener(ctx, args[0]); err != nil {
				return whenAbsent(err, "TCP listener", args[0])
			}
			return c.print(result{plain: markOK + "The node " + n.name + " does not listen at " + args[0] + " any more", json: object{"node": n.name}})
		})
	}
	return cmd
}
