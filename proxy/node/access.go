package node

import (
	"context"
	"reflect"
	"slices"

	"ockam/config"
	"ockam/tunnel"
)

// An accepted link or channel, as long as it lasts.
type accepted struct {
	close func()
	link  *tunnel.Link // nil: a channel
	used  map[key]bool // what admitted it by name
}

func (n *Node) accept(o *tunnel.Origin, closeIt func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accepted[o] = &accepted{close: closeIt, used: make(map[key]bool)}
}

func (n *Node) acceptLink(l *tunnel.Link) {
	n.accept(l.Origin(), l.Close)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accepted[l.Origin()].link = l
}

func (n *Node) forget(o *tunnel.Origin) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.accepted, o)
}

// hangUp closes a link or channel if this node accepted it.
func (n *Node) hangUp(o *tunnel.Origin) {
	n.mu.Lock()
	a := n.accepted[o]
	n.mu.Unlock()
	if a != nil {
		a.close()
	}
}

// markUsed remembers that o was admitted to the resource k.
func (n *Node) markUsed(k key, o *tunnel.Origin) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.accepted[o]; a != nil {
		a.used[k] = true
	}
}

// users are the links and channels that were admitted to a resource, and how to
// close them.
type users struct {
	warden *warden
	ends   map[*tunnel.Origin]func()
}

func (n *Node) usersLocked(k key, w *warden) users {
	u := users{w, make(map[*tunnel.Origin]func())}
	for o, a := range n.accepted {
		if a.used[k] {
			u.ends[o] = a.close
		}
	}
	return u
}

// endLapsed closes the channels of those who would not be admitted now: what they
// carry of the resource has no permission any more. What else they carry is lost
// as well; inlets have channels of their own. (Which names a relay service may have
// registered is rechecked soon.)
func (u users) endLapsed() {
	for o, end := range u.ends {
		if u.warden.decide(o.Peer, "").Err != nil {
			end()
		}
	}
}

// closeUsers closes the links and channels that were admitted to the resource k.
// A stream that is reset tells its peer that it has ended, since the protocol
// knows nothing else; one whose channel ends is reset at both ends.
func (n *Node) closeUsers(k key) {
	n.mu.Lock()
	u := n.usersLocked(k, nil)
	n.mu.Unlock()
	for _, end := range u.ends {
		end()
	}
}

// shutdown calls f, which is to wait for connections until its context ends and
// then reset them. It has done that when ctx has ended and then cut has returned.
func shutdown(ctx context.Context, cut func(), f func(context.Context) error) {
	ready, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		cut()
		cancel()
	})
	defer stop()
	_ = f(ready) // the context's error: what was left has been reset
}

// closeStrangers closes the channels of those whom no allow names any more.
func (n *Node) closeStrangers() {
	n.closeIf(func(o *tunnel.Origin) bool { return o.Peer != "" && !n.allowed.Permits(o.Peer) })
}

// closeChannels closes the channels that this node accepted.
func (n *Node) closeChannels() {
	n.closeIf(func(o *tunnel.Origin) bool { return o.Peer != "" })
}

// closeIf closes what was accepted and is meant, which is asked with Node.mu.
func (n *Node) closeIf(meant func(*tunnel.Origin) bool) {
	n.mu.Lock()
	var ends []func()
	for o, a := range n.accepted {
		if meant(o) {
			ends = append(ends, a.close)
		}
	}
	n.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// narrower reports whether next permits less than list, or may do so.
func narrower(list, next config.AllowList) bool {
	if list.Policy != nil || next.Policy != nil {
		return !next.Anyone && !reflect.DeepEqual(list, next)
	}
	if list.Anyone || next.Anyone {
		return !next.Anyone
	}
	return slices.ContainsFunc(list.Identifiers, func(id string) bool { return !next.Permits(id) })
}
