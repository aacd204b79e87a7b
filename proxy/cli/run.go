package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ockam/config"
	"ockam/proxy/node"
)

// runNodes runs a configuration until its context ends and everything under
// way has been drained; tests put something else in its place.
var runNodes = node.Run

// runLong is the help of run.
const runLong = `Runs the nodes of a configuration in the foreground, until SIGTERM or SIGINT. Then
it takes no new connections, waits for those under way as long as --drain says,
and exits with 0. A second signal ends it at once.

A PATH is a file, or a folder of which all *.hcl files are read; together they are
one configuration. Standard output tells what listens where, which identities the
nodes have, and when the ways to other nodes come up and go down. Logs go to
standard error.

A PATH that ends in .yaml, .yml or .json, or the text of --inline, is a configuration
of the reference implementation: it makes vaults, identities, nodes in the background
and what they have, prints the result of each, and ends. That is also what happens
without PATH in a folder with ockam.yml or ockam.yaml.`

// runOptions are those of run.
type runOptions struct {
	inline        string
	drain         duration
	level, format choice
}

func newRun(c *console) *cobra.Command {
	o := runOptions{
		drain: duration(10 * time.Second), level: choice{value: "info", of: logLevels},
		format: choice{value: "auto", of: []string{"auto", "console", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "run [PATH…]",
		Short: "Run what configuration files say",
		Long:  runLong,
		Example: `  # Three nodes in one process, and a web page behind them; writes nothing
  ockam run examples/quickstart.hcl

  # As a service: all files of the folder, two minutes to end connections
  ockam run --drain 2m --log-format json /etc/ockam

  # Two nodes in the background, one with an outlet
  ockam run --inline '{nodes: [a, b], tcp-outlet: {at: a, to: 5432}}'`,
		Args: arguments(0, -1),
	}
	f := cmd.Flags()
	f.StringVar(&o.inline, "inline", "", "a configuration of the reference implementation, as YAML")
	f.Bool("blocking", false, "has no effect")
	f.Lookup("blocking").Hidden = true
	f.Var(&o.drain, "drain", "how long connections may go on after a signal")
	f.Var(&o.level, "log-level", "least to log: "+strings.Join(logLevels, ", "))
	f.Var(&o.format, "log-format", "form of logs: auto (console on a terminal, else json), console, json")
	cmd.PreRunE = checkRun
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		src, err := runSource(cmd, o.inline, args)
		if err != nil {
			return err
		}
		if src != nil {
			return c.runRecipe(cmd.Context(), src)
		}
		return c.runHere(cmd.Context(), args, &o)
	}
	return cmd
}

// checkRun looks whether the arguments of run make sense together.
func checkRun(cmd *cobra.Command, args []string) error {
	text := cmd.Flags().Changed("inline")
	switch yaml := slices.ContainsFunc(args, isYAML); {
	case text && len(args) > 0:
		return &usageError{cmd: cmd, text: "--inline <CONTENTS> cannot be used with [PATH]"}
	case yaml && len(args) > 1:
		return &usageError{cmd: cmd, text: "a configuration of the reference implementation (.yaml, .yml, .json) stands alone"}
	case text || yaml:
		return onlyInForeground(cmd)
	}
	return nil
}

// runHere runs the nodes of a configuration of ours in this process, until a
// signal comes.
func (c *console) runHere(ctx context.Context, paths []string, o *runOptions) (err error) {
	c.lines = nil // the log of nodes is on standard error
	if !o.format.set && getenv("OCKAM_LOG_FORMAT") == "json" {
		o.format.value = "json"
	}
	log, err := c.logger(c.logLevel(o.level), o.format.value)
	if err != nil {
		return err
	}
	f, err := c.loadConfig(paths, config.Options{})
	if err != nil {
		return err
	}
	s := &lazyStore{}
	defer func() { err = errors.Join(err, s.close()) }()
	opt := node.Options{Log: log, Status: c.statusLine(demoInlets(f)), Store: s.open}
	c.asMembers(&opt, s)
	return c.untilSignal(ctx, func(ctx context.Context) error {
		return runNodes(ctx, f, opt, time.Duration(o.drain))
	})
}

// onlyInForeground refuses options that are about nodes in this process.
func onlyInForeground(cmd *cobra.Command) error {
	for _, name := range []string{"drain", "log-level", "log-format"} {
		if cmd.Flags().Changed(name) {
			return &usageError{cmd: cmd, text: "--" + name + " is for our own configurations, whose nodes run in this process"}
		}
	}
	return nil
}

// runSource returns the configuration of the reference that the arguments of
// run mean, nil if they mean files of ours.
func runSource(cmd *cobra.Command, inline string, args []string) (*recipeSource, error) {
	switch {
	case cmd.Flags().Changed("inline"):
		return &recipeSource{text: inline, file: "configuration"}, nil
	case len(args) == 1 && isYAML(args[0]):
		return readRecipeFile(args[0])
	case len(args) > 0:
		return nil, nil
	}
	for _, name := range []string{"ockam.yml", "ockam.yaml"} {
		if isFile(name) {
			return readRecipeFile(name)
		}
	}
	return nil, &failure{
		code: codeNotFound, err: errors.New("nothing says what to run: there is no ockam.yml or ockam.yaml in this folder"),
		help: "Name a file: ockam run FILE.hcl for nodes in this process, ockam run FILE.yaml for nodes in the background.",
	}
}

// untilSignal calls run and ends its context at the first signal: SIGINT,
// SIGTERM or one of more. At a second one it returns without waiting.
func (c *console) untilSignal(ctx context.Context, run func(context.Context) error, more ...os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, append(more, os.Interrupt, syscall.SIGTERM)...)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }() // joined below, or the process ends
	for asked := false; ; asked = true {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			if asked {
				status := 128
				if n, ok := s.(syscall.Signal); ok {
					status += int(n)
				}
				return &signalError{status}
			}
			c.say(markWarning, "Ending. What is under way is waited for; a second signal ends at once.")
			cancel()
		}
	}
}

// statusLine returns what prints events, a line each: a state for people and
// scripts to wait for. Behind the inlets named by hints is a web page; its
// address is printed once the way there is up.
func (c *console) statusLine(hints map[[2]string]string) func(node.Event) {
	return func(e node.Event) {
		line := "node " + e.Node + ": " + strings.ReplaceAll(e.Kind, "_", " ")
		if e.Name != "" {
			line += " " + e.Name
		}
		line += " " + e.Text + "\n"
		key := [2]string{e.Node, e.Name}
		if url := hints[key]; url != "" && e.Kind == "inlet" && e.Up && e.Addr == "" {
			line += fmt.Sprintf("open %s\n", url)
			delete(hints, key)
		}
		// Where nobody reads standard output, the node runs all the same.
		_, _ = c.stdout.Write([]byte(line))
	}
}

// demoInlets returns the addresses of the inlets that lead to a web page
// built into this program, by node and inlet.
func demoInlets(f *config.File) map[[2]string]string {
	demos := map[string]bool{}
	for _, n := range f.Nodes {
		for _, out := range n.TCPOutlets {
			demos[out.Name] = demos[out.Name] || out.To.Network == "demo"
		}
	}
	hints := map[[2]string]string{}
	for _, n := range f.Nodes {
		for _, in := range n.TCPInlets {
			_, port, err := net.SplitHostPort(in.From.Address)
			if len(in.To) > 0 && demos[in.To[len(in.To)-1].Value] && in.From.Network == "tcp" && err == nil && port != "0" {
				hints[[2]string{n.Name, in.Name}] = "http://" + in.From.Address + "/"
			}
		}
	}
	return hints
}
