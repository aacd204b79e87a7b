package authoritytest

import (
	"slices"

	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

var enrollerRole = map[string]string{authority.AttributeRole: authority.RoleEnroller}

// token issues the n-th token, of several uses, in the name of a member.
func (s *suite) token(n, by int) authority.Code {
	s.Helper()
	t := Token(n, 5)
	t.IssuedBy, t.ByAdmin = ID(by), false
	s.must(s.store.PutToken(s.ctx, t))
	return t.Code
}

// issuer has enrollers end as such in all ways: their tokens, used before or not,
// end with that, those of others and of administrators do not.
func (s *suite) issuer() {
	const enroller, other = 1, 2
	preTrusted := []authority.Member{member(enroller, enrollerRole), member(other, enrollerRole)}
	s.must(s.store.PutMember(s.ctx, member(other, enrollerRole)))
	byHand := func() error { return s.store.PutMember(s.ctx, member(enroller, enrollerRole)) }
	asConfigured := func() error { return s.store.SetPreTrusted(s.ctx, preTrusted) }
	n := 10 // of tokens and new members
	for _, tt := range []struct {
		name       string
		begin, end func() error
	}{
		{"deleted", byHand, func() error { return s.store.DeleteMembers(s.ctx, ID(enroller)) }},
		{"an ordinary member", byHand, func() error { return s.store.PutMember(s.ctx, member(enroller, nil)) }},
		{"not configured", asConfigured, func() error { return s.store.SetPreTrusted(s.ctx, preTrusted[1:]) }},
		{"configured as an ordinary member", asConfigured, func() error {
			return s.store.SetPreTrusted(s.ctx, []authority.Member{member(enroller, nil), preTrusted[1]})
		}},
	} {
		n += 10
		s.must(tt.begin())
		of, others := s.token(n, enroller), s.token(n+1, other)
		admins := Token(n+2, 5)
		s.must(s.store.PutToken(s.ctx, admins))
		s.wantRedeem(of, ID(n), now, nil)
		s.must(tt.end())
		s.wantRedeem(of, ID(n+1), now, authority.ErrUnknownCode)
		s.want(ID(n+1), nil)
		late := s.token(n+3, enroller) // the request was under way
		s.wantRedeem(late, ID(n+1), now, authority.ErrUnknownCode)
		s.wantRedeem(others, ID(n+2), now, nil)
		s.wantRedeem(admins.Code, ID(n+3), now, nil)
		s.wantMembers(tt.name, ID(n), ID(n+2), ID(n+3))
	}
	s.must(s.store.SetPreTrusted(s.ctx, nil))
	s.must(byHand())
	again := s.token(9, enroller)
	s.must(s.store.DeleteMembers(s.ctx, ID(enroller)))
	s.must(byHand())
	s.wantRedeem(again, ID(9), now, authority.ErrUnknownCode) // it was deleted too
}

// wantMembers looks for members who are there, among others.
func (s *suite) wantMembers(name string, want ...identity.Identifier) {
	s.Helper()
	ids, err := s.store.MemberIDs(s.ctx)
	s.must(err)
	for _, id := range want {
		if !slices.Contains(ids, id) {
			s.Errorf("%s: %v is no member", name, id)
		}
	}
}
