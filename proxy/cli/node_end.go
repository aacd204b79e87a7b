package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
)

// deprecatedForce gives cmd the option --force, which means nothing.
func (c *console) deprecatedForce(cmd *cobra.Command) {
	cmd.Flags().BoolP("force", "f", false, "has no effect")
	cmd.Flags().Lookup("force").Hidden = true
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("force") {
			c.say(markWarning, "--force is deprecated: it has no effect")
		}
		return run(cmd, args)
	}
}

func newNodeStop(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop [NAME]",
		Short: "Stop a node",
		Long: `Ends the process of a node: asks it to end, and kills it when it has not after
five seconds. What is known of the node stays: ockam node start runs it again.`,
		Example: `  # The default node
  ockam node stop

  # Another one
  ockam node stop n1`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, _, err := s.nodeNames(ctx)
				if err != nil {
					return err
				}
				running := false
				for _, n := range all {
					running = running || n.Running()
				}
				if !running {
					return c.print(result{plain: markInfo + "There are no nodes running"})
				}
				rec, err := c.findNode(ctx, s, strings.Join(args, ""), false)
				if err != nil {
					return err
				}
				if !rec.Running() {
					return absent(fmt.Sprintf("the running node %q was not found", rec.Name))
				}
				if err := c.stopProcess(ctx, s, rec); err != nil {
					return err
				}
				return c.print(result{plain: markOK + "The node " + rec.Name + " was stopped"})
			})
		},
	}
	c.deprecatedForce(cmd)
	return cmd
}

func newNodeDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Stop a node and forget it",
		Example: `  # One node
  ockam node delete n1 --yes

  # All of them
  ockam node delete --all --yes`,
		Args: arguments(0, 1),
	}
	deleteFlags(cmd, "node", &all, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			_, names, err := s.nodeNames(ctx)
			if err != nil {
				return err
			}
			return c.deleteEach(selection{
				kind: "node", names: names, name: strings.Join(args, ""), all: all, yes: yes,
			}, func(name string) error { return c.deleteNode(ctx, s, name) })
		})
	}
	c.deprecatedForce(cmd)
	return cmd
}

// deleteFlags gives cmd the options of commands that delete.
func deleteFlags(cmd *cobra.Command, kind string, all, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
	if all == nil {
		return
	}
	cmd.Flags().BoolVar(all, "all", false, "delete all "+plural(kind))
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *all && len(args) > 0 {
			return &usageError{cmd: cmd, text: "--all cannot be used with a name"}
		}
		return nil
	}
}

// deleteNode ends a node and removes what is known of it.
func (c *console) deleteNode(ctx context.Context, s *store, name string) error {
	rec, err := s.NamedNode(ctx, name)
	if err != nil {
		return err
	}
	if err := c.stopProcess(ctx, s, rec); err != nil {
		return err
	}
	if err := s.endStarting(ctx, name); err != nil {
		return err
	}
	if err := s.DeleteNode(ctx, name); err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	folder, err := nodeFolder(name)
	if err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

// endStarting ends a process that is about to run a node and is not recorded
// yet, left by a command that was killed: it would bring the node back.
func (s *store) endStarting(ctx context.Context, name string) error {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Kill, os.Kill} {
		unlock, err := s.LockNode(name)
		held, ok := errors.AsType[*state.HeldError](err)
		switch {
		case err == nil:
			unlock()
			return nil
		case !ok, !isChild(held.PID): // such as ockam run with a node of that name
			return err
		}
		p := state.FindProcess(held.PID)
		if process, err := os.FindProcess(held.PID); err == nil && p.Running() {
			_ = process.Signal(sig) // it may have ended
		}
		awaitEnd(ctx, p, 5*time.Second)
	}
	return nil
}

// isChild reports whether a process is a background node, as far as this system
// tells.
func isChild(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && slices.Contains(strings.Split(string(b), "\x00"), "--child-process")
}

func newReset(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Delete all nodes, identities and everything else that is kept",
		Example: `  # Begin anew
  ockam reset --yes

  # The state of another folder
  OCKAM_HOME=~/old ockam reset --yes`,
		Args: arguments(0, 0),
	}
	deleteFlags(cmd, "", nil, &yes)
	cmd.Flags().Bool("all", false, "also what is kept elsewhere; has no effect yet")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		home, err := state.Home()
		if err != nil {
			return err
		}
		if err := c.confirm(yes, "Delete everything in "+home+"?"); err != nil {
			return err
		}
		ctx := cmd.Context()
		err = withStore(ctx, func(ctx context.Context, s *store) error {
			all, names, err := s.nodeNames(ctx)
			for i := range all {
				err = errors.Join(err, c.deleteNode(ctx, s, names[i]))
			}
			return err
		})
		if err != nil {
			c.say(markWarning, "%v", err) // a database that cannot be read is to go all the same
		}
		if err := state.Reset(ctx, home); err != nil {
			return err
		}
		return c.print(result{plain: markOK + "Everything in " + home + " has been deleted"})
	}
	return cmd
}

// nodeDrain is how long a node that was asked to end lets connections go on.
const nodeDrain = 2 * time.Second
