package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// A listedCredential is a stored credential, keys in alphabetical order.
type listedCredential struct {
	Credential *credentialObject `json:"credential"`
	IsVerified bool              `json:"is_verified"`
	Scope      string            `json:"scope"`
}

func newCredentialList(c *console) *cobra.Command {
	at := ""
	var subject, issuer identifierValue
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the credentials of a node",
		Long: `Lists the credentials that are kept for a node. They were valid when they were
stored, and may have expired since.`,
		Example: `  # Those of the default node
  ockam credential list

  # Those about one identity, of another node
  ockam credential list --at n1 --subject "$(ockam identity show member)"`,
		Args: arguments(0, 0),
	}
	cmd.Flags().StringVar(&at, "at", "", "the node; the default one if left out")
	cmd.Flags().Var(&subject, "subject", "only those about this identity")
	cmd.Flags().Var(&issuer, "issuer", "only those that this identity has issued")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			node := at
			if node == "" {
				rec, err := c.findNode(ctx, s, "", false)
				if err != nil {
					return err
				}
				node = rec.Name
			}
			all, err := s.Credentials(ctx, node)
			if err != nil && !errors.Is(err, state.ErrNotFound) {
				return err
			}
			items, lines := []listedCredential{}, [][]string{}
			for _, e := range all {
				if subject.String() != "" && subject.Identifier != e.Subject || issuer.String() != "" && issuer.Identifier != e.Issuer {
					continue
				}
				cred, err := identity.ParseCredential(e.Credential)
				if err != nil {
					return err
				}
				shown, err := shownCredential(cred)
				if err != nil {
					return err
				}
				items = append(items, listedCredential{shown, true, e.Scope})
				about := append([]string{"Credential:"}, shown.fields("credential:")...)
				lines = append(lines, append(about, "is verified: ✔", "scope: "+e.Scope))
			}
			r := result{plain: list("credential", lines), json: items}
			if len(items) == 0 {
				r.plain = markInfo + "There are no credentials at the node " + node
			}
			return c.print(r)
		})
	}
	return cmd
}
