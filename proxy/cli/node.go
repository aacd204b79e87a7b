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
	configurationFlags
	foreground, exitOnEOF, child, skip bool
	launch                             string

	inRecipe bool                        // it is a step of a configuration
	rest     func(context.Context) error // what to do once a node in this process answers; may be nil
}

func newNodeCreate(c *console) *cobra.Command { return nodeCreate(c, &createFlags{}) }

func nodeCreate(c *console, o *createFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [NAME_OR_CONFIGURATION]",
		Short: "Make a node and run it",
		Long: `Makes a node that runs in the background until it is stopped or deleted, and waits
until it answers. The first node is the one that other commands mean where none
is named. Without NAME the node gets a random one. Its identity is the default
one, which is made when there is none. With --foreground the node runs in this
process, until SIGINT, SIGTERM or SIGHUP.

A configuration says what the node has: inlets, outlets, relays, policies. It is a
file, a URL (also host:port/path), or the text of --configuration, in the YAML of
the reference implementation; or a file of ours, NAME.hcl, with one node. What is
said on the command line wins over it. If anything in it fails the node is deleted.`,
		Example: `  # A node in the background
  ockam node create n1

  # One with an identity of its own, at a port that others know
  ockam node create n2 --identity database --tcp-listener-address 127.0.0.1:6000

  # One with an outlet
  ockam node create --configuration '{name: n3, tcp-outlets: {db: {to: $PORT}}}' --variable PORT=5432`,
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
	if !o.inRecipe {
		o.register(cmd)
	}
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := o.checkVariables(cmd); err != nil {
			return err
		}
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
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !o.inRecipe && !o.child {
			src, err := o.source(cmd, args)
			if err != nil {
				return err
			}
			if src != nil {
				return c.createFrom(cmd, src, o)
			}
		}
		if err := checkNodeName(o.name); err != nil {
			return err
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if o.foreground {
				return c.runForeground(ctx, s, o)
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
		return o.runWithRest(ctx, n)
	}, syscall.SIGHUP)
}

// runWithRest runs a node until ctx ends, and beside it does what is to be done
// once it answers. If that fails the node ends.
func (o *createFlags) runWithRest(ctx context.Context, n *localNode) error {
	if o.rest == nil {
		n.run(ctx)
		return nil
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := o.rest(ctx); err != nil && ctx.Err() == nil {
			end(err)
		}
	}()
	n.run(ctx)
	<-done
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
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
