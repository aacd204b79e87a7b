package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"ockam/config"
)

// A key names a resource within its node.
type key struct{ kind, label string }

// A wanted resource is what a configuration asks for. Two are the same if their
// specifications are deeply equal.
type wanted struct {
	key   key
	spec  any
	start func() (*resource, error)
}

// A resource runs until it is stopped: first it takes nothing new, then it is
// drained, then it ends.
type resource struct {
	spec   any
	cancel context.CancelFunc    // take nothing new
	drain  func(context.Context) // wait for what is under way, nil if there is nothing; then end it
	wg     sync.WaitGroup
}

// newResource returns a resource whose run is called with a context that ends
// when the resource is to take nothing new.
func (n *Node) newResource(spec any, run func(context.Context)) *resource {
	ctx, cancel := context.WithCancel(n.life)
	r := &resource{spec: spec, cancel: cancel}
	r.wg.Go(func() { run(ctx) })
	return r
}

// Apply makes what runs the same as what cfg asks for: it stops what is not asked
// for any more, or otherwise, and starts what is new. What did not change goes
// on. All errors are returned together; what they concern does not run.
func (n *Node) Apply(ctx context.Context, cfg *config.Node) error {
	want, err := n.wanted(cfg)
	if err != nil {
		return err
	}
	n.mu.Lock()
	asked := make(map[key]any)
	for _, w := range want {
		asked[w.key] = w.spec
	}
	var gone []*resource
	for k, r := range n.resources {
		if !reflect.DeepEqual(asked[k], r.spec) {
			gone = append(gone, r)
			delete(n.resources, k)
		}
	}
	n.mu.Unlock()
	stopAll(ctx, gone)

	var errs []error
	for _, w := range want {
		n.mu.Lock()
		running := n.resources[w.key] != nil
		n.mu.Unlock()
		if running {
			continue
		}
		r, err := w.start()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n.mu.Lock()
		n.resources[w.key] = r
		n.mu.Unlock()
	}
	return errors.Join(errs...)
}

// stop ends all resources; what is under way has until ctx ends.
func (n *Node) stop(ctx context.Context) {
	n.mu.Lock()
	all := make([]*resource, 0, len(n.resources))
	for k, r := range n.resources {
		all = append(all, r)
		delete(n.resources, k)
	}
	n.mu.Unlock()
	stopAll(ctx, all)
}

// stopAll stops resources: first those in which something may be under way,
// then those that carry it.
func stopAll(ctx context.Context, all []*resource) {
	var wg sync.WaitGroup
	for _, r := range all {
		if r.drain != nil {
			r.cancel()
			wg.Go(func() { r.drain(ctx) })
		}
	}
	wg.Wait()
	for _, r := range all {
		r.cancel()
	}
	for _, r := range all {
		r.wg.Wait()
	}
}

// wanted lists the resources of cfg, those first that others stand on.
func (n *Node) wanted(cfg *config.Node) ([]wanted, error) {
	var all []wanted
	var errs []error
	var allowed config.AllowList
	resolve := func(a config.Allow) config.AllowList {
		list, err := a.Resolve(n.identifiers)
		errs = append(errs, err)
		return list
	}
	admit := func(a config.Allow) config.AllowList { // somebody who comes to us
		list := resolve(a)
		allowed.Anyone = allowed.Anyone || list.Anyone
		allowed.Identifiers = append(allowed.Identifiers, list.Identifiers...)
		return list
	}
	for _, c := range cfg.Listeners {
		all = append(all, wanted{key{"listener", c.Transport}, listenerSpec{c.Transport, c.Address}, func() (*resource, error) { return n.startListener(c) }})
	}
	if c := cfg.RelayService; c != nil {
		list := admit(c.Allow)
		all = append(all, wanted{key{"relay_service", ""}, list, func() (*resource, error) { return n.startRelayService(c, list) }})
	}
	for _, c := range cfg.TCPOutlets {
		s := outletSpec{c.Name, c.To, admit(c.Allow), c.MaxConnections}
		all = append(all, wanted{key{"tcp_outlet", c.Name}, s, func() (*resource, error) { return n.startOutlet(s, c) }})
	}
	for _, c := range cfg.Relays {
		s := relaySpec{c.Name, c.At.String(), resolve(c.Allow)}
		all = append(all, wanted{key{"relay", c.Name}, s, func() (*resource, error) { return n.startRelay(s, c) }})
	}
	for _, c := range cfg.TCPInlets {
		s := inletSpec{c.Name, c.From, c.To.String(), resolve(c.Allow), c.MaxConnections}
		all = append(all, wanted{key{"tcp_inlet", c.Name}, s, func() (*resource, error) { return n.startInlet(s, c) }})
	}
	if len(cfg.Services) > 0 {
		s := serviceSpec(cfg.Services)
		allowed.Anyone = true
		all = append(all, wanted{key{"services", ""}, s, func() (*resource, error) { return n.startServices(s) }})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("node %s: %w", n.name, err)
	}
	n.mu.Lock()
	n.allowed = allowed
	n.mu.Unlock()
	return all, nil
}
