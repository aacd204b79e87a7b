package control

import "ockam/tunnel/multiaddr"

// ServiceStatus is an element of the answer to GET /node/services.
type ServiceStatus struct {
	Address string // 2
	Type    string // 3: one of ServiceTypes
}

func (v *ServiceStatus) layout() layout { return record(text(2, &v.Address), text(3, &v.Type)) }

// TextAddress asks for something by its address in text: to start or delete a
// service; to make or delete a connection or a listener.
type TextAddress struct {
	Address string // 1
}

func (v *TextAddress) layout() layout { return record(text(1, &v.Address)) }

// WorkerList answers GET /node/workers.
type WorkerList struct {
	Workers []WorkerStatus // 1
}

func (v *WorkerList) layout() layout { return record(list(1, &v.Workers)) }

// WorkerStatus is an element of a WorkerList.
type WorkerStatus struct {
	Address string // 2
}

func (v *WorkerStatus) layout() layout { return record(text(2, &v.Address)) }

// FlowControlID names a flow control: 32 hexadecimal digits. The reference lets
// nothing from a channel or connection reach a worker that was not added to its
// flow control as a consumer.
type FlowControlID struct {
	ID string // 1
}

func (v *FlowControlID) layout() layout { return record(text(1, &v.ID)) }

// AddConsumer is the request of POST /node/flow_controls/add_consumer.
type AddConsumer struct {
	FlowControl FlowControlID  // 1
	Address     multiaddr.Addr // 2
}

func (v *AddConsumer) layout() layout { return record(body(1, &v.FlowControl), place(2, &v.Address)) }

// SendMessage is the request of POST /v0/message.
type SendMessage struct {
	Route   string // 1: a MultiAddr in text
	Message []byte // 2: as an array of integers
}

func (v *SendMessage) layout() layout {
	return record(text(1, &v.Route), body(2, &byteList{&v.Message}))
}
