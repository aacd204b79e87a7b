// Package authoritytest has the suite that every authority.Store passes. It is
// for tests only.
package authoritytest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"

	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// now is the time of most tests, in seconds.
const now identity.Timestamp = 1_700_000_000

// ID returns the identifier that ends with n; their order is that of n.
func ID(n int) (id identity.Identifier) {
	for i := range 8 {
		id[31-i] = byte(n >> (8 * i))
	}
	id[0] = 0x11
	return id
}

// Code returns the n-th code.
func Code(n int) (c authority.Code) {
	id := ID(n)
	return authority.Code(id)
}

// Token returns the n-th token, with so many uses, of an administrator who is no
// member.
func Token(n int, uses uint64) authority.Token {
	return authority.Token{
		Code: Code(n), Reference: "0123456789", IssuedBy: ID(1000), CreatedAt: now, ExpiresAt: now + 600, Uses: uses,
		Attributes: map[string]string{"component": "db", "n": fmt.Sprint(n)}, ByAdmin: true,
	}
}

// Run tests a kind of store. Open returns an empty one; it calls TB.Cleanup for
// what is to be closed.
func Run(t *testing.T, open func(t *testing.T) authority.Store) {
	for _, tt := range []struct {
		name string
		run  func(*suite)
	}{
		{"members", (*suite).members},
		{"values", (*suite).values},
		{"pages", (*suite).pages},
		{"pre-trusted", (*suite).preTrusted},
		{"redeem", (*suite).redeem},
		{"issuer", (*suite).issuer},
		{"expiry", (*suite).expiry},
		{"one token at once", (*suite).oneToken},
		{"one member at once", (*suite).oneMember},
		{"many writers", (*suite).manyWriters},
		{"cancelled", (*suite).cancelled},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(&suite{t, open(t), t.Context()}) })
	}
}

type suite struct {
	*testing.T
	store authority.Store
	ctx   context.Context
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// want looks for a member; nil: there is none.
func (s *suite) want(id identity.Identifier, want *authority.Member) {
	s.Helper()
	got, err := s.store.Member(s.ctx, id)
	switch {
	case want == nil && !errors.Is(err, authority.ErrNotMember):
		s.Errorf("%v: %+v, %v, want ErrNotMember", id, got, err)
	case want != nil && (err != nil || !reflect.DeepEqual(got, *want)):
		s.Errorf("%v:\n%+v, %v, want\n%+v", id, got, err, *want)
	}
}

func (s *suite) wantIDs(want ...identity.Identifier) {
	s.Helper()
	got, err := s.store.MemberIDs(s.ctx)
	if err != nil || !slices.Equal(got, want) {
		s.Errorf("%v, %v, want %v", got, err, want)
	}
}

func member(n int, attributes map[string]string) authority.Member {
	return authority.Member{Identifier: ID(n), Attributes: attributes, AddedBy: ID(1000), AddedAt: now}
}

func (s *suite) members() {
	s.want(ID(1), nil)
	s.wantIDs()
	s.must(s.store.DeleteMembers(s.ctx, ID(1)))
	s.must(s.store.DeleteMembers(s.ctx))
	given := map[string]string{"a": "1"}
	one := member(1, given)
	s.must(s.store.PutMember(s.ctx, one))
	given["a"] = "changed later"
	want := member(1, map[string]string{"a": "1"})
	s.want(ID(1), &want)
	got, err := s.store.Member(s.ctx, ID(1))
	s.must(err)
	got.Attributes["a"] = "changed later"
	s.want(ID(1), &want)

	two := member(2, map[string]string{})
	two.AddedBy, two.AddedAt = ID(1), now+1
	s.must(s.store.PutMember(s.ctx, two))
	again := member(1, map[string]string{"b": "2"})
	again.AddedBy, again.AddedAt = ID(2), now+5
	s.must(s.store.PutMember(s.ctx, again))
	s.want(ID(1), &again)
	s.want(ID(2), &two)
	s.wantIDs(ID(1), ID(2))
	s.must(s.store.DeleteMembers(s.ctx, ID(3), ID(1), ID(1)))
	s.want(ID(1), nil)
	s.wantIDs(ID(2))
}

// values keeps what is unusual.
func (s *suite) values() {
	large := string(make([]byte, authority.MaxAttributes))
	for i, attributes := range []map[string]string{
		nil,
		{"": ""},
		{"a": "", "": "b", "quote'\"": "; DROP TABLE", "ü": "日本"},
		{"\x00": "nul\x00", "\xff": "no UTF-8 \xfe"},
		{"large": large},
	} {
		m := member(i+1, attributes)
		m.AddedAt = math.MaxInt64
		s.must(s.store.PutMember(s.ctx, m))
		if attributes == nil {
			m.Attributes = map[string]string{}
		}
		s.want(ID(i+1), &m)
	}
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprint(i)] = fmt.Sprint(-i)
	}
	m := member(10, many)
	m.AddedBy = identity.Identifier{}
	s.must(s.store.PutMember(s.ctx, m))
	s.want(ID(10), &m)
	t := Token(1, math.MaxUint64)
	t.ExpiresAt = math.MaxInt64
	s.must(s.store.PutToken(s.ctx, t))
	_, err := s.store.Redeem(s.ctx, t.Code, ID(11), now)
	s.must(err)
}

func (s *suite) pages() {
	const all = 25
	var want []identity.Identifier
	for n := range all {
		s.must(s.store.PutMember(s.ctx, member(all-n, map[string]string{"n": fmt.Sprint(all - n)})))
		want = append(want, ID(n+1))
	}
	for _, size := range []int{1, 7, all, 100} {
		var got []identity.Identifier
		var after identity.Identifier
		for {
			page, err := s.store.Members(s.ctx, after, size)
			s.must(err)
			if len(page) == 0 {
				break
			}
			for i, m := range page {
				if wanted := member(len(got)+i+1, map[string]string{"n": fmt.Sprint(len(got) + i + 1)}); !reflect.DeepEqual(m, wanted) {
					s.Errorf("%+v, want %+v", m, wanted)
				}
			}
			for _, m := range page {
				got = append(got, m.Identifier)
			}
			after = page[len(page)-1].Identifier
		}
		if !slices.Equal(got, want) {
			s.Errorf("pages of %d: %v", size, got)
		}
	}
	s.wantIDs(want...)
	s.must(s.store.DeleteMembers(s.ctx, want[:20]...))
	s.wantIDs(want[20:]...)
}

func (s *suite) preTrusted() {
	s.must(s.store.PutMember(s.ctx, member(1, map[string]string{"by": "hand"})))
	s.must(s.store.PutMember(s.ctx, member(2, map[string]string{"by": "hand"})))
	s.must(s.store.SetPreTrusted(s.ctx, []authority.Member{
		member(3, map[string]string{authority.AttributeRole: authority.RoleEnroller}), member(2, nil),
	}))
	two := member(2, map[string]string{})
	two.PreTrusted = true
	s.want(ID(2), &two)
	s.wantIDs(ID(1), ID(2), ID(3))
	s.must(s.store.DeleteMembers(s.ctx, ID(2), ID(1)))
	s.want(ID(2), &two)
	s.want(ID(1), nil)
	again := member(2, map[string]string{"re": "added"})
	s.must(s.store.PutMember(s.ctx, again))
	again.PreTrusted = true
	s.want(ID(2), &again)
	s.must(s.store.SetPreTrusted(s.ctx, []authority.Member{member(4, nil)}))
	s.wantIDs(ID(4))
	s.must(s.store.SetPreTrusted(s.ctx, nil))
	s.wantIDs()
}

func (s *suite) wantRedeem(code authority.Code, by identity.Identifier, at identity.Timestamp, want error) {
	s.Helper()
	if _, err := s.store.Redeem(s.ctx, code, by, at); !errors.Is(err, want) {
		s.Errorf("%v: %v, want %v", by, err, want)
	}
}

func (s *suite) redeem() {
	s.wantRedeem(Code(1), ID(1), now, authority.ErrUnknownCode)
	s.must(s.store.PutToken(s.ctx, Token(1, 1)))
	s.must(s.store.PutToken(s.ctx, Token(2, 2)))
	s.must(s.store.PutToken(s.ctx, Token(3, 0))) // as 1
	m, err := s.store.Redeem(s.ctx, Code(1), ID(1), now+5)
	want := authority.Member{Identifier: ID(1), Attributes: Token(1, 1).Attributes, AddedBy: ID(1000), AddedAt: now + 5}
	if err != nil || !reflect.DeepEqual(m, want) {
		s.Errorf("%+v, %v, want %+v", m, err, want)
	}
	s.want(ID(1), &want)
	s.wantRedeem(Code(1), ID(2), now, authority.ErrUnknownCode)    // used up
	s.wantRedeem(Code(2), ID(1), now, authority.ErrAlreadyMember)  // which uses nothing
	s.wantRedeem(Code(99), ID(1), now, authority.ErrAlreadyMember) // whatever the code is
	s.wantRedeem(Code(2), ID(2), now, nil)
	s.wantRedeem(Code(2), ID(3), now, nil)
	s.wantRedeem(Code(2), ID(4), now, authority.ErrUnknownCode)
	s.wantRedeem(Code(3), ID(5), now, nil)
	s.wantRedeem(Code(3), ID(6), now, authority.ErrUnknownCode)
	s.wantIDs(ID(1), ID(2), ID(3), ID(5))
	s.must(s.store.DeleteMembers(s.ctx, ID(2)))
	s.must(s.store.PutToken(s.ctx, Token(4, 1)))
	s.wantRedeem(Code(4), ID(2), now, nil) // enrolls again
	s.must(s.store.SetPreTrusted(s.ctx, []authority.Member{member(7, nil)}))
	s.must(s.store.PutToken(s.ctx, Token(5, 1)))
	s.wantRedeem(Code(5), ID(7), now, authority.ErrAlreadyMember)
	s.wantRedeem(Code(5), ID(8), now, nil)
}

func (s *suite) expiry() {
	t := Token(1, 3)
	s.must(s.store.PutToken(s.ctx, t))
	s.wantRedeem(t.Code, ID(1), t.ExpiresAt-1, nil)
	s.wantRedeem(t.Code, ID(2), t.ExpiresAt, authority.ErrUnknownCode)
	s.wantRedeem(t.Code, ID(2), t.ExpiresAt+1e6, authority.ErrUnknownCode)
	at := Token(2, 1)
	at.ExpiresAt = at.CreatedAt
	s.must(s.store.PutToken(s.ctx, at))
	s.wantRedeem(at.Code, ID(2), now, authority.ErrUnknownCode)
	for n := range 10 { // those before are swept away some time
		s.must(s.store.PutToken(s.ctx, Token(10+n, 1)))
	}
	s.wantRedeem(Code(15), ID(2), now, nil)
}

// atOnce calls f n times at once and counts the results.
func atOnce(n int, f func(i int) error) map[error]int {
	results := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results <- f(i) })
	}
	wg.Wait()
	close(results)
	count := make(map[error]int)
	for err := range results {
		for _, known := range []error{authority.ErrAlreadyMember, authority.ErrUnknownCode} {
			if errors.Is(err, known) {
				err = known
			}
		}
		count[err]++
	}
	return count
}

// oneToken has many redeem one token: exactly its uses succeed.
func (s *suite) oneToken() {
	const callers, uses = 40, 7
	s.must(s.store.PutToken(s.ctx, Token(1, uses)))
	count := atOnce(callers, func(i int) error {
		_, err := s.store.Redeem(s.ctx, Code(1), ID(i), now)
		return err
	})
	if count[nil] != uses || count[authority.ErrUnknownCode] != callers-uses {
		s.Errorf("%v", count)
	}
	if ids, err := s.store.MemberIDs(s.ctx); err != nil || len(ids) != uses {
		s.Errorf("%d members, %v", len(ids), err)
	}
}

// oneMember redeems many tokens for the same identity, from two machines, say:
// one is used.
func (s *suite) oneMember() {
	const tokens = 8
	for i := range tokens {
		s.must(s.store.PutToken(s.ctx, Token(i, 1)))
	}
	count := atOnce(tokens, func(i int) error {
		_, err := s.store.Redeem(s.ctx, Code(i), ID(1), now)
		return err
	})
	if count[nil] != 1 || count[authority.ErrAlreadyMember] != tokens-1 {
		s.Errorf("%v", count)
	}
	left := 0
	for i := range tokens {
		if _, err := s.store.Redeem(s.ctx, Code(i), ID(100+i), now); err == nil {
			left++
		}
	}
	if left != tokens-1 {
		s.Errorf("%d tokens are left, want %d", left, tokens-1)
	}
}

// manyWriters mixes all that writes.
func (s *suite) manyWriters() {
	count := atOnce(24, func(i int) error {
		switch i % 4 {
		case 0:
			return s.store.PutMember(s.ctx, member(i, map[string]string{"a": "b"}))
		case 1:
			return s.store.SetPreTrusted(s.ctx, []authority.Member{member(1001, nil), member(1002, nil), member(1003, nil)})
		case 2:
			return s.store.DeleteMembers(s.ctx, ID(1002), ID(1001), ID(i))
		default:
			if err := s.store.PutToken(s.ctx, Token(i, 1)); err != nil {
				return err
			}
			_, err := s.store.Redeem(s.ctx, Code(i), ID(i), now)
			return err
		}
	})
	if len(count) != 1 || count[nil] != 24 {
		s.Errorf("%v", count)
	}
	var want []identity.Identifier
	for i := range 24 {
		if i%4 == 0 || i%4 == 3 {
			want = append(want, ID(i))
		}
	}
	s.wantIDs(append(want, ID(1001), ID(1002), ID(1003))...)
}

// cancelled shows that a call ends without a change once nobody waits for it, or
// does its work whole.
func (s *suite) cancelled() {
	s.must(s.store.PutToken(s.ctx, Token(1, 1)))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.store.Redeem(ctx, Code(1), ID(1), now); err != nil {
		s.want(ID(1), nil)
		s.wantRedeem(Code(1), ID(1), now, nil)
	}
	s.wantIDs(ID(1))
}
