package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel/policy"
)

func newPolicy(c *console) *cobra.Command {
	return group("policy", "Say who may use what nodes have", newPolicyCreate(c), newPolicyShow(c), newPolicyList(c),
		newPolicyDelete(c), newPolicyExplain(c))
}

// policyValue is the value of an option that takes a policy in either form.
type policyValue struct{ input *control.PolicyExpression }

// Set reads it.
func (v *policyValue) Set(s string) error {
	in, err := policy.ParseInput(s)
	if err != nil {
		return err
	}
	v.input = (*control.PolicyExpression)(&in)
	return nil
}

// String returns it as it was given, empty for none.
func (v *policyValue) String() string {
	if v.input == nil {
		return ""
	}
	return policy.Input(*v.input).String()
}

// Type returns what the help calls the value.
func (v *policyValue) Type() string { return "policy" }

// allowFlag gives cmd the option --allow, and its other name.
func allowFlag(cmd *cobra.Command, usage string) *policyValue {
	v := new(policyValue)
	cmd.Flags().Var(v, "allow", usage)
	cmd.Flags().Var(v, "expression", "another name of --allow")
	cmd.Flags().Lookup("expression").Hidden = true
	return v
}

// hiddenAllow gives a command that makes a resource the option for its policy,
// which help does not show.
func hiddenAllow(cmd *cobra.Command) *policyValue {
	v := allowFlag(cmd, "who may use it, as an expression over attributes")
	cmd.Flags().Lookup("allow").Hidden = true
	return v
}

// resourceType is the value of an option that names a type of resources.
type resourceType struct{ policy.ResourceType }

// Set reads the name.
func (v *resourceType) Set(s string) (err error) {
	v.ResourceType, err = policy.ParseResourceType(s)
	return err
}

// String returns the name, empty for none.
func (v *resourceType) String() string {
	if !v.Valid() {
		return ""
	}
	return v.ResourceType.String()
}

// Type returns what the help calls the value.
func (v *resourceType) Type() string { return "type" }

// toResource returns the type that a name spells, or else the resource of that
// name.
func toResource(name string) control.ResourceTypeOrName {
	if t, err := policy.ParseResourceType(name); err == nil {
		return control.ResourceTypeOrName{Type: t}
	}
	return control.ResourceTypeOrName{Name: name}
}

func newPolicyCreate(c *console) *cobra.Command {
	var kind resourceType
	name := ""
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Say who may use a resource, or all of a type",
		Long: `Stores the policy of one resource of a node (an outlet, an inlet) or of all that
have a type and no policy of their own, in the place of the one there was. The
expression is over the attributes of whoever wants to use it: names with "and",
"or" and "not", or the full form. Types are tcp-inlet, tcp-outlet, echoer,
kafka-consumer, kafka-producer, relay and lessor.`,
		Example: `  # Who may use the outlet "web" of the default node
  ockam policy create --resource web --allow 'admin and not intern'

  # All outlets of another node, in full
  ockam policy create --at n1 --resource-type tcp-outlet --allow '(= subject.team "web")'`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.StringVar(&name, "resource", "", "name of the resource")
	f.Var(&kind, "resource-type", "type of the resources")
	allow := allowFlag(cmd, "who may use it, as an expression over attributes")
	at := atFlag(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case f.Changed("resource") && f.Changed("resource-type"):
			return &usageError{cmd: cmd, text: "--resource <RESOURCE> cannot be used with --resource-type <RESOURCE_TYPE>"}
		case f.Changed("resource") && name == "":
			return &usageError{cmd: cmd, text: "invalid value '' for '--resource <RESOURCE>': it is empty"}
		case allow.input == nil:
			return &usageError{cmd: cmd, text: "a required option is missing: --allow <POLICY_EXPRESSION>"}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		of := control.ResourceTypeOrName{Type: kind.ResourceType}
		switch {
		case name != "":
			if of = toResource(name); of.Name == "" {
				c.say(markWarning, "--resource %s is deprecated for a type: use --resource-type %s", name, name)
			}
		case !kind.Valid():
			return errors.New("say what the policy is for: --resource NAME or --resource-type TYPE")
		}
		return c.at(cmd, *at, true, func(ctx context.Context, n *remote) error {
			if err := n.SetPolicy(ctx, control.SetPolicy{Resource: of, Expression: *allow.input}); err != nil {
				return err
			}
			return c.print(result{plain: markOK + "The policy of " + of.String() + " at the node " + n.name + " is set"})
		})
	}
	return cmd
}

// policies returns policies of a node, of the resource or type unless it is
// empty: those of named resources first.
func policies(ctx context.Context, n *remote, name string) (all []control.Policy, err error) {
	var of *control.ResourceTypeOrName
	if name != "" {
		r := toResource(name)
		of = &r
	}
	found, err := n.Policies(ctx, of)
	for _, e := range sorted(found.Resources, func(e control.ResourcePolicy) string { return e.Resource }) {
		all = append(all, control.Policy{Resource: control.ResourceTypeOrName{Name: e.Resource}, Action: e.Action, Expression: e.Expression})
	}
	for _, e := range sorted(found.Types, func(e control.ResourceTypePolicy) string { return e.Type.String() }) {
		all = append(all, control.Policy{Resource: control.ResourceTypeOrName{Type: e.Type}, Action: e.Action, Expression: e.Expression})
	}
	return all, err
}

func policyNames(all []control.Policy) (names []string) {
	for _, e := range all {
		names = append(names, e.Resource.String())
	}
	return names
}

func shownPolicy(e control.Policy) object {
	return object{"action": e.Action.String(), "expression": e.Expression.String(), "resource": e.Resource.String()}
}

func newPolicyShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [RESOURCE]",
		Short: "Show the policy of a resource or type",
		Long:  `Shows a policy: that of the type tcp-outlet if nothing is named.`,
		Example: `  # Of all relays that have none of their own
  ockam policy show relay

  # The expression only, of an outlet of another node
  ockam policy show web --at n1 --jq .expression`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := policy.TCPOutlet.String()
		if len(args) > 0 {
			name = args[0]
		}
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := policies(ctx, n, name)
			if err != nil {
				return err
			}
			chosen, err := c.toShow(selection{kind: "policy", names: policyNames(all), name: name})
			if err != nil || len(chosen) == 0 {
				return err
			}
			e := all[0] // there is one at most for a name
			plain := markOK + "The policy of " + name + " is " + e.Expression.String()
			return c.print(result{plain: plain, json: shownPolicy(e)})
		})
	}
	return cmd
}

func newPolicyList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [RESOURCE]",
		Short: "List the policies of a node",
		Example: `  # All of the default node
  ockam policy list

  # What has a policy at another one
  ockam policy list --at n1 --jq '.[].resource'`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, err := policies(ctx, n, strings.Join(args, ""))
			if err != nil {
				return err
			}
			r := result{}
			items, lines := []any{}, [][]string{}
			for _, e := range all {
				items, lines = append(items, shownPolicy(e)), append(lines, []string{"Policy of " + e.Resource.String(), e.Expression.String()})
			}
			if r.plain = list("policy", lines) + noneAt(len(all), n); len(all) > 0 {
				r.json = items
			}
			return c.print(r)
		})
	}
	return cmd
}

func newPolicyDelete(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "delete [RESOURCE]",
		Short: "Delete the policy of a resource or type",
		Long: `Deletes a policy. The resource has that of its type then; without either nobody
may use it.`,
		Example: `  # Of one outlet of the default node
  ockam policy delete web --yes

  # Of all relays of another node
  ockam policy delete relay --at n1 --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "policy", nil, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			name := strings.Join(args, "")
			all, err := policies(ctx, n, name)
			if err != nil {
				return err
			}
			chosen, err := c.toDelete(selection{kind: "policy", names: policyNames(all), name: name, yes: yes})
			if err != nil {
				return err
			}
			return c.forEach(chosen, len(chosen) > 1, func(name string) error {
				if err := n.DeletePolicy(ctx, toResource(name)); err != nil {
					return err
				}
				return c.print(result{plain: markOK + "The policy of " + name + " at the node " + n.name + " has been deleted"})
			})
		})
	}
	return cmd
}
