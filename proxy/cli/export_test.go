package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ockam/config"
	"ockam/proxy/node"
)

// SetRunNodes puts f in the place of the node runtime.
func SetRunNodes(f func(context.Context, *config.File, node.Options, time.Duration) error) {
	runNodes = f
}

// Tree returns the commands as Main runs them.
func Tree() *cobra.Command {
	return newRoot(newConsole(nil, io.Discard, io.Discard))
}

// Options returns the names of all options of a command, hidden ones too, as
// they are written on the command line.
func Options(cmd *cobra.Command) map[string]bool {
	all := map[string]bool{}
	add := func(f *pflag.Flag) {
		all["--"+f.Name] = true
		if f.Shorthand != "" {
			all["-"+f.Shorthand] = true
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return all
}
