package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"ockam/tunnel"
	"ockam/tunnel/api"
)

// NewServer returns what answers node API requests with what n does, to be
// registered at Address.
//
// A body that cannot be read is answered with 500, an unknown path or method, or
// none, with 400, and an endpoint that n does not have with 501. A request that
// cannot be read is dropped. An n must not call Close within a request.
func NewServer(r *tunnel.Router, n Node) *api.Server {
	return &api.Server{
		Router: r, Name: Address,
		Answer: func(ctx context.Context, _ *tunnel.Origin, req Request) Response { return answer(ctx, n, req) },
	}
}

// answer carries out a request.
func answer(ctx context.Context, n Node, req Request) Response {
	e, arg, ok := findEndpoint(req.Method, req.Path)
	if !ok {
		message := "Invalid endpoint: " + req.Method.String() + " " + req.Path
		return api.Fail(req, &Error{
			Status: api.StatusBadRequest, Path: clip(req.Path), Method: req.Method, Message: clip(message),
		})
	}
	body, err := e.serve(ctx, n, arg, req.Body)
	if err != nil {
		return api.Fail(req, e.failure(req, arg, err))
	}
	r, err := api.Respond(req, body)
	if err != nil {
		return api.Fail(req, e.failure(req, arg, err))
	}
	return r
}

// errBody is why a request's body could not be read.
type errBody struct{ cause error }

func (e errBody) Error() string { return "failed to handle request: " + e.cause.Error() }
func (e errBody) Unwrap() error { return e.cause }

// statuses are those of failures that every client can read.
var statuses = []Status{
	api.StatusBadRequest, api.StatusUnauthorized, api.StatusForbidden, api.StatusNotFound, api.StatusMethodNotAllowed, api.StatusTimeout,
	api.StatusConflict, api.StatusInternalError, api.StatusNotImplemented,
}

// failure makes the body of the answer to a request that failed with err.
func (e endpoint) failure(req Request, arg string, err error) *Error {
	out := &Error{Status: api.StatusInternalError, Message: clip(err.Error())}
	if given, ok := errors.AsType[*Error](err); ok {
		*out = *given
		if !slices.Contains(statuses, out.Status) {
			out.Status = api.StatusInternalError
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
	case errors.Is(err, api.ErrNotFound):
		out.Status = api.StatusNotFound
		if e.missing != 0 {
			out.Status = e.missing
		}
		if e.notFound != "" {
			out.Message = fmt.Sprintf(e.notFound, clip(arg))
		}
	case errors.Is(err, api.ErrBadRequest):
		out.Status = api.StatusBadRequest
	case errors.Is(err, api.ErrNotSupported):
		out.Status = api.StatusNotImplemented
	}
	return out
}

// clip cuts what came from the network down to what can stand in a text.
func clip(s string) string {
	const most = 1024
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}
