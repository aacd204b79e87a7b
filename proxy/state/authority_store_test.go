package state_test

import (
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
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
