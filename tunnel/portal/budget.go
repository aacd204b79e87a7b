package portal

import (
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBudget is the limit of a Budget that names none.
const DefaultBudget = 64 << 20

// A Budget bounds the memory in which all streams of a node queue what they
// received, and judges which of them is in the way of others. The zero value is
// ready. Any number of streams may share one.
//
// While somebody waits for room, it looks from time to time at all sinks that
// are Penders: what counts is whether an application takes anything, not whether
// the kernel still has room for it. So many applications that take nothing are
// all known once the first of them has been waited for.
type Budget struct {
	// Limit is in bytes. 0: DefaultBudget. It may not change while in use.
	Limit int

	resets atomic.Uint64 // streams reset because they took nothing
	held   atomic.Int64  // readers that wait for room now

	mu      sync.Mutex
	used    int
	holders *Stream              // the streams that hold bytes, a list
	watched map[*Stream]struct{} // the streams whose sink is a Pender
	sampled time.Time            // when all of them were looked at
	waiting []*Stream            // receivers that wait for others to give back
	strikes int                  // resets while hasty
	hasty   time.Time            // until when nobody who is waited for has a whole StallTimeout
}

// A Pender is a sink that buffers: it knows what its application has not taken.
type Pender interface {
	// Pending returns how many of the bytes that were written have not arrived
	// at the application's machine. It does not block.
	Pending() int
}

// mostStrikes bounds how often patience is halved.
const mostStrikes = 2

// looks is how often sinks are looked at within a StallTimeout.
const looks = 8

// Used returns how much memory is charged now, in bytes.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Resets returns how many streams have been reset because their application
// took nothing for too long.
func (b *Budget) Resets() uint64 { return b.resets.Load() }

// Held reports whether a link's reader waits for room just now.
func (b *Budget) Held() bool { return b.held.Load() > 0 }

// Max returns the limit, in bytes.
func (b *Budget) Max() int { return b.limit() }

func (b *Budget) limit() int {
	if b.Limit > 0 {
		return b.Limit
	}
	return DefaultBudget
}

// An account is what a Budget knows of a stream; guarded by Budget.mu.
type account struct {
	charged    int
	since      time.Time // when bytes were last taken out of the queue, or the first came in
	prev, next *Stream   // in Budget.holders
	waits      bool      // in Budget.waiting

	pender  Pender
	taken   int64     // bytes that the application had taken when last looked at
	pending int       // and those it had not
	moved   time.Time // since when that is so; zero: never looked at
	looked  time.Time
}

// take charges n bytes to s. If there is no room it remembers that s waits, and
// wakes it when there is some. What is larger than the limit is taken alone.
func (b *Budget) take(s *Stream, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && b.used+n > b.limit() {
		if !s.account.waits {
			s.account.waits = true
			b.waiting = append(b.waiting, s)
		}
		return false
	}
	if s.account.charged == 0 {
		now := time.Now()
		b.linkLocked(s)
		s.account.since = now
		if now.Sub(s.account.looked) >= s.opts.StallTimeout/looks {
			s.lookLocked(now)
		}
	}
	b.used += n
	s.account.charged += n
	return true
}

// progress notes that bytes were taken out of the queue of s, and gives n back.
func (b *Budget) progress(s *Stream, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.account.charged == 0 {
		return
	}
	s.account.since = time.Now()
	b.used -= n
	if s.account.charged -= n; s.account.charged == 0 {
		b.unlinkLocked(s)
	}
	if n > 0 {
		for _, w := range b.waiting {
			w.account.waits = false
			w.wakeReceiver()
		}
		clear(b.waiting)
		b.waiting = b.waiting[:0]
	}
}

// forget removes s from those who wait.
func (b *Budget) forget(s *Stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !s.account.waits {
		return
	}
	s.account.waits = false
	for i, w := range b.waiting {
		if w == s {
			last := len(b.waiting) - 1
			b.waiting[i], b.waiting[last] = b.waiting[last], nil
			b.waiting = b.waiting[:last]
			return
		}
	}
}

// watch begins to look at p as the sink of s; nil ends that.
func (b *Budget) watch(s *Stream, p Pender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == nil && s.account.pender == nil {
		return
	}
	s.account.pender, s.account.moved = p, time.Time{}
	if p == nil {
		delete(b.watched, s)
		return
	}
	if b.watched == nil {
		b.watched = make(map[*Stream]struct{})
	}
	b.watched[s] = struct{}{}
}

// blame returns whom s waits for, and how long that one has left to take
// something: s itself if its own queue is full, else the stream that has taken
// nothing for longest, nil if there is none.
func (b *Budget) blame(s *Stream, own bool) (culprit *Stream, left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.lookLocked(now, s.opts.StallTimeout)
	culprit = s
	if !own {
		culprit = b.holders
		for h := b.holders; h != nil; h = h.account.next {
			if h.account.idleSince(now).Before(culprit.account.idleSince(now)) {
				culprit = h
			}
		}
	}
	if culprit == nil {
		return nil, 0
	}
	patience := culprit.opts.StallTimeout
	if now.Before(b.hasty) {
		patience /= looks << b.strikes
	}
	return culprit, b.leftLocked(culprit, now, patience)
}

// left returns how long s has left to take something.
func (b *Budget) left(s *Stream) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leftLocked(s, time.Now(), s.opts.StallTimeout)
}

func (b *Budget) leftLocked(s *Stream, now time.Time, patience time.Duration) time.Duration {
	a := &s.account
	left := a.idleSince(now).Add(patience).Sub(now)
	if left <= 0 || a.moved.IsZero() {
		s.lookLocked(now)
		left = a.idleSince(now).Add(patience).Sub(now)
	}
	return left
}

// stalled notes that a stream was reset for which somebody had waited. Others
// that take nothing either may not yet have shown it, as the kernel had room for
// some more; if each of them had a StallTimeout of its own, one after the other,
// a link would be silent for so long that its peer gives it up. So for a while
// an eighth is enough, and less after each further one: on a busy machine many
// may come to stand one by one.
func (b *Budget) stalled(s *Stream) {
	b.resets.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.hasty) {
		b.strikes = min(b.strikes+1, mostStrikes)
	} else {
		b.strikes = 0
	}
	b.hasty = now.Add(s.opts.StallTimeout)
}

// lookLocked looks at all sinks, if it is time to.
func (b *Budget) lookLocked(now time.Time, stall time.Duration) {
	if now.Sub(b.sampled) < stall/looks {
		return
	}
	for s := range b.watched {
		s.lookLocked(now)
	}
	b.sampled = now
}

// lookLocked notes whether the application has taken anything since the last
// look. If not, and there was something to take then and is now, it has taken
// nothing all the while.
func (s *Stream) lookLocked(now time.Time) {
	a := &s.account
	if a.pender == nil {
		return
	}
	pending := a.pender.Pending()
	taken := s.received.Load() - int64(pending)
	if a.moved.IsZero() || taken > a.taken || a.pending == 0 || pending == 0 {
		a.moved = now
	}
	a.taken, a.pending, a.looked = max(a.taken, taken), pending, now
}

// idleSince returns since when the application has taken nothing.
func (a *account) idleSince(now time.Time) time.Time {
	switch {
	case a.pender == nil:
		return a.since
	case a.moved.IsZero():
		return now
	}
	return a.moved
}

func (b *Budget) linkLocked(s *Stream) {
	s.account.prev, s.account.next = nil, b.holders
	if b.holders != nil {
		b.holders.account.prev = s
	}
	b.holders = s
}

func (b *Budget) unlinkLocked(s *Stream) {
	a := &s.account
	if a.prev == nil {
		b.holders = a.next
	} else {
		a.prev.account.next = a.next
	}
	if a.next != nil {
		a.next.account.prev = a.prev
	}
	a.prev, a.next = nil, nil
}
