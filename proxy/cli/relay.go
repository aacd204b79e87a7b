package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

func newRelay(c *console) *cobra.Command {
	cmd := group("relay", "Make nodes reachable at other nodes", newRelayCreate(c), newRelayList(c),
		newRelayShow(c), newRelayDelete(c))
	cmd.Aliases = []string{"forwarder"}
	return cmd
}

// relayPlace is the value of the --at of relay create: a route or the name of a
// node.
type relayPlace struct{ routeValue }

// Set reads either.
func (r *relayPlace) Set(s string) error {
	if !strings.Contains(s, "/") {
		s = "/node/" + s
	}
	return r.routeValue.Set(s)
}

func newRelayCreate(c *console) *cobra.Command {
	var to nodeName
	var at relayPlace
	var authorized identifierValue
	address, noWait := "", false
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a node reachable at another one",
		Long: `Has the node at --at pass on what comes to /service/forward_to_NAME to the node
--to, which keeps a connection to it for that. Without NAME it is "default". Without
--at it is the default project that passes on.`,
		Example: `  # The node blue, reachable at the node relay
  ockam relay create blue --at /node/relay --to blue

  # The default node, reachable at the default project
  ockam relay create db

  # The same node under another name, and a message through the relay
  ockam relay create sky --at relay --to blue
  ockam message send hello --to /node/relay/service/forward_to_sky/service/uppercase`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.Var(&to, "to", "the node that receives; the default one if it is left out")
	f.Var(&at, "at", "the node with the relay: a route, or its name; the default project if it is left out")
	f.Var(&authorized, "authorized", "who must be at the relay")
	f.StringVar(&address, "relay-address", "", "the name at the relay; NAME if it is left out")
	f.BoolVar(&noWait, "no-connection-wait", false, "do not wait until it is connected")
	f.Bool("project-relay", false, "has no effect")
	f.Lookup("project-relay").Hidden = true
	r := retryFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.Changed("project-relay") {
			c.say(markWarning, "--project-relay is deprecated: it has no effect")
		}
		req := control.CreateRelay{Name: "default", Address: address, Return: control.AfterConnection}
		if len(args) > 0 {
			req.Name = args[0]
		}
		if req.Address == "" {
			req.Address = req.Name
		}
		if noWait {
			req.Return = control.Immediately
		}
		req.Authorized = authorized.Identifier
		return c.at(cmd, to, true, func(ctx context.Context, n *remote) (err error) {
			if !f.Changed("at") {
				name, err := n.projectName(ctx)
				if err != nil {
					return &failure{code: codeForbidden, err: fmt.Errorf("There is no default project defined: %w", err), help: "Say where: --at ROUTE"} //nolint:staticcheck // the words that scripts look for
				}
				at.addr = multiaddr.Addr{{Protocol: multiaddr.Project, Value: name}}
			}
			if req.At, err = n.store.resolve(ctx, at.addr); err != nil {
				return err
			}
			if len(req.At) == 1 && req.At[0].Protocol == multiaddr.Project {
				if err := n.mayRegister(ctx, req.At[0].Value, req.Address); err != nil {
					if _, denied := errors.AsType[*failure](err); !denied {
						return err
					}
					c.say(markWarning, "%v", err) // it is made all the same: the membership may change
					req.Return = control.Immediately
				}
			}
			return c.retry(ctx, r, func(ctx context.Context) error { return c.createRelay(ctx, n, &req) })
		})
	}
	return cmd
}

func (c *console) createRelay(ctx context.Context, n *remote, req *control.CreateRelay) error {
	made, err := n.CreateRelay(ctx, *req)
	if err != nil {
		return err
	}
	r := result{json: shownRelay(made), plain: markWarning + "The relay " + req.Name + " was created, and is not connected yet"}
	if made.Status == control.Up {
		r.machine = "/service/" + made.RemoteAddress
		r.plain = markOK + "The node " + n.name + " is reachable at " + made.Destination.String() + r.machine
	}
	return c.print(r)
}

func newRelayList(c *console) *cobra.Command {
	var to nodeName
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the relays that a node is reachable at",
		Example: `  # Of the default node
  ockam relay list

  # Which of another one are connected
  ockam relay list --to blue --jq '.[] | select(.connection_status == "Up") | .name'`,
		Args: arguments(0, 0),
	}
	cmd.Flags().Var(&to, "to", "the node; the default one if it is left out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, to, false, func(ctx context.Context, n *remote) error {
			all, err := n.Relays(ctx)
			if err != nil {
				return err
			}
			items, lines := []any{}, [][]string{}
			for _, e := range sorted(all, func(e control.RelayInfo) string { return e.Name }) {
				items = append(items, shownRelay(e))
				line := []string{"Relay " + e.Name + " is " + strings.ToUpper(e.Status.Shown()) + " at " + e.Destination.String()}
				if e.RemoteAddress != "" {
					line = append(line, "as /service/"+e.RemoteAddress)
				}
				lines = append(lines, line)
			}
			return c.print(result{plain: list("relay", lines), json: items})
		})
	}
	return cmd
}

// relayNames returns the names of the relays of a node.
func relayNames(ctx context.Context, n *remote) (names []string, err error) {
	all, err := n.Relays(ctx)
	for _, e := range sorted(all, func(e control.RelayInfo) string { return e.Name }) {
		names = append(names, e.Name)
	}
	return names, err
}

func newRelayShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show a relay that a node is reachable at",
		Example: `  # All about it
  ockam relay show blue --at blue --output json

  # Whether it is connected
  ockam relay show blue --at blue --jq .connection_status`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			names, err := relayNames(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toShow(selection{kind: "relay", names: names, name: strings.Join(args, "")})
			if err != nil {
				return err
			}
			for _, name := range chosen {
				e, err := n.Relay(ctx, name)
				if err != nil {
					return whenAbsent(err, "relay", name)
				}
				o := object{
					"connection_status": e.Status.Shown(), "destination": e.Destination.String(), "name": e.Name,
					"relay_route": orNull(e.ForwardingRoute), "remote_address": nil, "worker_address": nil,
				}
				if e.RemoteAddress != "" {
					o["remote_address"] = "/service/" + e.RemoteAddress
				}
				if e.WorkerAddress != "" {
					o["worker_address"] = "/service/" + bare(e.WorkerAddress)
				}
				plain := "Relay:\n" + markText + "Name: " + e.Name + "\n" + markText + "Relay at: " + e.Destination.String() + "\n" +
					markText + "Status: " + strings.ToUpper(e.Status.Shown())
				if e.Status == control.Up {
					plain += "\n" + markText + "Route: " + e.ForwardingRoute + "\n" + markText + "Remote address: /service/" + e.RemoteAddress
				}
				if err := c.print(result{plain: plain, machine: name, json: o}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func newRelayDelete(c *console) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "End that a node is reachable at another one",
		Example: `  # One relay of the default node
  ockam relay delete blue --yes

  # Of another node
  ockam relay delete blue --at blue --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "relay", nil, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			names, err := relayNames(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toDelete(selection{kind: "relay", names: names, name: strings.Join(args, ""), yes: yes})
			if err != nil {
				return err
			}
			return c.forEach(chosen, len(chosen) > 1, func(name string) error {
				if err := n.DeleteRelay(ctx, name); err != nil {
					return whenAbsent(err, "relay", name)
				}
				return c.print(result{plain: markOK + "The relay " + name + " of the node " + n.name + " has been deleted"})
			})
		})
	}
	return cmd
}

// identifierValue is the value of an option that takes one identifier.
type identifierValue struct{ identity.Identifier }

// Set reads it.
func (v *identifierValue) Set(s string) (err error) {
	v.Identifier, err = identity.ParseIdentifier(s)
	if err == nil && v.Identifier == (identity.Identifier{}) {
		v.Identifier[len(v.Identifier)-1] = 1 // to a node nothing but zeros means anyone; nobody has either identifier
	}
	return err
}

// String returns it as it is written, empty for none.
func (v *identifierValue) String() string {
	if v.Identifier == (identity.Identifier{}) {
		return ""
	}
	return v.Identifier.String()
}

// Type returns what the help calls the value.
func (v *identifierValue) Type() string { return "identifier" }
