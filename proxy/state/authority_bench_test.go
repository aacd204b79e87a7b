package state_test

import (
	"sync/atomic"
	"testing"

	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
	"ockam/tunnel/identity"
)

const benchMembers = 10_000

// filled returns the store of an authority with 10,000 members in a home.
func filled(b *testing.B) authority.Store {
	b.Helper()
	a := open(b, home(b)).Authority(authoritytest.ID(1))
	var members []authority.Member
	for n := range benchMembers {
		members = append(members, authority.Member{
			Identifier: authoritytest.ID(n), AddedBy: authoritytest.ID(1),
			Attributes: map[string]string{"component": "db", "site": "Frankfurt", "ockam-relay": "db"},
		})
	}
	if err := a.SetPreTrusted(b.Context(), members); err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkRedeem has members redeem a token with many uses, beside 10,000 members:
// one after the other, and eight at a time.
func BenchmarkRedeem(b *testing.B) {
	for _, tt := range []struct {
		name     string
		parallel int
	}{{"one", 0}, {"parallel", 4}} {
		b.Run(tt.name, func(b *testing.B) {
			a := filled(b)
			if err := a.PutToken(b.Context(), authoritytest.Token(1, 1<<40)); err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			redeem := func() {
				if _, err := a.Redeem(b.Context(), authoritytest.Code(1), authoritytest.ID(int(n.Add(1))+benchMembers), tokenTime); err != nil {
					b.Error(err)
				}
			}
			if tt.parallel == 0 {
				for b.Loop() {
					redeem()
				}
			} else {
				b.SetParallelism(tt.parallel)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						redeem()
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "redeemed/s")
		})
	}
}

// BenchmarkMembers10000 reads all of 10,000 members, page by page, and their
// identifiers at once.
func BenchmarkMembers10000(b *testing.B) {
	a := filled(b)
	b.Run("pages", func(b *testing.B) {
		for b.Loop() {
			all := 0
			for after := (identity.Identifier{}); ; {
				page, err := a.Members(b.Context(), after, 256)
				if err != nil {
					b.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				all += len(page)
				after = page[len(page)-1].Identifier
			}
			if all != benchMembers {
				b.Fatal(all)
			}
		}
	})
	b.Run("identifiers", func(b *testing.B) {
		for b.Loop() {
			if ids, err := a.MemberIDs(b.Context()); err != nil || len(ids) != benchMembers {
				b.Fatal(len(ids), err)
			}
		}
	})
}
