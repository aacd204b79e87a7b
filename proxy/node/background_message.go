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
	access := n.everybody()
	access.Open = append(access.Open, n.dialed)
	var lost <-chan struct{}
	if w.path != nil {
		access.Open = []tunnel.Source{w.path.Origin()}
		lost = w.path.Origin().Done()
	}
	answer := make(chan []byte, 1)
	reg, err := n.router.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		defer m.Release()
		select {
		case answer <- append([]byte{}, m.Payload...):
		default:
		}
		return nil
	}), access)
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload = w.rest, tunnel.NewRoute(reg.Address()), payload
	if w.path == nil {
		err = n.router.Send(m)
	} else {
		err = w.path.Send(m)
		m.Release()
	}
	if err != nil {
		return nil, err
	}
	select {
	case p := <-answer:
		return p, nil
	case <-lost:
		return nil, w.path.Origin().Err()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, ErrNoReply
		}
		return nil, ctx.Err()
	}
}
