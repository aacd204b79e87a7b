package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel/service"
)

func newService(c *console) *cobra.Command {
	cmd := group("service", "Start and list the services of nodes", newServiceList(c),
		group("start", "Start services", newServiceStartHop(c)))
	cmd.Hidden = true
	return cmd
}

func newServiceList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the services of a node",
		Example: `  # Of the default node
  ockam service list

  # Of another one
  ockam service list --at n1`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := n.Services(ctx, "")
			if err != nil {
				return err
			}
			var lines [][]string
			for _, e := range all {
				lines = append(lines, []string{"Service " + e.Type + " at /service/" + e.Address})
			}
			return c.print(result{plain: list("service", lines), json: control.ShownServices(all)})
		})
	}
	return cmd
}

func newServiceStartHop(c *console) *cobra.Command {
	addr := service.HopName
	cmd := &cobra.Command{
		Use:   "hop",
		Short: "Start a service that passes messages on",
		Long: `Starts a service that passes messages on to the next address of their route.
Whoever reaches it reaches everything in the node: it is for trying things out.`,
		Example: `  # At the default node
  ockam service start hop

  # At another one, and a message through it
  ockam service start hop --at n1 --addr bridge
  ockam message send hello --to /node/n1/service/bridge/service/echo`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.Flags().StringVar(&addr, "addr", addr, "its address")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			if err := n.StartService(ctx, service.HopName, addr); err != nil {
				return err
			}
			c.say(markWarning, "whoever reaches a hop service reaches everything in the node: never leave it where strangers come")
			c.say(markOK, "Hop service started at /service/%s", addr)
			return nil
		})
	}
	return cmd
}

func newWorker(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the workers of a node",
		Example: `  # Of the default node
  ockam worker list

  # Of another one
  ockam worker list --at n1`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := n.Workers(ctx)
			if err != nil {
				return err
			}
			var lines [][]string
			for _, e := range all.Workers {
				lines = append(lines, []string{"Worker " + e.Address})
			}
			return c.print(result{plain: list("worker", lines)})
		})
	}
	return group("worker", "List the workers of nodes", cmd)
}
