package control

import (
	"context"
	"slices"
	"strings"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

// A serveFunc reads the body of a request, calls a method of the node and
// returns the body of the answer, nil for none. arg is the variable segment of
// the path.
type serveFunc func(ctx context.Context, n Node, arg string, body []byte) (Body, error)

// An endpoint is a method and path that the server answers.
type endpoint struct {
	method Method
	// path has no leading slash; the segment "*" stands for any that is not
	// empty.
	path  string
	serve serveFunc
	// failed and missing are the statuses of errors in general and of
	// ErrNotFound; 0: StatusInternalError and StatusNotFound.
	failed, missing Status
	// notFound is the text for ErrNotFound, with the path's variable segment;
	// "": that of the error.
	notFound string
	named    bool // error bodies have path and method, as some of the reference's
}

const bad = api.StatusBadRequest

// endpoints is Node API's table in docs/protocol.md, in the same order.
var endpoints = []endpoint{
	{method: api.MethodGet, path: "node", serve: get(Node.Status)},
	{method: api.MethodGet, path: "node/resources", serve: get(Node.Resources)},
	{method: api.MethodGet, path: "node/services", serve: getList(allServices)},
	{method: api.MethodGet, path: "node/services/*", serve: services},
	{method: api.MethodPost, path: "node/services/uppercase", serve: do(start("uppercase"))},
	{method: api.MethodPost, path: "node/services/echo", serve: do(start("echo"))},
	{method: api.MethodPost, path: "node/services/hop", serve: do(start("hop"))},
	{method: api.MethodPost, path: "node/services/kafka_inlet", serve: then(unitBody, startAt(KafkaNode.StartKafkaInlet))},
	{method: api.MethodPost, path: "node/services/kafka_outlet", serve: then(unitBody, startAt(KafkaNode.StartKafkaOutlet))},
	{method: api.MethodDelete, path: "node/services/kafka_inlet", serve: do(byText(KafkaNode.DeleteKafkaInlet))},
	{method: api.MethodDelete, path: "node/services/kafka_outlet", serve: do(byText(KafkaNode.DeleteKafkaOutlet))},
	{method: api.MethodPost, path: "node/services/lease_manager", serve: startAt(InfluxDBNode.StartLeaseIssuer)},
	{method: api.MethodDelete, path: "node/services/lease_manager", serve: do(byText(InfluxDBNode.DeleteLeaseIssuer))},

	{method: api.MethodGet, path: "node/tcp/connection", serve: getList(ConnectionNode.Connections)},
	{
		method: api.MethodGet, path: "node/tcp/connection/*", serve: getOne(ConnectionNode.Connection),
		notFound: "Connection %s was not found in the registry.",
	},
	{method: api.MethodPost, path: "node/tcp/connection", serve: post(makeByText(ConnectionNode.CreateConnection)), failed: bad},
	{
		method: api.MethodDelete, path: "node/tcp/connection", failed: bad, missing: bad,
		serve: then(unitBody, do(byTextOr("Connection %s was not found in the registry.", ConnectionNode.DeleteConnection))),
	},
	{method: api.MethodGet, path: "node/tcp/listener", serve: getList(ListenerNode.Listeners)},
	{
		method: api.MethodGet, path: "node/tcp/listener/*", serve: getOne(ListenerNode.Listener), missing: bad,
		notFound: "Listener %s was not found in the registry.",
	},
	{method: api.MethodPost, path: "node/tcp/listener", serve: post(makeByText(ListenerNode.CreateListener)), failed: bad},
	{
		method: api.MethodDelete, path: "node/tcp/listener", failed: bad, missing: bad,
		serve: then(unitBody, do(byTextOr("Listener %s was not found in the registry.", ListenerNode.DeleteListener))),
	},

	{method: api.MethodGet, path: "node/secure_channel", serve: getTexts(ChannelNode.SecureChannels)},
	{method: api.MethodPost, path: "node/secure_channel", serve: post(ChannelNode.CreateSecureChannel)},
	{method: api.MethodDelete, path: "node/secure_channel", serve: post(byWorker(ChannelNode.DeleteSecureChannel))},
	{method: api.MethodGet, path: "node/show_secure_channel", serve: post(byWorker(ChannelNode.SecureChannel))},
	{method: api.MethodGet, path: "node/secure_channel_listener", serve: getList(ChannelListenerNode.SecureChannelListeners)},
	{method: api.MethodPost, path: "node/secure_channel_listener", serve: do(ChannelListenerNode.CreateSecureChannelListener)},
	{method: api.MethodDelete, path: "node/secure_channel_listener", serve: post(deleteChannelListener)},
	{
		method: api.MethodGet, path: "node/show_secure_channel_listener",
		serve: post(byWorker(ChannelListenerNode.SecureChannelListener)),
	},

	{method: api.MethodGet, path: "node/inlet", serve: getList(InletNode.Inlets)},
	{method: api.MethodGet, path: "node/inlet/*", serve: getOne(InletNode.Inlet)},
	{method: api.MethodPost, path: "node/inlet", serve: post(InletNode.CreateInlet), failed: bad, missing: bad},
	{method: api.MethodDelete, path: "node/inlet/*", serve: getOne(InletNode.DeleteInlet), failed: bad, missing: bad},
	{method: api.MethodGet, path: "node/outlet", serve: getList(OutletNode.Outlets)},
	{method: api.MethodGet, path: "node/outlet/*", serve: getOne(OutletNode.Outlet)},
	{method: api.MethodPost, path: "node/outlet", serve: post(OutletNode.CreateOutlet), failed: bad, missing: bad},
	{
		method: api.MethodDelete, path: "node/outlet/*", serve: getOne(OutletNode.DeleteOutlet), failed: bad, missing: bad,
		notFound: "Outlet with address 0#%s not found",
	},
	{method: api.MethodGet, path: "node/relay", serve: getList(RelayNode.Relays)},
	{
		method: api.MethodGet, path: "node/relay/*", serve: getOne(RelayNode.Relay), named: true,
		notFound: "Relay with alias %s not found.",
	},
	{method: api.MethodPost, path: "node/relay", serve: post(RelayNode.CreateRelay), named: true},
	{
		method: api.MethodDelete, path: "node/relay/*", serve: then(unitBody, doOne(RelayNode.DeleteRelay)), named: true,
		notFound: "Relay with address %s not found.",
	},
	{method: api.MethodPost, path: "node/influxdb_inlet", serve: post(InfluxDBNode.CreateInfluxDBInlet), failed: bad, missing: bad},
	{method: api.MethodPost, path: "node/influxdb_outlet", serve: post(InfluxDBNode.CreateInfluxDBOutlet), failed: bad, missing: bad},

	{method: api.MethodPost, path: "node/flow_controls/add_consumer", serve: do(FlowNode.AddConsumer)},
	{method: api.MethodGet, path: "node/workers", serve: get(WorkerNode.Workers)},
	{method: api.MethodPost, path: "policy/*", serve: forAction(do(PolicyNode.SetPolicy))},
	{method: api.MethodGet, path: "policy/*", serve: forAction(post(showPolicy))},
	{method: api.MethodGet, path: "policy", serve: post(listPolicies)},
	{method: api.MethodDelete, path: "policy/*", serve: forAction(do(PolicyNode.DeletePolicy))},
	{method: api.MethodGet, path: "explain/policy/*", serve: forAction(post(ExplainingNode.ExplainPolicy))},
	{method: api.MethodPost, path: "v0/message", serve: post(sendMessage)},
}

// maxSegments is into how many segments a path is split at most.
const maxSegments = 5

// findEndpoint returns the endpoint of a method and path, and the variable
// segment of the path. Slashes in front do not count; one at the end makes
// another path.
func findEndpoint(m Method, path string) (e endpoint, arg string, ok bool) {
	segments := strings.SplitN(strings.TrimLeft(path, "/"), "/", maxSegments)
	for _, e := range endpoints {
		if e.method == m {
			if arg, ok := matchPath(e.path, segments); ok {
				return e, arg, true
			}
		}
	}
	return endpoint{}, "", false
}

func matchPath(pattern string, segments []string) (arg string, ok bool) {
	for i, s := range segments {
		p, rest, more := strings.Cut(pattern, "/")
		switch {
		case p == "*" && s != "":
			arg = s
		case p != s:
			return "", false
		}
		if last := i == len(segments)-1; last || !more {
			return arg, last && !more
		}
		pattern = rest
	}
	return "", false
}

// ServiceTypes are the kinds of services that one may ask for.
var ServiceTypes = []string{
	"outlet", "forwarding_service", "static_forwarding_service", "uppercase", "echo", "hop", "api",
	"key_exchanger", "direct_authenticator", "credential_issuer", "enrollment_token_issuer",
	"enrollment_token_acceptor", "okta", "kafka_inlet", "kafka_outlet", "lease_manager",
}

func services(ctx context.Context, n Node, kind string, _ []byte) (Body, error) {
	if !slices.Contains(ServiceTypes, kind) {
		return nil, &Error{Status: api.StatusBadRequest, Message: "the service " + clip(kind) + " is not a valid service"}
	}
	return getList(func(n ServiceNode, ctx context.Context) ([]ServiceStatus, error) {
		return n.Services(ctx, kind)
	})(ctx, n, "", nil)
}

func allServices(n ServiceNode, ctx context.Context) ([]ServiceStatus, error) {
	return n.Services(ctx, "")
}

func start(kind string) func(ServiceNode, context.Context, TextAddress) error {
	return func(n ServiceNode, ctx context.Context, a TextAddress) error {
		return n.StartService(ctx, kind, a.Address)
	}
}

func deleteChannelListener(n ChannelListenerNode, ctx context.Context, a WorkerAddress) (WorkerAddress, error) {
	return a, n.DeleteSecureChannelListener(ctx, a.Address)
}

// forAction serves the only action there is.
func forAction(serve serveFunc) serveFunc {
	return func(ctx context.Context, n Node, arg string, body []byte) (Body, error) {
		if arg != policy.HandleMessage.String() {
			return nil, &Error{Status: api.StatusInternalError, Message: "invalid action: " + clip(arg)}
		}
		return serve(ctx, n, arg, body)
	}
}

func showPolicy(n PolicyNode, ctx context.Context, r ResourceTypeOrName) (Policy, error) {
	p, err := n.Policy(ctx, r)
	return p, missing(err, "No policy found for resource '%s' and action 'handle_message'", r.String())
}

func listPolicies(n PolicyNode, ctx context.Context, r optResource) (PoliciesList, error) {
	return n.Policies(ctx, r.resource)
}

func sendMessage(n MessageNode, ctx context.Context, m SendMessage) (api.ByteList, error) {
	reply, err := n.SendMessage(ctx, m)
	return api.ByteList{P: &reply}, err
}

func byWorker[N, T any](f func(N, context.Context, tunnel.Address) (T, error)) func(N, context.Context, WorkerAddress) (T, error) {
	return func(n N, ctx context.Context, a WorkerAddress) (T, error) { return f(n, ctx, a.Address) }
}

func byText[N any](f func(N, context.Context, string) error) func(N, context.Context, TextAddress) error {
	return func(n N, ctx context.Context, a TextAddress) error { return f(n, ctx, a.Address) }
}

// byTextOr is byText with the text for ErrNotFound.
func byTextOr[N any](text string, f func(N, context.Context, string) error) func(N, context.Context, TextAddress) error {
	return func(n N, ctx context.Context, a TextAddress) error {
		return missing(f(n, ctx, a.Address), text, a.Address)
	}
}

func makeByText[N, T any](f func(N, context.Context, string) (T, error)) func(N, context.Context, TextAddress) (T, error) {
	return func(n N, ctx context.Context, a TextAddress) (T, error) { return f(n, ctx, a.Address) }
}
