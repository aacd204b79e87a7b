package authority_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

func newIdentity(t *testing.T) *identity.Identity {
	t.Helper()
	v := vault.NewMemory()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &identity.Identity{History: h, Vault: v, PurposeKeys: identity.NewMemoryStore()}
}

// An issuing is an authority that a Retriever asks, within a bubble of synctest.
type issuing struct {
	t          *testing.T
	id, member *identity.Identity
	began      time.Time

	mu       sync.Mutex
	life     time.Duration
	takes    time.Duration // to answer
	fails    error
	asked    []time.Duration // when, since began
	obtained int
	failed   []error
}

func newIssuing(t *testing.T, life time.Duration) (*issuing, *authority.Retriever) {
	t.Helper()
	i := &issuing{t: t, id: newIdentity(t), member: newIdentity(t), began: time.Now(), life: life}
	histories := identity.NewMemoryStore()
	if err := histories.UpdateHistory(i.id.History); err != nil {
		t.Fatal(err)
	}
	r := &authority.Retriever{
		Issuer: i.id.Identifier(), Subject: i.member.Identifier(), Histories: histories, Fetch: i.fetch,
		Obtained: func(*identity.Credential) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.obtained++
		},
		Failed: func(err error) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.failed = append(i.failed, err)
		},
	}
	return i, r
}

func (i *issuing) fetch(ctx context.Context) (*identity.Credential, error) {
	i.mu.Lock()
	i.asked = append(i.asked, time.Since(i.began))
	takes, fails, life := i.takes, i.fails, i.life
	i.mu.Unlock()
	if !tunnel.Sleep(ctx, takes) {
		return nil, ctx.Err()
	}
	if fails != nil {
		return nil, fails
	}
	return i.issue(i.member, life), nil
}

func (i *issuing) issue(about *identity.Identity, life time.Duration) *identity.Credential {
	i.t.Helper()
	c, err := i.id.IssueCredential(about.History, identity.Attributes{Schema: 1}, life)
	if err != nil {
		i.t.Error(err)
	}
	return c
}

// set changes how the authority answers.
func (i *issuing) set(fails error, takes time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails, i.takes = fails, takes
}

// times returns when it was asked, and forgets it.
func (i *issuing) times() []time.Duration {
	synctest.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := i.asked
	i.asked = nil
	return asked
}

// running runs r until the function that is returned is called.
func running(t *testing.T, r *authority.Retriever) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func within(t *testing.T, what string, d, least, most time.Duration) {
	t.Helper()
	if d < least || d > most {
		t.Errorf("%s after %v, want %v to %v", what, d, least, most)
	}
}

// TestRetrieverRefresh: another credential is asked for in time.
func TestRetrieverRefresh(t *testing.T) {
	for _, tt := range []struct {
		name              string
		life, least, most time.Duration // when it is asked the second time
	}{
		{"a month", 30 * 24 * time.Hour, 30*24*time.Hour - 151*time.Second, 30*24*time.Hour - 119*time.Second},
		{"five minutes", 5 * time.Minute, 149 * time.Second, 181 * time.Second},
		{"two minutes", 2 * time.Minute, 59 * time.Second, 61 * time.Second},
		{"ten seconds", 10 * time.Second, 4 * time.Second, 6 * time.Second},
		{"a second", time.Second, time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, r := newIssuing(t, tt.life)
				defer running(t, r)()
				first, err := r.Current(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				asked := i.times()
				time.Sleep(tt.least - time.Second/2)
				for len(asked) < 2 {
					time.Sleep(time.Second / 4)
					asked = append(asked, i.times()...)
				}
				within(t, "asked again", asked[1]-asked[0], tt.least, tt.most+time.Second/4)
				if c := r.Known(); c == nil || c == first || i.obtained != 2 {
					t.Errorf("%p after %p; told of %d", c, first, i.obtained)
				}
			})
		})
	}
}

// TestRetrieverKeepsOld: while refreshing fails the credential there is is used
// until a minute before its end, and the issuer asked every ten seconds or so.
func TestRetrieverKeepsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, 5*time.Minute)
		defer running(t, r)()
		old, err := r.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i.times()
		down := errors.New("it is down")
		i.set(down, 0)
		time.Sleep(239*time.Second - time.Since(i.began))
		if c, err := r.Current(t.Context()); c != old || err != nil || r.Known() != old {
			t.Errorf("%v, %v: not the credential that is still good", c, err)
		}
		asked := i.times()
		for n := 1; n < len(asked); n++ {
			within(t, "another try", asked[n]-asked[n-1], 10*time.Second, 13*time.Second)
		}
		i.mu.Lock()
		failed := slices.Clone(i.failed) // it goes on to fail
		i.mu.Unlock()
		if len(asked) < 4 || len(failed) != len(asked) {
			t.Errorf("asked at %v, told of %v", asked, failed)
		}
		time.Sleep(2 * time.Second)
		if c, err := r.Current(t.Context()); c != nil || !errors.Is(err, down) || r.Known() != nil {
			t.Errorf("%v, %v: less than a minute before its end", c, err)
		}
		i.set(nil, 0)
		time.Sleep(13 * time.Second) // nobody asks
		if r.Known() == nil {
			t.Error("does not take up")
		}
	})
}

// TestRetrieverCoalesces: many who wait cost one request; an error is everybody's
// for a while; a dead authority costs its time-out once.
func TestRetrieverCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, time.Hour)
		i.set(nil, time.Hour) // it never answers
		var wg sync.WaitGroup
		ask := func() {
			wg.Go(func() {
				if c, err := r.Current(t.Context()); c != nil || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, %v", c, err)
				}
			})
		}
		for range 50 {
			ask()
		}
		defer running(t, r)()
		wg.Wait()
		within(t, "all know", time.Since(i.began), authority.FetchTimeout, authority.FetchTimeout+time.Second)
		at := time.Now()
		ask()
		wg.Wait()
		within(t, "the next one knows", time.Since(at), 0, 0)
		if asked := i.times(); len(asked) != 1 {
			t.Errorf("asked at %v", asked)
		}

		i.set(authority.ErrNotMember, 0)
		time.Sleep(authority.FetchTimeout + 15*time.Second) // the try that is under way meanwhile
		if n := len(i.times()); n == 0 || n > 2 {
			t.Errorf("asked %d times", n)
		}
		i.set(nil, 0)
		if _, err := r.Current(t.Context()); err != nil { // does not wait for the next try of its own
			t.Error(err)
		}

		late, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := r.Current(late); c == nil || err != nil {
			t.Errorf("%v, %v: waits for what there is", c, err)
		}
	})
}

// TestRetrieverStranger asks less often for who is no member.
func TestRetrieverStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, time.Hour)
		i.set(authority.ErrNotMember, 0)
		defer running(t, r)()
		time.Sleep(10 * time.Minute)
		if n := len(i.times()); n < 8 || n > 11 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Current(ctx); !errors.Is(err, authority.ErrNotMember) {
			t.Error(err)
		}
		if n := len(i.times()); n > 1 {
			t.Errorf("asked %d times for one", n)
		}
	})
}

// TestRetrieverStore: what was kept is used at once, without the authority; what
// is of no use is not.
func TestRetrieverStore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kept  func(*issuing) *identity.Credential
		good  bool
		fails string
	}{
		{"good", func(i *issuing) *identity.Credential { return i.issue(i.member, time.Hour) }, true, ""},
		{"nothing", func(*issuing) *identity.Credential { return nil }, false, ""},
		{"of another subject", func(i *issuing) *identity.Credential { return i.issue(i.id, time.Hour) }, false, "not for"},
		{"near its end", func(i *issuing) *identity.Credential {
			c := i.issue(i.member, 5*time.Minute)
			time.Sleep(4*time.Minute + time.Second)
			return c
		}, false, ""},
		{"expired", func(i *issuing) *identity.Credential {
			c := i.issue(i.member, time.Minute)
			time.Sleep(time.Hour)
			return c
		}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, r := newIssuing(t, time.Hour)
				kept := tt.kept(i)
				r.Load = func(context.Context) (*identity.Credential, error) { return kept, nil }
				saved := 0
				r.Save = func(_ context.Context, c *identity.Credential, data *identity.CredentialData) error {
					saved++
					return errors.New("the disk is full")
				}
				i.set(errors.New("it is down"), 0)
				defer running(t, r)()
				c, err := r.Current(t.Context())
				if tt.good != (c != nil) || tt.good && c != kept {
					t.Errorf("%v, %v", c, err)
				}
				synctest.Wait()
				if asked := i.times(); tt.good == (len(asked) > 0) {
					t.Errorf("asked at %v", asked)
				}
				if tt.fails != "" && !strings.Contains(i.failed[0].Error(), tt.fails) {
					t.Error(i.failed[0])
				}
				i.set(nil, 0)
				time.Sleep(time.Hour)
				if c, err := r.Current(t.Context()); err != nil || c == kept {
					t.Errorf("%v, %v: nothing new", c, err)
				}
				if last := i.failed[len(i.failed)-1]; saved == 0 || !strings.Contains(last.Error(), "disk is full") {
					t.Errorf("saved %d times; told of %v", saved, last)
				}
			})
		})
	}
}

// TestRetrieverRefuses has credentials that must not be presented.
func TestRetrieverRefuses(t *testing.T) {
	shifted := func(i *issuing, by time.Duration) *identity.Credential {
		now := func() time.Time { return time.Now().Add(by) }
		id := &identity.Identity{History: i.id.History, Vault: i.id.Vault, PurposeKeys: identity.NewMemoryStore(), Now: now}
		c, err := id.IssueCredential(i.member.History, identity.Attributes{Schema: 1}, 5*time.Minute)
		if err != nil {
			i.t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		make func(*issuing) (*identity.Credential, error)
		want error
		says string
	}{
		{"foreign authority", func(i *issuing) (*identity.Credential, error) {
			return newIdentity(i.t).IssueCredential(i.member.History, identity.Attributes{}, time.Hour)
		}, identity.ErrUnknownAuthority, ""},
		{"another subject", func(i *issuing) (*identity.Credential, error) {
			return i.issue(newIdentity(i.t), time.Hour), nil
		}, nil, "not for"},
		{"none", func(*issuing) (*identity.Credential, error) { return nil, nil }, nil, "no credential"},
		{"too large", func(i *issuing) (*identity.Credential, error) {
			a := identity.Attributes{Values: map[string]string{"a": strings.Repeat("x", 64<<10)}}
			return i.id.IssueCredential(i.member.History, a, time.Hour)
		}, nil, "bytes"},
		{"clock ahead", func(i *issuing) (*identity.Credential, error) {
			return shifted(i, 7*time.Minute), nil
		}, authority.ErrClock, "7m0s ahead"},
		{"clock behind", func(i *issuing) (*identity.Credential, error) {
			return shifted(i, -6*time.Minute), nil
		}, authority.ErrClock, "6m0s behind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, r := newIssuing(t, time.Hour)
				time.Sleep(10 * time.Minute) // so that there is a past
				r.Fetch = func(context.Context) (*identity.Credential, error) { return tt.make(i) }
				defer running(t, r)()
				c, err := r.Current(t.Context())
				if c != nil || err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, %v, want %v that says %q", c, err, tt.want, tt.says)
				}
			})
		})
	}
	t.Run("clock somewhat behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, r := newIssuing(t, time.Hour)
			time.Sleep(10 * time.Minute)
			asked := 0
			r.Fetch = func(context.Context) (*identity.Credential, error) { asked++; return shifted(i, -3*time.Minute), nil }
			defer running(t, r)()
			if _, err := r.Current(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute) // two minutes are left of each
			synctest.Wait()
			if r.Known() == nil || asked < 4 || asked > 8 {
				t.Errorf("asked %d times in five minutes", asked)
			}
		})
	})
}

// TestRetrieverUnreadableStore: the issuer is asked if what was kept cannot be read.
func TestRetrieverUnreadableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, time.Hour)
		broken := errors.New("it is broken")
		r.Load = func(context.Context) (*identity.Credential, error) { return nil, broken }
		defer running(t, r)()
		if _, err := r.Current(t.Context()); err != nil || len(i.failed) != 1 || !errors.Is(i.failed[0], broken) {
			t.Errorf("%v; told of %v", err, i.failed)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, time.Hour)
		r.Load = func(ctx context.Context) (*identity.Credential, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		running(t, r)()
		if len(i.failed)+len(i.asked) > 0 {
			t.Errorf("told of %v at the end", i.failed)
		}
	})
}

// TestRetrieverEnd: who waits is told when Run ends.
func TestRetrieverEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, r := newIssuing(t, time.Hour)
		i.set(nil, time.Hour)
		stop := running(t, r)
		waits := make(chan error, 1)
		go func() {
			_, err := r.Current(t.Context())
			waits <- err
		}()
		synctest.Wait()
		stop()
		if err := <-waits; !errors.Is(err, context.Canceled) && !errors.Is(err, tunnel.ErrClosed) {
			t.Error(err)
		}
		if len(i.failed) > 0 {
			t.Errorf("told of %v", i.failed)
		}
		time.Sleep(time.Minute)
		if _, err := r.Current(t.Context()); !errors.Is(err, tunnel.ErrClosed) {
			t.Error(err)
		}
	})
}
