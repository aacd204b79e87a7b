package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

// A channel is a secure channel that a command opened.
type channel struct {
	info ChannelInfo
	way  *way
	stop context.CancelFunc

	ended chan struct{} // closed when it has
}

// ChannelOptions say how a secure channel is opened.
type ChannelOptions struct {
	To         multiaddr.Addr        // its last part is the channel listener
	Authorized []identity.Identifier // who may be at the far end; nil: anyone
	Identity   string                // name of a stored identity; empty: the node's
	Credential *identity.Credential  // to be presented; nil: none
	Timeout    time.Duration         // 0: 30 s
}

// ChannelInfo tells about a secure channel that a command opened.
type ChannelInfo struct {
	Address    tunnel.Address // messages to it are sealed
	Route      tunnel.Route   // to the listener
	Peer       identity.Identifier
	Authorized []identity.Identifier
	Flow       string
}

// CreateChannel opens a secure channel. It lasts until it is deleted, or the far
// end is lost.
func (b *Background) CreateChannel(ctx context.Context, o ChannelOptions) (ChannelInfo, error) {
	hops, err := o.To.Hops()
	if err != nil || len(hops) == 0 {
		return ChannelInfo{}, errors.Join(fmt.Errorf("%w: no channel listener in the address", ErrBadRequest), err)
	}
	if last := &hops[len(hops)-1]; last.Kind == multiaddr.HopService {
		last.Kind = multiaddr.HopSecure
	}
	if k := hops[len(hops)-1].Kind; k != multiaddr.HopSecure && k != multiaddr.HopProject {
		return ChannelInfo{}, fmt.Errorf("%w: the address does not end with a channel listener", ErrBadRequest)
	}
	cfg, err := b.channelConfig(ctx, o.Identity)
	if err != nil {
		return ChannelInfo{}, err
	}
	if o.Credential != nil {
		cfg.Credential = func() (*identity.Credential, error) { return o.Credential, nil }
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	began := time.Now()
	w, err := b.n.connect(ctx, target{hops: hops, peer: oneOf(o.Authorized), group: b.n.dialed, channels: cfg, unknown: true})
	if errors.Is(err, secure.ErrTimeout) {
		return ChannelInfo{}, fmt.Errorf("%w, within %v", err, time.Since(began).Round(100*time.Millisecond))
	}
	if err != nil {
		return ChannelInfo{}, err
	}
	return b.keepChannel(w, o)
}

func (b *Background) keepChannel(w *way, o ChannelOptions) (ChannelInfo, error) {
	s := w.dug[len(w.dug)-1]
	c := &channel{way: w, ended: make(chan struct{}), info: ChannelInfo{
		Address: s.Address(), Route: channelRoute(w), Peer: s.Peer(), Authorized: o.Authorized, Flow: flowID(),
	}}
	ctx, stop := context.WithCancel(b.n.life)
	c.stop = stop
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		stop()
		w.close()
		return ChannelInfo{}, tunnel.ErrClosed
	}
	b.channels[c.info.Address] = c
	b.n.wg.Go(func() {
		defer close(c.ended)
		defer stop()
		err := b.n.watch(ctx, w)
		if err == nil {
			w.leave()
		} else {
			w.close()
		}
		b.mu.Lock()
		delete(b.channels, c.info.Address)
		b.mu.Unlock()
		b.n.log.Debug("channel ended", zap.String("address", c.info.Address.Name), zap.Error(err))
	})
	b.mu.Unlock()
	return c.info, nil
}

// channelRoute is the way to the listener as routes are written: the link, and
// what follows it.
func channelRoute(w *way) tunnel.Route {
	var all []tunnel.Address
	for _, h := range w.steps {
		switch {
		case h.Kind != multiaddr.HopDial:
			all = append(all, tunnel.LocalAddress(h.Value))
		case w.link != nil:
			all = append(all, w.link.Address())
		}
	}
	return tunnel.NewRoute(all...)
}

// oneOf decides on a peer by a list; nil lets anyone pass.
func oneOf(ids []identity.Identifier) func(identity.Identifier) error {
	if ids == nil {
		return nil
	}
	return func(id identity.Identifier) error {
		if slices.Contains(ids, id) {
			return nil
		}
		return fmt.Errorf("%v is not authorized", id)
	}
}

// Channels lists the secure channels that commands opened.
func (b *Background) Channels() []ChannelInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]ChannelInfo, 0, len(b.channels))
	for _, c := range b.channels {
		all = append(all, c.info)
	}
	slices.SortFunc(all, func(x, y ChannelInfo) int { return strings.Compare(x.Address.Name, y.Address.Name) })
	return all
}

// Channel returns the secure channel of that address, or ErrNotFound.
func (b *Background) Channel(a tunnel.Address) (ChannelInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[a]; c != nil {
		return c.info, nil
	}
	return ChannelInfo{}, fmt.Errorf("%w: secure channel %v", ErrNotFound, a)
}

// DeleteChannel closes a secure channel.
func (b *Background) DeleteChannel(a tunnel.Address) error {
	b.mu.Lock()
	c := b.channels[a]
	delete(b.channels, a)
	b.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%w: secure channel %v", ErrNotFound, a)
	}
	c.stop()
	c.way.leave()
	return nil
}

// ChannelListenerOptions are what a channel listener is made from, and what is
// stored of it.
type ChannelListenerOptions struct {
	Address    string                `json:"address"`
	Authorized []identity.Identifier `json:"authorized,omitzero"` // who may connect; nil: anyone
	Identity   string                `json:"identity,omitempty"`  // name of a stored identity; empty: the node's
	Flow       string                `json:"-"`
}

func channelListenerKey(address string) key { return key{"secure_channel_listener", address} }

// CreateChannelListener makes a channel listener.
func (b *Background) CreateChannelListener(ctx context.Context, o ChannelListenerOptions) error {
	stored, err := state.NewResource(state.KindSecureChannelListener, o.Address, o)
	if err != nil {
		return err
	}
	return b.addChannelListener(ctx, o, &stored)
}

func (b *Background) startChannelListener(ctx context.Context, o ChannelListenerOptions) error {
	return b.addChannelListener(ctx, o, nil)
}

func (b *Background) addChannelListener(ctx context.Context, o ChannelListenerOptions, stored *state.Resource) error {
	cfg, err := b.channelConfig(ctx, o.Identity)
	if err != nil {
		return err
	}
	o.Flow = flowID()
	_, err = b.add(channelListenerKey(o.Address), stored, func() (*resource, error) {
		l := b.n.channelListener(*accepting(cfg), o.Address)
		l.Open, l.Authorize = b.n.everybody().Open, oneOf(o.Authorized)
		if o.Authorized != nil {
			l.Histories = b.n.peers.all()
		}
		if o.Address == secure.DefaultName { // the only one that punctures are for
			l.Open = append(l.Open, b.n.holes)
		}
		if err := l.Register(); err != nil {
			return nil, err
		}
		r := b.n.newResource(nil, func(ctx context.Context) { _ = l.Serve(ctx) }) // nil once it is registered
		r.view = o
		return r, nil
	})
	return err
}

// ChannelListeners lists the channel listeners by address.
func (b *Background) ChannelListeners() []ChannelListenerOptions {
	all := b.list(channelListenerKey("").kind)
	infos := make([]ChannelListenerOptions, len(all))
	for i, r := range all {
		infos[i] = r.view.(ChannelListenerOptions)
	}
	return infos
}

// ChannelListener returns the channel listener at an address, or ErrNotFound.
func (b *Background) ChannelListener(address string) (ChannelListenerOptions, error) {
	r := b.find(channelListenerKey(address))
	if r == nil {
		return ChannelListenerOptions{}, fmt.Errorf("%w: secure channel listener %s", ErrNotFound, address)
	}
	return r.view.(ChannelListenerOptions), nil
}

// DeleteChannelListener ends a channel listener, with the channels it accepted.
func (b *Background) DeleteChannelListener(address string) error {
	return b.remove(channelListenerKey(address), state.KindSecureChannelListener)
}

// channelConfigOf is what channels are made with in the name of a stored
// identity; nil for the zero identifier and the node's own.
func (b *Background) channelConfigOf(ctx context.Context, id identity.Identifier) (*secure.Config, error) {
	if id.IsZero() || id == b.Identifier() {
		return nil, nil
	}
	all, err := b.store.Identities(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Identifier == id {
			return b.channelConfig(ctx, n.Name)
		}
	}
	return nil, fmt.Errorf("%w: there is no stored identity %v", ErrNotFound, id)
}

// channelConfig is what channels are made with in the name of a stored
// identity, of the node's own if the name is empty.
func (b *Background) channelConfig(ctx context.Context, name string) (*secure.Config, error) {
	peers := b.n.channels
	cfg := &secure.Config{
		Router: peers.Router, Identity: peers.Identity, Histories: peers.Histories, Attributes: peers.Attributes, Ordered: true,
		Authorities: peers.Authorities, Credential: peers.Credential, Disbelieved: peers.Disbelieved,
	}
	if name == "" {
		return cfg, nil
	}
	id, err := b.store.Identity(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no identity %q", ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	cfg.Identity, cfg.Credential = id, b.presents(id)
	return cfg, nil
}
