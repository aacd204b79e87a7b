package tunnel

import (
	"context"
	"math/rand/v2"
	"time"
)

// The first wait of a Backoff is between backoffLow and backoffHigh.
const (
	backoffLow  = 100 * time.Millisecond
	backoffHigh = 250 * time.Millisecond
	// As long as tries are few, waits stay below backoffSoon, so that whoever
	// lost a peer that restarts is back within two seconds of it.
	backoffSoon = 1500 * time.Millisecond
	backoffFew  = 24
	backoffMax  = 10 * time.Second
)

// A Backoff says how long to wait before the next try of something that has
// failed: first 100 to 250 ms, then about twice as long each time, at most 1.5 s
// for some 20 s, then at most 10 s. The waits are random, so that many who lost
// the same peer do not all come back at once. The zero value is ready; it is for
// one goroutine.
type Backoff struct {
	high  time.Duration
	tries int
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	if b.high == 0 {
		b.high = backoffHigh
	}
	low := b.high * backoffLow / backoffHigh
	d := low + rand.N(b.high-low)
	most := backoffSoon
	if b.tries++; b.tries > backoffFew {
		most = backoffMax
	}
	b.high = min(2*b.high, most)
	return d
}

// Reset begins anew: the last try succeeded.
func (b *Backoff) Reset() { *b = Backoff{} }

// Wait waits for Next and reports whether ctx is still live.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) }
