package control

import (
	"context"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

// What a Client can be.
var (
	_ Node                = (*Client)(nil)
	_ ServiceNode         = (*Client)(nil)
	_ WorkerNode          = (*Client)(nil)
	_ FlowNode            = (*Client)(nil)
	_ MessageNode         = (*Client)(nil)
	_ ConnectionNode      = (*Client)(nil)
	_ ListenerNode        = (*Client)(nil)
	_ ChannelNode         = (*Client)(nil)
	_ ChannelListenerNode = (*Client)(nil)
	_ InletNode           = (*Client)(nil)
	_ OutletNode          = (*Client)(nil)
	_ RelayNode           = (*Client)(nil)
	_ PolicyNode          = (*Client)(nil)
	_ KafkaNode           = (*Client)(nil)
	_ InfluxDBNode        = (*Client)(nil)
)

// policyPath is the path of requests on policies, all for the only action.
var policyPath = "/policy/" + policy.HandleMessage.String()

// Status asks for the state of the node.
func (c *Client) Status(ctx context.Context) (NodeStatus, error) {
	return ask[NodeStatus](ctx, c, api.MethodGet, "/node", nil)
}

// Resources asks for all that the node has.
func (c *Client) Resources(ctx context.Context) (NodeResources, error) {
	return ask[NodeResources](ctx, c, api.MethodGet, "/node/resources", nil)
}

// Services lists services, of the kind if it is not empty.
func (c *Client) Services(ctx context.Context, kind string) ([]ServiceStatus, error) {
	if kind == "" {
		return askList[ServiceStatus](ctx, c, "/node/services")
	}
	return askList[ServiceStatus](ctx, c, "/node/services/"+kind)
}

// StartService starts a service of the kind at an address.
func (c *Client) StartService(ctx context.Context, kind, address string) error {
	return c.tell(ctx, api.MethodPost, "/node/services/"+kind, &TextAddress{address})
}

// Workers lists the workers.
func (c *Client) Workers(ctx context.Context) (WorkerList, error) {
	return ask[WorkerList](ctx, c, api.MethodGet, "/node/workers", nil)
}

// AddConsumer opens an address to a flow control.
func (c *Client) AddConsumer(ctx context.Context, a AddConsumer) error {
	return c.tell(ctx, api.MethodPost, "/node/flow_controls/add_consumer", &a)
}

// SendMessage has the node send a message and returns the reply.
func (c *Client) SendMessage(ctx context.Context, s SendMessage) (reply []byte, err error) {
	err = c.asking().Call(ctx, api.MethodPost, "v0/message", &s, &api.ByteList{P: &reply})
	return reply, err
}

// Connections lists the TCP connections.
func (c *Client) Connections(ctx context.Context) ([]TransportStatus, error) {
	return askList[TransportStatus](ctx, c, "/node/tcp/connection")
}

// Connection shows a TCP connection.
func (c *Client) Connection(ctx context.Context, address string) (TransportStatus, error) {
	return ask[TransportStatus](ctx, c, api.MethodGet, "/node/tcp/connection/"+address, nil)
}

// CreateConnection makes a TCP connection.
func (c *Client) CreateConnection(ctx context.Context, address string) (TransportStatus, error) {
	return ask[TransportStatus](ctx, c, api.MethodPost, "/node/tcp/connection", &TextAddress{address})
}

// DeleteConnection ends a TCP connection.
func (c *Client) DeleteConnection(ctx context.Context, address string) error {
	return c.tell(ctx, api.MethodDelete, "/node/tcp/connection", &TextAddress{address})
}

// Listeners lists the TCP listeners.
func (c *Client) Listeners(ctx context.Context) ([]TransportStatus, error) {
	return askList[TransportStatus](ctx, c, "/node/tcp/listener")
}

// Listener shows a TCP listener.
func (c *Client) Listener(ctx context.Context, address string) (TransportStatus, error) {
	return ask[TransportStatus](ctx, c, api.MethodGet, "/node/tcp/listener/"+address, nil)
}

// CreateListener makes a TCP listener.
func (c *Client) CreateListener(ctx context.Context, address string) (TransportStatus, error) {
	return ask[TransportStatus](ctx, c, api.MethodPost, "/node/tcp/listener", &TextAddress{address})
}

// DeleteListener ends a TCP listener.
func (c *Client) DeleteListener(ctx context.Context, address string) error {
	return c.tell(ctx, api.MethodDelete, "/node/tcp/listener", &TextAddress{address})
}

// SecureChannels lists the encryptors of the channels, as TYPE#NAME.
func (c *Client) SecureChannels(ctx context.Context) ([]string, error) {
	var out api.TextList
	err := c.asking().Call(ctx, api.MethodGet, "/node/secure_channel", nil, &out)
	return out.List, err
}

// SecureChannel shows the channel with the encryptor at address.
func (c *Client) SecureChannel(ctx context.Context, address tunnel.Address) (ShowSecureChannelResponse, error) {
	return ask[ShowSecureChannelResponse](ctx, c, api.MethodGet, "/node/show_secure_channel", &WorkerAddress{address})
}

// CreateSecureChannel opens a channel.
func (c *Client) CreateSecureChannel(ctx context.Context, s CreateSecureChannel) (CreateSecureChannelResponse, error) {
	return ask[CreateSecureChannelResponse](ctx, c, api.MethodPost, "/node/secure_channel", &s)
}

// DeleteSecureChannel ends the channel with the encryptor at address.
func (c *Client) DeleteSecureChannel(ctx context.Context, address tunnel.Address) (DeleteSecureChannelResponse, error) {
	return ask[DeleteSecureChannelResponse](ctx, c, api.MethodDelete, "/node/secure_channel", &WorkerAddress{address})
}

// SecureChannelListeners lists the channel listeners.
func (c *Client) SecureChannelListeners(ctx context.Context) ([]SecureChannelListener, error) {
	return askList[SecureChannelListener](ctx, c, "/node/secure_channel_listener")
}

// SecureChannelListener shows a channel listener.
func (c *Client) SecureChannelListener(ctx context.Context, address tunnel.Address) (SecureChannelListener, error) {
	return ask[SecureChannelListener](ctx, c, api.MethodGet, "/node/show_secure_channel_listener", &WorkerAddress{address})
}

// CreateSecureChannelListener makes a channel listener.
func (c *Client) CreateSecureChannelListener(ctx context.Context, s CreateSecureChannelListener) error {
	return c.tell(ctx, api.MethodPost, "/node/secure_channel_listener", &s)
}

// DeleteSecureChannelListener ends a channel listener.
func (c *Client) DeleteSecureChannelListener(ctx context.Context, address tunnel.Address) error {
	_, err := ask[WorkerAddress](ctx, c, api.MethodDelete, "/node/secure_channel_listener", &WorkerAddress{address})
	return err
}

// Inlets lists the inlets.
func (c *Client) Inlets(ctx context.Context) ([]InletStatus, error) {
	return askList[InletStatus](ctx, c, "/node/inlet")
}

// Inlet shows the inlet with that alias.
func (c *Client) Inlet(ctx context.Context, alias string) (InletStatus, error) {
	return ask[InletStatus](ctx, c, api.MethodGet, "/node/inlet/"+alias, nil)
}

// CreateInlet makes an inlet.
func (c *Client) CreateInlet(ctx context.Context, s CreateInlet) (InletStatus, error) {
	return ask[InletStatus](ctx, c, api.MethodPost, "/node/inlet", &s)
}

// DeleteInlet ends the inlet with that alias.
func (c *Client) DeleteInlet(ctx context.Context, alias string) (InletStatus, error) {
	return ask[InletStatus](ctx, c, api.MethodDelete, "/node/inlet/"+alias, nil)
}

// Outlets lists the outlets.
func (c *Client) Outlets(ctx context.Context) ([]OutletStatus, error) {
	return askList[OutletStatus](ctx, c, "/node/outlet")
}

// Outlet shows the outlet with that address.
func (c *Client) Outlet(ctx context.Context, address string) (OutletStatus, error) {
	return ask[OutletStatus](ctx, c, api.MethodGet, "/node/outlet/"+address, nil)
}

// CreateOutlet makes an outlet.
func (c *Client) CreateOutlet(ctx context.Context, s CreateOutlet) (OutletStatus, error) {
	return ask[OutletStatus](ctx, c, api.MethodPost, "/node/outlet", &s)
}

// DeleteOutlet ends the outlet with that address.
func (c *Client) DeleteOutlet(ctx context.Context, address string) (OutletStatus, error) {
	return ask[OutletStatus](ctx, c, api.MethodDelete, "/node/outlet/"+address, nil)
}

// Relays lists the relays.
func (c *Client) Relays(ctx context.Context) ([]RelayInfo, error) {
	return askList[RelayInfo](ctx, c, "/node/relay")
}

// Relay shows the relay with that name.
func (c *Client) Relay(ctx context.Context, name string) (RelayInfo, error) {
	return ask[RelayInfo](ctx, c, api.MethodGet, "/node/relay/"+name, nil)
}

// CreateRelay makes a relay.
func (c *Client) CreateRelay(ctx context.Context, s CreateRelay) (RelayInfo, error) {
	return ask[RelayInfo](ctx, c, api.MethodPost, "/node/relay", &s)
}

// DeleteRelay ends the relay with that name.
func (c *Client) DeleteRelay(ctx context.Context, name string) error {
	return c.tell(ctx, api.MethodDelete, "/node/relay/"+name, nil)
}

// Policies lists the policies of a resource or type; all if r is nil.
func (c *Client) Policies(ctx context.Context, r *ResourceTypeOrName) (PoliciesList, error) {
	return ask[PoliciesList](ctx, c, api.MethodGet, "/policy", &optResource{r})
}

// Policy shows the policy of a resource or type.
func (c *Client) Policy(ctx context.Context, r ResourceTypeOrName) (Policy, error) {
	return ask[Policy](ctx, c, api.MethodGet, policyPath, &r)
}

// SetPolicy sets the policy of a resource or type.
func (c *Client) SetPolicy(ctx context.Context, s SetPolicy) error {
	return c.tell(ctx, api.MethodPost, policyPath, &s)
}

// DeletePolicy removes the policy of a resource or type.
func (c *Client) DeletePolicy(ctx context.Context, r ResourceTypeOrName) error {
	return c.tell(ctx, api.MethodDelete, policyPath, &r)
}

// StartKafkaInlet starts a Kafka inlet.
func (c *Client) StartKafkaInlet(ctx context.Context, address string, s KafkaInlet) error {
	return c.tell(ctx, api.MethodPost, "/node/services/kafka_inlet", &StartService[KafkaInlet, *KafkaInlet]{address, s})
}

// DeleteKafkaInlet ends a Kafka inlet.
func (c *Client) DeleteKafkaInlet(ctx context.Context, address string) error {
	return c.tell(ctx, api.MethodDelete, "/node/services/kafka_inlet", &TextAddress{address})
}

// StartKafkaOutlet starts a Kafka outlet.
func (c *Client) StartKafkaOutlet(ctx context.Context, address string, s KafkaOutlet) error {
	return c.tell(ctx, api.MethodPost, "/node/services/kafka_outlet", &StartService[KafkaOutlet, *KafkaOutlet]{address, s})
}

// DeleteKafkaOutlet ends a Kafka outlet.
func (c *Client) DeleteKafkaOutlet(ctx context.Context, address string) error {
	return c.tell(ctx, api.MethodDelete, "/node/services/kafka_outlet", &TextAddress{address})
}

// StartLeaseIssuer starts a lease issuer.
func (c *Client) StartLeaseIssuer(ctx context.Context, address string, s LeaseIssuer) error {
	return c.tell(ctx, api.MethodPost, "/node/services/lease_manager", &StartService[LeaseIssuer, *LeaseIssuer]{address, s})
}

// DeleteLeaseIssuer ends a lease issuer.
func (c *Client) DeleteLeaseIssuer(ctx context.Context, address string) error {
	return c.tell(ctx, api.MethodDelete, "/node/services/lease_manager", &TextAddress{address})
}

// CreateInfluxDBInlet makes an inlet for InfluxDB.
func (c *Client) CreateInfluxDBInlet(ctx context.Context, s CreateInfluxDBInlet) (InletStatus, error) {
	return ask[InletStatus](ctx, c, api.MethodPost, "/node/influxdb_inlet", &s)
}

// CreateInfluxDBOutlet makes an outlet for InfluxDB.
func (c *Client) CreateInfluxDBOutlet(ctx context.Context, s CreateInfluxDBOutlet) (OutletStatus, error) {
	return ask[OutletStatus](ctx, c, api.MethodPost, "/node/influxdb_outlet", &s)
}
