package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
)

func newVault(c *console) *cobra.Command {
	return group("vault", "Make and show the places where secret keys are kept",
		newVaultCreate(c), newVaultShow(c), newVaultList(c), newVaultMove(c), newVaultDelete(c))
}

func newVaultCreate(c *console) *cobra.Command {
	path, kms := "", false
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a vault",
		Long: `Makes an empty vault and prints its name. The first one keeps its keys in the
database and is the default; each of the others is a file, vault-NAME in
OCKAM_HOME (~/.ockam) unless --path says where. Without NAME the first vault is
called "default", and the others get a random name.`,
		Example: `  # A vault in a file of its own
  ockam vault create
  ockam vault create work --path work.keys

  # An identity whose keys are there
  ockam vault create work
  ockam identity create alice --vault work`,
		Args: arguments(0, 1),
	}
	cmd.Flags().StringVar(&path, "path", "", "the file; it must not exist yet")
	cmd.Flags().BoolVar(&kms, "aws-kms", false, "keys in AWS KMS, which this version does not have")
	cmd.Flags().Lookup("aws-kms").Hidden = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if kms {
			return errKMS
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			all, err := s.Vaults(ctx)
			if err != nil {
				return err
			}
			name := strings.Join(args, "")
			if len(args) == 0 && len(all) > 0 {
				name = freeVaultName(all)
			}
			v, err := s.CreateVault(ctx, name, path)
			if err != nil {
				return alreadyThere(err)
			}
			if v.Default {
				c.say(markInfo, "This is the first vault, so %s is the default", v.Name)
			}
			return c.print(result{
				plain: markOK + "Vault " + v.Name + " has been made", machine: v.Name, json: object{"name": v.Name},
			})
		})
	}
	return cmd
}

// freeVaultName returns a random name that none of the vaults has.
func freeVaultName(all []state.NamedVault) string {
	names := vaultNames(all)
	for {
		if name := randomName(); !slices.Contains(names, name) {
			return name
		}
	}
}

func vaultNames(all []state.NamedVault) (names []string) {
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names
}

// shownVault is what show and list print for programs.
func shownVault(v *state.NamedVault) object {
	kind := object{"DatabaseVault": object{"use_aws_kms": "No"}}
	if v.Path != "" {
		kind = object{"LocalFileVault": object{"path": v.Path, "use_aws_kms": "No"}}
	}
	return object{"vault": object{"is_default": v.Default, "name": v.Name, "vault_type": kind}}
}

// vaultPlace says where the keys of a vault are.
func vaultPlace(v *state.NamedVault) []string {
	if v.Path == "" {
		return []string{"Type: database"}
	}
	return []string{"Type: file", "Path: " + v.Path}
}

func newVaultShow(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "show [NAME]",
		Short: "Print where a vault is",
		Long:  `Prints what is known of a vault; of the default one without NAME. No key is printed.`,
		Example: `  # The default vault
  ockam vault show --output json

  # The path of another one
  ockam vault show work --jq .vault.vault_type.LocalFileVault.path`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, err := s.Vaults(ctx)
				if err != nil {
					return err
				}
				chosen, err := c.toShow(selection{
					kind: "vault", names: vaultNames(all), name: strings.Join(args, ""),
					fallback: func() (string, error) {
						v, err := s.NamedVault(ctx, "")
						if err != nil {
							return "", err
						}
						return v.Name, nil
					},
				})
				if err != nil {
					return err
				}
				return c.forEach(chosen, len(chosen) > 1, func(name string) error {
					v, err := s.NamedVault(ctx, name)
					if err != nil {
						return err
					}
					lines := append([]string{"Vault:", "Name: " + v.Name}, vaultPlace(v)...)
					return c.print(result{plain: strings.Join(lines, "\n"), machine: v.Name, json: shownVault(v)})
				})
			})
		},
	}
}

func newVaultList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the vaults",
		Example: `  # All vaults of this home
  ockam vault list

  # Their names
  ockam vault list --jq '.[].vault.name'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
				all, err := s.Vaults(ctx)
				if err != nil {
					return err
				}
				items, lines := []object{}, [][]string{}
				for i := range all {
					items = append(items, shownVault(&all[i]))
					name := all[i].Name
					if all[i].Default {
						name += " (default)"
					}
					lines = append(lines, append([]string{name}, vaultPlace(&all[i])...))
				}
				return c.print(result{plain: list("vault", lines), json: items})
			})
		},
	}
}

func newVaultMove(c *console) *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "move NAME --path FILE",
		Short: "Move the file of a vault",
		Long: `Moves the file of a vault to another place and remembers it. Nothing is
overwritten. A vault in the database cannot be moved.`,
		Example: `  # To another file
  ockam vault move work --path work.keys

  # And ask where it is now
  ockam vault move work --path moved.keys
  ockam vault show work --jq .vault.vault_type.LocalFileVault.path`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&path, "path", "", "the new file; it must not exist yet")
	require(cmd, false, "path")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if err := s.knowVault(ctx, args[0]); err != nil {
				return err
			}
			v, err := s.MoveVault(ctx, args[0], path)
			if err != nil {
				return alreadyThere(err)
			}
			c.say(markInfo, "Vault %s has been moved to %s", v.Name, v.Path)
			return nil
		})
	}
	return cmd
}

// knowVault fails unless there is a vault of that name, and says what there is.
func (s *store) knowVault(ctx context.Context, name string) error {
	all, err := s.Vaults(ctx)
	switch names := vaultNames(all); {
	case err != nil:
		return err
	case len(names) == 0:
		return notFound("vault", name, "there are none. Make one: ockam vault create NAME")
	case !slices.Contains(names, name):
		return notFound("vault", name, "there is "+enumerate(names))
	}
	return nil
}

func newVaultDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Delete a vault with all its keys",
		Long: `Deletes a vault with all its keys. One that holds the keys of an identity stays:
delete the identity first.`,
		Example: `  # One vault
  ockam vault delete work --yes

  # All of them
  ockam vault delete --all --yes`,
		Args: arguments(0, 1),
	}
	deleteFlags(cmd, "vault", &all, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			there, err := s.Vaults(ctx)
			if err != nil {
				return err
			}
			return c.deleteEach(selection{
				kind: "vault", names: vaultNames(there), name: strings.Join(args, ""), all: all, yes: yes,
			}, func(name string) error { return s.DeleteVault(ctx, name) })
		})
	}
	return cmd
}

// errKMS says that keys cannot be in a cloud's vault.
var errKMS = errors.New("keys in AWS KMS are not in this version; leave out --aws-kms and --key-id")

// alreadyThere says that a name or a file is taken in the words that scripts
// look for.
func alreadyThere(err error) error {
	item, ok := errors.AsType[*state.ItemError](err)
	if !ok || !errors.Is(err, state.ErrExists) {
		return err
	}
	return &failure{code: codeExists, err: fmt.Errorf("the %s %s already exists", item.Kind, item.Name), help: item.Advice}
}
