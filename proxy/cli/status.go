package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/proxy/state"
	"ockam/tunnel/api"
)

func newStatus(c *console) *cobra.Command {
	timeout := duration(10 * time.Second)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the identities and nodes of this home",
		Long: `Shows the version, the identities, and what each node has. Where there is no
identity yet one is made afterwards, as by every command that needs one.`,
		Example: `  # All there is
  ockam status

  # Which nodes run
  ockam status --jq '.nodes[] | select(.status == "running") | .name'`,
		Args: arguments(0, 0),
	}
	cmd.Flags().Var(&timeout, "timeout", "how long to wait for the answer of a node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			identities, err := s.Identities(ctx)
			if err != nil {
				return err
			}
			nodes, err := c.shownNodes(ctx, s, time.Duration(timeout))
			if err != nil {
				return err
			}
			if err := c.print(statusResult(identities, nodes)); err != nil || len(identities) > 0 {
				return err
			}
			name, err := s.freeName(ctx)
			if err == nil {
				_, _, err = s.create(ctx, name)
			}
			return err
		})
	}
	return cmd
}

// shownNodes returns what node show prints of each node. One that does not
// answer in time is shown as if it had nothing.
func (c *console) shownNodes(ctx context.Context, s *store, timeout time.Duration) (shown []control.ShownNode, err error) {
	all, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		one, err := func() (control.ShownNode, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return s.shownNode(ctx, &all[i])
		}()
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, api.ErrNoAnswer) {
			c.say(markWarning, "the node %s does not answer", all[i].Name)
			one, err = shownRecord(&all[i]), nil
		}
		if err != nil {
			return nil, err
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// statusResult has the members of the reference implementation's form that
// are about its cloud, and empty.
func statusResult(identities []state.Named, nodes []control.ShownNode) result {
	var b strings.Builder
	fmt.Fprintf(&b, "%sockam %s, compiled from %s\n%s", markText, version, revision(), heading("Identities"))
	people, running := []any{}, []any{}
	for _, id := range identities {
		people = append(people, object{
			"identifier": id.Identifier.String(), "is_default": id.Default, "name": id.Name, "status": "NotEnrolled",
		})
		fmt.Fprintf(&b, "%s%s\n%s  %s\n", markText, id.Name, markText, id.Identifier)
	}
	if len(identities) == 0 {
		b.WriteString(markWarning + "There are no identities; make one: ockam identity create\n")
	}
	b.WriteString(heading("Nodes"))
	for _, n := range nodes {
		running = append(running, n)
		b.WriteString(nodeText(n))
	}
	if len(nodes) == 0 {
		b.WriteString(markWarning + "There are no nodes; make one: ockam node create\n")
	}
	return result{plain: b.String(), json: object{
		"identities": people, "nodes": running, "spaces": []any{},
		"ockam_version":        object{"hash": revision(), "version": version},
		"orchestrator_version": object{"project_version": nil, "version": nil},
	}}
}
