package state_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
	"ockam/tunnel/vault"
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

// BenchmarkEnroll has new identities open a channel to an authority with 10,000
// members, redeem a token and get a credential, eight at a time. What the members
// do for themselves is in the time.
func BenchmarkEnroll(b *testing.B) {
	s := open(b, home(b))
	createIdentity(b, s, "authority")
	id, err := s.Identity(b.Context(), "authority")
	if err != nil {
		b.Fatal(err)
	}
	a := &authority.Authority{Identity: id, Histories: s, Project: "p1", Store: s.Authority(id.Identifier())}
	trusted := map[identity.Identifier]map[string]string{}
	for n := range benchMembers {
		trusted[authoritytest.ID(n)] = map[string]string{"component": "db", "site": "Frankfurt"}
	}
	token := authoritytest.Token(1, 1<<40)
	token.ExpiresAt = identity.At(time.Now().Add(time.Hour))
	if err := errors.Join(a.Trust(b.Context(), trusted), a.Store.PutToken(b.Context(), token)); err != nil {
		b.Fatal(err)
	}
	near, link := serveAuthority(b, a, s)
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := enroll(b.Context(), near, link, token.Code); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrolled/s")
}

// serveAuthority opens the authority to a node in memory, and returns that and its
// link.
func serveAuthority(b *testing.B, a *authority.Authority, s *state.Store) (*tunnel.Router, *tunnel.Link) {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	near, far := tunnel.NewRouter(), tunnel.NewRouter()
	links, channels := &tunnel.Group{Name: "links"}, &tunnel.Group{Name: "channels"}
	listener := &secure.Listener{
		Config: secure.Config{Router: far, Identity: a.Identity, Histories: s},
		Name:   "api", Open: []tunnel.Source{links}, Group: channels,
	}
	services, err := a.Register(far, tunnel.Access{Open: []tunnel.Source{channels}})
	if err != nil {
		b.Fatal(err)
	}
	x, y := transporttest.Pipe(transporttest.PipeOptions{})
	link, err1 := tunnel.NewLink(near, x.Link(), transporttest.Traits(), nil)
	other, err2 := tunnel.NewLink(far, y.Link(), transporttest.Traits(), links)
	if err := errors.Join(err1, err2, listener.Register()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stop(); wg.Wait(); services.Close() })
	for _, serve := range []func(context.Context) error{listener.Serve, link.Serve, other.Serve} {
		wg.Go(func() { _ = serve(ctx) })
	}
	return near, link
}

// enroll is what a new member does.
func enroll(ctx context.Context, near *tunnel.Router, link *tunnel.Link, code authority.Code) error {
	keys := vault.NewMemory()
	h, err := identity.Create(keys, identity.CreateOptions{})
	if err != nil {
		return err
	}
	known := identity.NewMemoryStore()
	cfg := &secure.Config{Router: near, Identity: &identity.Identity{History: h, Vault: keys, PurposeKeys: known}, Histories: known}
	c, err := secure.Dial(ctx, cfg, link, tunnel.NewRoute(tunnel.LocalAddress("api")))
	if err != nil {
		return err
	}
	defer c.Close()
	client := func(service string) *api.Client {
		return &api.Client{Router: near, Path: c, To: tunnel.NewRoute(tunnel.LocalAddress(service))}
	}
	if _, err := client(authority.TokenAcceptor).Tell(ctx, api.MethodPost, "/", &authority.CodeBody{Code: code}); err != nil {
		return err
	}
	return client(authority.CredentialIssuer).Call(ctx, api.MethodPost, "/", nil, new(authority.CredentialBody))
}
