package control

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

func (v *TransportStatus) layout() layout {
	return record(index(1, &v.Type, TCP, WebSocket), choice(2, &v.Mode, Listen, Outgoing),
		text(3, &v.Socket), text(4, &v.Worker), text(5, &v.Processor), body(6, &v.Flow))
}
