// Package cli holds the commands of the program.
//
// A command reads its arguments, calls one function of another package and
// prints what came out. The package decides what goes to which stream and
// with which status the process ends; it runs no node (proxy/node) and keeps
// no state (proxy/state).
package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Main runs the command that args name, without the program's own name, and
// returns the status to exit with: 0, 64 for arguments that make no sense, 70
// for everything that fails (Ockam protocol, command line, errors). After a
// second signal it returns without waiting for what it started.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := newConsole(stdin, stdout, stderr)
	root := newRoot(c)
	if asksVersion(args) {
		args = []string{"version"}
	}
	args, err := c.fill(args)
	if err != nil {
		return c.exit(err)
	}
	root.SetArgs(args)
	err = root.Execute()
	status := c.exit(err)
	if c.endLog != nil {
		c.endLog(err)
	}
	return status
}

// newRoot builds the tree of commands. A new command gets a line here.
func newRoot(c *console) *cobra.Command {
	root := group("ockam", "Private connections between programs in different networks",
		newRun(c),
		newConfig(c),
		newNode(c),
		newMessage(c),
		newSecureChannel(c),
		newChannelListener(c),
		newRelay(c),
		newTCPOutlet(c),
		newTCPInlet(c),
		newTCPConnection(c),
		newTCPListener(c),
		newService(c),
		newWorker(c),
		newPolicy(c),
		newFlowControl(c),
		newRendezvous(c),
		newStatus(c),
		newReset(c),
		newProjectMember(c),
		newAuthority(c),
		newIdentity(c),
		newVault(c),
		newCredential(c),
		newProject(c),
		newCompletion(c),
		newEnvironment(c),
		newManpages(c),
		newMarkdown(c),
		newVersion(c),
	)
	for _, word := range cloudWords {
		root.AddCommand(newCloud(word))
	}
	root.Long = `ockam makes a TCP service in one network appear as a local port in another,
without a change to either program. The two ends authenticate each other and
encrypt end to end; what carries the bytes between them sees sealed traffic.`
	root.Example = `  # Run everything that a file says: inlets, outlets, relays
  ockam run examples/quickstart.hcl

  # Make an identity for this machine; others write it into their "allow"
  ockam identity create database`
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true}) // group knows the word
	root.SetHelpFunc(c.help)

	flags := root.PersistentFlags()
	flags.BoolP("help", "h", false, "print help; -h prints less")
	flags.BoolP("version", "V", false, "print the version")
	flags.BoolVarP(&c.quiet, "quiet", "q", c.quiet, "print errors only, besides results")
	flags.CountVarP(&c.verbosity, "verbose", "v", "log more, results too: -v info, -vvv debug")
	flags.BoolVar(&c.noColor, "no-color", c.noColor, "print without colors")
	flags.BoolVar(&c.noInput, "no-input", c.noInput, "ask no questions")
	flags.Var(&c.output, "output", "form of the result: plain or json")
	flags.StringVar(&c.jq, "jq", "", "what to make of the JSON, as a jq query; implies --output json")
	flags.BoolVar(&c.compact, "compact-output", false, "print JSON on one line; implies --output json")
	flags.BoolVar(&c.pretty, "pretty", false, "has no effect")
	flags.BoolVar(&c.parseOnly, "test-argument-parser", false, "check the arguments and do nothing")
	flags.Lookup("pretty").Hidden, flags.Lookup("test-argument-parser").Hidden = true, true
	suggestWords(root)
	onceOnly(root)
	c.prepare(root)
	return root
}

// prepare makes the commands below cmd follow the options of every command
// before they run.
func (c *console) prepare(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		c.prepare(child)
	}
	if cmd.HasSubCommands() || cmd.RunE == nil {
		return
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.parseOnly {
			return nil
		}
		if err := errors.Join(c.startLines(), c.compileQuery(), c.startLog(cmd)); err != nil {
			return err
		}
		if c.pretty {
			c.say(markWarning, "--pretty is deprecated: it has no effect")
			c.say(markInfo, "JSON has line breaks unless --compact-output is given")
		}
		return run(cmd, args)
	}
}

// asksVersion reports whether --version or -V stands anywhere before "--",
// which wins over everything else.
func asksVersion(args []string) bool {
	if len(args) > 0 && strings.HasPrefix(args[0], "__") { // the shell asks what fits
		return false
	}
	args = beforeDashes(args)
	return slices.Contains(args, "--version") || slices.Contains(args, "-V")
}

// beforeDashes returns the arguments before "--", which ends the options.
func beforeDashes(args []string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i]
	}
	return args
}

// elsewhere are commands of the reference implementation that this version
// does not have.
var elsewhere = []string{
	"influxdb-inlet", "influxdb-outlet",
	"kafka-consumer", "kafka-inlet", "kafka-outlet", "kafka-producer",
	"project-member", "sidecar",
}

// group returns a command that only holds others.
func group(name, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	cmd.AddCommand(children...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return helpInstead(cmd)
		}
		if args[0] == "help" {
			if of, rest, err := cmd.Find(args[1:]); err == nil && len(rest) == 0 {
				return of.Help()
			}
			args = args[1:]
		}
		err := &usageError{cmd: cmd, text: fmt.Sprintf("there is no command %q", strings.TrimSpace(cmd.CommandPath()+" "+args[0]))}
		switch near := cmd.SuggestionsFor(args[0]); {
		case len(near) > 0:
			err.text += fmt.Sprintf("; did you mean %q?", cmd.CommandPath()+" "+near[0])
		case !cmd.HasParent() && slices.Contains(elsewhere, args[0]):
			err.text += " in this version; it runs configurations: ockam run --help"
		}
		return err
	}
	return cmd
}

// arguments checks that there are from low to high of them; -1 is no limit.
func arguments(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return &usageError{cmd: cmd, text: "an argument is missing: " + cmd.UseLine()}
		case high >= 0 && len(args) > high:
			return &usageError{cmd: cmd, text: fmt.Sprintf("unexpected argument %q", args[high])}
		}
		return nil
	}
}
