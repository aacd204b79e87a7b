package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

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
	f.BoolVar(&o.udp, "udp", false, "look for paths over UDP, past NATs; OCKAM_RENDEZVOUS_SERVER names the server for it")
	alias(cmd, "udp", "enable-udp")
	f.StringVar(&o.launch, "launch-configuration", "", "which services to start, as JSON")
	f.String("opentelemetry-context", "", "has no effect")
	f.String("credential-scope", "", "has no effect without an authority")
	for _, name := range []string{"udp", "child-process", "launch-configuration", "opentelemetry-context", "credential-scope"} {
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
				var stored storedOptions
				if json.Unmarshal(rec.Options, &stored) == nil { // else it is not ours, and says nothing
					o.udp = stored.UDP
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
