package control

import (
	"context"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
)

// A Client asks a node. It has the methods of a Node and of all that a Node can
// be; each sends one request. Any number of goroutines may use it.
//
// When the node refuses, the methods return an *Error with its text, which
// wraps api.ErrNotFound and the like by its status. (Some endpoints tell with 400
// that something is not there.)
type Client struct {
	Router *tunnel.Router
	// Path leads to the node; nil: the node of Router.
	Path tunnel.Path
	// Via stands between Path and the worker at Address; mostly empty.
	Via tunnel.Route
	// Timeout replaces api.DefaultTimeout if it is not zero.
	Timeout time.Duration
}

func (c *Client) asking() *api.Client {
	to := c.Via.Join(tunnel.NewRoute(tunnel.LocalAddress(Address)))
	return &api.Client{Router: c.Router, Path: c.Path, To: to, Timeout: c.Timeout}
}

// Do sends a request; see api.Client.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) { return c.asking().Do(ctx, r) }

// ask is call for a body of the type T.
func ask[T any, P api.Pointer[T]](ctx context.Context, c *Client, m Method, path string, in Body) (T, error) {
	var out T
	err := c.asking().Call(ctx, m, path, in, P(&out))
	return out, err
}

// askList is call for a list.
func askList[T any, P api.Pointer[T]](ctx context.Context, c *Client, path string) ([]T, error) {
	var out []T
	err := c.asking().Call(ctx, api.MethodGet, path, nil, &api.ListBody[T, P]{List: &out})
	return out, err
}

// tell is do for an answer whose body says nothing.
func (c *Client) tell(ctx context.Context, m Method, path string, in Body) error {
	_, err := c.asking().Tell(ctx, m, path, in)
	return err
}
