// Package control has the node API: CBOR requests by which a command looks at
// a running node and changes it, with their server and client. It does not run
// a node (proxy/node) and does not say who may reach it: whoever registers the
// Server decides to whom its address is open, and that is whoever may control
// the node.
//
// A request and a response are each one message: a length, a header and, mostly,
// a body (Request, Response). The bodies are the exported structs of the body
// files; Append and Parse write and read them, AppendList and ParseList lists of
// them. Server decodes requests and calls a Node; Client has a method for every
// endpoint.
//
// All layouts are those of the reference implementation (docs/protocol.md, Node
// API): maps with small integer keys. Absent optional fields are left out;
// unknown keys are skipped, so that newer peers may send them. In the structs an
// absent field is the zero value (the empty text, the nil slice, the zero
// identifier) or, where zero means something, a nil pointer.
package control

import "ockam/tunnel/api"

// Address is the name of the worker that answers node API requests.
const Address = "_internal.nodemanager"

// What the node API is made of.
type (
	// A Request asks a node for something.
	Request = api.Request
	// A Response answers a Request.
	Response = api.Response
	// An Error is a response that is not a success.
	Error = api.Error
	// A Method says what a request wants done.
	Method = api.Method
	// A Status says what came of a request.
	Status = api.Status
	// A Body is what can stand behind a header.
	Body = api.Body
)
