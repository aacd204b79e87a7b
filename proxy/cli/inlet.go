package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/relay"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

func contains(all []string, name string) bool { return slices.Contains(all, name) }

func newTCPInlet(c *console) *cobra.Command {
	return group("tcp-inlet", "Listen on ports that lead to TCP outlets", newInletCreate(c), newInletList(c),
		newInletShow(c), newInletDelete(c))
}

// inletOptions are those of tcp-inlet create.
type inletOptions struct {
	at                        *nodeName
	from                      hostPortValue
	to, via, identity, alias  string
	ticket                    string
	authorized                identifierValue
	connectionWait, retryWait duration
	timeout                   duration
	noWait                    bool
	udp, noTCP, ebpf, tls     bool
	provider                  routeValue
	allow                     *policyValue
}

func newInletCreate(c *console) *cobra.Command {
	o := inletOptions{
		connectionWait: duration(5 * time.Second), retryWait: duration(20 * time.Second), timeout: duration(10 * time.Second),
	}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Listen on a port that leads to a TCP outlet",
		Long: `Has a node listen on a port; what connects to it is connected to what the outlet at
the end of the route leads to. Without --from a free port is taken and printed.

--to may be left out, or be the name of an outlet: then the route leads by way of the
default project and its relay --via ("default" if left out) to the outlet of that
name ("outlet" if left out). With --ticket this machine becomes a member of the
project of the ticket first, and gets a node if it has none.`,
		Example: `  # Port 7000 leads to the database behind the outlet of n1
  ockam tcp-inlet create --at n2 --from 7000 --to /node/n1/secure/api/service/outlet

  # The outlet behind the relay db of the default project; this machine is a member
  ockam tcp-inlet create --from 15432 --via db

  # With a name of its own, and without waiting for n1
  ockam tcp-inlet create --alias db --to /node/n1/service/outlet --no-connection-wait`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	o.at = atFlag(cmd)
	f.Var(&o.from, "from", "where to listen: host:port, or a port; a free one if it is left out")
	f.StringVar(&o.to, "to", "", "route to the outlet, or its name in the default project")
	f.StringVar(&o.via, "via", "", "the relay at the default project that the outlet is behind")
	ticketFlag(cmd, &o.ticket)
	f.StringVar(&o.identity, "identity", "", "whose secure channel it is; the node's identity if it is left out")
	f.Var(&o.authorized, "authorized", "who must be at the far end of the secure channel")
	f.StringVar(&o.alias, "alias", "", "its name; a random one if it is left out")
	f.Var(&o.connectionWait, "connection-wait", "how long the node waits for the outlet")
	f.Var(&o.retryWait, "retry-wait", "how long to wait before a node that failed is asked again; 0 for never")
	f.Var(&o.timeout, "timeout", "how long to wait for the node's answer")
	f.BoolVar(&o.noWait, "no-connection-wait", false, "do not wait for the outlet")
	o.allow = hiddenAllow(cmd)
	f.BoolVar(&o.udp, "udp", false, "have connections take a path over UDP, if there is one; the nodes need --udp as well")
	f.BoolVar(&o.noTCP, "no-tcp-fallback", false, "have connections take no other path than that over UDP")
	f.BoolVar(&o.ebpf, "ebpf", envBool("OCKAM_EBPF"), "has no effect")
	f.BoolVar(&o.tls, "tls", false, "speak TLS with applications, with a certificate of the default project")
	f.Var(&o.provider, "tls-certificate-provider", "speak TLS with applications, with a certificate that is asked for there: a route")
	alias(f, "udp", "enable-udp-puncture")
	alias(f, "no-tcp-fallback", "disable-tcp-fallback")
	for _, name := range []string{"udp", "no-tcp-fallback", "ebpf", "tls", "tls-certificate-provider"} {
		f.Lookup(name).Hidden = true
	}
	require(cmd, false)
	checkAlias := func(cmd *cobra.Command, _ []string) error {
		if strings.Contains(o.alias, ":") {
			return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '--alias <ALIAS>': it contains a colon", o.alias)}
		}
		return nil
	}
	cmd.PreRunE = checkAlias
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.atMember(cmd, *o.at, o.ticket, func(ctx context.Context, n *remote) error { return c.createInlet(ctx, n, &o) })
	}
	return cmd
}

func (c *console) createInlet(ctx context.Context, n *remote, o *inletOptions) error {
	to, err := n.outletRoute(ctx, o.to, o.via)
	if err != nil {
		return err
	}
	req := control.CreateInlet{
		Listen: o.from.HostnamePort, Outlet: to, Alias: o.alias, Authorized: o.authorized.Identifier,
		WaitForConnection: !o.noWait, Policy: o.allow.input,
	}
	if req.Listen.Host == "" {
		req.Listen.Host = "127.0.0.1"
	}
	if req.Alias == "" {
		req.Alias = randomName()
	}
	if o.identity != "" {
		id, err := n.store.Named(ctx, o.identity)
		if err != nil {
			return err
		}
		req.ChannelIdentifier = id.Identifier
	}
	if err := c.extendInlet(ctx, n, o, &req); err != nil {
		return err
	}
	wait := time.Duration(o.connectionWait)
	req.Wait = &wait
	if err := portIsFree(ctx, req.Listen); err != nil {
		return err
	}
	n.Timeout = time.Duration(o.timeout) + wait
	made, err := n.CreateInlet(ctx, req)
	if err != nil {
		return err
	}
	if made.Status != control.Up {
		c.say(markWarning, "the inlet %s was created; its outlet does not answer yet", made.Alias)
	}
	return c.print(result{
		plain:   markOK + "Created an inlet at the node " + n.name + ", " + made.Bind + "\n" + markText + "to the outlet " + made.OutletAddress,
		machine: made.Bind, json: made.Shown(),
	})
}

// outletRoute is the way to an outlet: a whole route, or the short form by way of
// a relay at the node's project.
func (n *remote) outletRoute(ctx context.Context, to, via string) (multiaddr.Addr, error) {
	if strings.HasPrefix(to, "/") {
		if via != "" {
			return nil, errors.New("--via cannot be used with a whole route")
		}
		addr, err := multiaddr.Parse(to)
		if err != nil {
			return nil, fmt.Errorf("invalid value '%s' for '--to <ROUTE>': %w", to, err)
		}
		return n.store.resolve(ctx, addr)
	}
	name, err := n.projectName(ctx)
	if err != nil {
		return nil, fmt.Errorf("invalid value '(None)' for '--to <ROUTE>': No projects found; say a whole route, such as /node/n1/service/outlet: %w", err)
	}
	return multiaddr.Parse("/project/" + name + "/service/" + relay.Prefix + cmp.Or(via, "default") + "/secure/" + secure.DefaultName + "/service/" + cmp.Or(to, "outlet"))
}

// extendInlet adds to a request what the hidden options ask for.
func (c *console) extendInlet(ctx context.Context, n *remote, o *inletOptions, req *control.CreateInlet) (err error) {
	req.UDPPuncture, req.DisableTCPFallback = o.udp, o.noTCP
	if o.ebpf {
		c.say(markWarning, "--ebpf has no effect: the inlet works without")
	}
	switch {
	case len(o.provider.addr) > 0:
		req.CertificateProvider, err = n.store.resolve(ctx, o.provider.addr)
	case o.tls:
		err = errors.New("--tls takes its certificate from /project/default/service/tls_certificate_provider, and there is no project; say whom to ask: --tls-certificate-provider ROUTE")
	}
	return err
}

// portIsFree says so in a way that people understand if a port is taken.
func portIsFree(ctx context.Context, at control.HostnamePort) error {
	if at.Port == 0 {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", hostPort(at))
	if err != nil {
		return &failure{code: codeExists, err: fmt.Errorf("Another process is already listening on port %d! (%w)", at.Port, err)} //nolint:staticcheck // the words that scripts look for
	}
	return l.Close()
}

// inlets returns the inlets of a node and their names.
func inlets(ctx context.Context, n *remote) (all []control.InletStatus, names []string, err error) {
	all, err = n.Inlets(ctx)
	for _, e := range sorted(all, func(e control.InletStatus) string { return e.Alias }) {
		names = append(names, e.Alias)
	}
	return all, names, err
}

func inletLines(e control.InletStatus) []string {
	return []string{"Inlet " + e.Alias + " at " + e.Bind, "is " + strings.ToUpper(e.Status.Shown()), "to the outlet " + e.OutletAddress}
}

func newInletList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the TCP inlets of a node",
		Example: `  # Of the default node
  ockam tcp-inlet list

  # The ports of another one
  ockam tcp-inlet list --at n2 --jq '.[].bind_addr'`,
		Args: arguments(0, 0),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, _, err := inlets(ctx, n)
			if err != nil {
				return err
			}
			items, lines := []any{}, [][]string{}
			for _, e := range all {
				items, lines = append(items, e.Shown()), append(lines, inletLines(e))
			}
			return c.print(result{plain: list("TCP inlet", lines) + noneAt(len(all), n), json: items})
		})
	}
	return cmd
}

func newInletShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show a TCP inlet",
		Example: `  # All about it
  ockam tcp-inlet show db

  # Whether its outlet answers
  ockam tcp-inlet show db --at n2 --jq .status`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			all, names, err := inlets(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toShow(selection{kind: "TCP inlet", names: names, name: strings.Join(args, "")})
			if err != nil {
				return err
			}
			for _, e := range all {
				if !contains(chosen, e.Alias) {
					continue
				}
				if err := c.print(result{plain: markText + strings.Join(inletLines(e), "\n"+markText), json: e.Shown()}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func newInletDelete(c *console) *cobra.Command {
	all, yes := false, false
	cmd := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Delete TCP inlets",
		Example: `  # One of them
  ockam tcp-inlet delete db --at n2 --yes

  # All of the default node
  ockam tcp-inlet delete --all --yes`,
		Args: arguments(0, 1),
	}
	at := atFlag(cmd)
	deleteFlags(cmd, "inlet", &all, &yes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.at(cmd, *at, false, func(ctx context.Context, n *remote) error {
			_, names, err := inlets(ctx, n)
			if err != nil {
				return err
			}
			chosen, err := c.toDelete(selection{kind: "TCP inlet", names: names, name: strings.Join(args, ""), all: all, yes: yes})
			if err != nil {
				return err
			}
			return c.forEach(chosen, all, func(name string) error {
				if _, err := n.DeleteInlet(ctx, name); err != nil {
					return whenAbsent(err, "TCP inlet", name)
				}
				return c.print(result{
					plain: markOK + "The inlet " + name + " of the node " + n.name + " has been deleted",
					json:  object{"alias": name, "node": n.name},
				})
			})
		})
	}
	return cmd
}
