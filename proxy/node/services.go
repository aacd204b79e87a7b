package node

import (
	"context"
	"fmt"

	"ockam/tunnel"
	"ockam/tunnel/service"
)

// serviceSpec is what makes two sets of services the same.
type serviceSpec []string

// startServices offers small workers to everybody.
func (n *Node) startServices(names serviceSpec) (*resource, error) {
	var regs []*tunnel.Registration
	for _, name := range names {
		self := tunnel.LocalAddress(name)
		var h tunnel.Handler
		switch name {
		case service.EchoName:
			continue // every node has it
		case service.HopName:
			h = service.Hop{Router: n.router, Self: self}
		case service.UppercaseName:
			h = service.Uppercase{Router: n.router, Self: self}
		default:
			closeAll(regs)
			return nil, fmt.Errorf("node %s: no service %q", n.name, name)
		}
		reg, err := n.router.Handle(self, h, n.everybody())
		if err != nil {
			closeAll(regs)
			return nil, fmt.Errorf("node %s: service %s: %w", n.name, name, err)
		}
		regs = append(regs, reg)
	}
	return n.newResource(names, func(ctx context.Context) {
		<-ctx.Done()
		closeAll(regs)
	}), nil
}
