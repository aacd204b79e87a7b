package control_test

import (
	"context"
	"errors"
	"fmt"

	"ockam/proxy/control"
	"ockam/tunnel"
	"ockam/tunnel/api"
)

// inlets is a node with one inlet.
type inlets struct{ small }

func (inlets) Inlets(context.Context) ([]control.InletStatus, error) {
	return []control.InletStatus{{Alias: "in1", Bind: "127.0.0.1:6000", Status: control.Up}}, nil
}

func (inlets) Inlet(_ context.Context, alias string) (control.InletStatus, error) {
	return control.InletStatus{}, api.Errorf(api.ErrNotFound, "there is no inlet %s", alias)
}

func (inlets) CreateInlet(context.Context, control.CreateInlet) (control.InletStatus, error) {
	return control.InletStatus{}, api.ErrNotSupported
}

func (inlets) DeleteInlet(context.Context, string) (control.InletStatus, error) {
	return control.InletStatus{}, api.ErrNotSupported
}

// A node and a client of it that are workers of the same router.
func Example() {
	router := tunnel.NewRouter()
	s := control.NewServer(router, inlets{})
	defer s.Close()
	if _, err := router.Handle(tunnel.LocalAddress(control.Address), s, tunnel.Access{}); err != nil {
		fmt.Println(err)
	}
	c := &control.Client{Router: router}
	list, err := c.Inlets(context.Background())
	fmt.Println(list[0].Alias, list[0].Bind, err)
	_, err = c.Inlet(context.Background(), "in2")
	fmt.Println(err, errors.Is(err, api.ErrNotFound))
	_, err = c.Relays(context.Background())
	fmt.Println(err)
	// Output:
	// in1 127.0.0.1:6000 <nil>
	// there is no inlet in2 true
	// api: not supported by this node
}
