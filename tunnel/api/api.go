// Package api has the requests and responses by which nodes ask each other for
// something: the node API (proxy/control) and the services of an authority
// (tunnel/authority). It knows none of them: it has their framing, the CBOR
// layouts that bodies are written in, a Client that asks and a Server that
// answers.
//
// A request and a response are each one message: a length, a header and, mostly,
// a body (Request, Response). A body is a Body: it lays its fields out (Record,
// Tuple), each tied to a variable (Text, Uint, Identifier), and Append and Parse
// write and read it.
//
// All layouts are those of the reference implementation (docs/protocol.md, Node
// API): maps with small integer keys. Absent optional fields are left out;
// unknown keys are skipped, so that newer peers may send them. In the structs an
// absent field is the zero value (the empty text, the nil slice, the zero
// identifier) or, where zero means something, a nil pointer.
package api

import (
	"errors"
	"fmt"
)

// Errors that a Node returns, wrapped, and that an Error of a Client wraps.
var (
	// ErrNotFound means that there is nothing of that name.
	ErrNotFound = errors.New("api: not found")
	// ErrExists means that the name or address is taken.
	ErrExists = errors.New("api: already exists")
	// ErrBadRequest means that the request makes no sense.
	ErrBadRequest = errors.New("api: bad request")
	// ErrNotSupported means that the node does not do that.
	ErrNotSupported = errors.New("api: not supported by this node")
)

// Errorf returns an error that is kind, one of the errors above, and has just
// the text: what a Node returns for people to read.
func Errorf(kind error, format string, args ...any) error {
	return kindError{kind, fmt.Sprintf(format, args...)}
}

// A kindError is an error with a text that does not show what it wraps.
type kindError struct {
	kind error
	text string
}

func (e kindError) Error() string { return e.text }
func (e kindError) Unwrap() error { return e.kind }

// Causes of the errors of Append and Parse functions.
var (
	// ErrMalformed is the cause when the input is not what the layout demands.
	ErrMalformed = errors.New("malformed value")
	// ErrTruncated is the cause when the input ends inside a value.
	ErrTruncated = errors.New("input ends inside a value")
	// ErrMissing is the cause when a mandatory field is absent.
	ErrMissing = errors.New("mandatory field is missing")
)

// A Method says what a request wants done. The zero Method is that of a request
// without one.
type Method uint8

// The methods. The number on the wire is one less.
const (
	MethodGet Method = iota + 1
	MethodPost
	MethodPut
	MethodDelete
	MethodPatch
)

// String returns the method in capitals, "" for the zero Method.
func (m Method) String() string {
	if m > MethodPatch {
		return "?"
	}
	return [...]string{"", "GET", "POST", "PUT", "DELETE", "PATCH"}[m]
}

// A Status says what came of a request; only StatusOK is success. The zero
// Status is that of a response without one.
type Status uint16

// The statuses that the protocol has. The reference's command cannot read any
// other number.
const (
	StatusOK               Status = 200
	StatusBadRequest       Status = 400
	StatusUnauthorized     Status = 401
	StatusForbidden        Status = 403
	StatusNotFound         Status = 404
	StatusMethodNotAllowed Status = 405
	StatusTimeout          Status = 408
	StatusConflict         Status = 409
	StatusInternalError    Status = 500
	StatusNotImplemented   Status = 501
)
