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

// What GET /show tells, on one line, the keys in this order (Ockam protocol,
// command line, JSON shapes, node resources).
type (
	webNode struct {
		Name       string         `json:"name"`
		Identity   string         `json:"identity_name"`
		Default    bool           `json:"is_default"`
		Status     string         `json:"status"`
		PID        uint32         `json:"pid,omitzero"`
		Route      webRoute       `json:"route"`
		HTTP       *string        `json:"http_server_address"`
		Transports []webTransport `json:"transports"`
		Listeners  []webListener  `json:"secure_channel_listeners"`
		Inlets     []webInlet     `json:"inlets"`
		Outlets    []webOutlet    `json:"outlets"`
		Services   []webService   `json:"services"`
	}
	webRoute struct {
		Short   string `json:"short"`
		Verbose string `json:"verbose,omitzero"`
	}
	webTransport struct {
		Type      string `json:"type"`
		Mode      string `json:"mode"`
		Socket    string `json:"socket_addr"`
		Worker    string `json:"worker_addr"`
		Processor string `json:"processor_address"`
		Flow      string `json:"flow_control_id"`
	}
	webAddress struct {
		Type  uint8 `json:"tt"`
		Inner []int `json:"inner"`
	}
	webListener struct {
		Address         webAddress `json:"address"`
		Flow            string     `json:"flow_control_id"`
		KeyExchangeOnly bool       `json:"is_key_exchange_only"`
	}
	webInlet struct {
		Bind    string  `json:"bind_addr"`
		Worker  *string `json:"worker_addr"`
		Alias   string  `json:"alias"`
		Payload *string `json:"payload"`
		Route   *string `json:"outlet_route"`
		Status  string  `json:"status"`
		Outlet  string  `json:"outlet_addr"`
	}
	webOutlet struct {
		To      string     `json:"to"`
		Worker  webAddress `json:"worker_addr"`
		Payload *string    `json:"payload"`
	}
	webService struct {
		Address string `json:"addr"`
		Type    string `json:"type"`
	}
)

var (
	webStates = map[ProcessState]string{Running: "running", Zombie: "zombie", Stopped: "stopped"}
	webModes  = map[TransportMode]string{Listen: "Listen", Incoming: "Incoming", Outgoing: "Outgoing"}
	webTypes  = map[TransportType]string{TCP: "Tcp", Bluetooth: "Ble", WebSocket: "WebSocket"}
	webLinks  = map[ConnectionStatus]string{Up: "Up"}
)

// shownNode is the answer of GET /show.
func shownNode(r NodeResources) []byte {
	n := webNode{
		Name: r.Name, Identity: r.IdentityName, Default: r.IsDefault, Status: webStates[r.Process.State], PID: r.Process.PID,
		Route:      webRoute{Short: r.Route.Short.String()},
		Transports: []webTransport{}, Listeners: []webListener{}, Inlets: []webInlet{}, Outlets: []webOutlet{}, Services: []webService{},
	}
	if r.Route.Verbose != nil {
		n.Route.Verbose = r.Route.Verbose.String()
	}
	if a := r.HTTPServer; a != nil {
		n.HTTP = new(net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
	}
	for _, t := range r.Transports {
		n.Transports = append(n.Transports, webTransport{
			webTypes[t.Type], webModes[t.Mode], t.Socket, t.Worker, t.Processor, t.Flow.ID,
		})
	}
	for _, l := range r.ChannelListeners {
		n.Listeners = append(n.Listeners, webListener{shownBytes(l.Address), l.Flow.ID, l.KeyExchangeOnly})
	}
	for _, i := range r.Inlets {
		n.Inlets = append(n.Inlets, shownInlet(i))
	}
	for _, o := range r.Outlets {
		n.Outlets = append(n.Outlets, webOutlet{o.Target.join(), shownBytes(o.Address), orNull(o.Payload)})
	}
	for _, s := range r.Services {
		n.Services = append(n.Services, webService(s))
	}
	first := map[string]int{service.UppercaseName: -2, service.EchoName: -1} // the order that scripts know
	slices.SortStableFunc(n.Services, func(x, y webService) int { return first[x.Type] - first[y.Type] })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(n) // texts and numbers
	return bytes.TrimRight(b.Bytes(), "\n")
}

func shownInlet(i InletStatus) webInlet {
	w := webInlet{
		Bind: i.Bind, Worker: orNull(i.Worker), Alias: i.Alias, Payload: orNull(i.Payload),
		Route: orNull(i.OutletRoute), Status: webLinks[i.Status], Outlet: i.OutletAddress,
	}
	if w.Status == "" {
		w.Status, w.Worker = "Down", nil // it takes no messages yet
	}
	return w
}

func shownBytes(a tunnel.Address) webAddress {
	w := webAddress{Type: a.Type, Inner: []int{}}
	for _, b := range []byte(a.Name) {
		w.Inner = append(w.Inner, int(b))
	}
	return w
}

// orNull returns nil for the empty text.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
