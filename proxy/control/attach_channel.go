package control

import (
	"context"
	"fmt"

	"ockam/proxy/node"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/wire"
)

// SecureChannels lists the channels that were opened.
func (a *attached) SecureChannels(context.Context) ([]string, error) {
	var all []string
	for _, c := range a.b.Channels() {
		all = append(all, c.Address.String())
	}
	return all, nil
}

// SecureChannel tells about a channel.
func (a *attached) SecureChannel(_ context.Context, address tunnel.Address) (ShowSecureChannelResponse, error) {
	c, err := a.b.Channel(address)
	if err != nil {
		return ShowSecureChannelResponse{}, translated(err)
	}
	r := ShowSecureChannelResponse{
		Channel: c.Address.String(), Route: c.Route.String(), Flow: &FlowControlID{c.Flow},
	}
	for _, id := range c.Authorized {
		r.Authorized = append(r.Authorized, id.String())
	}
	return r, nil
}

// CreateSecureChannel opens a channel.
func (a *attached) CreateSecureChannel(ctx context.Context, c CreateSecureChannel) (CreateSecureChannelResponse, error) {
	o := node.ChannelOptions{To: c.To, Authorized: c.Authorized, Identity: c.IdentityName, Credential: c.Credential}
	if c.Timeout != nil {
		o.Timeout = *c.Timeout
	}
	i, err := a.b.CreateChannel(ctx, o)
	if err != nil {
		return CreateSecureChannelResponse{}, translated(err)
	}
	return CreateSecureChannelResponse{Address: i.Address, Flow: FlowControlID{i.Flow}}, nil
}

// DeleteSecureChannel closes a channel.
func (a *attached) DeleteSecureChannel(_ context.Context, address tunnel.Address) (DeleteSecureChannelResponse, error) {
	if err := a.b.DeleteChannel(address); err != nil {
		return DeleteSecureChannelResponse{}, translated(err)
	}
	return DeleteSecureChannelResponse{Channel: address.String()}, nil
}

// SecureChannelListeners lists the channel listeners.
func (a *attached) SecureChannelListeners(context.Context) ([]SecureChannelListener, error) {
	var all []SecureChannelListener
	for _, l := range a.b.ChannelListeners() {
		all = append(all, channelListenerStatus(l))
	}
	return all, nil
}

func channelListenerStatus(l node.ChannelListenerOptions) SecureChannelListener {
	return SecureChannelListener{Address: tunnel.LocalAddress(l.Address), Flow: FlowControlID{l.Flow}}
}

// SecureChannelListener tells about a channel listener.
func (a *attached) SecureChannelListener(_ context.Context, address tunnel.Address) (SecureChannelListener, error) {
	l, err := a.b.ChannelListener(address.Name)
	return channelListenerStatus(l), translated(err)
}

// CreateSecureChannelListener makes a channel listener.
func (a *attached) CreateSecureChannelListener(ctx context.Context, c CreateSecureChannelListener) error {
	if err := local(c.Address); err != nil {
		return err
	}
	return translated(a.b.CreateChannelListener(ctx, node.ChannelListenerOptions{
		Address: c.Address.Name, Authorized: c.Authorized, Identity: c.IdentityName,
	}))
}

// DeleteSecureChannelListener ends a channel listener.
func (a *attached) DeleteSecureChannelListener(_ context.Context, address tunnel.Address) error {
	return translated(a.b.DeleteChannelListener(address.Name))
}

// local refuses addresses that are not of a worker.
func local(a tunnel.Address) error {
	if a.Type != wire.Local || a.Name == "" {
		return fmt.Errorf("%w: %v is no address of a worker", api.ErrBadRequest, a)
	}
	return nil
}

var (
	_ ChannelNode         = (*attached)(nil)
	_ ChannelListenerNode = (*attached)(nil)
)
