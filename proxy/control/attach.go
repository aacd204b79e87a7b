package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/wire"
)

// Attach lets commands on this machine control a node over its own listener,
// and workers of the node itself. What it returns ends that, and waits for the
// requests that are carried out; call it before Close of the node.
func Attach(b *node.Background) (detach func(), err error) {
	s := NewServer(b.Router(), &attached{b})
	reg, err := b.Router().Handle(tunnel.LocalAddress(Address), s, b.ForCommands())
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return func() {
		reg.Close()
		s.Close()
	}, nil
}

// attached is a node that runs in this process, as a Node.
type attached struct{ b *node.Background }

// translated gives an error of the node the sentinel that the server knows.
func translated(err error) error {
	switch {
	case errors.Is(err, node.ErrNotFound):
		return wrapped{api.ErrNotFound, err}
	case errors.Is(err, node.ErrExists), errors.Is(err, tunnel.ErrInUse):
		return wrapped{api.ErrExists, err}
	case errors.Is(err, node.ErrBadRequest):
		return wrapped{api.ErrBadRequest, err}
	case errors.Is(err, multiaddr.ErrNotSupported):
		return wrapped{api.ErrNotSupported, err}
	}
	return err
}

// wrapped is an error with the text of one and the meaning of both.
type wrapped struct{ kind, cause error }

func (w wrapped) Error() string   { return w.cause.Error() }
func (w wrapped) Unwrap() []error { return []error{w.kind, w.cause} }

func (a *attached) process() NodeProcessStatus {
	return NodeProcessStatus{State: Running, PID: uint32(os.Getpid())} //nolint:gosec // a pid fits
}

// Status tells who the node is.
func (a *attached) Status(context.Context) (NodeStatus, error) {
	return NodeStatus{Name: a.b.Name(), Identifier: a.b.Identifier(), Process: a.process()}, nil
}

// Resources tells everything that the node has.
func (a *attached) Resources(ctx context.Context) (NodeResources, error) {
	r := NodeResources{
		Name: a.b.Name(), IdentityName: a.b.IdentityName(), Process: a.process(),
		Route: RouteToNode{Short: multiaddr.Addr{{Protocol: multiaddr.Node, Value: a.b.Name()}}},
	}
	record, err := a.b.Store().NamedNode(ctx, a.b.Name())
	if err == nil {
		r.IsDefault = record.Default
		if host, port, err := splitHostPort(record.HTTPAddress); err == nil {
			r.HTTPServer = &InternetAddress{Host: host, Port: port}
		}
	} else if !errors.Is(err, state.ErrNotFound) {
		return r, err
	}
	if _, port, err := net.SplitHostPort(a.b.Addr()); err == nil {
		r.Route.Verbose = multiaddr.Addr{
			{Protocol: multiaddr.DNSAddr, Value: "localhost"}, {Protocol: multiaddr.TCP, Value: port},
		}
	}
	var errs [5]error
	r.Transports, errs[0] = a.Listeners(ctx)
	r.ChannelListeners, errs[1] = a.SecureChannelListeners(ctx)
	r.Inlets, errs[2] = a.Inlets(ctx)
	r.Outlets, errs[3] = a.Outlets(ctx)
	r.Services, errs[4] = a.Services(ctx, "")
	return r, errors.Join(errs[:]...)
}

func splitHostPort(s string) (string, uint16, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return host, uint16(n), err
}

// Services lists the small services.
func (a *attached) Services(_ context.Context, kind string) ([]ServiceStatus, error) {
	var all []ServiceStatus
	for _, s := range a.b.Services() {
		if kind == "" || kind == s.Kind {
			all = append(all, ServiceStatus{Address: s.Address, Type: s.Kind})
		}
	}
	return all, nil
}

// StartService starts a small service.
func (a *attached) StartService(ctx context.Context, kind, address string) error {
	return translated(a.b.StartService(ctx, node.ServiceInfo{Kind: kind, Address: address}))
}

// Workers lists where the node takes messages.
func (a *attached) Workers(context.Context) (WorkerList, error) {
	l := WorkerList{Workers: []WorkerStatus{{Address: Address}}}
	for _, w := range a.b.Workers() {
		l.Workers = append(l.Workers, WorkerStatus{Address: w})
	}
	return l, nil
}

// AddConsumer opens a worker to a flow.
func (a *attached) AddConsumer(_ context.Context, c AddConsumer) error {
	hops, err := c.Address.Hops()
	if err != nil || len(hops) != 1 || hops[0].Kind != multiaddr.HopService {
		return fmt.Errorf("%w: %v is not exactly one service of this node", api.ErrBadRequest, c.Address)
	}
	if hops[0].Value == Address {
		return fmt.Errorf("%w: the node API is for commands only", api.ErrBadRequest)
	}
	return translated(a.b.AddConsumer(c.FlowControl.ID, hops[0].Value))
}

// SendMessage sends a message and returns the reply.
func (a *attached) SendMessage(ctx context.Context, m SendMessage) ([]byte, error) {
	to, err := multiaddr.Parse(m.Route)
	if err != nil {
		return nil, translated(err)
	}
	reply, err := a.b.SendMessage(ctx, to, wire.AppendBytes(nil, m.Message))
	if err != nil {
		return nil, fmt.Errorf("failed to send message: %w", translated(err))
	}
	data, _, err := wire.ParseBytes(reply)
	if err != nil {
		return nil, fmt.Errorf("the reply cannot be read: %w", err)
	}
	return data, nil
}

// Connections lists TCP connections.
func (a *attached) Connections(context.Context) ([]TransportStatus, error) {
	var all []TransportStatus
	for _, l := range a.b.Connections() {
		all = append(all, connectionStatus(l))
	}
	return all, nil
}

func connectionStatus(l node.LinkInfo) TransportStatus {
	s := TransportStatus{
		Mode: Incoming, Socket: l.Socket, Worker: l.Address.String(), Processor: l.Address.String(), Flow: FlowControlID{l.Flow},
	}
	if l.Dialed {
		s.Mode = Outgoing
	}
	return s
}

// Connection tells about a TCP connection.
func (a *attached) Connection(_ context.Context, address string) (TransportStatus, error) {
	l, err := a.b.Connection(address)
	return connectionStatus(l), translated(err)
}

// CreateConnection opens a TCP connection.
func (a *attached) CreateConnection(ctx context.Context, address string) (TransportStatus, error) {
	l, err := a.b.CreateConnection(ctx, address)
	return connectionStatus(l), translated(err)
}

// DeleteConnection closes a TCP connection.
func (a *attached) DeleteConnection(_ context.Context, address string) error {
	return translated(a.b.DeleteConnection(address))
}

// Listeners lists TCP listeners.
func (a *attached) Listeners(context.Context) ([]TransportStatus, error) {
	var all []TransportStatus
	for _, l := range a.b.Listeners() {
		all = append(all, listenerStatus(l))
	}
	return all, nil
}

func listenerStatus(l node.LinkInfo) TransportStatus {
	return TransportStatus{
		Mode: Listen, Socket: l.Socket, Worker: NoWorker, Processor: tunnel.LocalAddress(l.Flow).String(), Flow: FlowControlID{l.Flow},
	}
}

// Listener tells about a TCP listener.
func (a *attached) Listener(_ context.Context, address string) (TransportStatus, error) {
	l, err := a.b.Listener(address)
	return listenerStatus(l), translated(err)
}

// CreateListener listens for other nodes.
func (a *attached) CreateListener(ctx context.Context, address string) (TransportStatus, error) {
	l, err := a.b.CreateListener(ctx, address)
	return listenerStatus(l), translated(err)
}

// DeleteListener ends a TCP listener.
func (a *attached) DeleteListener(_ context.Context, address string) error {
	return translated(a.b.DeleteListener(address))
}

var (
	_ ServiceNode    = (*attached)(nil)
	_ FlowNode       = (*attached)(nil)
	_ WorkerNode     = (*attached)(nil)
	_ MessageNode    = (*attached)(nil)
	_ ConnectionNode = (*attached)(nil)
	_ ListenerNode   = (*attached)(nil)
)
