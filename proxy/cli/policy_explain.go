package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/config"
	"ockam/proxy/control"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// explainOptions are those of policy explain.
type explainOptions struct {
	at     *nodeName
	kind   resourceType
	files  []string
	action choice
}

func newPolicyExplain(c *console) *cobra.Command {
	o := &explainOptions{action: choice{value: policy.HandleMessage.String(), of: []string{policy.HandleMessage.String()}}}
	cmd := &cobra.Command{
		Use:   "explain IDENTITY RESOURCE",
		Short: "Say whether somebody may use a resource, and why",
		Long: `Says whether an identity may use a resource of a node, which policy decides, what is
known of the identity, and which value each part of the policy has. IDENTITY is an
identifier, or the name of a stored identity.

The node is asked, which decides as if the identity came now, through a channel. Of a
node that ockam run runs, name its configuration with --file: what channels have told
about identities is in the database. (Of an ephemeral node nothing is there.) The node
of a project, project-NAME, need not run either.

The relay service is the resource forwarding_service; forward_to_NAME stands for it and
the relay of that name. The exit status is 0, allowed or not.`,
		Example: `  # Why app cannot open the outlet "web" of the default node
  ockam policy explain app web

  # May somebody register the relay "db" at another node?
  ockam policy explain I84502ce0d9a0a91bae29026b84e19be69fb4203a6bdd1424c85a43c812772a00 forward_to_db --at n1

  # At the project "default" that this machine serves
  ockam policy explain I84502ce0d9a0a91bae29026b84e19be69fb4203a6bdd1424c85a43c812772a00 forward_to_db --at project-default

  # At a node of a configuration, for a script
  ockam policy explain app postgres --file /etc/ockam --at db --jq .allowed`,
		Args: arguments(2, 2),
	}
	f := cmd.Flags()
	o.at = atFlag(cmd)
	f.Var(&o.kind, "resource-type", "type of the resource, where a name has several")
	f.StringArrayVar(&o.files, "file", nil, "a configuration that ockam run runs, file or folder; may be given again")
	f.Var(&o.action, "action", "what is to be done; there is handle_message")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			subject, err := s.identifierOf(ctx, args[0])
			if err != nil {
				return err
			}
			x, err := c.explain(ctx, s, o, control.ExplainPolicy{Subject: subject, Resource: args[1], Type: o.kind.ResourceType})
			if err != nil {
				return err
			}
			return c.print(explained(subject, x))
		})
	}
	return cmd
}

// identifierOf returns an identifier, which is written out or that of a stored
// identity.
func (s *store) identifierOf(ctx context.Context, text string) (identity.Identifier, error) {
	if id, err := identity.ParseIdentifier(text); err == nil {
		return id, nil
	}
	named, err := s.Named(ctx, text)
	if errors.Is(err, state.ErrNotFound) {
		return identity.Identifier{}, absent(fmt.Sprintf("%q is neither an identifier nor the name of a stored identity", text))
	} else if err != nil {
		return identity.Identifier{}, err
	}
	return named.Identifier, nil
}

// explain asks the node; what nobody can ask is decided by what is stored.
func (c *console) explain(ctx context.Context, s *store, o *explainOptions, q control.ExplainPolicy) (x control.PolicyExplanation, err error) {
	question := node.Question{Subject: q.Subject, Resource: node.Resource{Type: q.Type, Name: q.Resource}}
	if len(o.files) > 0 {
		return explanation(c.explainConfigured(ctx, s, o, question))
	}
	rec, err := c.findNode(ctx, s, o.at.String(), false)
	if err != nil {
		return x, err
	}
	settings, err := settingsOf(rec)
	if err != nil {
		return x, err
	}
	if settings.Server != nil {
		return explanation(node.ExplainServed(ctx, rec.Name, s.Store, *settings.Server, question))
	}
	err = s.connect(ctx, rec, func(ctx context.Context, n *remote) (err error) {
		x, err = n.ExplainPolicy(ctx, q)
		return err
	})
	return x, err
}

// explainConfigured decides as a node of a configuration would.
func (c *console) explainConfigured(ctx context.Context, s *store, o *explainOptions, q node.Question) (*node.Decision, error) {
	file, err := c.loadConfig(o.files, config.Options{})
	if err != nil {
		return nil, err
	}
	name := o.at.String()
	if name == "" {
		if name = file.Nodes[0].Name; len(file.Nodes) > 1 {
			return nil, &failure{err: errors.New("the configuration has several nodes"), help: "Say which one: --at NAME"}
		}
	}
	var trust *node.Trust
	if n := file.Node(name); n != nil && n.Membership != nil {
		t, err := s.trust(ctx, &nodeSettings{Project: n.Membership.Name})
		if err != nil {
			return nil, err
		}
		trust = &t
	}
	return node.ExplainConfigured(ctx, file, name, s.Store, trust, q)
}

// explanation is what a node would answer that decides so.
func explanation(d *node.Decision, err error) (control.PolicyExplanation, error) {
	if errors.Is(err, node.ErrNotFound) {
		return control.PolicyExplanation{}, absent(strings.TrimPrefix(err.Error(), node.ErrNotFound.Error()+": "))
	} else if err != nil {
		return control.PolicyExplanation{}, err
	}
	return control.Explanation(d), nil
}

// explained is what people and scripts read.
func explained(subject identity.Identifier, x control.PolicyExplanation) result {
	mark, verdict := markWarning, "denied"
	if x.Allowed {
		mark, verdict = markOK, "allowed"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%v %s: %v\n", mark, x.Type, x.Resource, verdict)
	line := func(format string, args ...any) { fmt.Fprintf(&b, markItem+format+"\n", args...) }
	line("Why: %s", x.Reason)
	switch {
	case x.Policy != "":
		line("Policy (%s): %s", x.At, x.Policy)
	default:
		line("Policy: none decides (%s)", x.At)
	}
	line("Identity: %v", subject)
	attributes := map[string]string{}
	var attested, expires any
	switch {
	case x.Authority.IsZero():
		line("Known of it: nothing more, the node believes no authority")
	case !x.Credential:
		line("Known of it: nothing more, there is no credential in force from %v", x.Authority)
	default:
		attested, expires = x.Authority.String(), x.Until().UTC().Format(time.RFC3339)
		line("Known of it: by a credential from %v, until %v", attested, expires)
		for _, a := range x.Attributes {
			attributes[a.Name] = a.Value
			line("  %q = %q", a.Name, a.Value)
		}
	}
	steps := []object{}
	for i, s := range x.Steps {
		if i == 0 {
			line("The policy, part by part:")
		}
		o := object{"depth": s.Depth, "expression": s.Expression, "skipped": s.Skipped}
		value := s.Value
		if s.Error != "" {
			o["error"], value = s.Error, "no value: "+s.Error
		} else {
			o["value"] = s.Value
		}
		if s.Skipped {
			value += " (does not matter)"
		}
		line("%s%s → %s", strings.Repeat("  ", int(s.Depth)+1), s.Expression, value)
		steps = append(steps, o)
	}
	return result{plain: b.String(), machine: b.String(), json: object{ // a sentence is what is asked for, in a pipe too
		"allowed": x.Allowed, "reason": x.Reason, "subject": subject.String(),
		"resource": x.Resource, "resource_type": x.Type.String(), "action": policy.HandleMessage.String(),
		"policy":     object{"source": x.Source, "expression": x.Policy, "at": x.At},
		"attributes": attributes, "attested_by": attested, "expires_at": expires,
		"authority": authorityOrNil(x.Authority), "steps": steps,
	}}
}

func authorityOrNil(id identity.Identifier) any {
	if id.IsZero() {
		return nil
	}
	return id.String()
}
