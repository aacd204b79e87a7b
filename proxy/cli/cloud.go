package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"
)

// cloudWords are the commands of the reference implementation that talk to its
// vendor's cloud (Ockam protocol, command line, cloud commands).
var cloudWords = []string{
	"admin", "enroll", "lease", "project-admin", "share", "space", "space-admin", "subscription",
}

// newCloud returns a command that says that there is no cloud, whatever its
// arguments: scripts that try it learn why nothing comes of it.
func newCloud(word string) *cobra.Command {
	return &cobra.Command{
		Use:    word,
		Short:  "Not available: there is no cloud behind this program",
		Hidden: true,
		Long: `The reference implementation has this command for the cloud of its vendor. There
is no cloud behind this program, and no account to enroll: what it does, it does
between your own machines.`,
		Example: `  # A name at one node of yours that leads to another one
  ockam relay create db --at /node/relay --to db

  # Everything that a file says
  ockam run examples/quickstart.hcl`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if options := beforeDashes(args); slices.Contains(options, "--help") || slices.Contains(options, "-h") {
				return cmd.Help()
			}
			return &failure{
				code: codeForbidden,
				err:  errors.New("Please enroll using 'ockam enroll' before using this command, says the reference implementation; here there is no cloud to enroll with"), //nolint:staticcheck // the words that scripts look for
				help: "See what there is: ockam --help",
			}
		},
	}
}
