package node

import (
	"context"
	"sync"
	"time"
)

// Run waits until ctx ends. Then nothing new is taken, what is under way has
// until drain to end, and everything is closed. It returns after all has ended.
func (b *Background) Run(ctx context.Context, drain time.Duration) {
	<-ctx.Done()
	b.shutdown(drain)
}

// Close ends everything at once and returns after it has.
func (b *Background) Close() { b.shutdown(0) }

func (b *Background) shutdown(drain time.Duration) {
	b.ending.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		b.mu.Lock()
		b.closed = true
		ends := b.ends
		b.mu.Unlock()
		b.change.Lock()   // and whoever gets it later sees closed
		b.change.Unlock() //nolint:staticcheck // waits for what is being made
		stop(ctx, []*Node{b.n})
		stopAll(ctx, ends)
		b.leaveAll()
		if b.n.serving != nil {
			b.n.serving.close()
		}
		b.end()
		b.n.wg.Wait()
	})
}

// leaveAll ends the channels and connections that commands opened in good order.
func (b *Background) leaveAll() {
	ctx, cancel := context.WithTimeout(context.Background(), lingerTimeout)
	defer cancel()
	var wg sync.WaitGroup
	b.mu.Lock()
	for _, c := range b.channels {
		wg.Go(func() {
			c.stop()
			<-c.ended
		})
	}
	b.mu.Unlock()
	wg.Wait()
	b.mu.Lock()
	for _, c := range b.conns {
		wg.Go(func() { c.link.Shutdown(ctx) })
	}
	b.mu.Unlock()
	wg.Wait()
}
