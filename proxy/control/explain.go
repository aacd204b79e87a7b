package control

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"ockam/proxy/node"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// ExplainPolicy is the request of GET /explain/policy/{action}, which the
// reference implementation does not have: may somebody use a resource, and why.
type ExplainPolicy struct {
	Subject  identity.Identifier // 1
	Resource string              // 2: its name; see node.Question
	Type     policy.ResourceType // 3: zero for the one there is
}

// Layout lays the fields out; see api.Body.
func (v *ExplainPolicy) Layout() api.Layout {
	kind := api.Optional(resourceType(3, &v.Type), func() bool { return v.Type == 0 })
	return api.Record(api.Identifier(1, &v.Subject), api.Text(2, &v.Resource), kind)
}

// PolicyExplanation answers it.
type PolicyExplanation struct {
	Allowed   bool                // 1
	Reason    string              // 2: why, for people
	Type      policy.ResourceType // 3
	Resource  string              // 4
	Source    string              // 5: "resource", "type" or "none": whose the rule is
	Policy    string              // 6: the policy, empty: none decided
	At        string              // 7: where it stands, or why there is none
	Authority identity.Identifier // 8: whose credentials are believed; zero: nobody's
	// Credential says that a credential of the authority is known and in force:
	// until Expires, in seconds since 1970, it gives the Attributes.
	Credential bool              // 9
	Expires    uint64            // 10
	Attributes []PolicyAttribute // 11: by name
	Steps      []PolicyStep      // 12: the parts of the policy
}

// Layout lays the fields out; see api.Body.
func (v *PolicyExplanation) Layout() api.Layout {
	return api.Record(
		api.Bool(1, &v.Allowed), api.Text(2, &v.Reason), resourceType(3, &v.Type), api.Text(4, &v.Resource),
		api.Text(5, &v.Source), api.OptText(6, &v.Policy), api.OptText(7, &v.At), api.OptIdentifier(8, &v.Authority),
		api.Bool(9, &v.Credential), api.Uint(10, &v.Expires), api.List(11, &v.Attributes), api.List(12, &v.Steps),
	)
}

// A PolicyAttribute is an attribute of the subject. What is not UTF-8 of it is
// replaced.
type PolicyAttribute struct {
	Name  string // 1
	Value string // 2
}

// Layout lays the fields out; see api.Body.
func (v *PolicyAttribute) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Name), api.Text(2, &v.Value))
}

// A PolicyStep is a part of a policy with its value or why it has none.
type PolicyStep struct {
	Depth      uint32 // 1
	Expression string // 2
	Value      string // 3
	Error      string // 4
	Skipped    bool   // 5: the whole does not depend on it
}

// Layout lays the fields out; see api.Body.
func (v *PolicyStep) Layout() api.Layout {
	return api.Record(api.Uint(1, &v.Depth), api.Text(2, &v.Expression), api.OptText(3, &v.Value), api.OptText(4, &v.Error),
		api.Bool(5, &v.Skipped))
}

// An ExplainingNode tells why somebody may use what it has.
type ExplainingNode interface {
	ExplainPolicy(ctx context.Context, q ExplainPolicy) (PolicyExplanation, error)
}

var (
	_ ExplainingNode = (*attached)(nil)
	_ ExplainingNode = (*Client)(nil)
)

// ExplainPolicy asks whether somebody may use a resource, and why.
func (c *Client) ExplainPolicy(ctx context.Context, q ExplainPolicy) (PolicyExplanation, error) {
	return ask[PolicyExplanation](ctx, c, api.MethodGet, "/explain"+policyPath, &q)
}

// ExplainPolicy tells what the node would decide now.
func (a *attached) ExplainPolicy(_ context.Context, q ExplainPolicy) (PolicyExplanation, error) {
	d, err := a.b.Explain(node.Question{Subject: q.Subject, Resource: node.Resource{Type: q.Type, Name: q.Resource}})
	if err != nil {
		return PolicyExplanation{}, translated(err)
	}
	return Explanation(d), nil
}

// Explanation puts a decision into words.
func Explanation(d *node.Decision) PolicyExplanation {
	x := PolicyExplanation{
		Allowed: d.Err == nil, Reason: d.Reason(), Type: d.Type, Resource: d.Name,
		Source: string(d.Rule.Source), Policy: d.Rule.Policy(), At: d.Rule.At, Authority: d.Authority,
	}
	if d.Known != nil {
		x.Credential, x.Expires = true, uint64(d.Known.ExpiresAt)
		for _, name := range slices.Sorted(maps.Keys(d.Known.Attributes.Values)) {
			x.Attributes = append(x.Attributes, PolicyAttribute{strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(d.Known.Attributes.Values[name], "?")})
		}
	}
	for _, s := range d.Steps() {
		step := PolicyStep{Depth: uint32(s.Depth), Expression: s.Expr.String(), Skipped: s.Skipped}
		if s.Err != nil {
			step.Error = s.Err.Error()
		} else {
			step.Value = s.Value.String()
		}
		x.Steps = append(x.Steps, step)
	}
	return x
}

// Until returns when the credential expires.
func (v *PolicyExplanation) Until() time.Time { return identity.Timestamp(v.Expires).Time() }
