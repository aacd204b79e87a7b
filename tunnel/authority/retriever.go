package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

const (
	// FetchTimeout is how long a Retriever waits for a credential by default.
	FetchTimeout = 20 * time.Second
	// margin is how long before its end a credential is used no more: clocks may
	// differ by so much. One that lives short is used until four fifths of its life.
	margin = 60 * time.Second
	// refreshMargin is how long before its end, at least, a credential is asked for
	// anew, if it lives for twice as long; else it is after half of its life. Somewhat
	// earlier, in fact, so that not all members of a project ask at once.
	refreshMargin = 120 * time.Second
	refreshJitter = 30 * time.Second
	// retryInterval is how long after a try the next one is, without anybody waiting
	// for it. One that lives short is asked for more often, and who is no member
	// asks less often.
	retryInterval    = 10 * time.Second
	leastInterval    = time.Second
	strangerInterval = time.Minute
	// A failure is remembered for twice the time that it took, within these bounds:
	// each channel would wait as long for the same otherwise.
	leastMemory = 2 * time.Second
	mostMemory  = 10 * time.Second
	// look is the longest that a Retriever sleeps: clocks are set, and machines
	// suspended.
	look = time.Minute
	// clockTolerance is by how much the clocks of two machines may differ (Ockam
	// protocol, identities, validity).
	clockTolerance = 60 * time.Second
	// MaxCredential is the largest credential in bytes that a Retriever takes: it has
	// to fit into a message of a handshake, of 65535 bytes, with the change history
	// and the attestation of the channel's key. One with MaxAttributes does.
	MaxCredential = 62 << 10
)

// ErrClock is the cause when a credential cannot be used because the clocks of the
// authority and of this machine differ too much.
var ErrClock = errors.New("the clocks differ too much")

// A Retriever keeps a credential about one identity from one issuer fresh: it asks
// for another one in time, and uses the one it has as long as that is valid. The
// timing is that of the Ockam protocol, credential retrieval, but for credentials
// that live for less than four minutes, which the reference implementation asks for
// every ten seconds.
//
// Somebody calls Run; the other methods may be called by any number of goroutines,
// also before that. The fields must be set before the first call.
type Retriever struct {
	Issuer, Subject identity.Identifier
	// Histories holds the issuer's history.
	Histories identity.Histories
	// Fetch asks the issuer for a credential; its context ends after Timeout.
	Fetch func(context.Context) (*identity.Credential, error)
	// Load returns the credential that was kept, which is verified like another
	// one; nil if there is none. Load may be nil, as may Save, which keeps one.
	Load func(context.Context) (*identity.Credential, error)
	Save func(context.Context, *identity.Credential, *identity.CredentialData) error
	// Obtained, if set, is told about each credential that is not the one before;
	// Failed about each try in vain, and when Load or Save fails. They are called on
	// Run's goroutine and must return soon.
	Obtained func(*identity.Credential)
	Failed   func(error)
	// Timeout replaces FetchTimeout if it is not zero.
	Timeout time.Duration
	// Now replaces time.Now if set.
	Now func() time.Time

	mu         sync.Mutex
	credential *identity.Credential
	usable     time.Time     // until when credential is used
	due        time.Time     // when to ask
	interval   time.Duration // between two tries
	err        error         // of the last try
	memory     time.Time     // until when err is everybody's answer
	trying     chan struct{} // closed after the try that somebody waits for; nil: nobody does
	wake       chan struct{} // holds a token when trying has been made
	ended      bool
}

func (r *Retriever) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Known returns the credential, nil if there is none that can be used. It does not
// wait.
func (r *Retriever) Known() *identity.Credential {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.knownLocked()
}

func (r *Retriever) knownLocked() *identity.Credential {
	if r.credential == nil || !r.now().Before(r.usable) {
		return nil
	}
	return r.credential
}

// Current returns the credential, and waits for one if there is none: until the
// issuer has answered, Timeout or the end of ctx. All that wait at a time wait for
// the same try; an error is remembered for some seconds. After the end of Run it
// is tunnel.ErrClosed.
func (r *Retriever) Current(ctx context.Context) (*identity.Credential, error) {
	for {
		c, trying, err := r.await()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-trying:
		case <-ctx.Done():
			return nil, fmt.Errorf("authority: no credential from %v yet: %w", r.Issuer, ctx.Err())
		}
	}
}

// await returns the credential, an error, or what is closed after the next try.
func (r *Retriever) await() (*identity.Credential, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.knownLocked(); c != nil {
		return c, nil, nil
	}
	switch {
	case r.ended:
		return nil, nil, tunnel.ErrClosed
	case r.err != nil && r.now().Before(r.memory):
		return nil, nil, r.err
	}
	if r.trying == nil {
		r.trying = make(chan struct{})
		select {
		case r.wakeLocked() <- struct{}{}:
		default:
		}
	}
	return nil, r.trying, nil
}

func (r *Retriever) wakeLocked() chan struct{} {
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	return r.wake
}

// Run keeps the credential fresh until ctx ends. It is called once.
func (r *Retriever) Run(ctx context.Context) {
	defer r.end()
	r.load(ctx)
	for ctx.Err() == nil {
		wait, wake := r.next()
		if wait <= 0 {
			r.try(ctx)
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-wake:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (r *Retriever) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.answerLocked()
}

// answerLocked has all who wait look again.
func (r *Retriever) answerLocked() {
	if r.trying != nil {
		close(r.trying)
		r.trying = nil
	}
}

// next returns how long to wait before the next try, unless somebody wants one.
func (r *Retriever) next() (time.Duration, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.knownLocked() != nil {
		r.answerLocked()
	}
	wake := r.wakeLocked()
	if r.trying != nil {
		return 0, wake
	}
	return min(r.due.Sub(r.now()), look), wake
}

func (r *Retriever) load(ctx context.Context) {
	if r.Load == nil {
		return
	}
	c, err := r.Load(ctx)
	if ctx.Err() != nil || err == nil && c == nil {
		return
	}
	if err != nil {
		r.failed(fmt.Errorf("authority: the credential that was kept cannot be read: %w", err))
		return
	}
	data, err := r.verify(c)
	if err != nil {
		if !errors.Is(err, identity.ErrExpired) { // which is what becomes of all of them
			r.failed(fmt.Errorf("authority: the credential that was kept is of no use: %w", err))
		}
		return
	}
	if r.keep(c, data, data.ExpiresAt.Time().Sub(data.CreatedAt.Time()), 0) && r.Obtained != nil {
		r.Obtained(c)
	}
}

// try asks the issuer.
func (r *Retriever) try(ctx context.Context) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = FetchTimeout
	}
	began := r.now()
	asking, cancel := context.WithTimeout(ctx, timeout)
	c, err := r.Fetch(asking)
	cancel()
	var data *identity.CredentialData
	if err == nil {
		data, err = r.verifyNew(c)
	}
	if err != nil {
		r.missed(ctx, began, err)
		return
	}
	// If the issuer's clock is behind, less is left of the life than it has given.
	life := data.ExpiresAt.Time().Sub(data.CreatedAt.Time())
	life = min(life, data.ExpiresAt.Time().Sub(r.now()))
	fresh := r.keep(c, data, life, min(max(life/10, leastInterval), retryInterval))
	if r.Save != nil {
		if err := r.Save(context.WithoutCancel(ctx), c, data); err != nil { // it has been issued
			r.failed(fmt.Errorf("authority: the credential cannot be kept: %w", err))
		}
	}
	if fresh && r.Obtained != nil {
		r.Obtained(c)
	}
}

// missed notes that a try has failed.
func (r *Retriever) missed(ctx context.Context, began time.Time, err error) {
	r.mu.Lock()
	now := r.now()
	interval := r.interval
	switch {
	case r.knownLocked() == nil && errors.Is(err, ErrNotMember):
		interval = strangerInterval
	case r.knownLocked() == nil || interval == 0:
		interval = retryInterval
	}
	r.err = err
	r.memory = now.Add(min(max(2*now.Sub(began), leastMemory), mostMemory))
	r.due = now.Add(interval + rand.N(interval/4+1))
	r.answerLocked()
	r.mu.Unlock()
	if ctx.Err() == nil {
		r.failed(err)
	}
}

func (r *Retriever) failed(err error) {
	if r.Failed != nil {
		r.Failed(err)
	}
}

// keep has a credential used that lives for so long, and reports whether it is
// another one than before. It is not asked for anew sooner than after pause.
func (r *Retriever) keep(c *identity.Credential, data *identity.CredentialData, life, pause time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := r.credential == nil || !bytes.Equal(r.credential.Bytes(), c.Bytes())
	r.credential, r.err, r.memory = c, nil, time.Time{}
	expires := data.ExpiresAt.Time()
	r.usable = expires.Add(-min(margin, life/5))
	r.interval = min(max(life/10, leastInterval), retryInterval)
	early := refreshMargin + rand.N(max(min(refreshJitter, life/10), 0)+1)
	r.due = expires.Add(-min(early, life/2))
	if soonest := r.now().Add(pause); r.due.Before(soonest) {
		r.due = soonest
	}
	r.answerLocked()
	return fresh
}

func (r *Retriever) verify(c *identity.Credential) (*identity.CredentialData, error) {
	if n := len(c.Bytes()); n > MaxCredential {
		return nil, fmt.Errorf("authority: a credential of %d bytes: at most %d can be presented", n, MaxCredential)
	}
	return c.Verify(identity.VerifyOptions{
		Histories: r.Histories, Authorities: []identity.Identifier{r.Issuer}, Subject: &r.Subject, Now: r.now(),
	})
}

// verifyNew is verify for what the issuer has just made: what is wrong with its
// time is wrong with a clock.
func (r *Retriever) verifyNew(c *identity.Credential) (*identity.CredentialData, error) {
	if c == nil {
		return nil, errors.New("authority: no credential in the answer")
	}
	data, err := r.verify(c)
	if err == nil && !data.ExpiresAt.Time().After(r.now()) {
		err = fmt.Errorf("authority: the credential that the authority has made: %w", identity.ErrExpired)
	}
	if err == nil {
		return data, nil
	}
	said, malformed := c.Data()
	if malformed != nil || said.Issuer != r.Issuer || said.Subject != r.Subject {
		return nil, err
	}
	ahead := said.CreatedAt.Time().Sub(r.now().Truncate(time.Second))
	switch {
	case ahead > clockTolerance:
		return nil, fmt.Errorf("authority: %w: that of the authority is %v ahead of this machine's; set both right", ErrClock, ahead)
	case ahead < -clockTolerance:
		return nil, fmt.Errorf("authority: %w: that of the authority is %v behind this machine's; set both right", ErrClock, -ahead)
	}
	return nil, err
}
