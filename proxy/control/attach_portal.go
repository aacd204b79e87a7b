package control

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"ockam/proxy/node"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

// join is the text of a host name or IP address with a port.
func (v *HostnamePort) join() string { return net.JoinHostPort(v.Host, strconv.Itoa(int(v.Port))) }

// given returns the policy in a request, nil if there is none.
func given(p *PolicyExpression) (*policy.Expr, error) {
	if p == nil {
		return nil, nil
	}
	e, err := p.Policy()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrBadRequest, err)
	}
	return &e, nil
}

// Inlets lists the inlets.
func (a *attached) Inlets(context.Context) ([]InletStatus, error) {
	var all []InletStatus
	for _, i := range a.b.Inlets() {
		all = append(all, inletStatus(i))
	}
	return all, nil
}

func inletStatus(i node.InletInfo) InletStatus {
	s := InletStatus{Bind: i.Bind, Worker: i.Worker, Alias: i.Alias, OutletAddress: i.To.String()}
	if i.Up {
		s.Status, s.OutletRoute = Up, i.Route.String()
	}
	return s
}

// Inlet tells about an inlet.
func (a *attached) Inlet(_ context.Context, alias string) (InletStatus, error) {
	i, err := a.b.Inlet(alias)
	return inletStatus(i), translated(err)
}

// inletWait is how long the creation of an inlet waits for its outlet if the
// request does not say.
const inletWait = 5 * time.Second

// CreateInlet makes an inlet.
func (a *attached) CreateInlet(ctx context.Context, c CreateInlet) (InletStatus, error) {
	expr, err := given(c.Policy)
	if err != nil {
		return InletStatus{}, err
	}
	o := node.InletOptions{
		Alias: c.Alias, From: c.Listen.join(), To: c.Outlet, Authorized: c.Authorized, Channel: c.ChannelIdentifier, Policy: expr,
		UDP: c.UDPPuncture, UDPOnly: c.UDPPuncture && c.DisableTCPFallback, Certificates: c.CertificateProvider,
	} // EBPF is about how packets are moved, which is the node's own business
	if c.WaitForConnection {
		if o.Wait = inletWait; c.Wait != nil {
			o.Wait = *c.Wait
		}
	}
	i, err := a.b.CreateInlet(ctx, o)
	return inletStatus(i), translated(err)
}

// DeleteInlet ends an inlet.
func (a *attached) DeleteInlet(_ context.Context, alias string) (InletStatus, error) {
	i, err := a.b.DeleteInlet(alias)
	return inletStatus(i), translated(err)
}

// Outlets lists the outlets.
func (a *attached) Outlets(context.Context) ([]OutletStatus, error) {
	var all []OutletStatus
	for _, o := range a.b.Outlets() {
		all = append(all, outletStatus(o))
	}
	return all, nil
}

func outletStatus(o node.OutletOptions) OutletStatus {
	s := OutletStatus{Address: tunnel.LocalAddress(o.Address)}
	s.Target.Host, s.Target.Port, _ = splitHostPort(o.To) // it was made of both
	return s
}

// Outlet tells about an outlet.
func (a *attached) Outlet(_ context.Context, address string) (OutletStatus, error) {
	o, err := a.b.Outlet(address)
	return outletStatus(o), translated(err)
}

// CreateOutlet makes an outlet.
func (a *attached) CreateOutlet(ctx context.Context, c CreateOutlet) (OutletStatus, error) {
	expr, err := given(c.Policy)
	if err != nil {
		return OutletStatus{}, err
	}
	if c.Address != (tunnel.Address{}) {
		if err := local(c.Address); err != nil {
			return OutletStatus{}, err
		}
	}
	o, err := a.b.CreateOutlet(ctx, node.OutletOptions{
		Address: c.Address.Name, To: c.Target.join(), TLS: c.TLS, Outside: !c.Reachable, Policy: expr,
	})
	return outletStatus(o), translated(err)
}

// DeleteOutlet ends an outlet.
func (a *attached) DeleteOutlet(_ context.Context, address string) (OutletStatus, error) {
	o, err := a.b.DeleteOutlet(address)
	return outletStatus(o), translated(err)
}

// Relays lists the registrations at relays.
func (a *attached) Relays(context.Context) ([]RelayInfo, error) {
	var all []RelayInfo
	for _, r := range a.b.Relays() {
		all = append(all, relayInfo(r))
	}
	return all, nil
}

func relayInfo(r node.RelayInfo) RelayInfo {
	i := RelayInfo{Destination: r.At, Name: r.Name, LastFailure: r.Failure}
	if r.Up {
		i.Status, i.Flow = Up, &FlowControlID{r.Flow}
		i.ForwardingRoute, i.RemoteAddress, i.WorkerAddress = r.Route.String(), r.Remote, r.Worker.String()
	}
	return i
}

// Relay tells about a registration.
func (a *attached) Relay(_ context.Context, name string) (RelayInfo, error) {
	r, err := a.b.Relay(name)
	return relayInfo(r), translated(err)
}

// CreateRelay registers the node at a relay.
func (a *attached) CreateRelay(ctx context.Context, c CreateRelay) (RelayInfo, error) {
	r, err := a.b.CreateRelay(ctx, node.RelayOptions{
		Name: c.Name, At: c.At, Authorized: c.Authorized, Address: c.Address, Wait: c.Return == AfterConnection,
	})
	return relayInfo(r), translated(err)
}

// DeleteRelay ends a registration.
func (a *attached) DeleteRelay(_ context.Context, name string) error {
	return translated(a.b.DeleteRelay(name))
}

var (
	_ InletNode  = (*attached)(nil)
	_ OutletNode = (*attached)(nil)
	_ RelayNode  = (*attached)(nil)
)
