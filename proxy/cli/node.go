package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ockam/proxy/node"
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
	trust                              *trustFlags

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
said on the command line wins over it. If anything in it fails a new node is
deleted, and one that was there before is stopped again.

With --authority-identity the node believes the credentials of that authority, and
its policies decide on who uses it: at first, whoever has such a credential. With
--credential-scope it presents the one that ockam credential store has kept for it
under that scope; with --authority-route as well it asks the authority for one, and
for another before that ends.

With --http-server the node answers GET /show, /health and /metrics (for
Prometheus) over HTTP, on this machine alone; ockam node show tells where.`,
		Example: `  # A node in the background
  ockam node create n1

  # One with an identity of its own, at a port that others know
  ockam node create n2 --identity database --tcp-listener-address 127.0.0.1:6000

  # One with an outlet
  ockam node create --configuration '{name: n3, tcp-outlets: {db: {to: $PORT}}}' --variable PORT=5432

  # For members, by the credentials of an authority; with metrics at a fixed port
  ockam node create n3 --authority-identity "$AUTHORITY" --http-server-port 9311`,
		Args: arguments(0, 1),
	}
	o.flags(cmd)
	cmd.PreRunE = o.complete
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
		if o.name == "" {
			return errors.New("Invalid value for NAME_OR_CONFIGURATION: a node needs a name, which is part of a folder's; leave it out for a random one") //nolint:staticcheck // the words that scripts look for
		}
		if err := errors.Join(checkNodeName(o.name), o.trust.check()); err != nil {
			return err
		}
		if o.UDP && o.Rendezvous == "" && !o.child {
			c.say(markWarning, "--udp has no effect without a rendezvous server: name one in OCKAM_RENDEZVOUS_SERVER")
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if err := c.join(ctx, s, o); err != nil {
				return err
			}
			if o.foreground {
				return c.runForeground(ctx, s, o)
			}
			_, err := c.createInBackground(ctx, s, &o.nodeOptions)
			return err
		})
	}
	return cmd
}

// flags gives cmd the options.
func (o *createFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&o.foreground, "foreground", "f", false, "run in this process")
	f.BoolVarP(&o.exitOnEOF, "exit-on-eof", "e", false, "end at the end of standard input; needs --foreground")
	f.BoolVar(&o.child, "child-process", false, "how this program starts a background node")
	f.BoolVarP(&o.skip, "skip-is-running-check", "s", false, "leave it to the node to find out that it runs already")
	f.StringVarP(&o.listen, "tcp-listener-address", "t", defaultListen, "where to listen for commands and other nodes: host:port")
	f.StringVar(&o.identity, "identity", "", "its identity, made if there is none of that name; the default one if left out")
	f.BoolVar(&o.HTTP, "http-server", false, "serve the state of the node over HTTP, on this machine, at a free port")
	f.Uint16Var(&o.HTTPPort, "http-server-port", 0, "the same, at this port")
	f.Var(&launchValue{to: &o.Launch}, "launch-configuration", "which services to start: JSON, or the path of a file with it")
	f.BoolVar(&o.UDP, "udp", false, "look for paths over UDP, past NATs; OCKAM_RENDEZVOUS_SERVER names the server for it")
	f.String("opentelemetry-context", "", "has no effect")
	alias(f, "http-server", "enable-http-server")
	alias(f, "launch-configuration", "launch-config")
	alias(f, "udp", "enable-udp")
	for _, name := range []string{"child-process", "launch-configuration", "udp", "opentelemetry-context"} {
		f.Lookup(name).Hidden = true
	}
	o.trust = trustOptions(cmd)
	if !o.inRecipe {
		o.register(cmd)
	}
}

// join makes the node a member of the project that its options name, or of the
// default one.
func (c *console) join(ctx context.Context, s *store, o *createFlags) error {
	rec, err := o.trust.memberOf(ctx, s)
	if err == nil && rec != nil {
		o.Project = rec.Name
	}
	return err
}

// complete checks the options against each other, and fills in what follows from
// them.
func (o *createFlags) complete(cmd *cobra.Command, args []string) error {
	f := cmd.Flags()
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
	if o.HTTP && f.Changed("http-server-port") {
		return &usageError{cmd: cmd, text: "--http-server cannot be used with --http-server-port, which asks for the server too"}
	}
	o.HTTP = o.HTTP || f.Changed("http-server-port")
	o.Authority, o.Scope, o.Route = o.trust.authority.String(), o.trust.scope, o.trust.route.String()
	if o.UDP {
		o.Rendezvous = rendezvousServer()
	}
	return nil
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
	defer func() {
		if err = errors.Join(err, n.close(context.WithoutCancel(ctx))); err == nil {
			c.say(markOK, "The node %s has ended", o.name)
		}
	}()
	return c.untilSignal(ctx, func(ctx context.Context) error {
		if err := c.announce(o, n.first); err != nil {
			return err
		}
		if o.exitOnEOF {
			var end context.CancelFunc
			ctx, end = context.WithCancel(ctx)
			go func() { // ends with standard input or the process
				_, _ = io.Copy(io.Discard, c.stdin)
				c.say(markWarning, "The end of standard input ends the node")
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
// background, or to people. The first node is the default one.
func (c *console) announce(o *createFlags, first bool) error {
	if o.child {
		_, err := fmt.Fprintln(c.stdout, readyLine)
		return err
	}
	if err := c.printListener(o.Launch.listener()); err != nil || c.wantsJSON() {
		return err
	}
	c.say(markText, "Ctrl+C ends the node")
	r := createdResult(o.name)
	if first {
		r.plain = markOK + "Marked " + o.name + " as your default node\n" + r.plain
	}
	return c.print(r)
}

// printListener prints where the channel listener of a launch configuration is;
// it stands on a line of its own in front of the result.
func (c *console) printListener(l *node.ChannelListenerOptions) error {
	if l == nil {
		return nil
	}
	address := "/service/" + l.Address
	if c.lines != nil {
		c.lines.Info(address)
		return nil
	}
	_, err := io.WriteString(c.stdout, address+"\n")
	return err
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
		Long: `Starts a node again, in the background, as it was created: with its identity, where
it listened, the authority it trusts, its HTTP server and its services. It has its
inlets, outlets, relays, listeners and policies again.`,
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
				o := nodeOptions{name: rec.Name, identity: rec.Identity, listen: rec.ListenerAddress, verbosity: rec.Verbosity}
				if o.listen == "" {
					o.listen = defaultListen
				}
				if o.nodeSettings, err = settingsOf(rec); err != nil {
					return err
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
