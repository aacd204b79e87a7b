package portal

import (
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBudget is the limit of a Budget that names none.
const DefaultBudget = 64 << 20

// A Budget bounds the memory in which all streams of a node queue what they
// received. It also knows which of them has taken nothing for longest. The zero
// value is ready. One budget may be shared by any number of streams.
type Budget struct {
	// Limit is in bytes. 0: DefaultBudget. It may not change while in use.
	Limit int

	resets atomic.Uint64 // streams reset because they took nothing
	held   atomic.Int64  // readers that wait for room now

	mu      sync.Mutex
	used    int
	oldest  *Stream // of the streams that hold bytes, the one that took nothing for longest
	newest  *Stream
	waiting []*Stream // receivers that wait for others to give back
}

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

func (b *Budget) limit() int {
	if b.Limit > 0 {
		return b.Limit
	}
	return DefaultBudget
}

// An account is what a Budget knows of a stream; guarded by Budget.mu.
type account struct {
	charged      int
	since        time.Time // last progress, or when it began to hold bytes
	older, newer *Stream
	waits        bool
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
	b.used += n
	if s.account.charged == 0 {
		b.linkLocked(s)
	}
	s.account.charged += n
	return true
}

// progress notes that s took bytes, and gives n back.
func (b *Budget) progress(s *Stream, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.account.charged == 0 {
		return
	}
	b.unlinkLocked(s)
	b.used -= n
	if s.account.charged -= n; s.account.charged > 0 {
		b.linkLocked(s)
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

// culprit returns the stream that has taken nothing for longest, and since when.
func (b *Budget) culprit() (*Stream, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.oldest == nil {
		return nil, time.Time{}
	}
	return b.oldest, b.oldest.account.since
}

// since returns since when s has taken nothing.
func (b *Budget) since(s *Stream) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.account.since
}

func (b *Budget) linkLocked(s *Stream) {
	a := &s.account
	a.since, a.older, a.newer = time.Now(), b.newest, nil
	if b.newest == nil {
		b.oldest = s
	} else {
		b.newest.account.newer = s
	}
	b.newest = s
}

func (b *Budget) unlinkLocked(s *Stream) {
	a := &s.account
	if a.older == nil {
		b.oldest = a.newer
	} else {
		a.older.account.newer = a.newer
	}
	if a.newer == nil {
		b.newest = a.older
	} else {
		a.newer.account.older = a.older
	}
	a.older, a.newer = nil, nil
}
