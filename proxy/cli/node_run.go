package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"ockam/proxy/control"
	"ockam/proxy/node"
	"ockam/proxy/state"
)

// A localNode is a node that this process runs.
type localNode struct {
	name   string
	store  *store
	node   *node.Background
	detach func()
	unlock func()
}

// startNode starts a node in this process and records that it runs.
func (c *console) startNode(ctx context.Context, s *store, o *createFlags) (n *localNode, err error) {
	format := "console"
	if getenv("OCKAM_LOG_FORMAT") == "json" {
		format = "json"
	}
	log := zap.NewNop()
	if c.verbosity > 0 {
		if log, err = c.logger(c.logLevel(choice{value: "debug"}), format); err != nil {
			return nil, err
		}
	}
	unlock, err := s.LockNode(o.name)
	if err != nil {
		return nil, err
	}
	created, err := s.recordNode(ctx, o)
	if err != nil {
		unlock()
		return nil, err
	}
	n = &localNode{name: o.name, store: s, detach: func() {}, unlock: unlock}
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, n.close(context.WithoutCancel(ctx)))
		if created {
			err = errors.Join(err, s.DeleteNode(context.WithoutCancel(ctx), o.name))
		}
	}()
	options := node.BackgroundOptions{
		Name: o.name, Identity: o.identity, Listen: o.listen, Store: s.Store, Log: log, NoDefaultServices: o.noServices,
	}
	if o.udp {
		options.Rendezvous = rendezvousServer()
	}
	n.node, err = node.StartBackground(ctx, options)
	if err != nil {
		return n, fmt.Errorf("the node %s cannot be started: %w", o.name, err)
	}
	if n.detach, err = control.Attach(n.node); err != nil {
		n.detach = func() {}
		return n, err
	}
	_, err = s.NodeStarted(ctx, o.name, func(rec *state.Node) error {
		rec.ListenerAddress = n.node.Addr()
		return nil
	})
	return n, err
}

// storedOptions are what a node's record has of how it was made.
type storedOptions struct {
	NoServices bool `json:"no_services"`
	UDP        bool `json:"udp,omitempty"`
}

// recordNode makes the record of a node, or changes the one that there is.
func (s *store) recordNode(ctx context.Context, o *createFlags) (created bool, err error) {
	options, err := json.Marshal(storedOptions{NoServices: o.noServices, UDP: o.udp})
	if err != nil {
		return false, err
	}
	_, err = s.CreateNode(ctx, state.Node{Name: o.name, Identity: o.identity, Options: options})
	if !errors.Is(err, state.ErrExists) {
		return err == nil, err
	}
	_, err = s.UpdateNode(ctx, o.name, func(rec *state.Node) error {
		rec.Identity, rec.Options = o.identity, options
		return nil
	})
	return false, err
}

// run runs the node until ctx ends and what is under way has ended.
func (n *localNode) run(ctx context.Context) { n.node.Run(ctx, nodeDrain) }

// close ends the node and records that it does not run.
func (n *localNode) close(ctx context.Context) error {
	n.detach()
	if n.node != nil {
		n.node.Close()
	}
	err := n.store.NodeStopped(ctx, n.name, state.Self())
	n.unlock()
	return err
}
