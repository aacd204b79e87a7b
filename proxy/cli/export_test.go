package cli

import (
	"context"
	"time"

	"ockam/config"
	"ockam/proxy/node"
)

// SetRunNodes puts f in the place of the node runtime.
func SetRunNodes(f func(context.Context, *config.File, node.Options, time.Duration) error) {
	runNodes = f
}
