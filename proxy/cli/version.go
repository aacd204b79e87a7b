package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built: -ldflags "-X ockam/proxy/cli.version=…".
var version = "0.1.0-dev"

func newVersion(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  # The version, and the revision that it was built from
  ockam version

  # The same in a form for programs
  ockam version --output json`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Revision string `json:"compiled_from"`
				Version  string `json:"version"`
			}{revision(), version}
			text := fmt.Sprintf("%sockam %s\n%scompiled from: %s", markText, v.Version, markText, v.Revision)
			return c.print(result{plain: text, machine: text, json: v})
		},
	}
}

// revision is the commit that the program was built from, as far as the
// program knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return rev + changed
}
