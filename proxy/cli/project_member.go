package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/project"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

func newProjectMember(c *console) *cobra.Command {
	return group("project-member", "Manage the members of a project",
		newMemberAdd(c), newMemberList(c), newMemberIDs(c), newMemberShow(c), newMemberDelete(c))
}

// memberFlags are the options of all commands about members.
type memberFlags struct {
	identity, project string
	retries           *retries
}

func memberOptions(cmd *cobra.Command) *memberFlags {
	o := new(memberFlags)
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "the enroller in whose name to ask; the default identity if left out")
	f.StringVarP(&o.project, "project-name", "p", "", "the project; the default one if left out")
	o.retries = retryFlags(cmd)
	return o
}

// asEnroller calls f with a connection to the authority.
func (o *memberFlags) asEnroller(c *console, cmd *cobra.Command, f func(context.Context, *project.Record, *authorityCall) error) error {
	return c.asEnroller(cmd, o.project, o.identity, o.retries, func(ctx context.Context, rec *project.Record, a *authorityCall) error {
		if err := f(ctx, rec, a); err != nil {
			return enrollerError(rec, err)
		}
		return nil
	})
}

// A shownMember is a member for programs, keys in alphabetical order.
type shownMember struct {
	Attributes shownEntry          `json:"attributes"`
	Identifier identity.Identifier `json:"identifier"`
}

type shownEntry struct {
	AddedAt    uint64              `json:"added_at"`
	AttestedBy identity.Identifier `json:"attested_by"`
	Attributes map[string]string   `json:"attributes"`
	ExpiresAt  *uint64             `json:"expires_at"`
}

func shownMemberOf(id identity.Identifier, e authority.Entry) shownMember {
	m := shownMember{Identifier: id, Attributes: shownEntry{
		AddedAt: uint64(e.AddedAt), AttestedBy: e.AttestedBy, Attributes: readable(e.Attributes),
	}}
	if e.ExpiresAt != 0 {
		m.Attributes.ExpiresAt = (*uint64)(&e.ExpiresAt)
	}
	return m
}

// block is what people see of a member.
func (m shownMember) block() string {
	var attributes []string
	for _, name := range slices.Sorted(maps.Keys(m.Attributes.Attributes)) {
		attributes = append(attributes, name+"="+m.Attributes.Attributes[name])
	}
	return markText + m.Identifier.String() + "\n" +
		markText + "  attributes: " + cmp.Or(strings.Join(attributes, " "), "none") + "\n" +
		markText + "  added: " + identity.Timestamp(m.Attributes.AddedAt).Time().UTC().Format("2006-01-02 15:04:05") + " UTC\n" +
		markText + "  added by: " + m.Attributes.AttestedBy.String()
}

// identifierArgument reads the argument of a command.
func identifierArgument(cmd *cobra.Command, args []string) (identity.Identifier, error) {
	id, err := identity.ParseIdentifier(args[0])
	if err != nil {
		return id, &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '<IDENTIFIER>': %v", args[0], err)}
	}
	return id, nil
}

func newMemberAdd(c *console) *cobra.Command {
	var attributes []string
	relay, enroller := "", false
	cmd := &cobra.Command{
		Use:   "add IDENTIFIER",
		Short: "Make an identity a member",
		Long: `Makes an identity a member of the project, with attributes, without a ticket. If it
is one already its attributes are replaced. What it may do changes when its
credential is renewed, within minutes. An enroller cannot make itself an ordinary
member.`,
		Example: `  # A member that may be reached by way of the relay db
  ockam project-member add "$MEMBER" --relay db

  # One with attributes that policies ask for
  ockam project-member add "$MEMBER" --attribute team=web --attribute stage=test`,
		Args: arguments(1, 1),
	}
	f := cmd.Flags()
	f.StringArrayVarP(&attributes, "attribute", "a", nil, "an attribute, NAME=VALUE; may be given again")
	f.StringVar(&relay, "relay", "", "the relay that it may register; * for any")
	f.BoolVar(&enroller, "enroller", false, "it may manage members")
	o := memberOptions(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := identifierArgument(cmd, args)
		if err != nil {
			return err
		}
		for _, a := range attributes {
			if !strings.Contains(a, "=") {
				return fmt.Errorf("the attribute %q has no value: write NAME=VALUE", a)
			}
		}
		values := memberAttributes(attributes, relay, enroller)
		return o.asEnroller(c, cmd, func(ctx context.Context, rec *project.Record, a *authorityCall) error {
			if err := a.keepsRole(ctx, id, values); err != nil {
				return err
			}
			if err := a.AddMember(ctx, id, values); err != nil {
				return err
			}
			return c.print(result{
				plain: markOK + id.String() + " is now a member of the project " + rec.Name + "\n" + markText + "with " + compactJSON(readable(values)),
				json:  object{"attributes": values, "identifier": id.String(), "project": rec.Name},
			})
		})
	}
	return cmd
}

func isEnroller(attributes map[string]string) bool {
	return attributes[authority.AttributeRole] == authority.RoleEnroller
}

// keepsRole refuses to replace the caller's own attributes by some that do not
// make it an enroller, as it is now: the only one could not undo that.
func (a *authorityCall) keepsRole(ctx context.Context, id identity.Identifier, values map[string]string) error {
	if id != a.caller || isEnroller(values) {
		return nil
	}
	now, err := a.Member(ctx, id)
	if _, refused := errors.AsType[*api.Error](err); refused {
		return nil // it says the same, or more, to what is asked next
	}
	if err != nil || !isEnroller(now.Attributes) {
		return err
	}
	return &failure{
		err:  errors.New("this would take your own right to manage members away, for these attributes replace the ones that you have"),
		help: "Keep it: --enroller. Or have another enroller take it away",
	}
}

func newMemberList(c *console) *cobra.Command {
	enrollers := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members with their attributes",
		Long: `Lists the members of the project: who they are, what is said of them, and who made
them members.`,
		Example: `  # All
  ockam project-member list

  # Those who may manage members
  ockam project-member list --enrollers`,
		Args: arguments(0, 0),
	}
	cmd.Flags().BoolVar(&enrollers, "enrollers", false, "only those who may manage members")
	alias(cmd.Flags(), "enrollers", "enroller")
	o := memberOptions(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return o.asEnroller(c, cmd, func(ctx context.Context, _ *project.Record, a *authorityCall) error {
			all, err := a.Members(ctx)
			if err != nil {
				return err
			}
			shown := make([]shownMember, 0, len(all))
			for id, e := range all {
				if !enrollers || isEnroller(e.Attributes) {
					shown = append(shown, shownMemberOf(id, e))
				}
			}
			slices.SortFunc(shown, func(x, y shownMember) int { return bytes.Compare(x.Identifier[:], y.Identifier[:]) })
			blocks := make([]string, len(shown))
			for i, m := range shown {
				blocks[i] = m.block()
			}
			return c.print(result{plain: cmp.Or(strings.Join(blocks, "\n\n"), markText+"There are none"), json: shown})
		})
	}
	return cmd
}

func newMemberIDs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list-ids",
		Short: "List the identifiers of the members",
		Long:  "Lists who the members of the project are, without what is said of them.",
		Example: `  # All
  ockam project-member list-ids

  # How many there are
  ockam project-member list-ids --output json --jq length`,
		Args: arguments(0, 0),
	}
	o := memberOptions(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return o.asEnroller(c, cmd, func(ctx context.Context, _ *project.Record, a *authorityCall) error {
			ids, err := a.MemberIDs(ctx)
			if err != nil {
				return err
			}
			slices.SortFunc(ids, func(x, y identity.Identifier) int { return bytes.Compare(x[:], y[:]) })
			shown, lines := make([]object, len(ids)), make([]string, len(ids))
			for i, id := range ids {
				shown[i], lines[i] = object{"identifier": id.String()}, markText+id.String()
			}
			return c.print(result{plain: strings.Join(lines, "\n"), json: shown})
		})
	}
	return cmd
}

func newMemberShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show IDENTIFIER",
		Short: "Show what is said of a member",
		Long:  "Shows the attributes of a member of the project, and who made it one.",
		Example: `  # A member
  ockam project-member show "$MEMBER"

  # One of its attributes
  ockam project-member show "$MEMBER" --jq .attributes.attributes.team`,
		Args: arguments(1, 1),
	}
	o := memberOptions(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := identifierArgument(cmd, args)
		if err != nil {
			return err
		}
		return o.asEnroller(c, cmd, func(ctx context.Context, _ *project.Record, a *authorityCall) error {
			e, err := a.Member(ctx, id)
			if err != nil {
				return memberError(id, err)
			}
			m := shownMemberOf(id, e)
			return c.print(result{plain: m.block(), json: m})
		})
	}
	return cmd
}

// memberError tells that somebody is no member, which an authority answers in the
// words for what one may not do.
func memberError(id identity.Identifier, err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && strings.Contains(e.Message, "not found") {
		return absent(fmt.Sprintf("Member %v not found", id))
	}
	return err
}

func newMemberDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [IDENTIFIER]",
		Short: "Take the membership away",
		Long: `Ends the membership of an identity. It gets no credential any more; the one that it
has holds until it expires, within minutes, and then its open connections end. With
--all everybody but oneself; on a terminal it asks before.

A ticket that has uses left lets it in again until the ticket expires: make tickets
of one use, as is the default, or delete the enroller who made it, which withdraws
all tickets of that enroller.`,
		Example: `  # A member
  ockam project-member delete "$MEMBER"

  # Everybody else
  ockam project-member delete --all --yes`,
		Args: arguments(0, 1),
	}
	cmd.Flags().BoolVar(&all, "all", false, "everybody but the one who asks")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	o := memberOptions(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) > 0) {
			return &failure{err: errors.New("say whose membership ends: either IDENTIFIER or --all"), help: "See who is a member: ockam project-member list"}
		}
		var id identity.Identifier
		var err error
		if all {
			err = c.confirmEverybody(yes)
		} else {
			id, err = identifierArgument(cmd, args)
		}
		if err != nil {
			return err
		}
		return o.asEnroller(c, cmd, func(ctx context.Context, rec *project.Record, a *authorityCall) error {
			gone := []string{id.String()}
			var err error
			if all {
				gone, err = a.deleteAll(ctx)
			} else {
				err = a.DeleteMember(ctx, id)
			}
			if err != nil {
				return err
			}
			return c.print(result{
				plain: fmt.Sprintf("%sNo members of the project %s any more: %s", markOK, rec.Name, strings.Join(gone, ", ")),
				json:  object{"identifiers": gone, "project": rec.Name},
			})
		})
	}
	return cmd
}

// confirmEverybody asks whether all memberships are to end. Where nobody can be
// asked it does not ask for --yes: scripts for the reference implementation, which
// has no such option here, go on to work.
func (c *console) confirmEverybody(yes bool) error {
	return c.confirm(yes || !c.canAsk(), "End the membership of everybody but yourself?")
}

// deleteAll ends all memberships that the caller may end, and returns whose.
func (a *authorityCall) deleteAll(ctx context.Context) (gone []string, err error) {
	before, err := a.MemberIDs(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.DeleteMembers(ctx); err != nil {
		return nil, err
	}
	after, err := a.MemberIDs(ctx)
	if err != nil {
		return nil, err
	}
	gone = []string{}
	for _, id := range before {
		if !slices.Contains(after, id) {
			gone = append(gone, id.String())
		}
	}
	slices.Sort(gone)
	return gone, nil
}
