package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
)

func newFlowControl(c *console) *cobra.Command {
	return group("flow-control", "Open services to those that nodes connect to", newAddConsumer(c))
}

func newAddConsumer(c *console) *cobra.Command {
	var address routeValue
	cmd := &cobra.Command{
		Use:   "add-consumer FLOW_CONTROL_ID ADDRESS",
		Short: "Let what comes through a flow control reach a service",
		Long: `Lets the far end of a connection or secure channel that a node has opened reach a
service of the node. FLOW_CONTROL_ID is that of the connection or channel.`,
		Example: `  # A service of the default node
  ockam flow-control add-consumer 0123456789abcdef0123456789abcdef /service/echo

  # For whoever is at the far end of a connection of another one
  FLOW=$(ockam tcp-connection create --from n2 --to 6000 --jq .flow_control_id | tr -d '"')
  ockam flow-control add-consumer $FLOW /service/uppercase --at n2`,
		Args: arguments(0, 2),
	}
	at := atFlag(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) < 2 {
			return &usageError{cmd: cmd, text: "an argument is missing: " + cmd.UseLine()}
		}
		if err := address.Set(args[1]); err != nil {
			return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '<ADDRESS>': %v", args[1], err)}
		}
		return nil
	}
	require(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			return n.AddConsumer(ctx, control.AddConsumer{FlowControl: control.FlowControlID{ID: args[0]}, Address: address.addr})
		})
	}
	return cmd
}
