package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/puncture"
	"ockam/tunnel/secure"
)

const (
	// connectTimeout bounds one try to establish a way, all of its hops.
	connectTimeout = 30 * time.Second
	// firstHandshake is how long the first message of a handshake is waited for
	// before it is sent afresh: it vanishes without a sign where a relay does
	// not know the name yet. A way that took long to dial has longer, since every
	// message in vain leaves something behind at nodes that forget nothing. Each
	// wait is twice as long as the one before.
	firstHandshake = 500 * time.Millisecond
	dialTimes      = 8

	// lingerTimeout bounds the ending of a link in good order.
	lingerTimeout = 2 * time.Second
)

// A way is what a MultiAddr leads to: an established path, and what follows it
// without another connection or channel.
type way struct {
	path  tunnel.Path
	rest  tunnel.Route
	group *tunnel.Group // of its links and channels, if the far end may reach something here
	steps []step        // what led here
	link  *tunnel.Link
	hole  *puncture.Puncture // below the channels, in place of a link
	dug   []*secure.Channel  // opened on the way
	took  time.Duration      // to dial the link: a round trip or more
	wg    sync.WaitGroup     // the link's reader

	members *membership // whose credentials dug presents
	node    *Node       // that counts it, once it is established
	mute    bool        // the far end has let us in, and its echo is not for us

	doubts     chan struct{}   // holds a token when somebody waits in vain
	superseded context.Context // ends when another way has taken its place
	supersede  context.CancelFunc
}

func newWay(g *tunnel.Group) *way {
	w := &way{group: g, doubts: make(chan struct{}, 1)}
	w.superseded, w.supersede = context.WithCancel(context.Background())
	return w
}

// patience is how long an answer of the far end may take.
func (w *way) patience() time.Duration { return doubtAfter + dialTimes*w.took }

// doubt says that an answer has not come.
func (w *way) doubt() {
	select {
	case w.doubts <- struct{}{}:
	default:
	}
}

// cut ends the channel that the way ends with, and all that it carries.
func (w *way) cut() {
	if c, ok := w.path.(*secure.Channel); ok { // it may be one that a command opened
		c.Close()
	}
}

// leave ends the way in good order: what has been sent over it arrives, if the
// other side takes it within lingerTimeout.
func (w *way) leave() {
	w.node.uncount(w)
	if w.link == nil && w.hole == nil {
		w.close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lingerTimeout)
	defer cancel()
	w.supersede()
	drain := func() { _ = w.hole.Drain(ctx) } // at most so long
	if w.link != nil {
		drain = func() { _ = w.link.Drain(ctx) }
	}
	drain() // so that there is room for the channels' last message
	w.closeChannels()
	if w.link != nil {
		w.link.Shutdown(ctx)
	} else {
		drain()
		w.hole.Close()
	}
	w.wg.Wait()
}

// close ends everything that the way consists of, and waits for it. What is on
// its way is lost.
func (w *way) close() {
	w.node.uncount(w)
	w.supersede()
	w.closeChannels()
	if w.link != nil {
		w.link.Close()
	}
	if w.hole != nil {
		w.hole.Close()
	}
	w.wg.Wait()
}

func (w *way) closeChannels() {
	for _, c := range slices.Backward(w.dug) {
		w.members.forget(c)
		c.Close()
	}
}

// connect establishes the way to a target. Its peer decides on the identity at the far
// end of its last channel; channels before that may end anywhere, as they are
// only on the way. What the far end may reach here is what is open to group.
// The context is for the establishing alone.
func (n *Node) connect(ctx context.Context, to target) (*way, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	w := newWay(to.group)
	err := n.follow(ctx, w, to)
	if err == nil && w.path == nil {
		err = n.depart(ctx, w)
	}
	if c, ok := w.path.(*secure.Channel); err == nil && ok {
		if to.unknown {
			w.mute, err = n.hear(ctx, c, w.patience())
		} else {
			err = n.confirm(ctx, c, confirmTimeout)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	n.count(w)
	return w, nil
}

// A target is where a way is to lead.
type target struct {
	hops  []multiaddr.Hop
	peer  func(identity.Identifier) error // nil: anyone
	group *tunnel.Group                   // nil: the far end reaches nothing here

	channels *secure.Config // what channels on the way are made with; nil: the node's
	unknown  bool           // what the far end lets us use: not even its echo need be for us
}

func (n *Node) follow(ctx context.Context, w *way, to target) error {
	var err error
	if w.steps, err = n.steps(ctx, to); err != nil {
		return err
	}
	for _, h := range w.steps {
		switch h.Kind {
		case multiaddr.HopDial:
			if err := n.dial(ctx, w, h.Value); err != nil {
				return err
			}
		case multiaddr.HopService:
			w.rest = w.rest.Join(tunnel.NewRoute(tunnel.LocalAddress(h.Value)))
		case multiaddr.HopSecure:
			if err := n.secure(ctx, w, to, h.Value, h.peer); err != nil {
				return err
			}
		default:
			return fmt.Errorf("node: %v %s cannot be followed by this version", h.Kind, h.Value)
		}
	}
	return nil
}

func (n *Node) dial(ctx context.Context, w *way, addr string) error {
	if w.path != nil || w.rest.Len() > 0 {
		return errors.New("node: a connection that is not at the beginning of the address")
	}
	began := time.Now()
	conn, err := tcp.Transport{}.Dial(ctx, addr)
	if err != nil {
		return err
	}
	w.took = time.Since(began)
	l, err := tunnel.NewLink(n.router, conn, tcp.Transport{}.Traits(), w.group)
	if err != nil {
		return err
	}
	w.path, w.link = l, l
	w.wg.Go(func() {
		if err := l.Serve(n.life); err != nil {
			n.log.Debug("link ended", zapErr(err), zapAddr(addr))
		}
	})
	return nil
}

// depart gives a way that begins with a worker of this node its path: the link
// or channel that has this address, which the way does not own; for any other
// worker a connection of the node to itself.
func (n *Node) depart(ctx context.Context, w *way) error {
	if p, rest, err := n.router.Path(w.rest); err == nil {
		w.path, w.rest = p, rest
		return nil
	}
	if n.self == "" {
		return errors.New("node: the address does not begin with a connection")
	}
	rest := w.rest
	w.rest = tunnel.Route{}
	if err := n.dial(ctx, w, n.self); err != nil {
		return err
	}
	w.rest = rest
	return nil
}

// secure opens a channel to the listener called name, and sends the first message
// afresh until it is answered, the path is lost or ctx ends.
func (n *Node) secure(ctx context.Context, w *way, to target, name string, authorize func(identity.Identifier) error) error {
	if w.path == nil {
		if err := n.depart(ctx, w); err != nil {
			return err
		}
	}
	cfg := n.channels
	if to.channels != nil {
		cfg = *to.channels
	}
	cfg.Authorize, cfg.Group = authorize, w.group
	if authorize != nil { // it must be somebody by name
		cfg.Histories = n.peers.all()
	}
	member, err := n.members.dialing(ctx, &cfg)
	if err != nil {
		return err
	}
	w.members = n.members
	route := w.rest.Join(tunnel.NewRoute(tunnel.LocalAddress(name)))
	for wait := firstHandshake + dialTimes*w.took; ; wait *= 2 {
		c, err := n.handshake(ctx, &cfg, w.path, route, wait)
		if err == nil {
			w.path, w.rest, w.dug = c, tunnel.Route{}, append(w.dug, c)
			member.add(c)
			member.present(c) // if there is another one meanwhile
			return nil
		}
		if !errors.Is(err, secure.ErrTimeout) || ctx.Err() != nil || w.path.Origin().Err() != nil {
			return err
		}
	}
}

func (n *Node) handshake(ctx context.Context, cfg *secure.Config, path tunnel.Path, route tunnel.Route, wait time.Duration) (*secure.Channel, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return secure.Dial(ctx, cfg, path, route)
}

// keeping is what keep does.
type keeping struct {
	establish func(context.Context) (*way, error)
	// use closes the way and returns when it is lost or its context ends.
	use func(context.Context, *way) error
	// failed is told why there is no way, once for each reason in a row.
	failed func(error)
}

// keep establishes a way, again and again until ctx ends, and uses it. The first
// tries follow each other quickly.
func (n *Node) keep(ctx context.Context, k keeping) {
	var wait tunnel.Backoff
	said := ""
	for ctx.Err() == nil {
		w, err := k.establish(ctx)
		if err == nil {
			began := time.Now()
			err = k.use(ctx, w)
			if time.Since(began) > 5*time.Second {
				wait.Reset()
			}
			said = ""
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			k.failed(err)
		}
		if !wait.Wait(ctx) {
			return
		}
	}
}
