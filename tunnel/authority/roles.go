package authority

import (
	"errors"

	"ockam/tunnel/identity"
)

// A role is what the caller may do.
type role struct {
	member   *Member // nil without a row in the table
	enroller bool    // may manage members
	admin    bool    // may manage enrollers
	// account says that the account authority makes the caller an administrator,
	// who needs no row in the table.
	account bool
}

// role looks the caller up (Ockam protocol, authority, roles).
func (c *call) role() (role, error) {
	r := role{}
	var err error
	if r.account, err = c.a.accountAdmin(c); err != nil {
		return role{}, err
	}
	switch m, err := c.a.Store.Member(c.ctx, c.caller); {
	case err == nil:
		r.member = &m
	case !errors.Is(err, ErrNotMember):
		return role{}, stored(err)
	}
	r.enroller = r.account || r.member != nil && r.member.IsEnroller()
	r.admin = r.enroller
	if c.a.EnforceAdminChecks && !c.a.AccountAuthority.IsZero() {
		r.admin = r.account
	}
	return r, nil
}

func isEnroller(attributes map[string]string) bool { return attributes[AttributeRole] == RoleEnroller }

// accountAdmin reports whether the account authority has said that the caller is
// an administrator of the project.
func (a *Authority) accountAdmin(c *call) (bool, error) {
	if a.AccountAuthority.IsZero() || a.Attributes == nil {
		return false, nil
	}
	e, ok, err := a.Attributes.Attributes(c.caller, c.now)
	if err != nil {
		return false, stored(err)
	}
	project, has := e.Attributes.Values[attributeProject]
	return ok && has && e.AttestedBy == a.AccountAuthority && project == a.Project && e.ExpiresAt > identity.At(c.now), nil
}
