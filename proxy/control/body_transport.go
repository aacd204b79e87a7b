package control

import "ockam/tunnel/api"

// A TransportType is the kind of a connection or listener.
type TransportType uint8

// The kinds that have a number.
const (
	TCP       TransportType = 0
	Bluetooth TransportType = 1
	WebSocket TransportType = 2
)

// A TransportMode says who opened a connection.
type TransportMode uint8

// The modes; the numbers are those on the wire.
const (
	Listen   TransportMode = 0
	Incoming TransportMode = 1
	Outgoing TransportMode = 2
)

// NoWorker stands for the worker's address in the TransportStatus of a listener.
const NoWorker = "<none>"

// TransportStatus describes a connection or a listener.
type TransportStatus struct {
	Type      TransportType // 1
	Mode      TransportMode // 2
	Socket    string        // 3: ip:port
	Worker    string        // 4: as TYPE#NAME; NoWorker for a listener
	Processor string        // 5: as TYPE#NAME; the receiver's address
	Flow      FlowControlID // 6
}

// Layout lays the fields out; see api.Body.
func (v *TransportStatus) Layout() api.Layout {
	return api.Record(api.Index(1, &v.Type, TCP, WebSocket), api.Choice(2, &v.Mode, Listen, Outgoing),
		api.Text(3, &v.Socket), api.Text(4, &v.Worker), api.Text(5, &v.Processor), api.Sub(6, &v.Flow))
}
