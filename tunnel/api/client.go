package api

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
var ErrNoAnswer = errors.New("api: the node does not answer")

// ErrNoBody is returned when a response should have a body and has none.
var ErrNoBody = errors.New("api: response without the body that is due")

// A Client asks a worker. Any number of goroutines may use it.
//
// A refusal is an *Error, which wraps ErrNotFound and the like by its status.
// Answers are told apart by the address they come to, so that Response.Re is not
// looked at.
type Client struct {
	Router *tunnel.Router
	// Path leads to the node; nil: the node of Router.
	Path tunnel.Path
	// To is the way from the end of Path to the worker.
	To tunnel.Route
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
	b, err := tunnel.Ask(inTime, c.Router, c.Path, c.To, payload)
	switch {
	case err == nil:
		return ParseResponse(b)
	case ctx.Err() != nil:
		return Response{}, ctx.Err()
	case inTime.Err() != nil:
		return Response{}, fmt.Errorf("%w within %v", ErrNoAnswer, timeout)
	default:
		return Response{}, fmt.Errorf("api: %v %s: %w", r.Method, r.Path, err)
	}
}

// Tell sends a request with a body, nil for none, and looks at the status.
func (c *Client) Tell(ctx context.Context, m Method, path string, body Body) (Response, error) {
	r := Request{Method: m, Path: path}
	if body != nil {
		enc, err := body.Layout().Append(nil)
		if err != nil {
			return Response{}, fmt.Errorf("api: %v %s: %w", m, path, err)
		}
		r.HasBody, r.Body = true, enc
	}
	a, err := c.Do(ctx, r)
	if err == nil && a.Status != StatusOK {
		err = ParseError(a)
	}
	return a, err
}

// Call is Tell for an answer with a body, which it reads into out.
func (c *Client) Call(ctx context.Context, m Method, path string, in, out Body) error {
	a, err := c.Tell(ctx, m, path, in)
	switch {
	case err != nil:
		return err
	case !a.HasBody:
		return fmt.Errorf("%w: %v %s", ErrNoBody, m, path)
	}
	if _, err := Parse(a.Body, out); err != nil {
		return fmt.Errorf("api: answer to %v %s: %w", m, path, err)
	}
	return nil
}
