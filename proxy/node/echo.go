package node

import (
	"maps"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/tunnel"
	"ockam/tunnel/policy"
	"ockam/tunnel/service"
)

// echoWarden returns the warden of the echo service of a configured node.
func (n *Node) echoWarden() *warden {
	return &warden{node: n, of: Resource{policy.Echoer, service.EchoName}, rule: n.echoRule}
}

// echoRule is the rule of that service: with an authority it is for those who have a
// credential, and for those whom some allow names, who need it to see that the node
// is there.
func (n *Node) echoRule() (Rule, error) {
	if n.authority == nil {
		return Rule{NoRule, config.AllowList{Anyone: true}, "the node believes no authority"}, nil
	}
	e := policy.Default()
	n.mu.Lock()
	list := n.named
	n.mu.Unlock()
	list.Policy = &config.Policy{Text: e.String(), Expr: e, Default: true}
	return Rule{TypeRule, list, "the default of a node with an authority"}, nil
}

// An echoing is a decision on who uses the echo service. It counts for a short
// time, since each message of a peer would ask the database otherwise.
type echoing struct {
	err   error
	until time.Time
}

// maxEchoing is how many decisions are kept before those of ended channels are
// looked for.
const maxEchoing = 1024

// mayEcho is the gate of the echo service.
func (n *Node) mayEcho(m *tunnel.Message) error {
	o := m.Origin
	if o == nil || n.freely != nil && o.Group == n.freely { // a worker of this node, or who asks the authority in it
		return nil
	}
	now := time.Now()
	n.mu.Lock()
	known, ok := n.echoes[o]
	n.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.err
	}
	err := n.echo.decide(o.Peer, "").Err
	if err != nil && !ok {
		n.denied.say(zap.DebugLevel, n.echo.refused("refused"), o.Peer, zap.String("peer", peerName(o.Peer)), zap.Error(err))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.echoes == nil {
		n.echoes = make(map[*tunnel.Origin]echoing)
	}
	if len(n.echoes) >= maxEchoing {
		maps.DeleteFunc(n.echoes, func(o *tunnel.Origin, e echoing) bool { return o.Err() != nil || now.After(e.until) })
	}
	n.echoes[o] = echoing{err, now.Add(recheckInterval)}
	return err
}
