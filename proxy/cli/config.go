package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"ockam/config"
)

func newConfig(c *console) *cobra.Command {
	return group("config", "Check and convert configurations", newConfigValidate(c), newConfigConvert(c))
}

func newConfigValidate(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "validate PATH…",
		Short: "Check configuration files without running them",
		Long: `Checks everything about configuration files that can be known without running
them, and prints all mistakes at once. A PATH is a file, or a folder of which all
*.hcl files are read; together they are one configuration.`,
		Example: `  # One file
  ockam config validate examples/quickstart.hcl

  # All of a host's files, before the service is restarted
  ockam config validate /etc/ockam && systemctl restart ockam`,
		Args: arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := c.loadConfig(args, config.Options{})
			if err != nil {
				return err
			}
			var names []string
			for _, n := range f.Nodes {
				names = append(names, n.Name)
			}
			text := fmt.Sprintf("The configuration is valid: %s (%s).", count(len(names), "node"), strings.Join(names, ", "))
			return c.print(result{plain: markOK + text, machine: text, json: struct {
				Nodes    []string `json:"nodes"`
				Warnings int      `json:"warnings"`
			}{names, len(f.Warnings.Diagnostics)}})
		},
	}
}

func newConfigConvert(c *console) *cobra.Command {
	o := configurationFlags{}
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Make HCL of a configuration of the reference implementation",
		Long: `Prints HCL for ockam run that says what a YAML configuration of the reference says:
one for node create, or one for its run. What HCL has no word for is an error, with
its line; what makes no difference becomes a comment. Variables are replaced by
their values.`,
		Example: `  # A node with an outlet
  echo '{name: n1, tcp-outlets: {db: {to: 5432}}}' > n1.yaml
  ockam config convert n1.yaml > n1.hcl

  # With a value for what the file calls $PORT
  echo '{name: n1, tcp-outlet: {to: $PORT}}' > n1.yaml
  ockam config convert n1.yaml --variable PORT=5432`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringArrayVar(&o.variables, "variable", nil, "value of a variable of the configuration, NAME=VALUE; may be given again")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return o.checkVariables(cmd) }
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if o.twice != "" {
			return fmt.Errorf("the variable %s is given twice", o.twice)
		}
		src, err := readRecipeFile(args[0])
		if err != nil {
			return err
		}
		text, err := config.Convert(src.text, config.RecipeOptions{File: src.file, Variables: o.values})
		if err != nil {
			return c.mistakes(err)
		}
		_, err = c.stdout.Write(text)
		return err
	}
	return cmd
}

// loadConfig reads a configuration. It prints mistakes and warnings.
func (c *console) loadConfig(paths []string, opt config.Options) (*config.File, error) {
	f, err := config.Load(paths, opt)
	if err == nil && !c.quiet {
		err = f.Warnings.Format(c.stderr, c.color())
	}
	return f, c.mistakes(err)
}

// mistakes prints the mistakes in a configuration; what is left to be told is
// how many there are.
func (c *console) mistakes(err error) error {
	var mistakes *config.Error
	if !errors.As(err, &mistakes) {
		return err
	}
	n := 0
	for _, d := range mistakes.Diagnostics {
		if d.Severity == hcl.DiagError {
			n++
		}
	}
	return errors.Join(mistakes.Format(c.stderr, c.color()), fmt.Errorf("%s in the configuration", count(n, "mistake")))
}
