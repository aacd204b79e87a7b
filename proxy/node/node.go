package node

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
)

// A Node is one node while it runs: a router with an identity, and the resources
// that its configuration asks for.
type Node struct {
	name   string
	log    *zap.Logger
	denied *refusals // logs what is refused; from start on
	status func(Event)
	router *tunnel.Router

	identity  *identity.Identity
	channels  secure.Config
	peers     *peers        // what is known of other identities
	links     *tunnel.Group // what is open to it is reachable over every accepted link
	own       *tunnel.Group // … over those that the listener of the node's commands accepted
	behind    *tunnel.Group // … through every accepted channel
	relayed   *tunnel.Group // … for what comes by way of a relay where this node is registered
	reached   *tunnel.Group // … for the far ends of this node's inlets: echo alone
	holes     *tunnel.Group // … through punctures: channel listeners and what belongs to channels
	dialed    *tunnel.Group // … of the connections and channels that a command opened: echo and hops
	budget    *portal.Budget
	authority *identity.History    // whose credentials are believed; nil: nobody's
	echo      *warden              // of the echo service
	echoGate  tunnel.Gate          // of the echo service; nil lets all pass
	echoing   *tunnel.Registration // of the echo service
	freely    *tunnel.Group        // may use echo whatever the policy says; nil: nobody
	cutOff    func(*tunnel.Origin) // ends a link or channel; nil: hangUp
	// rendezvous is the server that finds paths over UDP, empty: there are none.
	rendezvous string
	self       string // where the node itself can be dialed, empty if it cannot

	identifiers map[string]string // of all nodes of the configuration

	members  *membership     // presents credentials; nil: none
	serving  *projectServing // the project that the node serves; nil: none
	projects Projects        // nil: there are none

	// life ends when everything is to end at once; accepting ends before, so
	// that what is under way can be drained.
	life context.Context
	wg   sync.WaitGroup

	mu        sync.Mutex
	resources map[key]*resource
	allowed   config.AllowList // who may open a channel
	named     config.AllowList // whom an allow of the node names; also in allowed
	accepted  map[*tunnel.Origin]*accepted
	ways      map[*way]bool          // established, for counting
	admitted  map[admission]func()   // how to end the channel; nil until there is one
	names     map[*tunnel.Origin]int // how many of those are names at a relay service
	watching  chan struct{}          // closed when there is one
	echoes    map[*tunnel.Origin]echoing
}

// An Event is something that whoever runs a node is told about: an address that
// now listens, an identity that was made, a way that came up or went down.
type Event struct {
	Node string // the node's name
	Kind string // "identity", "listener", "relay", "inlet", "outlet", "relay_service"
	Name string // the resource's label; empty for an identity
	Text string // what happened, a clause without the node's and the resource's name
	Up   bool   // false: something is lost, refused, or not there yet
	Addr string // the address that listens, if the event is that it does
}

func (n *Node) event(kind, name string, up bool, format string, args ...any) {
	e := Event{Node: n.name, Kind: kind, Name: name, Up: up, Text: fmt.Sprintf(format, args...)}
	n.tell(e)
}

func (n *Node) tell(e Event) {
	if n.status != nil {
		n.status(e)
	}
	log := n.log.Debug // Status has said it
	if n.status == nil {
		log = n.log.Info
	}
	log(e.Text, zap.String("node", e.Node), zap.String("kind", e.Kind), zap.String("name", e.Name))
}

// zapErr and zapAddr keep the names of log fields in one place.
func zapErr(err error) zap.Field    { return zap.Error(err) }
func zapAddr(addr string) zap.Field { return zap.String("addr", addr) }

// start makes the node's echo service reachable. Its resources come with apply.
func (n *Node) start() error {
	n.links = &tunnel.Group{Name: n.name + " links"}
	n.own = &tunnel.Group{Name: n.name + " commands"}
	n.dialed = &tunnel.Group{Name: n.name + " connections"}
	n.behind = &tunnel.Group{Name: n.name + " channels"}
	n.relayed = &tunnel.Group{Name: n.name + " relays"}
	n.holes = &tunnel.Group{Name: n.name + " punctures"}
	n.reached = &tunnel.Group{Name: n.name + " inlets"}
	n.resources = make(map[key]*resource)
	n.accepted = make(map[*tunnel.Origin]*accepted)
	n.watching = make(chan struct{})
	n.denied = newRefusals(n.log.With(zap.String("node", n.name)))
	n.wg.Go(func() {
		<-n.life.Done()
		n.denied.close()
	})
	n.wg.Go(n.recheck)
	if n.cutOff == nil {
		n.cutOff = n.hangUp
	}
	if n.echo == nil {
		n.echo = n.echoWarden()
	}
	n.ways = make(map[*way]bool)
	self := tunnel.LocalAddress(service.EchoName)
	access := n.everybody()
	access.Gate = n.echoGate
	echo, err := n.router.Handle(self, service.Echo{Router: n.router, Self: self}, access)
	if err != nil {
		return err
	}
	echo.Open(n.reached)
	echo.Open(n.dialed)
	n.echoing = echo
	return nil
}

// listen makes the channel listener that every configured node has reachable.
func (n *Node) listen() error {
	l := n.channelListener(n.channels, secure.DefaultName)
	l.Open, l.Authorize = []tunnel.Source{n.links, n.relayed}, n.authorize
	if err := l.Register(); err != nil {
		return err
	}
	n.wg.Go(func() { _ = l.Serve(n.life) }) // nil once it is registered
	return nil
}

// channelListener returns a listener that is open to nobody yet.
func (n *Node) channelListener(cfg secure.Config, name string) *secure.Listener {
	member := n.members.accepting(&cfg)
	return &secure.Listener{
		Config: cfg, Name: name, Group: n.behind,
		Opened: func(c *secure.Channel) {
			n.log.Debug("channel opened", zap.Stringer("peer", c.Peer()))
			n.peers.hold(c.Peer())
			n.accept(c.Origin(), c.Close)
			member.add(c)
			n.wg.Go(func() {
				member.present(c) // if there is another one meanwhile
				n.watchAccepted(c)
			})
		},
		Closed: func(c *secure.Channel, err error) {
			n.log.Debug("channel closed", zap.Stringer("peer", c.Peer()), zap.Error(err))
			member.forget(c)
			n.forget(c.Origin())
			n.peers.release(c.Peer())
		},
		Refused: func(err error) { // which says who it is, where that is known
			n.denied.say(zap.WarnLevel, refused{"channel refused", "channel_listener", name}, err.Error(), zap.Error(err))
		},
	}
}

// everybody is the access of what anyone may reach, with a channel or without.
func (n *Node) everybody() tunnel.Access {
	return tunnel.Access{Open: []tunnel.Source{n.links, n.own, n.behind, n.relayed}}
}

// authorize admits to the channel listener whom some resource of the node allows
// something. What each may then reach is decided at every open.
func (n *Node) authorize(id identity.Identifier) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.allowed.Permits(id.String()) {
		return nil
	}
	return fmt.Errorf("node %s: no allow names it", n.name)
}

func peerName(peer string) string {
	if peer == "" {
		return "somebody without a channel"
	}
	return peer
}

// expect returns what decides on the far end of a way.
func expect(list config.AllowList) func(identity.Identifier) error {
	if list.Anyone || list.Policy != nil { // it decides when the channel is up
		return nil
	}
	return func(id identity.Identifier) error {
		if list.Permits(id.String()) {
			return nil
		}
		return fmt.Errorf("the far end is somebody else; the configuration allows %v", list.Identifiers)
	}
}
