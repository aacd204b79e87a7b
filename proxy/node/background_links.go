package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/relay"
	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/puncture"
	"ockam/tunnel/service"
)

// A connection is one that a command opened.
type connection struct {
	link *tunnel.Link
	addr string
	flow string
}

// LinkInfo tells about a TCP connection or a TCP listener.
type LinkInfo struct {
	Socket  string         // ip:port of the peer, or where it listens
	Address tunnel.Address // of the link; zero for a listener
	Dialed  bool           // this node opened the connection
	Flow    string
}

// CreateConnection opens a TCP connection to another node. The far end may reach
// echo and hops.
func (b *Background) CreateConnection(ctx context.Context, addr string) (LinkInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := tcp.Transport{}.Dial(ctx, addr)
	if err != nil {
		return LinkInfo{}, err
	}
	l, err := tunnel.NewLink(b.n.router, conn, tcp.Transport{}.Traits(), b.n.dialed)
	if err != nil {
		return LinkInfo{}, err
	}
	c := &connection{link: l, addr: l.RemoteAddr().String(), flow: flowID()}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		l.Close()
		return LinkInfo{}, errors.Join(tunnel.ErrClosed, l.Serve(b.n.life))
	}
	b.conns[l.Address()] = c
	b.n.wg.Go(func() {
		err := l.Serve(b.n.life)
		b.mu.Lock()
		delete(b.conns, l.Address())
		b.mu.Unlock()
		b.n.log.Debug("connection ended", zapAddr(c.addr), zap.Error(err))
	})
	b.mu.Unlock()
	return c.info(), nil
}

func (c *connection) info() LinkInfo {
	return LinkInfo{Socket: c.addr, Address: c.link.Address(), Dialed: true, Flow: c.flow}
}

// Connections lists the TCP connections that commands opened, and those that
// the node's listeners accepted.
func (b *Background) Connections() []LinkInfo {
	var all []LinkInfo
	b.mu.Lock()
	for _, c := range b.conns {
		all = append(all, c.info())
	}
	b.mu.Unlock()
	b.n.mu.Lock()
	for _, a := range b.n.accepted {
		if l := a.link; l != nil {
			all = append(all, LinkInfo{Socket: l.RemoteAddr().String(), Address: l.Address(), Flow: l.Address().Name})
		}
	}
	b.n.mu.Unlock()
	slices.SortFunc(all, func(x, y LinkInfo) int {
		return strings.Compare(x.Socket+x.Address.Name, y.Socket+y.Address.Name)
	})
	return all
}

// Connection returns the connection with that peer (ip:port) or of that worker
// (NAME or TYPE#NAME), or ErrNotFound.
func (b *Background) Connection(address string) (LinkInfo, error) {
	for _, l := range b.Connections() {
		if l.is(address) {
			return l, nil
		}
	}
	return LinkInfo{}, fmt.Errorf("%w: tcp connection %s", ErrNotFound, address)
}

func (l LinkInfo) is(address string) bool {
	return l.Socket == address || l.Address != (tunnel.Address{}) && (l.Address.Name == address || l.Address.String() == address)
}

// DeleteConnection closes the connection that Connection returns.
func (b *Background) DeleteConnection(address string) error {
	info, err := b.Connection(address)
	if err != nil {
		return err
	}
	b.mu.Lock()
	c := b.conns[info.Address]
	delete(b.conns, info.Address)
	b.mu.Unlock()
	if c != nil {
		c.link.Close()
		return nil
	}
	b.n.mu.Lock()
	var end func()
	for _, a := range b.n.accepted {
		if a.link != nil && a.link.Address() == info.Address {
			end = a.close
		}
	}
	b.n.mu.Unlock()
	if end != nil {
		end()
	}
	return nil
}

// CreateListener listens for other nodes; commands are not served there.
func (b *Background) CreateListener(_ context.Context, addr string) (LinkInfo, error) {
	l, err := b.n.startListenerFor(&config.Listener{Transport: "tcp", Address: addr}, b.n.links)
	if err != nil {
		return LinkInfo{}, err
	}
	real := l.view.(*listening).addr
	stored, err := state.NewResource(state.KindTCPListener, real, real)
	if err != nil {
		return LinkInfo{}, err
	}
	_, err = b.add(key{"listener", real}, &stored, func() (*resource, error) { return l, nil })
	if err != nil {
		l.cancel()
		l.wg.Wait()
		return LinkInfo{}, err
	}
	return listenerInfo(l), nil
}

func listenerInfo(r *resource) LinkInfo {
	v := r.view.(*listening)
	return LinkInfo{Socket: v.addr, Flow: v.flow}
}

// Listeners lists the TCP listeners by address, the node's own among them.
func (b *Background) Listeners() []LinkInfo {
	all := b.list("listener")
	infos := make([]LinkInfo, len(all))
	for i, r := range all {
		infos[i] = listenerInfo(r)
	}
	own := slices.IndexFunc(infos, func(l LinkInfo) bool { return l.Socket == b.addr })
	if own > 0 { // the node's own is the first
		l := infos[own]
		infos = slices.Insert(slices.Delete(infos, own, own+1), 0, l)
	}
	return infos
}

// Listener returns the TCP listener at ip:port, or ErrNotFound.
func (b *Background) Listener(addr string) (LinkInfo, error) {
	r := b.find(key{"listener", addr})
	if r == nil {
		return LinkInfo{}, fmt.Errorf("%w: tcp listener %s", ErrNotFound, addr)
	}
	return listenerInfo(r), nil
}

// DeleteListener ends a TCP listener; the connections it accepted go on.
func (b *Background) DeleteListener(addr string) error {
	b.change.Lock()
	defer b.change.Unlock()
	if b.isClosed() {
		return tunnel.ErrClosed
	}
	k := key{"listener", addr}
	r := b.find(k)
	if r == nil {
		return fmt.Errorf("%w: tcp listener %s", ErrNotFound, addr)
	}
	if err := b.forget(state.KindTCPListener, addr); err != nil {
		return err
	}
	b.n.mu.Lock()
	delete(b.n.resources, k)
	b.n.mu.Unlock()
	r.halt()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, r)
	return nil
}

// ServiceInfo tells about a small service.
type ServiceInfo struct {
	Kind    string `json:"kind"` // "echo", "uppercase" or "hop"
	Address string `json:"address"`
}

// serving is what can be told about a service, and done with it.
type serving struct {
	ServiceInfo
	reg *tunnel.Registration
}

func serviceKey(address string) key { return key{"service", address} }

// StartService starts a small service for everybody.
func (b *Background) StartService(_ context.Context, s ServiceInfo) error {
	stored, err := state.NewResource(state.KindService, s.Address, s)
	if err != nil {
		return err
	}
	return b.addService(s, &stored)
}

func (b *Background) startService(s ServiceInfo) error { return b.addService(s, nil) }

func (b *Background) addService(s ServiceInfo, stored *state.Resource) error {
	self := tunnel.LocalAddress(s.Address)
	var h tunnel.Handler
	access := b.n.everybody()
	switch s.Kind {
	case service.EchoName:
		h = service.Echo{Router: b.n.router, Self: self}
	case service.UppercaseName:
		h = service.Uppercase{Router: b.n.router, Self: self}
	case service.HopName:
		h = service.Hop{Router: b.n.router, Self: self}
		access.Open = append(access.Open, b.n.dialed)
	default:
		return fmt.Errorf("%w: no service %q", ErrBadRequest, s.Kind)
	}
	_, err := b.add(serviceKey(s.Address), stored, func() (*resource, error) {
		reg, err := b.n.router.Handle(self, h, access)
		if err != nil {
			return nil, err
		}
		r := b.n.newResource(nil, func(ctx context.Context) {
			<-ctx.Done()
			reg.Close()
		})
		r.view = serving{s, reg}
		return r, nil
	})
	return err
}

// Services lists the small services by address.
func (b *Background) Services() []ServiceInfo {
	all := []ServiceInfo{{Kind: service.EchoName, Address: service.EchoName}}
	more := b.list(serviceKey("").kind)
	for _, r := range more {
		all = append(all, r.view.(serving).ServiceInfo)
	}
	slices.SortFunc(all, func(x, y ServiceInfo) int { return strings.Compare(x.Address, y.Address) })
	return all
}

// AddConsumer opens a worker of this node to the far end of a connection or
// channel that a command opened, which is known by its flow. Services can be
// opened so; other workers are open to whom they are for, and nothing changes.
// An unknown flow is no error. ErrNotFound means that there is no such worker.
func (b *Background) AddConsumer(flow, address string) error {
	if !slices.Contains(b.Workers(), address) {
		return fmt.Errorf("%w: worker %s", ErrNotFound, address)
	}
	r := b.find(serviceKey(address))
	if r == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		if c.flow == flow {
			r.view.(serving).reg.Open(c.link.Origin())
		}
	}
	for _, c := range b.channels {
		if c.info.Flow == flow {
			r.view.(serving).reg.Open(c.way.path.Origin())
		}
	}
	return nil
}

// Workers lists the addresses on which the node takes messages, without those
// of single streams and questions.
func (b *Background) Workers() []string {
	var all []string
	for _, s := range b.Services() {
		all = append(all, s.Address)
	}
	for _, l := range b.ChannelListeners() {
		all = append(all, l.Address)
	}
	for _, o := range b.Outlets() {
		all = append(all, o.Address)
	}
	for _, i := range b.Inlets() {
		all = append(all, i.Worker)
	}
	for _, r := range b.Relays() {
		if r.Up {
			all = append(all, r.Worker.Name)
		}
	}
	for _, c := range b.Connections() {
		all = append(all, c.Address.Name)
	}
	for _, c := range b.Channels() {
		all = append(all, c.Address.Name)
	}
	if b.find(puncturesKey) != nil {
		all = append(all, puncture.Name)
	}
	if r := b.find(relayServiceKey); r != nil {
		all = append(all, relayServices()...)
		for _, a := range r.view.(*relay.Server).Addresses() {
			all = append(all, a.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
