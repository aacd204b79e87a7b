package control

import (
	"context"

	"ockam/tunnel"
)

// A Node is what a Server controls. What it can do beyond telling its state is
// found by type assertion: it may be a ServiceNode, an InletNode and so on, and
// what it is not is answered with ErrNotSupported.
//
// The methods are called on many goroutines at once. They may take their time;
// ctx ends when the server is closed. Errors wrap ErrNotFound, ErrExists,
// ErrBadRequest or ErrNotSupported where those fit (see Errorf); which status
// that becomes depends on the endpoint. Their text goes to whoever asked. For
// things that are not there, some endpoints have the reference's text instead.
type Node interface {
	Status(ctx context.Context) (NodeStatus, error)
	Resources(ctx context.Context) (NodeResources, error)
}

// A ServiceNode runs small services: kind is "uppercase", "echo" or "hop".
type ServiceNode interface {
	// Services lists what is running, of the kind if it is not empty. The
	// kind is one of ServiceTypes.
	Services(ctx context.Context, kind string) ([]ServiceStatus, error)
	StartService(ctx context.Context, kind, address string) error
}

// A WorkerNode tells which workers it has.
type WorkerNode interface {
	Workers(ctx context.Context) (WorkerList, error)
}

// A FlowNode opens addresses to flow controls.
type FlowNode interface {
	AddConsumer(ctx context.Context, c AddConsumer) error
}

// A MessageNode sends messages along routes and returns the replies. Both are
// sent as BARE data, which the node adds and takes off. What does not get
// through fails in the reference with the text "Failed to send message".
type MessageNode interface {
	SendMessage(ctx context.Context, m SendMessage) (reply []byte, err error)
}

// A ConnectionNode has TCP connections. An address is ip:port or the name of a
// worker.
type ConnectionNode interface {
	Connections(ctx context.Context) ([]TransportStatus, error)
	Connection(ctx context.Context, address string) (TransportStatus, error)
	CreateConnection(ctx context.Context, address string) (TransportStatus, error)
	DeleteConnection(ctx context.Context, address string) error
}

// A ListenerNode has TCP listeners.
type ListenerNode interface {
	Listeners(ctx context.Context) ([]TransportStatus, error)
	Listener(ctx context.Context, address string) (TransportStatus, error)
	CreateListener(ctx context.Context, address string) (TransportStatus, error)
	DeleteListener(ctx context.Context, address string) error
}

// A ChannelNode opens secure channels. They are known by the addresses of their
// encryptors.
type ChannelNode interface {
	// SecureChannels returns addresses as TYPE#NAME.
	SecureChannels(ctx context.Context) ([]string, error)
	SecureChannel(ctx context.Context, address tunnel.Address) (ShowSecureChannelResponse, error)
	CreateSecureChannel(ctx context.Context, c CreateSecureChannel) (CreateSecureChannelResponse, error)
	DeleteSecureChannel(ctx context.Context, address tunnel.Address) (DeleteSecureChannelResponse, error)
}

// A ChannelListenerNode has secure channel listeners.
type ChannelListenerNode interface {
	SecureChannelListeners(ctx context.Context) ([]SecureChannelListener, error)
	SecureChannelListener(ctx context.Context, address tunnel.Address) (SecureChannelListener, error)
	CreateSecureChannelListener(ctx context.Context, c CreateSecureChannelListener) error
	DeleteSecureChannelListener(ctx context.Context, address tunnel.Address) error
}

// An InletNode has TCP inlets. Lists are ordered by alias.
type InletNode interface {
	Inlets(ctx context.Context) ([]InletStatus, error)
	Inlet(ctx context.Context, alias string) (InletStatus, error)
	CreateInlet(ctx context.Context, c CreateInlet) (InletStatus, error)
	DeleteInlet(ctx context.Context, alias string) (InletStatus, error)
}

// An OutletNode has TCP outlets. Lists are ordered by address, which is given
// without its type.
type OutletNode interface {
	Outlets(ctx context.Context) ([]OutletStatus, error)
	Outlet(ctx context.Context, address string) (OutletStatus, error)
	CreateOutlet(ctx context.Context, c CreateOutlet) (OutletStatus, error)
	DeleteOutlet(ctx context.Context, address string) (OutletStatus, error)
}

// A RelayNode has registered names at relays. Lists are ordered by name.
type RelayNode interface {
	Relays(ctx context.Context) ([]RelayInfo, error)
	Relay(ctx context.Context, name string) (RelayInfo, error)
	CreateRelay(ctx context.Context, c CreateRelay) (RelayInfo, error)
	DeleteRelay(ctx context.Context, name string) error
}

// A PolicyNode keeps policies, all for the action
// policy.HandleMessage.
type PolicyNode interface {
	// Policies lists those of a resource or type; all if it is nil.
	Policies(ctx context.Context, r *ResourceTypeOrName) (PoliciesList, error)
	Policy(ctx context.Context, r ResourceTypeOrName) (Policy, error)
	SetPolicy(ctx context.Context, p SetPolicy) error
	// DeletePolicy succeeds also if there is none.
	DeletePolicy(ctx context.Context, r ResourceTypeOrName) error
}

// A KafkaNode has Kafka services. They are deleted by their addresses.
type KafkaNode interface {
	StartKafkaInlet(ctx context.Context, address string, k KafkaInlet) error
	StartKafkaOutlet(ctx context.Context, address string, k KafkaOutlet) error
	DeleteKafkaInlet(ctx context.Context, address string) error
	DeleteKafkaOutlet(ctx context.Context, address string) error
}

// An InfluxDBNode has what goes with InfluxDB.
type InfluxDBNode interface {
	CreateInfluxDBInlet(ctx context.Context, c CreateInfluxDBInlet) (InletStatus, error)
	CreateInfluxDBOutlet(ctx context.Context, c CreateInfluxDBOutlet) (OutletStatus, error)
	StartLeaseIssuer(ctx context.Context, address string, l LeaseIssuer) error
	DeleteLeaseIssuer(ctx context.Context, address string) error
}
