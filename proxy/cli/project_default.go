package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newProjectDefault(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "default [NAME]",
		Short: "Print which project is the default one, or make another one that",
		Long: `Prints the name of the project that commands mean where none is named, as with
--via and /project/default. With NAME it makes that one the default; what was made
through another project stays there.`,
		Example: `  # Which one is it?
  ockam project default

  # From now on another one
  ockam project default team`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				if len(args) == 0 {
					rec, err := s.knownProject(ctx, "")
					if err != nil {
						return err
					}
					return c.print(result{plain: markOK + "The default project is '" + rec.Name + "'", machine: rec.Name})
				}
				rec, err := s.knownProject(ctx, args[0])
				if err != nil {
					return err
				}
				if err := s.SetDefaultProject(ctx, rec.Name); err != nil {
					return err
				}
				return c.print(result{plain: markOK + "The project " + rec.Name + " is now the default", machine: rec.Name})
			})
		},
	}
}
