package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"ockam/config"
	"ockam/tunnel/policy"
)

// A key names a resource within its node.
type key struct{ kind, label string }

// A wanted resource is what a configuration asks for. Two are the same if their
// specifications are deeply equal.
type wanted struct {
	key   key
	spec  any
	allow config.AllowList // of spec; the zero AllowList if it has none
	start func() (*resource, error)
	err   error // why it cannot be had

	of Resource // what policies call it; zero: there are none for it
	at string   // where allow stands
}

// A resource runs until it is stopped: first it takes nothing new, then it is
// drained, then it ends.
type resource struct {
	spec   any
	allow  config.AllowList
	change func(wanted) bool     // with Node.mu: become what is wanted; false: it must be replaced. Nil: see wanted
	halt   func()                // take nothing new, so that the address is free when it returns; nil: that takes until the end
	cancel context.CancelFunc    // take nothing new, and end if there is no drain
	drain  func(context.Context) // wait for what is under way, nil if there is nothing; then end it
	wg     sync.WaitGroup
	view   any     // what to tell about it; nil if nobody asks
	warden *warden // decides on who uses it; nil: nobody is asked

	traffic  *traffic // of an inlet or outlet
	restored bool     // with Node.mu: nobody has asked for it since the node was started
}

// newResource returns a resource whose run is called with a context that ends
// when the resource is to take nothing new.
func (n *Node) newResource(spec any, run func(context.Context)) *resource {
	ctx, cancel := context.WithCancel(n.life)
	r := &resource{spec: spec, cancel: cancel}
	r.wg.Go(func() { run(ctx) })
	return r
}

// stopNow ends a resource in which nothing is waited for.
func (r *resource) stopNow() {
	r.cancel()
	r.wg.Wait()
}

// Apply makes what runs the same as what cfg asks for: it stops what is not asked
// for any more, or otherwise, and starts what is new. What did not change goes
// on. All errors are returned together; what they concern does not run. There is
// one Apply at a time.
//
// What is under way in what is stopped has until ctx ends, and Apply returns
// after it. But what an allow permitted and does so no more is reset at once.
func (n *Node) Apply(ctx context.Context, cfg *config.Node) error {
	if err := n.sameAuthority(cfg); err != nil {
		return err
	}
	want := n.wanted(cfg)
	gone := n.changed(want)
	now, cancel := context.WithCancel(ctx)
	cancel()
	var whole, halted []*resource
	for _, g := range gone {
		switch {
		case g.lapsed:
			stopAll(now, []*resource{g.resource})
		case g.halt == nil:
			whole = append(whole, g.resource)
		default:
			g.halt()
			halted = append(halted, g.resource)
		}
	}
	stopAll(ctx, whole)
	var wg sync.WaitGroup
	wg.Go(func() { stopAll(ctx, halted) })
	err := n.startAll(want)
	wg.Wait()
	n.closeStrangers()
	return err
}

// A leaving resource is not asked for any more, or otherwise.
type leaving struct {
	*resource
	lapsed bool // what is wanted in its place allows less
}

// changing returns the change of a resource that goes by *s, which Node.mu guards:
// where becomes permits it while it runs, *s is what is wanted from then on.
func changing[S any](s *S, becomes func(now, next S) bool) func(wanted) bool {
	return func(w wanted) bool {
		next, ok := w.spec.(S)
		if ok = ok && becomes(*s, next); ok {
			*s = next
		}
		return ok
	}
}

// changed changes what can be changed while it runs, and returns what cannot.
func (n *Node) changed(want []wanted) []leaving {
	asked := make(map[key]wanted)
	for _, w := range want {
		if w.err == nil {
			asked[w.key] = w
		}
	}
	var gone []leaving
	var using []users
	n.mu.Lock()
	for k, r := range n.resources {
		w, ok := asked[k]
		if ok && (r.change != nil && r.change(w) || reflect.DeepEqual(w.spec, r.spec)) {
			r.spec, r.allow = w.spec, w.allow
			using = append(using, n.usersLocked(k, r.warden))
			continue
		}
		gone = append(gone, leaving{r, ok && narrower(r.allow, w.allow)})
		delete(n.resources, k)
	}
	n.mu.Unlock()
	for _, u := range using {
		u.endLapsed()
	}
	return gone
}

// startAll starts what is wanted and does not run.
func (n *Node) startAll(want []wanted) error {
	var errs []error
	for _, w := range want {
		n.mu.Lock()
		running := n.resources[w.key] != nil
		n.mu.Unlock()
		if running {
			continue
		}
		r, err := (*resource)(nil), w.err
		if err == nil {
			r, err = w.start()
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.allow = w.allow
		n.mu.Lock()
		n.resources[w.key] = r
		n.mu.Unlock()
	}
	return errors.Join(errs...)
}

// stop ends all resources of all nodes; what is under way has until ctx ends.
// Streams of one node may run through another. Who opened a channel is told that
// it ends: a relay does not tell that the node behind it has gone.
func stop(ctx context.Context, nodes []*Node) {
	var all []*resource
	for _, n := range nodes {
		n.mu.Lock()
		for k, r := range n.resources {
			all = append(all, r)
			delete(n.resources, k)
		}
		n.mu.Unlock()
	}
	drainAll(ctx, all)
	for _, n := range nodes {
		n.closeChannels()
	}
	endAll(all)
}

// stopAll stops resources: first those in which something may be under way,
// then those that carry it.
func stopAll(ctx context.Context, all []*resource) {
	drainAll(ctx, all)
	endAll(all)
}

// endAll ends what has been drained.
func endAll(all []*resource) {
	for _, r := range all {
		r.cancel()
	}
	for _, r := range all {
		r.wg.Wait()
	}
}

// drainAll waits for what is under way.
func drainAll(ctx context.Context, all []*resource) {
	var wg sync.WaitGroup
	for _, r := range all {
		if r.drain != nil {
			r.cancel()
			wg.Go(func() { r.drain(ctx) })
		}
	}
	wg.Wait()
}

// wanted lists the resources of cfg, those first that others stand on.
func (n *Node) wanted(cfg *config.Node) []wanted {
	var all []wanted
	var named config.AllowList // who is allowed something by name
	more := false              // than those are allowed something
	add := func(w wanted) {
		if w.err != nil {
			w.err = fmt.Errorf("node %s: %s %s: %w", n.name, w.key.kind, w.key.label, w.err)
		}
		all = append(all, w)
	}
	admit := func(a config.Allow) (config.AllowList, error) { // somebody who comes to us
		list, err := a.Resolve(n.identifiers)
		named.Anyone = named.Anyone || list.Anyone
		named.Identifiers = append(named.Identifiers, list.Identifiers...)
		more = more || list.Policy != nil
		return list, err
	}
	if c := cfg.Project; c != nil {
		more = true // members, and those who want to become some
		add(wanted{key: key{"project", c.Name}, spec: c, start: func() (*resource, error) { return n.startProject(c) }})
	}
	for _, c := range cfg.Listeners {
		s := listenerSpec{c.Transport, c.Address}
		add(wanted{key: key{"listener", c.Transport}, spec: s, start: func() (*resource, error) { return n.startListener(c) }})
	}
	if c := cfg.RelayService; c != nil {
		list, err := admit(c.Allow)
		s := relayServiceSpec{list, c.Allow.Range.String()}
		add(wanted{relayServiceKey, s, list, func() (*resource, error) { return n.startRelayService(s, c) }, err, relayServiceResource, s.At})
	}
	for _, c := range cfg.TCPOutlets {
		list, err := admit(c.Allow)
		s := outletSpec{Name: c.Name, To: c.To, Allow: list, Max: c.MaxConnections, At: c.Allow.Range.String()}
		of := Resource{policy.TCPOutlet, c.Name}
		add(wanted{outletKey(c.Name), s, list, func() (*resource, error) { return n.startOutlet(s, c) }, err, of, s.At})
	}
	for _, c := range cfg.Relays {
		list, err := c.Allow.Resolve(n.identifiers)
		s := relaySpec{c.Name, c.At.String(), list, c.Allow.Range.String()}
		of := Resource{policy.Relay, c.Name}
		add(wanted{key{"relay", c.Name}, s, list, func() (*resource, error) { return n.startRelay(s, c) }, err, of, s.AllowAt})
	}
	for _, c := range cfg.TCPInlets {
		list, err := c.Allow.Resolve(n.identifiers)
		s := inletSpec{c.Name, c.From, c.To.String(), list, c.Allow.Range.String(), c.MaxConnections}
		of := Resource{policy.TCPInlet, c.Name}
		add(wanted{key{"tcp_inlet", c.Name}, s, list, func() (*resource, error) { return n.startInlet(s, c) }, err, of, s.At})
	}
	if len(cfg.Services) > 0 {
		s := serviceSpec(cfg.Services)
		more = true
		add(wanted{key: key{"services", ""}, spec: s, start: func() (*resource, error) { return n.startServices(s) }})
	}
	n.mu.Lock()
	n.named, n.allowed = named, named
	n.allowed.Anyone = named.Anyone || more
	n.mu.Unlock()
	return all
}
