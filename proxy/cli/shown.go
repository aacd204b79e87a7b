package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"

	"ockam/proxy/control"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/service"
)

// An object is a JSON object; its keys are sorted when it is printed.
type object = map[string]any

// orNull returns nil for the empty text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// shownNode returns what node show prints (Ockam protocol, command line, JSON
// shapes). A node that does not run has nothing.
func (s *store) shownNode(ctx context.Context, rec *state.Node) (object, error) {
	if rec.Running() && !rec.Authority {
		var shown object
		err := s.connect(ctx, rec, func(ctx context.Context, n *remote) error {
			r, err := n.Resources(ctx)
			shown = shownResources(r)
			return err
		})
		if err == nil {
			return shown, nil
		}
		if _, unreachable := errors.AsType[*passingError](err); !unreachable {
			return nil, err
		}
	}
	return shownRecord(rec), nil
}

// shownRecord is what there is to say about a node that does not answer: it was
// stopped, or its listener deleted.
func shownRecord(rec *state.Node) object {
	route := object{"short": "/node/" + rec.Name}
	if _, port, err := net.SplitHostPort(rec.ListenerAddress); err == nil {
		route["verbose"] = "/dnsaddr/localhost/tcp/" + port
	}
	shown := object{
		"http_server_address": nil, "identity_name": rec.Identity, "inlets": []any{},
		"is_default": rec.Default, "name": rec.Name, "outlets": []any{},
		"route": route, "secure_channel_listeners": []any{}, "services": []any{},
		"status": "stopped", "transports": []any{},
	}
	if rec.Running() {
		shown["status"], shown["pid"] = "running", rec.Process.PID
		shown["http_server_address"] = orNull(rec.HTTPAddress)
	}
	return shown
}

func shownResources(r control.NodeResources) object {
	route := object{"short": r.Route.Short.String()}
	if r.Route.Verbose != nil {
		route["verbose"] = r.Route.Verbose.String()
	}
	shown := object{
		"http_server_address": nil, "identity_name": r.IdentityName, "is_default": r.IsDefault, "name": r.Name,
		"route": route, "status": "stopped", "services": shownServices(r.Services),
	}
	switch r.Process.State {
	case control.Running:
		shown["status"], shown["pid"] = "running", r.Process.PID
	case control.Zombie:
		shown["status"] = "zombie"
	case control.Stopped:
	}
	if r.HTTPServer != nil {
		shown["http_server_address"] = net.JoinHostPort(r.HTTPServer.Host, strconv.Itoa(int(r.HTTPServer.Port)))
	}
	inlets, outlets, transports, listeners := []any{}, []any{}, []any{}, []any{}
	for _, e := range r.Inlets {
		inlets = append(inlets, shownInlet(e))
	}
	for _, e := range r.Outlets {
		outlets = append(outlets, shownOutlet(e))
	}
	for _, e := range r.Transports {
		transports = append(transports, shownTransport(e))
	}
	for _, e := range r.ChannelListeners {
		listeners = append(listeners, object{
			"address": shownAddress(e.Address), "flow_control_id": e.Flow.ID, "is_key_exchange_only": e.KeyExchangeOnly,
		})
	}
	shown["inlets"], shown["outlets"], shown["transports"], shown["secure_channel_listeners"] = inlets, outlets, transports, listeners
	return shown
}

// nodeText is what node show prints for people.
func nodeText(shown object) string {
	status := "DOWN"
	if shown["status"] == "running" {
		status = fmt.Sprintf("UP, process %v", shown["pid"])
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(markText + fmt.Sprintf(format, args...) + "\n") }
	line("Node %v", shown["name"])
	line("  Status: %s", status)
	route, _ := shown["route"].(object)
	for _, key := range []string{"short", "verbose"} {
		if route[key] != nil {
			line("  Route: %v", route[key])
		}
	}
	line("  Identity: %v", shown["identity_name"])
	if shown["http_server_address"] != nil {
		line("  HTTP server: http://%v", shown["http_server_address"])
	}
	for _, part := range []struct {
		title, key string
		name       func(object) string
	}{
		{"Transports", "transports", func(o object) string { return fmt.Sprintf("%v %v", o["mode"], o["socket_addr"]) }},
		{"Secure channel listeners", "secure_channel_listeners", func(o object) string {
			a, _ := o["address"].(object)
			inner, _ := a["inner"].([]int)
			return "/service/" + bytesText(inner)
		}},
		{"Inlets", "inlets", func(o object) string {
			return fmt.Sprintf("%v at %v to %v", o["alias"], o["bind_addr"], o["outlet_addr"])
		}},
		{"Outlets", "outlets", func(o object) string {
			a, _ := o["worker_addr"].(object)
			inner, _ := a["inner"].([]int)
			return fmt.Sprintf("/service/%s to %v", bytesText(inner), o["to"])
		}},
		{"Services", "services", func(o object) string { return fmt.Sprintf("%v at /service/%v", o["type"], o["addr"]) }},
	} {
		all, _ := shown[part.key].([]any)
		line("  %s: %d", part.title, len(all))
		for _, e := range all {
			o, _ := e.(object)
			line("    %s", part.name(o))
		}
	}
	return b.String()
}

func bytesText(inner []int) string {
	var b strings.Builder
	for _, n := range inner {
		b.WriteByte(byte(n))
	}
	return b.String()
}

func shownAddress(a tunnel.Address) object {
	inner := []int{}
	for _, b := range []byte(a.Name) {
		inner = append(inner, int(b))
	}
	return object{"inner": inner, "tt": a.Type}
}

// servicesFirst is the order that scripts know of the services of every node.
var servicesFirst = map[string]int{service.UppercaseName: -2, service.EchoName: -1}

func shownServices(all []control.ServiceStatus) []any {
	items := []any{}
	sort.SliceStable(all, func(i, j int) bool { return servicesFirst[all[i].Type] < servicesFirst[all[j].Type] })
	for _, e := range all {
		items = append(items, object{"addr": e.Address, "type": e.Type})
	}
	return items
}

func shownTransport(t control.TransportStatus) object {
	mode := map[control.TransportMode]string{control.Listen: "Listen", control.Incoming: "Incoming", control.Outgoing: "Outgoing"}
	kind := map[control.TransportType]string{control.TCP: "Tcp", control.Bluetooth: "Ble", control.WebSocket: "WebSocket"}
	return object{
		"flow_control_id": t.Flow.ID, "mode": mode[t.Mode], "processor_address": t.Processor,
		"socket_addr": t.Socket, "type": kind[t.Type], "worker_addr": t.Worker,
	}
}

func shownStatus(s control.ConnectionStatus) string {
	if s == control.Up {
		return "Up"
	}
	return "Down"
}

func shownInlet(i control.InletStatus) object {
	worker := i.Worker
	if i.Status != control.Up {
		worker = "" // it takes no messages yet
	}
	return object{
		"alias": i.Alias, "bind_addr": i.Bind, "outlet_addr": i.OutletAddress, "outlet_route": orNull(i.OutletRoute),
		"payload": orNull(i.Payload), "status": shownStatus(i.Status), "worker_addr": orNull(worker),
	}
}

func hostPort(h control.HostnamePort) string {
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
}

func shownOutlet(o control.OutletStatus) object {
	return object{"payload": orNull(o.Payload), "to": hostPort(o.Target), "worker_addr": shownAddress(o.Address)}
}

func shownRelay(r control.RelayInfo) object {
	var flow any
	if r.Flow != nil {
		flow = r.Flow.ID
	}
	return object{
		"connection_status": shownStatus(r.Status), "destination_address": r.Destination.String(),
		"flow_control_id": flow, "forwarding_route": orNull(r.ForwardingRoute), "last_failure": orNull(r.LastFailure),
		"name": r.Name, "remote_address": orNull(r.RemoteAddress), "worker_address": orNull(r.WorkerAddress),
	}
}

// bare returns an address TYPE#NAME without its type.
func bare(address string) string {
	if _, name, ok := strings.Cut(address, "#"); ok {
		return name
	}
	return address
}

// parseHostPort reads host:port, [ipv6]:port or a port of this machine.
func parseHostPort(s string) (control.HostnamePort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil && !strings.Contains(s, ":") {
		host, port, err = "127.0.0.1", s, nil
	}
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || host == "" {
		return control.HostnamePort{}, fmt.Errorf("%q is not host:port", s)
	}
	return control.HostnamePort{Host: host, Port: uint16(n)}, nil
}

// hostPortValue is the value of an option that takes host:port or a port.
type hostPortValue struct{ control.HostnamePort }

// Set reads either form.
func (v *hostPortValue) Set(s string) (err error) {
	v.HostnamePort, err = parseHostPort(s)
	return err
}

// String returns host:port.
func (v *hostPortValue) String() string {
	if v.Host == "" {
		return ""
	}
	return hostPort(v.HostnamePort)
}

// Type returns what the help calls the value.
func (v *hostPortValue) Type() string { return "address" }

// sorted returns the keys of what has names, in order.
func sorted[T any](all []T, name func(T) string) []T {
	sort.SliceStable(all, func(i, j int) bool { return name(all[i]) < name(all[j]) })
	return all
}
