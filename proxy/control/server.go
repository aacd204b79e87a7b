package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"ockam/tunnel"
)

// MaxConcurrent is how many requests a Server carries out at once by default.
const MaxConcurrent = 128

// A Server answers node API requests with what a Node does. It is a
// tunnel.Handler, to be registered at Address.
//
// Each request is carried out on a goroutine of its own, so that one that waits
// holds up no other; the reference's node answers one after the other. It goes
// on when the one who asked has gone. The answer leaves along the request's
// return route.
//
// A request that cannot be read is dropped. A body that cannot be read is
// answered with 500, an unknown path or method, or none, with 400, an endpoint
// that the Node does not have with 501, and a request too many at once with 500.
type Server struct {
	Router *tunnel.Router
	Node   Node
	// MaxConcurrent replaces the constant MaxConcurrent if it is not zero.
	MaxConcurrent int

	mu      sync.Mutex
	closed  bool
	cancels map[uint64]context.CancelFunc // of the requests that are carried out
	next    uint64                        // key in cancels

	wg sync.WaitGroup
}

// HandleMessage takes a request. It returns before the request is answered.
func (s *Server) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	if m.Return.Len() == 0 {
		return errors.New("control: request without a return route")
	}
	if len(m.Payload) > MaxRequest {
		return fmt.Errorf("control: request of %d bytes", len(m.Payload))
	}
	// ParseRequest's body lies within the message, which is gone with this call.
	req, err := ParseRequest(append([]byte(nil), m.Payload...))
	if err != nil {
		return err
	}
	back := m.Return.Clone()
	ctx, done, err := s.begin()
	if err != nil {
		if errors.Is(err, tunnel.ErrClosed) {
			return err
		}
		return s.send(back, failure(req, &Error{Status: StatusInternalError, Message: err.Error()}))
	}
	go func() {
		defer done()
		err := s.send(back, answer(ctx, s.Node, req))
		if errors.Is(err, tunnel.ErrTooLarge) {
			err = s.send(back, failure(req, &Error{Status: StatusInternalError, Message: "the answer is too large"}))
		}
		_ = err // nobody is left to be told
	}()
	return nil
}

// begin takes a place among the requests that are carried out.
func (s *Server) begin() (ctx context.Context, done func(), err error) {
	most := s.MaxConcurrent
	if most == 0 {
		most = MaxConcurrent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, tunnel.ErrClosed
	}
	if len(s.cancels) >= most {
		return nil, nil, fmt.Errorf("the node is busy with %d other requests", most)
	}
	if s.cancels == nil {
		s.cancels = make(map[uint64]context.CancelFunc)
	}
	ctx, cancel := context.WithCancel(context.Background())
	key := s.next
	s.next++
	s.cancels[key] = cancel
	s.wg.Add(1)
	return ctx, func() {
		cancel()
		s.mu.Lock()
		delete(s.cancels, key)
		s.mu.Unlock()
		s.wg.Done()
	}, nil
}

// Close cancels the requests that are carried out and waits until they have
// ended. Those that come later are dropped. A Node must not call it within a
// request.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancels {
		cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) send(back tunnel.Route, r Response) error {
	payload, err := r.Append(nil)
	if err != nil {
		return err
	}
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload = back, tunnel.NewRoute(tunnel.LocalAddress(Address)), payload
	return s.Router.Send(m)
}

// answer carries out a request.
func answer(ctx context.Context, n Node, req Request) Response {
	e, arg, ok := findEndpoint(req.Method, req.Path)
	if !ok {
		message := "Invalid endpoint: " + req.Method.String() + " " + req.Path
		return failure(req, &Error{
			Status: StatusBadRequest, Path: clip(req.Path), Method: req.Method, Message: clip(message),
		})
	}
	body, err := e.serve(ctx, n, arg, req.Body)
	if err != nil {
		return failure(req, e.failure(req, arg, err))
	}
	r := response(req, StatusOK)
	if body == nil {
		return r
	}
	if r.Body, err = Append(nil, body); err != nil {
		return failure(req, e.failure(req, arg, err))
	}
	r.HasBody = true
	return r
}

func response(req Request, status Status) Response {
	return Response{ID: randomID(), Re: req.ID, Status: status}
}

func failure(req Request, e *Error) Response {
	r := response(req, e.Status)
	if body, err := Append(nil, e); err == nil { // an Error always has an encoding
		r.HasBody, r.Body = true, body
	}
	return r
}

// randomID returns a number that is not 0.
func randomID() uint32 { return 1 + rand.Uint32N(1<<32-1) }

// errBody is why a request's body could not be read.
type errBody struct{ cause error }

func (e errBody) Error() string { return "failed to handle request: " + e.cause.Error() }
func (e errBody) Unwrap() error { return e.cause }

// statuses are those of failures that every client can read.
var statuses = []Status{
	StatusBadRequest, StatusUnauthorized, StatusForbidden, StatusNotFound, StatusMethodNotAllowed, StatusTimeout,
	StatusConflict, StatusInternalError, StatusNotImplemented,
}

// failure makes the body of the answer to a request that failed with err.
func (e endpoint) failure(req Request, arg string, err error) *Error {
	out := &Error{Status: StatusInternalError, Message: clip(err.Error())}
	if given, ok := errors.AsType[*Error](err); ok {
		*out = *given
		if !slices.Contains(statuses, out.Status) {
			out.Status = StatusInternalError
		}
		return out
	}
	_, unread := errors.AsType[errBody](err)
	if unread || e.named {
		out.Path, out.Method = clip(req.Path), req.Method
	}
	if unread {
		return out
	}
	if e.failed != 0 {
		out.Status = e.failed
	}
	switch {
	case errors.Is(err, ErrNotFound):
		out.Status = StatusNotFound
		if e.missing != 0 {
			out.Status = e.missing
		}
		if e.notFound != "" {
			out.Message = fmt.Sprintf(e.notFound, clip(arg))
		}
	case errors.Is(err, ErrBadRequest):
		out.Status = StatusBadRequest
	case errors.Is(err, ErrNotSupported):
		out.Status = StatusNotImplemented
	}
	return out
}

var _ tunnel.Handler = (*Server)(nil)
