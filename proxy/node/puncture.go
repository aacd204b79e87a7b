package node

import (
	"context"
	"errors"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/puncture"
	"ockam/tunnel/secure"
)

// directRetry is the wait between two tries to find a path over UDP.
const directRetry = 5 * time.Second

var puncturesKey = key{"punctures", puncture.Name}

// startPunctures makes the node ready for others that look for a path over UDP to
// it: through a channel they ask for it, and through the path they reach the
// channel listener and nothing else.
func (b *Background) startPunctures() error {
	l := &puncture.Listener{
		Config: puncture.Config{Router: b.n.router, Rendezvous: b.n.rendezvous, Group: b.n.holes},
		Open:   []tunnel.Source{b.n.behind},
		Gate:   b.n.echoGate, // with an authority, who may not even use the echo service gets no datagrams sent
		Failed: func(err error) { b.n.log.Info("no path over UDP, or no more", zapErr(err)) },
	}
	if err := l.Register(); err != nil {
		return err
	}
	b.n.put(puncturesKey, b.n.newResource(nil, func(ctx context.Context) { _ = l.Serve(ctx) })) // nil once it is registered
	return nil
}

// wait returns the way that a new connection takes, and waits for one.
func (i *inletWays) wait(ctx context.Context) (*way, error) {
	if i.udpOnly {
		return i.direct.wait(ctx)
	}
	if w := i.direct.get(); w != nil {
		return w, nil
	}
	return i.current.wait(ctx)
}

// get returns the way that a new connection would take now, nil if none.
func (i *inletWays) get() *way {
	if w := i.direct.get(); w != nil || i.udpOnly {
		return w
	}
	return i.current.get()
}

// keepDirect looks for a path over UDP to the far end, beside the way there is,
// and uses it as long as it lasts; again and again until ctx ends.
func (i *inletWays) keepDirect(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		main, err := i.current.wait(ctx)
		if err != nil {
			return
		}
		w, err := i.node.direct(ctx, main, i.to)
		if err == nil {
			said = ""
			i.event(true, "has a path over UDP to the far end")
			i.direct.set(w)
			err = i.watchDirect(ctx, w)
			i.direct.lost(w)
			i.end(ctx, w, err)
		}
		if ctx.Err() == nil && err != nil && err.Error() != said {
			said = err.Error()
			i.event(false, "has no path over UDP to the far end: %v", err)
		}
		tunnel.Sleep(ctx, directRetry)
	}
}

// watchDirect returns when a way over UDP is lost, or does not answer a new
// connection.
func (i *inletWays) watchDirect(ctx context.Context, w *way) error {
	watched, stop := context.WithCancel(ctx)
	defer stop()
	lost := make(chan error, 1)
	i.wg.Go(func() { lost <- i.node.watch(watched, w) })
	for {
		select {
		case err := <-lost:
			return err
		case <-w.doubts:
		}
		c, ok := w.path.(*secure.Channel)
		if ok && i.node.confirm(ctx, c, w.patience()) != nil && ctx.Err() == nil {
			return errNoAnswer
		}
	}
}

// direct makes a puncture to the far end of main and opens a channel through it,
// to whom the inlet's own channel leads.
func (n *Node) direct(ctx context.Context, main *way, to target) (*way, error) {
	if main.rest.Len() == 0 {
		return nil, errors.New("node: the way leads to no outlet")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg := puncture.Config{Router: n.router, Rendezvous: n.rendezvous}
	p, err := cfg.Dial(ctx, main.path, main.rest.WithoutLast())
	if err != nil {
		return nil, err
	}
	w := newWay(to.group)
	w.path, w.hole, w.took = p, p, main.took
	err = n.secure(ctx, w, to, secure.DefaultName, to.peer)
	if c, ok := w.path.(*secure.Channel); err == nil && ok {
		err = n.confirm(ctx, c, confirmTimeout)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	for w.rest = main.rest; w.rest.Len() > 1; {
		w.rest = w.rest.Rest()
	}
	n.count(w)
	return w, nil
}
