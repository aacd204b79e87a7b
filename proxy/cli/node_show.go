package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newNodeList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the nodes",
		Example: `  # All nodes, and whether they run
  ockam node list

  # The names only
  ockam node list --jq '.[].node_name'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, err := s.Nodes(ctx)
				if err != nil {
					return err
				}
				items, lines := []any{}, [][]string{}
				for _, n := range all {
					status, line := map[string]any{"status": "stopped"}, "DOWN"
					if n.Running() {
						status, line = map[string]any{"status": "running", "pid": n.Process.PID}, "UP"
					}
					item := map[string]any{"is_default": n.Default, "node_name": n.Name, "pid": nil, "status": status}
					second := "not running"
					if n.Process.PID != 0 {
						item["pid"] = n.Process.PID
						second = fmt.Sprintf("process %d", n.Process.PID)
					}
					first := "Node " + n.Name
					if n.Default {
						first += " (default)"
					}
					items, lines = append(items, item), append(lines, []string{first + " " + line, second})
				}
				return c.print(result{plain: list("node", lines), json: items})
			})
		},
	}
}

func newNodeShow(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show what a node has: addresses, services, inlets, outlets",
		Example: `  # The default node
  ockam node show

  # Where a node listens
  ockam node show n1 --jq .route.verbose`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, names, err := s.nodeNames(ctx)
				if err != nil {
					return err
				}
				if len(all) > 0 && len(args) > 0 {
					if _, err := c.findNode(ctx, s, args[0], false); err != nil {
						return err
					}
				}
				chosen, err := c.toShow(selection{
					kind: "node", names: names, name: strings.Join(args, ""),
					fallback: func() (string, error) { return c.defaultNode(ctx, s) },
				})
				if err != nil {
					return err
				}
				for _, name := range chosen {
					rec, err := s.NamedNode(ctx, name)
					if err != nil {
						return err
					}
					shown, err := s.shownNode(ctx, rec)
					if err != nil {
						return err
					}
					if err := c.print(result{plain: nodeText(shown), json: shown}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func newNodeDefault(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "default [NAME]",
		Short: "Print which node is the default one, or make another one that",
		Example: `  # Which node commands mean where none is named
  ockam node default

  # From now on another one
  ockam node default n2`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				rec, err := c.findNode(ctx, s, strings.Join(args, ""), false)
				switch {
				case err != nil:
					return err
				case len(args) == 0:
					return c.print(result{plain: markOK + "The default node is '" + rec.Name + "'"})
				case rec.Default:
					return &failure{code: codeExists, err: fmt.Errorf("the node %q is already the default", rec.Name)}
				}
				if err := s.SetDefaultNode(ctx, rec.Name); err != nil {
					return err
				}
				return c.print(result{plain: markOK + "The node " + rec.Name + " is now the default", machine: rec.Name})
			})
		},
	}
}

func newNodeLogs(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "logs [NAME]",
		Short: "Print where the log of a node is",
		Example: `  # The newest log file of the default node
  ockam node logs

  # Its end
  tail "$(ockam node logs n1)"`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				rec, err := c.findNode(ctx, s, strings.Join(args, ""), false)
				if err != nil {
					return err
				}
				path, err := newestLog(rec.Name)
				if err != nil {
					return err
				}
				return c.print(result{
					plain: markOK + "The log of the node " + rec.Name + " is " + path, machine: path,
					json: map[string]any{"path": path},
				})
			})
		},
	}
}
