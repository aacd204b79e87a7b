package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
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

func newRun(c *console) *cobra.Command {
	drain := duration(10 * time.Second)
	level := choice{value: "info", of: logLevels}
	format := choice{value: "auto", of: []string{"auto", "console", "json"}}
	cmd := &cobra.Command{
		Use:   "run PATH…",
		Short: "Run what configuration files say",
		Long: `Runs the nodes of a configuration in the foreground, until SIGTERM or SIGINT. Then
it takes no new connections, waits for those under way as long as --drain says,
and exits with 0. A second signal ends it at once.

A PATH is a file, or a folder of which all *.hcl files are read; together they are
one configuration. Standard output tells what listens where, which identities the
nodes have, and when the ways to other nodes come up and go down. Logs go to
standard error.`,
		Example: `  # Three nodes in one process, and a web page behind them; writes nothing
  ockam run examples/quickstart.hcl

  # As a service: all files of the folder, two minutes to end connections
  ockam run --drain 2m --log-format json /etc/ockam`,
		Args: arguments(1, -1),
	}
	cmd.Flags().Var(&drain, "drain", "how long connections may go on after a signal")
	cmd.Flags().Var(&level, "log-level", "least to log: "+strings.Join(logLevels, ", "))
	cmd.Flags().Var(&format, "log-format", "form of logs: auto (console on a terminal, else json), console, json")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c.lines = nil // the log of nodes is on standard error
		if !format.set && getenv("OCKAM_LOG_FORMAT") == "json" {
			format.value = "json"
		}
		log, err := c.logger(c.logLevel(level), format.value)
		if err != nil {
			return err
		}
		f, err := c.loadConfig(args)
		if err != nil {
			return err
		}
		s := &lazyStore{}
		defer func() { err = errors.Join(err, s.close()) }()
		opt := node.Options{Log: log, Status: c.statusLine(demoInlets(f)), Store: s.open}
		return c.untilSignal(cmd.Context(), func(ctx context.Context) error {
			return runNodes(ctx, f, opt, time.Duration(drain))
		})
	}
	return cmd
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
