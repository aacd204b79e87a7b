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
func (s *store) shownNode(ctx context.Context, rec *state.Node) (control.ShownNode, error) {
	if rec.Running() && !rec.Authority {
		var shown control.ShownNode
		err := s.connect(ctx, rec, func(ctx context.Context, n *remote) error {
			r, err := n.Resources(ctx)
			shown = r.Shown()
			return err
		})
		if err == nil {
			return shown, nil
		}
		if _, unreachable := errors.AsType[*passingError](err); !unreachable {
			return shown, err
		}
	}
	return shownRecord(rec), nil
}

// shownRecord is what there is to say about a node that does not answer: it was
// stopped, or its listener deleted.
func shownRecord(rec *state.Node) control.ShownNode {
	shown := control.ShownNode{
		Name: rec.Name, Identity: rec.Identity, Default: rec.Default, Status: "stopped",
		Route:      control.ShownRoute{Short: "/node/" + rec.Name},
		Transports: []control.ShownTransport{}, Listeners: []control.ShownListener{},
		Inlets: []control.ShownInlet{}, Outlets: []control.ShownOutlet{}, Services: []control.ShownService{},
	}
	if _, port, err := net.SplitHostPort(rec.ListenerAddress); err == nil {
		shown.Route.Verbose = "/dnsaddr/localhost/tcp/" + port
	}
	if rec.Running() {
		shown.Status, shown.PID = "running", uint32(rec.Process.PID)
		if rec.HTTPAddress != "" {
			shown.HTTP = &rec.HTTPAddress
		}
	}
	return shown
}

// nodeText is what node show prints for people.
func nodeText(n control.ShownNode) string {
	status := "DOWN"
	if n.Status == "running" {
		status = fmt.Sprintf("UP, process %d", n.PID)
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(markText + fmt.Sprintf(format, args...) + "\n") }
	line("Node %s", n.Name)
	line("  Status: %s", status)
	line("  Route: %s", n.Route.Short)
	if n.Route.Verbose != "" {
		line("  Route: %s", n.Route.Verbose)
	}
	line("  Identity: %s", n.Identity)
	if n.HTTP != nil {
		line("  HTTP server: http://%s", *n.HTTP)
	}
	line("  Transports: %d", len(n.Transports))
	for _, t := range n.Transports {
		line("    %s %s", t.Mode, t.Socket)
	}
	line("  Secure channel listeners: %d", len(n.Listeners))
	for _, l := range n.Listeners {
		line("    %v", l.Address)
	}
	line("  Inlets: %d", len(n.Inlets))
	for _, i := range n.Inlets {
		line("    %s at %s to %s", i.Alias, i.Bind, i.Outlet)
	}
	line("  Outlets: %d", len(n.Outlets))
	for _, o := range n.Outlets {
		line("    %v to %s", o.Worker, o.To)
	}
	line("  Services: %d", len(n.Services))
	for _, s := range n.Services {
		line("    %s at /service/%s", s.Type, s.Address)
	}
	return b.String()
}

func hostPort(h control.HostnamePort) string {
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
}

func shownRelay(r control.RelayInfo) object {
	var flow any
	if r.Flow != nil {
		flow = r.Flow.ID
	}
	return object{
		"connection_status": r.Status.Shown(), "destination_address": r.Destination.String(),
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
