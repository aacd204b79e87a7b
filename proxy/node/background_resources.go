package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"ockam/proxy/state"
	"ockam/tunnel"
)

func (n *Node) put(k key, r *resource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.resources == nil {
		n.resources = make(map[key]*resource)
	}
	n.resources[k] = r
}

// add makes a resource, unless there is one of that name, and stores what it is
// made from if kind is not empty.
func (b *Background) add(k key, stored *state.Resource, start func() (*resource, error)) (*resource, error) {
	b.change.Lock()
	defer b.change.Unlock()
	if b.isClosed() {
		return nil, tunnel.ErrClosed
	}
	if b.find(k) != nil {
		return nil, fmt.Errorf("%w: %s %s", ErrExists, k.kind, k.label)
	}
	r, err := start()
	if errors.Is(err, tunnel.ErrInUse) {
		return nil, fmt.Errorf("%w: %s %s", ErrExists, k.kind, k.label)
	} else if err != nil {
		return nil, err
	}
	b.n.put(k, r)
	if stored == nil || b.opt.InMemory {
		return r, nil
	}
	if err := b.store.PutResource(context.WithoutCancel(b.n.life), b.opt.Name, *stored); err != nil {
		return nil, errors.Join(err, b.takeOut(k))
	}
	return r, nil
}

func (b *Background) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *Background) find(k key) *resource {
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	return b.n.resources[k]
}

// list returns the resources of a kind, in the order of their labels.
func (b *Background) list(kind string) []*resource {
	var labels []string
	var all []*resource
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	for k := range b.n.resources {
		if k.kind == kind {
			labels = append(labels, k.label)
		}
	}
	slices.Sort(labels)
	for _, l := range labels {
		all = append(all, b.n.resources[key{kind, l}])
	}
	return all
}

// remove ends a resource at once, and forgets it.
func (b *Background) remove(k key, storedKind string) error {
	b.change.Lock()
	defer b.change.Unlock()
	if b.isClosed() {
		return tunnel.ErrClosed
	}
	if b.find(k) == nil {
		return fmt.Errorf("%w: %s %s", ErrNotFound, k.kind, k.label)
	}
	if err := b.forget(storedKind, k.label); err != nil {
		return err
	}
	return b.takeOut(k)
}

func (b *Background) forget(kind, name string) error {
	if b.opt.InMemory {
		return nil
	}
	err := b.store.DeleteResource(context.WithoutCancel(b.n.life), b.opt.Name, kind, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil // a default one
	}
	return err
}

func (b *Background) takeOut(k key) error {
	b.n.mu.Lock()
	r := b.n.resources[k]
	delete(b.n.resources, k)
	b.n.mu.Unlock()
	if r == nil {
		return nil
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	stopAll(now, []*resource{r})
	return nil
}

// restore makes what was there before. Later ones may stand on earlier ones,
// so that the order is that in which they were made.
func (b *Background) restore(ctx context.Context) error {
	all, err := b.store.NodeResources(ctx, b.opt.Name, "")
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := b.restoreOne(ctx, r); err != nil {
			b.n.log.Error("not restored", zap.String("node", b.opt.Name), zap.String("kind", r.Kind),
				zap.String("name", r.Name), zapErr(err))
		}
	}
	return nil
}

func (b *Background) restoreOne(ctx context.Context, r state.Resource) error {
	switch r.Kind {
	case state.KindTCPInlet:
		return restored(r, func(o InletOptions) error { _, err := b.CreateInlet(ctx, o); return err })
	case state.KindTCPOutlet:
		return restored(r, func(o OutletOptions) error { _, err := b.CreateOutlet(ctx, o); return err })
	case state.KindRelay:
		return restored(r, func(o RelayOptions) error {
			_, err := b.CreateRelay(ctx, o)
			b.n.mu.Lock()
			defer b.n.mu.Unlock()
			if made := b.n.resources[relayKey(o.Name)]; made != nil {
				made.restored = true
			}
			return err
		})
	case state.KindTCPListener:
		return restored(r, func(addr string) error { _, err := b.CreateListener(ctx, addr); return err })
	case state.KindSecureChannelListener:
		return restored(r, func(o ChannelListenerOptions) error { return b.CreateChannelListener(ctx, o) })
	case state.KindService:
		return restored(r, func(o ServiceInfo) error { return b.StartService(ctx, o) })
	default:
		return fmt.Errorf("node: no kind of resource %q in this version", r.Kind)
	}
}

// restored calls make with the settings of a resource.
func restored[T any](r state.Resource, make func(T) error) error {
	var o T
	if err := r.Decode(1, &o); err != nil {
		return err
	}
	return make(o)
}
