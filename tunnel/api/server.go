package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"ockam/tunnel"
)

// Limits of a Server.
const (
	// MaxRequest is the largest request in bytes that a Server reads. The
	// reference implementation takes what fits into a frame.
	MaxRequest = 1 << 20
	// MaxConcurrent is how many requests a Server carries out at once by default.
	MaxConcurrent = 128
	// MaxPerCaller is how many of them are of one caller: the peer of a link or
	// channel, or a hop behind that peer.
	MaxPerCaller = 8
	// MaxPerOrigin is how many of them come over one link, in whatever channels.
	// There may be a relay at its other end, with many callers behind it.
	MaxPerOrigin = 32
)

// A Server answers requests that come to an address. It is a tunnel.Handler, to be
// registered there.
//
// Each request is carried out on a goroutine of its own, so that one that waits
// holds up no other; the reference's nodes answer one after the other. It goes
// on when the one who asked has gone. The answer leaves along the request's
// return route. A request that cannot be read is dropped, unless Unread says
// otherwise; a request too many at once, in all or of its caller, is answered with 500.
type Server struct {
	Router *tunnel.Router
	// Name is that of the address where the Server is registered.
	Name string
	// Answer carries out a request that came from an origin, nil for a worker of
	// this node. The context ends with Close.
	Answer func(ctx context.Context, from *tunnel.Origin, r Request) Response
	// Unread, if set, answers what is no request.
	Unread func(from *tunnel.Origin, err error) Response
	// MaxConcurrent replaces the constant MaxConcurrent if it is not zero.
	MaxConcurrent int

	mu      sync.Mutex
	closed  bool
	cancels map[uint64]context.CancelFunc // of the requests that are carried out
	next    uint64                        // key in cancels
	shares  tunnel.Shares                 // of those who sent them

	wg sync.WaitGroup
}

// HandleMessage takes a request. It returns before the request is answered.
func (s *Server) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	if m.Return.Len() == 0 {
		return errors.New("api: request without a return route")
	}
	if len(m.Payload) > MaxRequest {
		return fmt.Errorf("api: request of %d bytes", len(m.Payload))
	}
	from, back := m.Origin, m.Return.Clone()
	// ParseRequest's body lies within the message, which is gone with this call.
	req, err := ParseRequest(append([]byte(nil), m.Payload...))
	if err != nil {
		if s.Unread == nil {
			return err
		}
		return s.send(back, s.Unread(from, err))
	}
	ctx, done, err := s.begin(tunnel.CallerOf(m))
	if err != nil {
		if errors.Is(err, tunnel.ErrClosed) {
			return err
		}
		return s.send(back, Fail(req, &Error{Status: StatusInternalError, Message: err.Error()}))
	}
	go func() {
		defer done()
		err := s.send(back, s.Answer(ctx, from, req))
		if errors.Is(err, tunnel.ErrTooLarge) {
			err = s.send(back, Fail(req, &Error{Status: StatusInternalError, Message: "the answer is too large"}))
		}
		_ = err // nobody is left to be told
	}()
	return nil
}

// begin takes a place among the requests that are carried out.
func (s *Server) begin(from tunnel.Caller) (ctx context.Context, done func(), err error) {
	most := s.MaxConcurrent
	if most == 0 {
		most = MaxConcurrent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, tunnel.ErrClosed
	}
	if !s.shares.Take(from, tunnel.Limit{Total: most, PerOrigin: MaxPerOrigin, PerPeer: MaxPerCaller, PerHop: MaxPerCaller}) {
		return nil, nil, fmt.Errorf("the node is busy with %d other requests", s.shares.Total())
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
		s.shares.Release(from)
		s.mu.Unlock()
		s.wg.Done()
	}, nil
}

// Close cancels the requests that are carried out and waits until they have
// ended. Those that come later are dropped. Answer must not call it within a
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
	m.Onward, m.Return, m.Payload = back, tunnel.NewRoute(tunnel.LocalAddress(s.Name)), payload
	return s.Router.Send(m)
}

// Respond returns the response to a request that went well, with a body; nil: none.
func Respond(req Request, body Body) (Response, error) {
	r := response(req, StatusOK)
	if body == nil {
		return r, nil
	}
	enc, err := Append(nil, body)
	if err != nil {
		return Response{}, err
	}
	r.HasBody, r.Body = true, enc
	return r, nil
}

// Fail returns the response to a request that failed with e.
func Fail(req Request, e *Error) Response {
	r := response(req, e.Status)
	if body, err := Append(nil, e); err == nil { // an Error always has an encoding
		r.HasBody, r.Body = true, body
	}
	return r
}

func response(req Request, status Status) Response {
	return Response{ID: randomID(), Re: req.ID, Status: status}
}

// randomID returns a number that is not 0.
func randomID() uint32 { return 1 + rand.Uint32N(1<<32-1) }

var _ tunnel.Handler = (*Server)(nil)
