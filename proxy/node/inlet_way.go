package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"ockam/config"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
)

const (
	// doubtAfter is how long an outlet may leave a new connection unanswered
	// before the way to it is doubted, and how long the far end then has to answer
	// a ping. A way that took long to dial has longer.
	doubtAfter = 1500 * time.Millisecond
	// replaceTimeout bounds the try to establish another way in place of one that
	// is doubted.
	replaceTimeout = 10 * time.Second
	// maxRetired is how many replaced ways of an inlet may live on.
	maxRetired = 4
)

// inletWays are the ways of an inlet to its outlet: the one that new connections
// take, and those before it that still carry some.
//
// An outlet that ends behind a relay leaves no sign: only unanswered pings tell,
// and those may also be late because an application in front of them takes
// nothing. So when a new connection is not answered, another way is established
// beside the first, which goes on until its own pings give it up.
type inletWays struct {
	node    *Node
	config  *config.TCPInlet
	to      target
	warden  *warden // decides on each stream
	current current
	retired atomic.Int32
	wg      sync.WaitGroup // watches of ways, and ways that live on

	udp, udpOnly bool
	direct       current // the way over UDP
}

// keep establishes ways until ctx ends.
func (i *inletWays) keep(ctx context.Context) {
	defer i.wg.Wait()
	if i.udp {
		i.wg.Go(func() { i.keepDirect(ctx) })
	}
	i.node.keep(ctx, keeping{
		establish: func(ctx context.Context) (*way, error) { return i.node.connect(ctx, i.to) },
		use: func(ctx context.Context, w *way) error {
			i.event(true, "has a way to the far end")
			err := i.use(ctx, w)
			if err != nil {
				i.event(false, "lost its way to the far end: %v", err)
			}
			return err
		},
		failed: func(err error) { i.event(false, "has no way to the far end: %v", err) },
	})
}

func (i *inletWays) event(up bool, format string, args ...any) {
	i.node.event("inlet", i.config.Name, up, format, args...)
}

// use has new connections take w, then the ways that replace it. It returns when
// the last of them is lost.
func (i *inletWays) use(ctx context.Context, w *way) error {
	for w != nil {
		next, err := i.useOne(ctx, w)
		if err != nil {
			return err
		}
		w = next
	}
	return nil
}

// useOne has new connections take w until it is lost, or returns the way that is
// to be used from now on.
func (i *inletWays) useOne(ctx context.Context, w *way) (next *way, err error) {
	watched, stop := context.WithCancel(ctx)
	lost := make(chan error, 1)
	i.wg.Go(func() { lost <- i.node.watch(watched, w) })
	i.current.set(w)
	next, err = i.await(ctx, w, lost)
	if next == nil {
		i.current.lost(w)
		stop()
		i.end(ctx, w, err)
		return nil, err
	}
	i.event(true, "has another way to the far end, which did not answer over the one before")
	i.retired.Add(1)
	i.wg.Go(func() {
		defer i.retired.Add(-1)
		err := i.wearOut(watched, w, lost)
		stop()
		i.end(ctx, w, err)
	})
	return next, nil
}

// await returns when w is lost, or with another way in its place.
func (i *inletWays) await(ctx context.Context, w *way, lost <-chan error) (*way, error) {
	for {
		select {
		case err := <-lost:
			return nil, err
		case <-w.doubts:
		}
		c, ok := w.path.(*secure.Channel)
		if !ok || i.retired.Load() >= maxRetired || i.node.confirm(ctx, c, w.patience()) == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
		next, err := i.node.connect(ctx, i.to)
		cancel()
		if err == nil {
			return next, nil
		}
	}
}

// end ends a way that is lost for the reason err, or not used any more.
func (i *inletWays) end(ctx context.Context, w *way, err error) {
	if err != nil || errors.Is(context.Cause(ctx), errCut) {
		w.close()
	} else {
		w.leave()
	}
}

// wearOut returns when w, which has been replaced, is lost or carries nothing.
func (i *inletWays) wearOut(ctx context.Context, w *way, lost <-chan error) error {
	w.supersede()
	look := time.NewTicker(pingInterval)
	defer look.Stop()
	for w.path.Origin().Dependents() > 0 {
		select {
		case err := <-lost:
			i.node.log.Debug("replaced way lost", zapErr(err))
			return err
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
	return nil
}

// open opens a stream over the way there is, or waits for one. A way that is lost
// or replaced meanwhile is not waited for any longer.
func (i *inletWays) open(ctx context.Context) (*portal.Stream, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inletPatience, errNoWay)
	defer cancel()
	for {
		w, err := i.wait(ctx)
		if err != nil {
			return nil, err
		}
		s, err := i.openOver(ctx, w)
		if err == nil || ctx.Err() != nil || w.path.Origin().Err() == nil && w.superseded.Err() == nil {
			return s, err
		}
		i.current.lost(w)
		i.direct.lost(w)
	}
}

func (i *inletWays) openOver(ctx context.Context, w *way) (*portal.Stream, error) {
	if err := i.warden.admit(w.path.Origin(), w.cut); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.superseded, cancel)()
	defer time.AfterFunc(w.patience(), w.doubt).Stop()
	d := portal.Dialer{
		Router: i.node.router, Path: w.path, Route: w.rest,
		Options: portal.Options{Budget: i.node.budget},
	}
	return d.Dial(ctx)
}

var (
	errNoWay = errors.New("node: no way to the far end")
	errCut   = errors.New("node: there is no time left to end in good order")
)

// A current is the way that new connections take.
type current struct {
	mu      sync.Mutex
	way     *way
	changed chan struct{} // closed when way is set; nil if nobody waits
}

func (c *current) set(w *way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = w
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// get returns the way there is, nil if none.
func (c *current) get() *way {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.way
}

// lost forgets w if it is still the current way.
func (c *current) lost(w *way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.way == w {
		c.way = nil
	}
}

func (c *current) wait(ctx context.Context) (*way, error) {
	for {
		c.mu.Lock()
		if c.way != nil {
			defer c.mu.Unlock()
			return c.way, nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
