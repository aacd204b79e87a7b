package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"ockam/config"
)

// Start runs the nodes of a configuration as Run does, for tests that apply
// others to them. Stop is to be called in any case.
func Start(ctx context.Context, f *config.File, opt Options) (nodes []*Node, stop func(drain time.Duration), err error) {
	opt.Log = zap.NewNop()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &runner{opt: opt, life: life}
	if nodes, err = r.makeNodes(ctx, f); err == nil {
		err = r.applyAll(ctx, f, nodes)
	}
	return nodes, func(drain time.Duration) {
		last, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		r.end(last, nodes, end)
	}, err
}
