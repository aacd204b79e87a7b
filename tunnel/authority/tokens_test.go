package authority_test

import (
	"testing"
	"time"

	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// accept redeems a code.
func (g *rig) accept(code authority.Code, by identity.Identifier, status api.Status, text string) {
	g.Helper()
	g.want(by, authority.TokenAcceptor, api.MethodPost, "/", &authority.CodeBody{Code: code}, nil, status, text)
}

// TestTokensOfFormerEnrollers shows that who is taken out of the configuration,
// or made an ordinary member, enrolls nobody any more, not as an enroller either.
func TestTokensOfFormerEnrollers(t *testing.T) {
	const unknown = "Unknown enrollment token"
	g := newRig(t, nil)
	former, stays := g.newCaller(), g.newCaller()
	g.trust(map[identity.Identifier]string{former: "ockam-role=enroller", stays: "ockam-role=enroller"})
	ordinary, role := g.token(former, "a=b", 5), g.token(former, "ockam-role=enroller", 5)
	made := g.newCaller()
	g.accept(role, made, 200, "")
	ofMade, ofStays := g.token(made, "", 5), g.token(stays, "", 5)
	g.trust(map[identity.Identifier]string{stays: "ockam-role=enroller"})
	for _, c := range []authority.Code{ordinary, role} {
		g.accept(c, g.newCaller(), 403, unknown)
	}
	g.accept(role, former, 403, unknown)
	g.accept(ofMade, g.newCaller(), 200, "")
	g.accept(ofStays, g.newCaller(), 200, "")
	add := &authority.AddMember{Member: made, Attributes: attributes("a=b")}
	g.want(stays, authority.DirectAuthenticator, api.MethodPost, "/", add, nil, 200, "")
	g.accept(ofMade, g.newCaller(), 403, unknown)
}

// TestTokensOfAdministrators shows that they hold without their issuer's being a
// member, also when what the account authority said has expired.
func TestTokensOfAdministrators(t *testing.T) {
	s := newAccountScript(t, nil)
	s.present(s.account, s.admin, "project=p1", time.Minute)
	c := s.token(s.admin, "ockam-role=enroller", 2)
	s.accept(c, s.m2, 200, "")
	s.setClock(s.now().Add(2 * time.Minute))
	s.accept(c, s.m3, 200, "")
}
