package control

import (
	"context"
	"errors"

	"ockam/tunnel/api"
)

// The functions below make a serveFunc of a method of an ability N of the node
// (InletNode.Inlet): they look whether the node has it, read the request's
// body, and wrap the answer's.

// able returns n as an N.
func able[N any](n Node) (N, error) {
	a, ok := n.(N)
	if !ok {
		return a, api.ErrNotSupported
	}
	return a, nil
}

// get serves what takes nothing and returns something.
func get[N, T any, P api.Pointer[T]](f func(N, context.Context) (T, error)) serveFunc {
	return func(ctx context.Context, n Node, _ string, _ []byte) (Body, error) {
		a, err := able[N](n)
		if err != nil {
			return nil, err
		}
		v, err := f(a, ctx)
		return P(&v), err
	}
}

// getList serves what returns a list.
func getList[N, T any, P api.Pointer[T]](f func(N, context.Context) ([]T, error)) serveFunc {
	return func(ctx context.Context, n Node, _ string, _ []byte) (Body, error) {
		a, err := able[N](n)
		if err != nil {
			return nil, err
		}
		v, err := f(a, ctx)
		return &api.ListBody[T, P]{List: &v}, err
	}
}

// getTexts serves what returns texts.
func getTexts[N any](f func(N, context.Context) ([]string, error)) serveFunc {
	return func(ctx context.Context, n Node, _ string, _ []byte) (Body, error) {
		a, err := able[N](n)
		if err != nil {
			return nil, err
		}
		v, err := f(a, ctx)
		return &api.TextList{List: v}, err
	}
}

// getOne serves what takes the path's variable segment and returns something.
func getOne[N, T any, P api.Pointer[T]](f func(N, context.Context, string) (T, error)) serveFunc {
	return func(ctx context.Context, n Node, arg string, _ []byte) (Body, error) {
		a, err := able[N](n)
		if err != nil {
			return nil, err
		}
		v, err := f(a, ctx, arg)
		return P(&v), err
	}
}

// doOne serves what takes the path's variable segment and returns nothing.
func doOne[N any](f func(N, context.Context, string) error) serveFunc {
	return func(ctx context.Context, n Node, arg string, _ []byte) (Body, error) {
		a, err := able[N](n)
		if err != nil {
			return nil, err
		}
		return nil, f(a, ctx, arg)
	}
}

// post serves what takes a body and returns one.
func post[N, B, T any, PB api.Pointer[B], P api.Pointer[T]](f func(N, context.Context, B) (T, error)) serveFunc {
	return func(ctx context.Context, n Node, _ string, body []byte) (Body, error) {
		var b B
		a, err := ableWith[N](n, body, PB(&b))
		if err != nil {
			return nil, err
		}
		v, err := f(a, ctx, b)
		return P(&v), err
	}
}

// do serves what takes a body and returns nothing.
func do[N, B any, PB api.Pointer[B]](f func(N, context.Context, B) error) serveFunc {
	return func(ctx context.Context, n Node, _ string, body []byte) (Body, error) {
		var b B
		a, err := ableWith[N](n, body, PB(&b))
		if err != nil {
			return nil, err
		}
		return nil, f(a, ctx, b)
	}
}

// startAt serves what starts a service with options at an address.
func startAt[N, B any, PB api.Pointer[B]](f func(N, context.Context, string, B) error) serveFunc {
	return func(ctx context.Context, n Node, _ string, body []byte) (Body, error) {
		var b StartService[B, PB]
		a, err := ableWith[N](n, body, &b)
		if err != nil {
			return nil, err
		}
		return nil, f(a, ctx, b.Address, b.Request)
	}
}

// ableWith returns n as an N and reads the request's body.
func ableWith[N any](n Node, body []byte, v Body) (N, error) {
	a, err := able[N](n)
	if err != nil {
		return a, err
	}
	if _, err := api.Parse(body, v); err != nil {
		return a, errBody{err}
	}
	return a, nil
}

// unitBody is the body that says nothing, where the reference sends one.
var unitBody Body = &api.Unit{}

// then gives the answer of serve a body.
func then(body Body, serve serveFunc) serveFunc {
	return func(ctx context.Context, n Node, arg string, req []byte) (Body, error) {
		_, err := serve(ctx, n, arg, req)
		return body, err
	}
}

// missing gives an ErrNotFound a text for people, with the name of what is not
// there.
func missing(err error, format, name string) error {
	if !errors.Is(err, api.ErrNotFound) {
		return err
	}
	return api.Errorf(api.ErrNotFound, format, clip(name))
}
