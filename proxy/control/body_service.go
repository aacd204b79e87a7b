package control

import (
	"ockam/tunnel/multiaddr"

	"ockam/tunnel/api"
)

// ServiceStatus is an element of the answer to GET /node/services.
type ServiceStatus struct {
	Address string // 2
	Type    string // 3: one of ServiceTypes
}

// Layout lays the fields out; see api.Body.
func (v *ServiceStatus) Layout() api.Layout {
	return api.Record(api.Text(2, &v.Address), api.Text(3, &v.Type))
}

// TextAddress asks for something by its address in text: to start or delete a
// service; to make or delete a connection or a listener.
type TextAddress struct {
	Address string // 1
}

// Layout lays the fields out; see api.Body.
func (v *TextAddress) Layout() api.Layout { return api.Record(api.Text(1, &v.Address)) }

// WorkerList answers GET /node/workers.
type WorkerList struct {
	Workers []WorkerStatus // 1
}

// Layout lays the fields out; see api.Body.
func (v *WorkerList) Layout() api.Layout { return api.Record(api.List(1, &v.Workers)) }

// WorkerStatus is an element of a WorkerList.
type WorkerStatus struct {
	Address string // 2
}

// Layout lays the fields out; see api.Body.
func (v *WorkerStatus) Layout() api.Layout { return api.Record(api.Text(2, &v.Address)) }

// FlowControlID names a flow control: 32 hexadecimal digits. The reference lets
// nothing from a channel or connection reach a worker that was not added to its
// flow control as a consumer.
type FlowControlID struct {
	ID string // 1
}

// Layout lays the fields out; see api.Body.
func (v *FlowControlID) Layout() api.Layout { return api.Record(api.Text(1, &v.ID)) }

// AddConsumer is the request of POST /node/flow_controls/add_consumer.
type AddConsumer struct {
	FlowControl FlowControlID  // 1
	Address     multiaddr.Addr // 2
}

// Layout lays the fields out; see api.Body.
func (v *AddConsumer) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.FlowControl), api.Place(2, &v.Address))
}

// SendMessage is the request of POST /v0/message.
type SendMessage struct {
	Route   string // 1: a MultiAddr in text
	Message []byte // 2: as an array of integers
}

// Layout lays the fields out; see api.Body.
func (v *SendMessage) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Route), api.Sub(2, &api.ByteList{P: &v.Message}))
}
