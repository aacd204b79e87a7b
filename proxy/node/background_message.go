package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/multiaddr"
)

// ErrNoReply is returned when a message has no answer.
var ErrNoReply = errors.New("node: no reply to the message")

// replyTimeout is how long a message's answer is waited for.
const replyTimeout = 30 * time.Second

// SendMessage sends a payload along a route and returns that of the answer. A
// route may begin with a worker of this node, a connection, or the address of a
// connection or channel that there is; channels on the way are opened for this
// message.
func (b *Background) SendMessage(ctx context.Context, to multiaddr.Addr, payload []byte) ([]byte, error) {
	hops, err := to.Hops()
	if err != nil || len(hops) == 0 {
		return nil, errors.Join(fmt.Errorf("%w: the message has no route", ErrBadRequest), err)
	}
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	w := newWay(nil)
	defer w.close()
	if err := b.n.follow(ctx, w, target{hops: hops}); err != nil {
		return nil, err
	}
	if w.path == nil {
		if p, rest, err := b.n.router.Path(w.rest); err == nil {
			w.path, w.rest = p, rest
		}
	}
	return b.n.ask(ctx, w, payload)
}

// ask sends a message along a way, to a worker of this node if the way has no
// path, and waits for the answer.
func (n *Node) ask(ctx context.Context, w *way, payload []byte) ([]byte, error) {
	b, err := tunnel.Ask(ctx, n.router, w.path, w.rest, payload, append(n.everybody().Open, n.dialed)...)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, ErrNoReply
	}
	return b, err
}
