package authority

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// attributeProject is the project of which its bearer is an administrator, in
// credentials of an account authority.
const attributeProject = "project"

// schemaMember numbers the attributes of a member of a project.
const schemaMember = 1

// issue answers at the credential issuer.
func (a *Authority) issue(c *call) (api.Body, error) {
	if c.req.Method != api.MethodPost || c.req.Path != "/" && c.req.Path != "/credential" {
		return nil, unknownPath()
	}
	r, err := c.role()
	if err != nil {
		return nil, err
	}
	var attributes map[string]string
	switch {
	case r.account:
		attributes = a.complete(map[string]string{AttributeRelay: "*", AttributeCertificate: "true"})
	case r.member != nil:
		attributes = a.complete(r.member.Attributes)
	default:
		return nil, forbidden("unauthorized member")
	}
	history, err := a.Histories.History(c.caller)
	if err != nil {
		return nil, fmt.Errorf("authority: history of %v: %w", c.caller, err)
	}
	lifetime := a.CredentialLifetime
	if lifetime == 0 {
		lifetime = DefaultCredentialLifetime
	}
	credential, err := a.Identity.IssueCredential(history, identity.Attributes{Schema: schemaMember, Values: attributes}, lifetime)
	if err != nil {
		return nil, fmt.Errorf("authority: credential of %v: %w", c.caller, err)
	}
	return &CredentialBody{Credential: credential}, nil
}

// complete returns attributes with what is in all credentials. A member's own
// value counts more.
func (a *Authority) complete(attributes map[string]string) map[string]string {
	all := make(map[string]string, len(attributes)+1)
	if !a.OmitContext {
		all[AttributeContext] = a.Project
	}
	maps.Copy(all, attributes)
	return all
}

// CheckAttributes returns an error if a credential with these attributes would be
// too large to be presented: if they take more than MaxAttributes.
func (a *Authority) CheckAttributes(attributes map[string]string) error {
	n := len(identity.Attributes{Schema: schemaMember, Values: a.complete(attributes)}.Bytes())
	if n > MaxAttributes {
		return fmt.Errorf("authority: attributes of %d bytes, at most %d fit into a credential that can be presented", n, MaxAttributes)
	}
	return nil
}

// Trust makes these the pre-trusted members, with their attributes: those that
// stand in the authority's configuration. It is called before Register, at every
// start: who was pre-trusted before, and is not any more, is no member.
func (a *Authority) Trust(ctx context.Context, trusted map[identity.Identifier]map[string]string) error {
	now := identity.At(a.now())
	var members []Member
	for _, id := range slices.SortedFunc(maps.Keys(trusted), compare) {
		if err := a.CheckAttributes(trusted[id]); err != nil {
			return fmt.Errorf("authority: pre-trusted %v: %w", id, err)
		}
		members = append(members, Member{Identifier: id, Attributes: trusted[id], AddedBy: a.Identity.Identifier(), AddedAt: now})
	}
	return stored(a.Store.SetPreTrusted(ctx, members))
}

func (c *call) checkAttributes(attributes map[string]string) error {
	if err := c.a.CheckAttributes(attributes); err != nil {
		return badRequest("%v", err)
	}
	return nil
}
