package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/tunnel"
)

func newTCPOutlet(c *console) *cobra.Command {
	return group("tcp-outlet", "Make TCP services reachable through nodes", newOutletCreate(c), newOutletList(c),
		newOutletShow(c), newOutletDelete(c))
}

// serviceName is the value of an option that names a service: x or /service/x.
type serviceName string

// Set takes either form.
func (n *serviceName) Set(s string) error {
	name := s[strings.LastIndex(s, "/")+1:]
	if name == "" {
		return errors.New("the name of a service, such as db or /service/db")
	}
	*n = serviceName(name)
	return nil
}

// String returns the name.
func (n *serviceName) String() string { return string(*n) }

// Type returns what the help calls the value.
func (n *serviceName) Type() string { return "name" }

func newOutletCreate(c *console) *cobra.Command {
	var to hostPortValue
	var from serviceName
	tls, ebpf := false, false
	via, ticket := "", ""
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a TCP service reachable through a node",
		Long: `Has a node connect to a TCP service for whoever reaches it and may. Without --from
the outlet is called "outlet", or gets a random name if that is taken.

With --via the node becomes reachable as that relay at the default project as well,
so that ockam tcp-inlet create --via finds the outlet. With --ticket this machine
becomes a member of the project of the ticket first, and gets a node if it has none.`,
		Example: `  # A database of this machine
  ockam tcp-outlet create --to 5432

  # The same for the members of the default project, who know it as db
  ockam tcp-outlet create --to 5432 --via db

  # A web server, at the node n1
  ockam tcp-outlet create --at n1 --from web --to example.com:80`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.Var(&to, "to", "the service: host:port, or a port of this machine")
	f.Var(&from, "from", "name of the outlet")
	f.StringVar(&via, "via", "", "the relay at the default project to make the node reachable as")
	ticketFlag(cmd, &ticket)
	f.BoolVar(&tls, "tls", false, "speak TLS to the service")
	f.BoolVar(&ebpf, "ebpf", envBool("OCKAM_EBPF"), "has no effect")
	f.Lookup("ebpf").Hidden = true
	at := atFlag(cmd)
	allow := hiddenAllow(cmd)
	require(cmd, false, "to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if ebpf {
			c.say(markWarning, "--ebpf has no effect: the outlet works without")
		}
		return c.atMember(cmd, *at, ticket, func(ctx context.Context, n *remote) error {
			req := control.CreateOutlet{Target: to.HostnamePort, TLS: tls, Reachable: true, Policy: allow.input}
			if from != "" {
				req.Address = tunnel.LocalAddress(string(from))
			} else if _, names, err := outlets(ctx, n); err != nil {
				return err
			} else if contains(names, "outlet") {
				req.Address = tunnel.LocalAddress(randomName())
			}
			made, err := n.CreateOutlet(ctx, req)
			if err != nil {
				return err
			}
			if via != "" {
				if err := c.reachableVia(ctx, n, via); err != nil {
					return err
				}
			}
			address := "/service/" + made.Address.Name
			return c.print(result{
				plain:   markOK + "Created an outlet at the node " + n.name + ", " + address + ", to " + hostPort(made.Target),
				machine: address, json: made.Shown(),
			})
		})
	}
	return cmd
}

// outlets returns the outlets of a node and their names.
func outlets(ctx context.Context, n *remote) (all []control.OutletStatus, names []string, err error) {
	all, err = n.Outlets(ctx)
	for _, e := range sorted(all, func(e control.OutletStatus) string { return e.Address.Name }) {
		names = append(names, e.Address.Name)
	}
	return all, names, err
}

func newOutletList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the TCP outlets of a node",
		Example: `  # Of the default node
  ockam tcp-outlet list

  # Of another one
  ockam tcp-outlet list --at n1`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, _, err := outlets(ctx, n)
			if err != nil {
				return err
			}
			items, lines := []any{}, [][]string{}
			for _, e := range all {
				from, to := "/service/"+e.Address.Name, hostPort(e.Target)
				items, lines = append(items, object{"from": from, "to": to}), append(lines, []string{"Outlet at " + from, "to " + to})
			}
			return c.print(result{plain: list("TCP outlet", lines) + noneAt(len(all), n), json: items})
		})
	}
	return cmd
}

// noneAt ends the line that says that there is nothing.
func noneAt(count int, n *remote) string {
	if count > 0 {
		return ""
	}
	return " at the node " + n.name
}

func newOutletShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show a TCP outlet",
		Example: `  # By its name, without /service/
  ockam tcp-outlet show web --at n1

  # Where it leads
  ockam tcp-outlet show web --at n1 --jq .to`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, names, err := outlets(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toShow(selection{kind: "TCP outlet", names: names, name: strings.Join(args, "")})
			if err != nil {
				return err
			}
			for _, e := range all {
				if !contains(chosen, e.Address.Name) {
					continue
				}
				address, to := "/service/"+e.Address.Name, hostPort(e.Target)
				plain := "Outlet:\n  Node: " + n.name + "\n  Address: " + address + "\n  To: " + to
				o := object{"node_name": n.name, "to": to, "worker_address": address}
				if err := c.print(result{plain: plain, json: o}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func newOutletDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Delete TCP outlets",
		Example: `  # One of them
  ockam tcp-outlet delete web --at n1 --yes

  # All of the default node
  ockam tcp-outlet delete --all --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "outlet", &all, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			_, names, err := outlets(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toDelete(selection{kind: "TCP outlet", names: names, name: strings.Join(args, ""), all: all, yes: yes})
			if err != nil {
				return err
			}
			return c.forEach(chosen, all, func(name string) error {
				if _, err := n.DeleteOutlet(ctx, name); err != nil {
					return whenAbsent(err, "TCP outlet", name)
				}
				return c.print(result{
					plain: markOK + "The outlet " + name + " of the node " + n.name + " has been deleted", machine: name,
					json: object{"alias": name, "node": n.name},
				})
			})
		})
	}
	return cmd
}
