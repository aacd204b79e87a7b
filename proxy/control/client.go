package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/tunnel"
)

// DefaultTimeout is how long a Client waits for an answer by default.
const DefaultTimeout = 120 * time.Second

// ErrNoAnswer is returned when there is no answer in time.
var ErrNoAnswer = errors.New("control: the node does not answer")

// ErrNoBody is returned when a response should have a body and has none.
var ErrNoBody = errors.New("control: response without the body that is due")

// A Client asks a node. It has the methods of a Node and of all that a Node can
// be; each sends one request. Any number of goroutines may use it.
//
// When the node refuses, the methods return an *Error with its text, which
// wraps ErrNotFound and the like by its status. (Some endpoints tell with 400
// that something is not there.) Answers are told apart by the address they come
// to, so that Response.Re is not looked at.
type Client struct {
	Router *tunnel.Router
	// Path leads to the node; nil: the node of Router.
	Path tunnel.Path
	// Via stands between Path and the worker at Address; mostly empty.
	Via tunnel.Route
	// Timeout replaces DefaultTimeout if it is not zero.
	Timeout time.Duration
}

// Do sends a request, with a random ID if it has none, and returns the answer,
// whatever its status is. It returns ErrNoAnswer when there is none in time,
// why the path was lost when it is, and an error when the answer cannot be read.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	if r.ID == 0 {
		r.ID = randomID()
	}
	payload, err := r.Append(nil)
	if err != nil {
		return Response{}, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	inTime, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	to := c.Via.Join(tunnel.NewRoute(tunnel.LocalAddress(Address)))
	b, err := tunnel.Ask(inTime, c.Router, c.Path, to, payload)
	switch {
	case err == nil:
		return ParseResponse(b)
	case ctx.Err() != nil:
		return Response{}, ctx.Err()
	case inTime.Err() != nil:
		return Response{}, fmt.Errorf("%w within %v", ErrNoAnswer, timeout)
	default:
		return Response{}, fmt.Errorf("control: %v %s: %w", r.Method, r.Path, err)
	}
}

// do sends a request with a body, nil for none, and looks at the status.
func (c *Client) do(ctx context.Context, m Method, path string, body Body) (Response, error) {
	r := Request{Method: m, Path: path}
	if body != nil {
		enc, err := body.layout().append(nil)
		if err != nil {
			return Response{}, fmt.Errorf("control: %v %s: %w", m, path, err)
		}
		r.HasBody, r.Body = true, enc
	}
	a, err := c.Do(ctx, r)
	if err == nil && a.Status != StatusOK {
		err = ParseError(a)
	}
	return a, err
}

// call is do for an answer with a body, which it reads into out.
func (c *Client) call(ctx context.Context, m Method, path string, in, out Body) error {
	a, err := c.do(ctx, m, path, in)
	switch {
	case err != nil:
		return err
	case !a.HasBody:
		return fmt.Errorf("%w: %v %s", ErrNoBody, m, path)
	}
	if _, err := parse(a.Body, out); err != nil {
		return fmt.Errorf("control: answer to %v %s: %w", m, path, err)
	}
	return nil
}

// ask is call for a body of the type T.
func ask[T any, P pointer[T]](ctx context.Context, c *Client, m Method, path string, in Body) (T, error) {
	var out T
	err := c.call(ctx, m, path, in, P(&out))
	return out, err
}

// askList is call for a list.
func askList[T any, P pointer[T]](ctx context.Context, c *Client, path string) ([]T, error) {
	var out []T
	err := c.call(ctx, MethodGet, path, nil, &listBody[T, P]{&out})
	return out, err
}

// tell is do for an answer whose body says nothing.
func (c *Client) tell(ctx context.Context, m Method, path string, in Body) error {
	_, err := c.do(ctx, m, path, in)
	return err
}
