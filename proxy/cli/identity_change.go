package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
)

func newIdentityDefault(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "default [NAME]",
		Short: "Print which identity is the default one, or change it",
		Long: `Prints the name of the identity that commands mean where none is named; makes one
when there is none. With NAME it makes that one the default.`,
		Example: `  # Which one is it?
  ockam identity default

  # Make it another one
  ockam identity default database`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				if len(args) == 0 {
					return c.printDefaultIdentity(ctx, s)
				}
				name := args[0]
				if _, err := s.history(ctx, args); err != nil {
					return err
				}
				if id, err := s.Named(ctx, name); err != nil {
					return err
				} else if id.Default {
					return fmt.Errorf("The identity named '%s' is already the default", name) //nolint:staticcheck // the words that scripts look for
				}
				if err := s.SetDefaultIdentity(ctx, name); err != nil {
					return err
				}
				return c.print(result{plain: markOK + "The identity " + name + " is now the default", machine: name})
			})
		},
	}
}

func (c *console) printDefaultIdentity(ctx context.Context, s *store) error {
	id, err := s.Named(ctx, "")
	if errors.Is(err, state.ErrNotFound) {
		var name string
		if name, err = s.freeName(ctx); err == nil {
			id, _, err = s.create(ctx, name)
		}
	}
	if err != nil {
		return err
	}
	return c.print(result{plain: markOK + "The name of the default identity is '" + id.Name + "'"})
}

func newIdentityDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Delete an identity with its keys",
		Long: `Deletes an identity with its keys, for good. One that a node has stays: delete the
node first. If it was the default, the oldest that is left becomes that.`,
		Example: `  # One identity
  ockam identity delete database --yes

  # All that no node has
  ockam identity delete --all --yes`,
		Args: arguments(0, 1),
	}
	deleteFlags(cmd, "identity", &all, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			there, err := s.Identities(ctx)
			if err != nil {
				return err
			}
			var names []string
			for _, n := range there {
				names = append(names, n.Name)
			}
			return c.deleteEach(selection{
				kind: "identity", names: names, name: strings.Join(args, ""), all: all, yes: yes,
			}, func(name string) error {
				err := s.DeleteIdentity(ctx, name)
				if all && errors.Is(err, state.ErrNotFound) {
					return nil // another process was faster
				}
				return err
			})
		})
	}
	return cmd
}
