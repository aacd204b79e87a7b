package control_test

import (
	"context"
	"sync"

	"ockam/proxy/control"
	"ockam/tunnel"
)

// A fake is a node that fails, or waits, or counts.
type fake struct {
	control.Client // for the methods that no test calls
	err            error
	hold           chan struct{} // SendMessage waits for it, or for its context

	mu     sync.Mutex
	ended  int
	called []string
}

func (f *fake) note(s string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.called = append(f.called, s)
	return f.err
}

func (f *fake) Status(context.Context) (control.NodeStatus, error) {
	return control.NodeStatus{Name: "n1"}, f.err
}

func (f *fake) StartService(_ context.Context, kind, address string) error {
	return f.note(kind + " " + address)
}

func (f *fake) SendMessage(ctx context.Context, m control.SendMessage) ([]byte, error) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			f.mu.Lock()
			f.ended++
			f.mu.Unlock()
			return nil, ctx.Err()
		}
	}
	return m.Message, f.err
}

func (f *fake) CreateRelay(context.Context, control.CreateRelay) (control.RelayInfo, error) {
	return control.RelayInfo{}, f.err
}

func (f *fake) CreateInlet(context.Context, control.CreateInlet) (control.InletStatus, error) {
	return control.InletStatus{}, f.err
}

func (f *fake) DeleteInlet(context.Context, string) (control.InletStatus, error) {
	return control.InletStatus{}, f.err
}

func (f *fake) Inlet(context.Context, string) (control.InletStatus, error) {
	return control.InletStatus{}, f.err
}

func (f *fake) DeleteOutlet(context.Context, string) (control.OutletStatus, error) {
	return control.OutletStatus{}, f.err
}

func (f *fake) Relay(context.Context, string) (control.RelayInfo, error) {
	return control.RelayInfo{}, f.err
}
func (f *fake) DeleteRelay(context.Context, string) error { return f.err }
func (f *fake) Connection(context.Context, string) (control.TransportStatus, error) {
	return control.TransportStatus{}, f.err
}
func (f *fake) DeleteConnection(context.Context, string) error { return f.err }
func (f *fake) Listener(context.Context, string) (control.TransportStatus, error) {
	return control.TransportStatus{}, f.err
}
func (f *fake) DeleteListener(context.Context, string) error { return f.err }

func (f *fake) AddConsumer(context.Context, control.AddConsumer) error { return f.err }

func (f *fake) SecureChannel(context.Context, tunnel.Address) (control.ShowSecureChannelResponse, error) {
	return control.ShowSecureChannelResponse{}, f.err
}

func (f *fake) DeleteSecureChannel(context.Context, tunnel.Address) (control.DeleteSecureChannelResponse, error) {
	return control.DeleteSecureChannelResponse{}, f.err
}

func (f *fake) Policy(context.Context, control.ResourceTypeOrName) (control.Policy, error) {
	return control.Policy{}, f.err
}

// small is a node that can do nothing.
type small struct{}

func (small) Status(context.Context) (control.NodeStatus, error) { return control.NodeStatus{}, nil }

func (small) Resources(context.Context) (control.NodeResources, error) {
	return control.NodeResources{}, nil
}
