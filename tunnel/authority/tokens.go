package authority

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// issueToken answers at the enrollment token issuer.
func (a *Authority) issueToken(c *call) (api.Body, error) {
	if c.req.Method != api.MethodPost || c.req.Path != "/" && c.req.Path != "/tokens" {
		return nil, unknownPath()
	}
	var create CreateToken
	if err := c.body(&create); err != nil {
		return nil, err
	}
	r, err := c.enroller("issue an enrollment token")
	if err != nil {
		return nil, err
	}
	if isEnroller(create.Attributes) && !r.admin {
		return nil, forbidden("Not admin is trying to issue an enrollment token for an enroller")
	}
	if err := c.checkAttributes(create.Attributes); err != nil {
		return nil, err
	}
	t := newToken(c, &create)
	t.ByAdmin = r.account
	c.did = fmt.Sprintf("token %s, valid until %v, uses %d, attributes %d", t.Reference, t.ExpiresAt.Time().UTC(), t.Uses, len(t.Attributes))
	return &CodeBody{Code: t.Code}, stored(a.Store.PutToken(c.ctx, t))
}

func newToken(c *call, create *CreateToken) Token {
	t := Token{
		Reference: rand.Text()[:10], IssuedBy: c.caller, CreatedAt: identity.At(c.now),
		ExpiresAt: c.after(uint64(DefaultTokenLifetime / time.Second)), Uses: 1, Attributes: create.Attributes,
	}
	_, _ = rand.Read(t.Code[:]) // it never fails
	if create.TTL != nil {
		t.ExpiresAt = c.after(*create.TTL)
	}
	if create.Uses != nil {
		t.Uses = max(*create.Uses, 1)
	}
	return t
}

// acceptToken answers at the enrollment token acceptor. Anybody may try: 32
// random bytes are not guessed.
func (a *Authority) acceptToken(c *call) (api.Body, error) {
	if c.req.Method != api.MethodPost || c.req.Path != "/" && c.req.Path != "/credential" {
		return nil, unknownPath()
	}
	var code CodeBody
	if err := c.body(&code); err != nil {
		return nil, err
	}
	m, err := a.Store.Redeem(c.ctx, code.Code, c.caller, identity.At(c.now))
	switch {
	case errors.Is(err, ErrAlreadyMember):
		return nil, forbidden("Already a member")
	case errors.Is(err, ErrUnknownCode):
		return nil, forbidden("Unknown enrollment token")
	case err != nil:
		return nil, stored(err)
	}
	c.did = fmt.Sprintf("enrolled with %d attributes, by a token of %v", len(m.Attributes), m.AddedBy)
	return nil, nil
}
