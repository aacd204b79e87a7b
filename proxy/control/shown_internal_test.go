package control

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/multiaddr"
)

// TestShownNode makes the answer of GET /show from what the node API tells, and
// compares it with testdata/show.json, byte for byte: recorded from the reference
// implementation, revision fb8fb64cd, with the outlet and an inlet of a second
// node put in.
func TestShownNode(t *testing.T) {
	want, err := os.ReadFile("testdata/show.json")
	if err != nil {
		t.Fatal(err)
	}
	var w ShownNode
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if got := webShow(resourcesOf(t, w)); string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// resourcesOf is what the node API would say of a node that is shown so.
func resourcesOf(t *testing.T, w ShownNode) NodeResources {
	t.Helper()
	place := func(s string) multiaddr.Addr {
		a, err := multiaddr.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	r := NodeResources{
		Name: w.Name, IdentityName: w.Identity, IsDefault: w.Default, Process: NodeProcessStatus{Running, w.PID},
		Route: RouteToNode{place(w.Route.Short), place(w.Route.Verbose)}, HTTPServer: new(InternetAddress),
	}
	host, port := splitPort(t, *w.HTTP)
	*r.HTTPServer = InternetAddress{host, port}
	for _, e := range w.Transports {
		r.Transports = append(r.Transports, TransportStatus{TCP, Listen, e.Socket, e.Worker, e.Processor, FlowControlID{e.Flow}})
	}
	address := func(a ShownAddress) tunnel.Address {
		var name []byte
		for _, n := range a.Inner {
			name = append(name, byte(n))
		}
		return tunnel.LocalAddress(string(name))
	}
	for _, e := range w.Listeners {
		r.ChannelListeners = append(r.ChannelListeners, SecureChannelListener{
			Address: address(e.Address), Flow: FlowControlID{e.Flow}, KeyExchangeOnly: e.KeyExchangeOnly,
		})
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, e := range w.Inlets {
		i := InletStatus{Bind: e.Bind, Worker: "not yet", Alias: e.Alias, OutletRoute: text(e.Route), OutletAddress: e.Outlet}
		if e.Status == "Up" {
			i.Status, i.Worker = Up, text(e.Worker)
		}
		r.Inlets = append(r.Inlets, i)
	}
	for _, e := range w.Outlets {
		host, port := splitPort(t, e.To)
		r.Outlets = append(r.Outlets, OutletStatus{HostnamePort{host, port}, address(e.Worker), text(e.Payload)})
	}
	for _, e := range w.Services {
		r.Services = append(r.Services, ServiceStatus(e))
	}
	slices.SortFunc(r.Services, func(x, y ServiceStatus) int { return strings.Compare(x.Address, y.Address) }) // as a node lists them
	return r
}

func splitPort(t *testing.T, s string) (string, uint16) {
	t.Helper()
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return host, uint16(n)
}
