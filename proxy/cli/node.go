package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
)

func newNode(c *console) *cobra.Command {
	return group("node", "Run nodes in the background, and look at them",
		newNodeCreate(c), newNodeList(c), newNodeShow(c), newNodeStart(c), newNodeStop(c),
		newNodeDelete(c), newNodeDefault(c), newNodeLogs(c))
}

// createFlags are the options of node create beyond what the node is.
type createFlags struct {
	nodeOptions
	foreground, exitOnEOF, child, skip bool
	launch                             string
}

func newNodeCreate(c *console) *cobra.Command {
	o := createFlags{nodeOptions: nodeOptions{listen: defaultListen}}
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a node and run it",
		Long: `Makes a node that runs in the background until it is stopped or deleted, and waits
until it answers. The first node is the one that other commands mean where none
is named. Without NAME the node gets a random one. Its identity is the default
one, which is made when there is none. With --foreground the node runs in this
process, until SIGINT, SIGTERM or SIGHUP.`,
		Example: `  # A node in the background
  ockam node create n1

  # One with an identity of its own, at a port that others know
  ockam node create n2 --identity database --tcp-listener-address 127.0.0.1:6000`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.BoolVarP(&o.foreground, "foreground", "f", false, "run in this process")
	f.BoolVarP(&o.exitOnEOF, "exit-on-eof", "e", false, "end at the end of standard input; needs --foreground")
	f.BoolVar(&o.child, "child-process", false, "how this program starts a background node")
	f.BoolVarP(&o.skip, "skip-is-running-check", "s", false, "leave it to the node to find out that it runs already")
	f.StringVarP(&o.listen, "tcp-listener-address", "t", defaultListen, "where to listen for commands and other nodes: host:port")
	f.StringVar(&o.identity, "identity", "", "its identity, made if there is none of that name; the default one if left out")
	f.StringVar(&o.launch, "launch-configuration", "", "which services to start, as JSON")
	f.String("opentelemetry-context", "", "has no effect")
	f.String("credential-scope", "", "has no effect without an authority")
	for _, name := range []string{"child-process", "launch-configuration", "opentelemetry-context", "credential-scope"} {
		f.Lookup(name).Hidden = true
	}
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for name, set := range map[string]bool{"exit-on-eof": o.exitOnEOF, "child-process": o.child} {
			if set && !o.foreground {
				return &usageError{cmd: cmd, text: "--" + name + " needs --foreground"}
			}
		}
		o.name = randomName()
		if len(args) > 0 {
			o.name = args[0]
		}
		o.noServices = f.Changed("launch-configuration")
		if o.noServices && !json.Valid([]byte(o.launch)) {
			return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '--launch-configuration <JSON>': no JSON", o.launch)}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkNodeName(o.name); err != nil {
			return err
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if o.foreground {
				return c.runForeground(ctx, s, &o)
			}
			_, err := c.createInBackground(ctx, s, &o.nodeOptions)
			return err
		})
	}
	return cmd
}

// runForeground runs a node in this process.
func (c *console) runForeground(ctx context.Context, s *store, o *createFlags) (err error) {
	if !o.skip {
		if err := c.mayCreate(ctx, s, o.name); err != nil {
			return err
		}
	}
	if o.identity, err = c.ensureIdentity(ctx, s, o.identity); err != nil {
		return err
	}
	n, err := c.startNode(ctx, s, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close(context.WithoutCancel(ctx))) }()
	return c.untilSignal(ctx, func(ctx context.Context) error {
		if err := c.announce(o); err != nil {
			return err
		}
		if o.exitOnEOF {
			var end context.CancelFunc
			ctx, end = context.WithCancel(ctx)
			go func() { // ends with standard input or the process
				_, _ = io.Copy(io.Discard, c.stdin)
				end()
			}()
		}
		n.run(ctx)
		return nil
	}, syscall.SIGHUP)
}

// announce says that the node in this process answers: to who started it in the
// background, or to people.
func (c *console) announce(o *createFlags) error {
	if o.child {
		_, err := fmt.Fprintln(c.stdout, readyLine)
		return err
	}
	if c.wantsJSON() {
		return nil
	}
	c.say(markInfo, "Ctrl+C ends it")
	return c.print(createdResult(o.name))
}

// wantsJSON reports whether the JSON form of the result is asked for.
func (c *console) wantsJSON() bool {
	return c.output.value == "json" || (c.compact || c.query != nil) && !c.output.set
}

func createdResult(name string) result {
	return result{plain: markOK + "Created the node " + name + "\n" + markText + "More about it: ockam node show " + name}
}

// printNode prints the result of a command that has started a node; machine is
// what it prints for scripts, nothing for the JSON form.
func (c *console) printNode(ctx context.Context, s *store, rec *state.Node, machine string) error {
	r := createdResult(rec.Name)
	r.machine = machine
	if c.wantsJSON() || machine == "" {
		shown, err := s.shownNode(ctx, rec)
		if err != nil {
			return err
		}
		r.json = shown
	}
	return c.print(r)
}

// nodeNames returns the names of the nodes.
func (s *store) nodeNames(ctx context.Context) (all []state.Node, names []string, err error) {
	all, err = s.Nodes(ctx)
	for _, n := range all {
		names = append(names, n.Name)
	}
	return all, names, err
}

// defaultNode returns the name of the default node.
func (c *console) defaultNode(ctx context.Context, s *store) (string, error) {
	rec, err := c.findNode(ctx, s, "", false)
	if err != nil {
		return "", err
	}
	return rec.Name, nil
}

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

func newNodeStart(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "start [NAME]",
		Short: "Start a node that was stopped",
		Long: `Starts a node again, in the background, with the identity that it had and where it
listened.`,
		Example: `  # The default node
  ockam node start

  # Another one
  ockam node start n1`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				rec, err := c.findNode(ctx, s, strings.Join(args, ""), false)
				if err != nil {
					return err
				}
				if rec.Running() {
					return c.print(result{plain: markError + "The node " + rec.Name + " is already running"})
				}
				o := nodeOptions{name: rec.Name, identity: rec.Identity, listen: rec.ListenerAddress, again: true}
				if o.listen == "" {
					o.listen = defaultListen
				}
				if err := c.startProcess(ctx, s, &o); err != nil {
					return err
				}
				if rec, err = s.NamedNode(ctx, rec.Name); err != nil {
					return err
				}
				return c.printNode(ctx, s, rec, "")
			})
		},
	}
}

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
			chosen, err := c.toDelete(selection{kind: "node", names: names, name: strings.Join(args, ""), all: all, yes: yes})
			if err != nil {
				return err
			}
			return c.forEach(chosen, all, func(name string) error {
				if err := c.deleteNode(ctx, s, name); err != nil {
					return err
				}
				return c.print(result{
					plain: markOK + "The node " + name + " has been deleted", machine: name,
					json: map[string]any{"name": name},
				})
			})
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
	if err := s.DeleteNode(ctx, name); err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	folder, err := nodeFolder(name)
	if err != nil {
		return err
	}
	return os.RemoveAll(folder)
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
