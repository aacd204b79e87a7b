package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
)

const (
	// confirmTimeout bounds the wait for the first answer through a channel.
	confirmTimeout = 10 * time.Second

	// A way is lost when the far end answers no ping for about 15 s.
	pingInterval = 5 * time.Second
	pingMisses   = 3
	acceptedPing = 15 * time.Second // of channels that others opened
)

// errNoAnswer is returned when a channel stands and nothing comes back through
// it: a listener that refuses us does not say so.
var errNoAnswer = errors.New("node: the far end does not answer through the channel: it may not allow this node's identifier")

// confirm waits for an answer of the far node's echo service, at most for
// patience: only then is it known that the far end has accepted the channel.
func (n *Node) confirm(ctx context.Context, c *secure.Channel, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := tunnel.Ask(ctx, n.router, c, echoRoute, []byte{0})
	if err != nil && ctx.Err() != nil {
		return errNoAnswer
	}
	return err
}

// hear is confirm for a far end whose echo may not be for us, as that of a node
// with an authority is not without a credential: an answer of another service
// will do. It reports whether that is so: no echo within patience of it.
func (n *Node) hear(ctx context.Context, c *secure.Channel, patience time.Duration) (mute bool, err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	ask := func(route tunnel.Route) <-chan error {
		answer := make(chan error, 1)
		wg.Go(func() {
			_, err := tunnel.Ask(ctx, n.router, c, route, []byte{0}) // an empty text
			if err != nil && ctx.Err() != nil {
				err = errNoAnswer
			}
			answer <- err
		})
		return answer
	}
	echo, other := ask(echoRoute), ask(uppercaseRoute)
	select {
	case err := <-echo:
		return false, err
	case err := <-other:
		if err != nil {
			return false, <-echo
		}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-echo:
		return false, err
	case <-late.C:
		return true, nil
	}
}

var uppercaseRoute = tunnel.NewRoute(tunnel.LocalAddress(service.UppercaseName))

var echoRoute = tunnel.NewRoute(tunnel.LocalAddress(service.EchoName))

// watchAccepted closes a channel whose initiator has vanished behind a relay,
// which has no message for that. An initiator that never answers a ping (it need
// not have an echo service that is open to us) is not judged by it.
func (n *Node) watchAccepted(c *secure.Channel) {
	if n.confirm(n.life, c, confirmTimeout) != nil {
		return
	}
	p := &tunnel.Pinger{Router: n.router, Path: c, Route: echoRoute, Interval: acceptedPing, Misses: pingMisses}
	if err := p.Run(n.life); errors.Is(err, tunnel.ErrPeerSilent) {
		n.log.Debug("channel silent", zapErr(err))
		c.Close()
	}
}

// watch returns when the way is lost: its path has ended, or the far end of its
// channel answers no pings. Without a channel, or where pings are not for us, the
// links' keep-alive decides.
func (n *Node) watch(ctx context.Context, w *way) error {
	if _, ok := w.path.(*secure.Channel); ok && !w.mute {
		p := &tunnel.Pinger{
			Router: n.router, Path: w.path, Route: echoRoute, Interval: pingInterval, Misses: pingMisses,
		}
		return p.Run(ctx)
	}
	select {
	case <-w.path.Origin().Done():
		return w.path.Origin().Err()
	case <-ctx.Done():
		return nil
	}
}
