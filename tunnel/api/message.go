package api

import (
	"fmt"
	"math"

	"ockam/tunnel/wire"
)

// A Request asks a node for something.
//
// On the wire it is its length (BARE data) around a map of 1 id, 2 path,
// 3 method and 4 whether a body follows, and then the body.
type Request struct {
	// ID is repeated in the response. Each request has a random one, not zero.
	ID uint32
	// Path names what the request is about: "/node/inlet/in1".
	Path   string
	Method Method
	// HasBody says that a body follows. The reference's node reads a body,
	// where one is due, whether this is set or not.
	HasBody bool
	// Body is what follows the header, encoded.
	Body []byte
}

// Layout writes and reads the header.
func (r *Request) Layout() Layout {
	return Record(Uint(1, &r.ID), Text(2, &r.Path), method(3, &r.Method), Bool(4, &r.HasBody))
}

// Append appends the message that carries r.
func (r *Request) Append(b []byte) ([]byte, error) { return appendMessage(b, r, r.Body) }

// ParseRequest reads a request. Its body lies within b; bytes behind the
// announced length are ignored. A request that cannot be read is not answered,
// as nobody knows whose answer it would be.
func ParseRequest(b []byte) (Request, error) {
	var r Request
	body, err := parseMessage(b, &r)
	if err != nil {
		return Request{}, fmt.Errorf("api: request: %w", err)
	}
	r.Body = body
	return r, nil
}

// A Response answers a Request.
//
// On the wire it is its length around a map of 1 id, 2 re, 3 status and 4 whether
// a body follows, and then the body.
type Response struct {
	ID     uint32 // random
	Re     uint32 // the request's; 0 if unknown. Nothing depends on it
	Status Status
	// HasBody says that a body follows.
	HasBody bool
	// Body is what follows the header, encoded.
	Body []byte
}

// Layout returns how it is written and read; see Body.
func (r *Response) Layout() Layout {
	return Record(Uint(1, &r.ID), Uint(2, &r.Re),
		Optional(Uint(3, &r.Status), func() bool { return r.Status == 0 }), Bool(4, &r.HasBody))
}

// Append appends the message that carries r.
func (r *Response) Append(b []byte) ([]byte, error) { return appendMessage(b, r, r.Body) }

// ParseResponse reads a response, whatever number its status is. Its body lies
// within b; bytes behind the announced length are ignored.
func ParseResponse(b []byte) (Response, error) {
	var r Response
	body, err := parseMessage(b, &r)
	if err != nil {
		return Response{}, fmt.Errorf("api: response: %w", err)
	}
	r.Body = body
	return r, nil
}

func appendMessage(b []byte, header Body, body []byte) ([]byte, error) {
	enc, err := Append(nil, header)
	if err != nil {
		return nil, err
	}
	b = wire.AppendUvarint(b, uint64(len(enc)+len(body)))
	return append(append(b, enc...), body...), nil
}

func parseMessage(b []byte, header Body) (body []byte, err error) {
	data, _, err := wire.ParseBytes(b)
	if err != nil {
		return nil, err
	}
	return Parse(data, header)
}

// method is an optional field whose number on the wire is one less.
func method(key uint64, p *Method) Field {
	f := Simple(key, p,
		func(b []byte, m Method) []byte { return wire.AppendUint(b, uint64(m-1)) },
		func(d *Decoder) (Method, error) {
			n, err := d.Uint(uint64(MethodPatch - 1))
			return Method(n + 1), err
		})
	return Optional(f, func() bool { return *p == 0 })
}

// An Error is a response that is not a success, with what its body says. A Node
// may return one to choose the status itself.
type Error struct {
	// Status is the response's; it is not part of the body.
	Status Status
	// Path and Method are the request's, often absent.
	Path   string
	Method Method
	// Message is free text for people.
	Message string
	// Cause is what led to the error, mostly absent.
	Cause *Error
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("api: status %d", e.Status)
	}
	return e.Message
}

// Unwrap returns the sentinel that the status stands for, nil if none.
func (e *Error) Unwrap() error {
	switch e.Status {
	case StatusNotFound:
		return ErrNotFound
	case StatusConflict:
		return ErrExists
	case StatusBadRequest:
		return ErrBadRequest
	case StatusNotImplemented:
		return ErrNotSupported
	default:
		return nil
	}
}

// Layout is a map of 1 path, 2 method, 3 message and 4 cause, all optional. A
// method has a path with it, which may be empty.
func (e *Error) Layout() Layout {
	path := Optional(Text(1, &e.Path), func() bool { return e.Path == "" && e.Method == 0 })
	fields := Record(path, method(2, &e.Method), OptText(3, &e.Message), OptSub(4, &e.Cause))
	return Layout{
		Append: fields.Append,
		Parse: func(d *Decoder) error {
			if d.depth++; d.depth > maxDepth {
				return fmt.Errorf("%w: too many causes", ErrMalformed)
			}
			defer func() { d.depth-- }()
			return fields.Parse(d)
		},
	}
}

// ParseError reads the body of a response that is no success: a text, as the
// Elixir implementation sends it, or an error map. Without a readable body the
// Error has only the status.
func ParseError(r Response) *Error {
	e := &Error{}
	if r.HasBody {
		d := Decoder{b: r.Body}
		if s, err := d.Text(); err == nil {
			e.Message = s
		} else if _, err := Parse(r.Body, e); err != nil {
			e = &Error{}
		}
	}
	e.Status = r.Status
	return e
}

// Unit is the empty array: a body that says nothing.
type Unit struct{}

// Layout returns how it is written and read; see Body.
func (*Unit) Layout() Layout { return Tuple() }

// TextList is an array of texts as a Body.
type TextList struct{ List []string }

// Layout returns how it is written and read; see Body.
func (l *TextList) Layout() Layout { return Texts(0, &l.List).Layout }

// ByteList is an array of integers, one a byte: how the reference encodes bytes
// that it did not think of as such. A byte string in its place is refused.
type ByteList struct{ P *[]byte }

// Layout returns how it is written and read; see Body.
func (l *ByteList) Layout() Layout {
	return Layout{
		Append: func(b []byte) ([]byte, error) {
			b = AppendHead(b, MajorArray, uint64(len(*l.P)))
			for _, c := range *l.P {
				b = wire.AppendUint(b, uint64(c))
			}
			return b, nil
		},
		Parse: func(d *Decoder) error {
			*l.P = []byte{}
			return d.Each(MajorArray, func() error {
				n, err := d.Uint(math.MaxUint8)
				*l.P = append(*l.P, byte(n))
				return err
			})
		},
	}
}
