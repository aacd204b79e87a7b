package state_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
	"ockam/tunnel/identity"
)

func TestAuthorityStore(t *testing.T) {
	authoritytest.Run(t, func(t *testing.T) authority.Store {
		return open(t, home(t)).Authority(authoritytest.ID(5000))
	})
}

// TestAuthoritiesShareAHome shows that authorities do not see each other's members
// and tokens, and that all is there after a restart.
func TestAuthoritiesShareAHome(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	apart(t, s.Authority(authoritytest.ID(1)), s.Authority(authoritytest.ID(2)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	afterwards(t, s.Authority(authoritytest.ID(1)), s.Authority(authoritytest.ID(2)))
}

const tokenTime = 1_700_000_000

// apart makes a member of a, and tokens of a and b with the same code.
func apart(t *testing.T, a, b authority.Store) {
	t.Helper()
	ctx := t.Context()
	m := authority.Member{Identifier: authoritytest.ID(7), Attributes: map[string]string{"a": "b"}}
	for _, err := range []error{
		a.SetPreTrusted(ctx, []authority.Member{m}), a.PutToken(ctx, authoritytest.Token(1, 1)), b.PutToken(ctx, authoritytest.Token(1, 2)),
		b.SetPreTrusted(ctx, nil), b.DeleteMembers(ctx, m.Identifier),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := b.MemberIDs(ctx); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := a.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(8), tokenTime); err != nil {
		t.Error(err)
	}
	if _, err := b.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(8), tokenTime); err != nil {
		t.Error(err)
	}
}

// afterwards looks for what apart has left.
func afterwards(t *testing.T, a, b authority.Store) {
	t.Helper()
	ctx := t.Context()
	if ids, err := a.MemberIDs(ctx); err != nil || len(ids) != 2 {
		t.Errorf("%v, %v", ids, err)
	}
	if m, err := a.Member(ctx, authoritytest.ID(7)); err != nil || !m.PreTrusted || m.Attributes["a"] != "b" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := a.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(9), tokenTime); err == nil {
		t.Error("a code was used twice")
	}
	if _, err := b.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(9), tokenTime); err != nil {
		t.Error(err)
	}
}

// TestOldTokens migrates a database in which nobody knows of administrators.
func TestOldTokens(t *testing.T) {
	dir := home(t)
	s, err := state.OpenWith(t.Context(), dir, state.Migrations[:3])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	database(t, dir, oldToken("x'%x'"))
	oldTokens(t, open(t, dir).Authority(authoritytest.ID(1)))
}

// oldToken returns the statement by which programs before by_admin stored the
// token 1 of the enroller 2; blob is a format for bytes.
func oldToken(blob string) string {
	code := authoritytest.Code(1)
	return fmt.Sprintf("INSERT INTO authority_token (authority, code, reference, issued_by, created, expires, uses, attributes) "+
		"VALUES ('%v', "+blob+", 'r', '%v', %d, %d, 2, "+blob+")",
		authoritytest.ID(1), sha256.Sum256(code[:]), authoritytest.ID(2), tokenTime, tokenTime+600, identity.Attributes{}.Bytes())
}

// oldTokens redeems what oldToken has stored, without and with its issuer.
func oldTokens(t *testing.T, a authority.Store) {
	t.Helper()
	ctx := t.Context()
	if m, err := a.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(3), tokenTime); err == nil {
		t.Errorf("enrolled by who is no enroller: %+v", m)
	}
	enroller := map[string]string{authority.AttributeRole: authority.RoleEnroller}
	if err := a.PutMember(ctx, authority.Member{Identifier: authoritytest.ID(2), Attributes: enroller}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(3), tokenTime); err != nil {
		t.Error(err)
	}
}
