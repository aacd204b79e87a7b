package control

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"strconv"

	"ockam/tunnel"
	"ockam/tunnel/service"
)

// What the HTTP server and commands tell about a node, in JSON. GET /show keeps the
// keys in this order (Ockam protocol, command line, JSON shapes, node resources).
type (
	// ShownNode is a node and what it has.
	ShownNode struct {
		Name       string           `json:"name"`
		Identity   string           `json:"identity_name"`
		Default    bool             `json:"is_default"`
		Status     string           `json:"status"`
		PID        uint32           `json:"pid,omitzero"`
		Route      ShownRoute       `json:"route"`
		HTTP       *string          `json:"http_server_address"`
		Transports []ShownTransport `json:"transports"`
		Listeners  []ShownListener  `json:"secure_channel_listeners"`
		Inlets     []ShownInlet     `json:"inlets"`
		Outlets    []ShownOutlet    `json:"outlets"`
		Services   []ShownService   `json:"services"`
	}
	// ShownRoute is how a node is reached, on this machine and over the network.
	ShownRoute struct {
		Short   string `json:"short"`
		Verbose string `json:"verbose,omitzero"`
	}
	// ShownTransport is a connection or a listener.
	ShownTransport struct {
		Type      string `json:"type"`
		Mode      string `json:"mode"`
		Socket    string `json:"socket_addr"`
		Worker    string `json:"worker_addr"`
		Processor string `json:"processor_address"`
		Flow      string `json:"flow_control_id"`
	}
	// ShownAddress is the address of a worker; Inner is its name, a number a byte.
	ShownAddress struct {
		Type  uint8 `json:"tt"`
		Inner []int `json:"inner"`
	}
	// ShownListener is a listener for secure channels.
	ShownListener struct {
		Address         ShownAddress `json:"address"`
		Flow            string       `json:"flow_control_id"`
		KeyExchangeOnly bool         `json:"is_key_exchange_only"`
	}
	// ShownInlet is a TCP inlet.
	ShownInlet struct {
		Bind    string  `json:"bind_addr"`
		Worker  *string `json:"worker_addr"`
		Alias   string  `json:"alias"`
		Payload *string `json:"payload"`
		Route   *string `json:"outlet_route"`
		Status  string  `json:"status"`
		Outlet  string  `json:"outlet_addr"`
	}
	// ShownOutlet is a TCP outlet.
	ShownOutlet struct {
		To      string       `json:"to"`
		Worker  ShownAddress `json:"worker_addr"`
		Payload *string      `json:"payload"`
	}
	// ShownService is a service.
	ShownService struct {
		Address string `json:"addr"`
		Type    string `json:"type"`
	}
)

var (
	shownStates = map[ProcessState]string{Running: "running", Zombie: "zombie", Stopped: "stopped"}
	shownModes  = map[TransportMode]string{Listen: "Listen", Incoming: "Incoming", Outgoing: "Outgoing"}
	shownTypes  = map[TransportType]string{TCP: "Tcp", Bluetooth: "Ble", WebSocket: "WebSocket"}
)

// webShow is the answer of GET /show, on one line.
func webShow(r NodeResources) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(r.Shown()) // texts and numbers
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Shown returns a node as it is shown.
func (v NodeResources) Shown() ShownNode {
	n := ShownNode{
		Name: v.Name, Identity: v.IdentityName, Default: v.IsDefault, Status: shownStates[v.Process.State], PID: v.Process.PID,
		Route:      ShownRoute{Short: v.Route.Short.String()},
		Transports: []ShownTransport{}, Listeners: []ShownListener{}, Inlets: []ShownInlet{}, Outlets: []ShownOutlet{},
		Services: ShownServices(v.Services),
	}
	if v.Route.Verbose != nil {
		n.Route.Verbose = v.Route.Verbose.String()
	}
	if a := v.HTTPServer; a != nil {
		n.HTTP = new(net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
	}
	for _, t := range v.Transports {
		n.Transports = append(n.Transports, t.Shown())
	}
	for _, l := range v.ChannelListeners {
		n.Listeners = append(n.Listeners, ShownListener{shownAddress(l.Address), l.Flow.ID, l.KeyExchangeOnly})
	}
	for _, i := range v.Inlets {
		n.Inlets = append(n.Inlets, i.Shown())
	}
	for _, o := range v.Outlets {
		n.Outlets = append(n.Outlets, o.Shown())
	}
	return n
}

// Shown returns a connection or listener as it is shown.
func (v TransportStatus) Shown() ShownTransport {
	return ShownTransport{shownTypes[v.Type], shownModes[v.Mode], v.Socket, v.Worker, v.Processor, v.Flow.ID}
}

// Shown returns an inlet as it is shown.
func (v InletStatus) Shown() ShownInlet {
	s := ShownInlet{
		Bind: v.Bind, Worker: orNull(v.Worker), Alias: v.Alias, Payload: orNull(v.Payload),
		Route: orNull(v.OutletRoute), Status: v.Status.Shown(), Outlet: v.OutletAddress,
	}
	if v.Status != Up {
		s.Worker = nil // it takes no messages yet
	}
	return s
}

// Shown returns a status as it is shown.
func (s ConnectionStatus) Shown() string {
	if s == Up {
		return "Up"
	}
	return "Down"
}

// Shown returns an outlet as it is shown.
func (v OutletStatus) Shown() ShownOutlet {
	return ShownOutlet{v.Target.join(), shownAddress(v.Address), orNull(v.Payload)}
}

// ShownServices returns services as they are shown, in the order that scripts know.
func ShownServices(all []ServiceStatus) []ShownService {
	shown := []ShownService{}
	for _, s := range all {
		shown = append(shown, ShownService(s))
	}
	first := map[string]int{service.UppercaseName: -2, service.EchoName: -1}
	slices.SortStableFunc(shown, func(x, y ShownService) int { return first[x.Type] - first[y.Type] })
	return shown
}

func shownAddress(a tunnel.Address) ShownAddress {
	s := ShownAddress{Type: a.Type, Inner: []int{}}
	for _, b := range []byte(a.Name) {
		s.Inner = append(s.Inner, int(b))
	}
	return s
}

// String returns the way to the worker: /service/NAME.
func (a ShownAddress) String() string {
	var name []byte
	for _, n := range a.Inner {
		name = append(name, byte(n))
	}
	return "/service/" + string(name)
}

// orNull returns nil for the empty text.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
