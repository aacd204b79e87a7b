package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/project"
	"ockam/proxy/state"
)

const maxProjectFile = 1 << 20 // bytes

func newProject(c *console) *cobra.Command {
	return group("project", "Know projects: their relays and who their members are",
		newProjectCreate(c), newProjectTicket(c), newProjectEnroll(c), newProjectInformation(c), newProjectImport(c),
		newProjectShow(c), newProjectList(c), newProjectDefault(c), newProjectDelete(c),
		newCloud("addon"), newCloud("version"))
}

// identityOption takes --identity, which says as whom the reference
// implementation asks its cloud about projects.
func identityOption(cmd *cobra.Command) {
	cmd.Flags().String("identity", "", "has no effect: nobody is asked")
	cmd.Flags().Lookup("identity").Hidden = true
}

func newProjectImport(c *console) *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "import --project-file FILE",
		Short: "Take in what a file says of a project",
		Long: `Stores what a file says of a project, which somebody else printed with "project
information --output json": where its node and its authority are, and who both
must prove to be. Nothing in the file is secret, and it makes nobody a member. The
first project is the default one. What was known of the project is replaced. Another
project of the same id or name is not: its identity or its authority differs.`,
		Example: `  # On a machine that got the file from one that knows the project
  ockam project import --project-file project.json

  # From one home to another
  ockam project information --output json > project.json
  OCKAM_HOME=$PWD/other ockam project import --project-file project.json`,
		Args: arguments(0, 0),
	}
	cmd.Flags().StringVar(&path, "project-file", "", "what project information --output json has printed")
	require(cmd, false, "project-file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := readProjectFile(path, project.ParseRecord)
		if err != nil {
			return err
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if err := s.keepProject(ctx, r); err != nil {
				return err
			}
			return c.print(result{plain: markOK + "Successfully imported project " + r.Name})
		})
	}
	return cmd
}

// readProjectFile reads a record from a file with one of the functions that
// parse it.
func readProjectFile(path string, parse func([]byte) (*project.Record, error)) (*project.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		err = fmt.Errorf("the project file cannot be read: %w", err)
		if errors.Is(err, os.ErrNotExist) {
			return nil, &failure{code: codeNotFound, err: err}
		}
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProjectFile+1))
	if err == nil && len(b) > maxProjectFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("the project file %s cannot be read: %w", path, err)
	}
	r, err := parse(b)
	if err != nil {
		return nil, &failure{
			err:  fmt.Errorf("the project file %s: %w", path, err),
			help: "Print it anew on a machine that knows the project: ockam project information --output json",
		}
	}
	return r, nil
}

func newProjectInformation(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "information [NAME]",
		Short: "Print what others need to know of a project",
		Long: `Prints what is known of a project: where its node and its authority are, and who
both must prove to be. As JSON it is what "project import" and "node create
--project" take; nothing in it is secret. Without NAME it is the project called
"default", or the default one if none is called so.`,
		Example: `  # A file for other machines
  ockam project information --output json > project.json

  # Who is the project node?
  ockam project information team --jq .identity`,
		Args: arguments(0, 1),
	}
	identityOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			name := "default"
			if len(args) > 0 {
				name = args[0]
			}
			return c.printProject(ctx, s, name)
		})
	}
	return cmd
}

func projectNames(all []state.Project) (names []string) {
	for _, p := range all {
		names = append(names, p.Record.Name)
	}
	return names
}

func (c *console) printProject(ctx context.Context, s *store, name string) error {
	rec, err := s.knownProject(ctx, name)
	if err != nil {
		return err
	}
	return c.print(result{plain: rec.Text(), json: rec.Shown()})
}

func newProjectShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Print what is known of a project",
		Long: `Prints what is known of a project: where its node and its authority are, and who
both must prove to be. Without NAME it is the default project.`,
		Example: `  # The default project
  ockam project show

  # The address of its node, to open a firewall for
  ockam project show team --jq .access_address`,
		Args: arguments(0, 1),
	}
	identityOption(cmd)
	retryFlags(cmd) // without effect, too
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			all, err := s.Projects(ctx)
			if err != nil {
				return err
			}
			chosen, err := c.toShow(selection{
				kind: "project", names: projectNames(all), name: strings.Join(args, ""),
				fallback: func() (string, error) {
					p, err := s.Project(ctx, "")
					if err != nil {
						return "", err
					}
					return p.Record.Name, nil
				},
			})
			if err != nil {
				return err
			}
			return c.forEach(chosen, len(chosen) > 1, func(name string) error { return c.printProject(ctx, s, name) })
		})
	}
	return cmd
}

func newProjectList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the projects that this machine knows of",
		Long: `Lists all projects that were imported, made or enrolled in on this machine, and
which of them is the default one.`,
		Example: `  # All of them
  ockam project list

  # Their names
  ockam project list --jq '.[].name'`,
		Args: arguments(0, 0),
	}
	identityOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			all, err := s.Projects(ctx)
			if err != nil {
				return err
			}
			items, lines := []any{}, [][]string{}
			for _, p := range all {
				items = append(items, p.Record.Shown())
				lines = append(lines, projectLines(&p))
			}
			return c.print(result{plain: list("project", lines), json: items})
		})
	}
	return cmd
}

// projectLines is what a list says of a project.
func projectLines(p *state.Project) []string {
	r := p.Record
	lines := []string{r.Name, "Id: " + r.ID}
	if p.Default {
		lines[0] += " (default)"
	}
	for _, at := range []struct{ what, addr string }{{"Project node", r.AccessAddress()}, {"Authority", r.AuthorityAddress()}} {
		if at.addr != "" {
			lines = append(lines, at.what+" at "+at.addr)
		}
	}
	return lines
}

func newProjectDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Forget a project",
		Long: `Forgets what this machine knows of a project. The project itself goes on, and so
do its members, this machine's identities among them; nodes that run keep what
they know. If it was the default project, the first one left becomes that.`,
		Example: `  # One project
  ockam project delete team --yes

  # All of them
  ockam project delete --all --yes`,
		Args: arguments(0, 1),
	}
	deleteFlags(cmd, "project", &all, &yes)
	identityOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			there, err := s.Projects(ctx)
			if err != nil {
				return err
			}
			return c.deleteEach(selection{
				kind: "project", names: projectNames(there), name: strings.Join(args, ""), all: all, yes: yes,
			}, func(name string) error { return s.DeleteProject(ctx, name) })
		})
	}
	return cmd
}
