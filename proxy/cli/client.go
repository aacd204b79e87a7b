package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/proxy/state"
	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/multiaddr"
)

// nodeName is the value of an option that names a node: n1 or /node/n1.
type nodeName string

// Set takes either form.
func (n *nodeName) Set(s string) error {
	if name, ok := strings.CutPrefix(s, "/node/"); ok {
		s, _, _ = strings.Cut(name, "/") // of a route only the node counts
	}
	if s == "" || strings.Contains(s, "/") {
		return errors.New("the name of a node, such as n1 or /node/n1")
	}
	*n = nodeName(s)
	return nil
}

// String returns the name.
func (n *nodeName) String() string { return string(*n) }

// Type returns what the help calls the value.
func (n *nodeName) Type() string { return "node" }

// atFlag gives cmd the option --at.
func atFlag(cmd *cobra.Command) *nodeName {
	var at nodeName
	cmd.Flags().Var(&at, "at", "the node; the default one if it is left out")
	return &at
}

// routeValue is the value of an option that takes a route.
type routeValue struct{ addr multiaddr.Addr }

// Set reads a route. A bare word is none.
func (r *routeValue) Set(s string) (err error) {
	if s != multiaddr.Self && !strings.HasPrefix(s, "/") {
		return errors.New("a route, such as /node/n1/service/echo")
	}
	r.addr, err = multiaddr.Parse(s)
	return err
}

// String returns the route as it is written.
func (r *routeValue) String() string { return r.addr.String() }

// Type returns what the help calls the value.
func (r *routeValue) Type() string { return "route" }

// require demands options of cmd; without any argument at all its help is
// printed instead if helpful is set.
func require(cmd *cobra.Command, helpful bool, names ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if helpful && len(args) == 0 && cmd.LocalNonPersistentFlags().NFlag() == 0 && cmd.Flags().NFlag() == 0 {
			return helpInstead(cmd)
		}
		var missing []string
		for _, name := range names {
			if f := cmd.Flags().Lookup(name); !f.Changed {
				missing = append(missing, fmt.Sprintf("--%s <%s>", name, strings.ToUpper(f.Value.Type())))
			}
		}
		switch len(missing) {
		case 0:
		case 1:
			return &usageError{cmd: cmd, text: "a required option is missing: " + missing[0]}
		default:
			return &usageError{cmd: cmd, text: "required options are missing: " + strings.Join(missing, ", ")}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// A remote is a running node that a command talks to.
type remote struct {
	*control.Client
	name  string
	store *store
}

// at calls f with the node of that name, or the default one. If create is set
// and there is no node but such as serve a project, a default one is made first,
// and its result printed.
func (c *console) at(cmd *cobra.Command, name nodeName, create bool, f func(context.Context, *remote) error) error {
	return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
		rec, err := c.findNode(ctx, s, string(name), create)
		if err != nil {
			return err
		}
		return s.connect(ctx, rec, f)
	})
}

// connect calls f with a node that runs.
func (s *store) connect(ctx context.Context, rec *state.Node, f func(context.Context, *remote) error) error {
	if rec.Authority {
		return &failure{
			err:  fmt.Errorf("the node %s serves a project, and nothing else: commands do not talk to it", rec.Name),
			help: "Its members are managed with ockam project-member and ockam project ticket; for other things make a node: ockam node create NAME",
		}
	}
	timeout, err := defaultTimeout()
	if err != nil {
		return err
	}
	router := tunnel.NewRouter()
	w := walker{router: router}
	defer w.close()
	if rec.ListenerAddress == "" || !rec.Running() {
		return passing(fmt.Errorf("cannot connect to the node %s at %s: it does not run", rec.Name, rec.ListenerAddress))
	}
	if err := w.dial(ctx, dialable(rec.ListenerAddress)); err != nil {
		return passing(fmt.Errorf("cannot connect to the node %s: %w", rec.Name, err))
	}
	err = f(ctx, &remote{&control.Client{Router: router, Path: w.path, Timeout: timeout}, rec.Name, s})
	if err != nil && w.link.Origin().Err() != nil { // the node has ended meanwhile
		return passing(fmt.Errorf("the connection to the node %s was lost: %w", rec.Name, err))
	}
	return err
}

// findNode returns a node by name, or the default one.
func (c *console) findNode(ctx context.Context, s *store, name string, create bool) (*state.Node, error) {
	rec, err := s.NamedNode(ctx, name)
	switch {
	case err == nil && (!create || name != "" || !rec.Authority):
		return rec, nil
	case err != nil && !errors.Is(err, state.ErrNotFound):
		return nil, err
	case name != "":
		return nil, absent(fmt.Sprintf("There is no node with name %q", name))
	}
	all, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	others := slices.ContainsFunc(all, func(n state.Node) bool { return !n.Authority })
	switch {
	case rec != nil && others: // somebody chose as the default one what serves a project
		return rec, nil
	case rec == nil && (!create || others):
		return nil, &failure{code: codeNotFound, err: errors.New("There is no default node"), help: "Make a node: ockam node create NAME"} //nolint:staticcheck // the words that scripts look for
	}
	opt := nodeOptions{name: randomName(), listen: defaultListen}
	return c.createInBackground(ctx, s, &opt)
}

// dialable returns an address that one can connect to for one that a node
// listens on, which may be that of all interfaces.
func dialable(listen string) string {
	a, err := netip.ParseAddrPort(listen)
	if err != nil || !a.Addr().IsUnspecified() {
		return listen
	}
	host := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if a.Addr().Is6() {
		host = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(host, a.Port()).String()
}

// resolve puts the addresses of nodes in the place of /node/NAME.
func (s *store) resolve(ctx context.Context, to multiaddr.Addr) (multiaddr.Addr, error) {
	var out multiaddr.Addr
	for _, part := range to {
		switch part.Protocol {
		case multiaddr.Node:
			rec, err := s.NamedNode(ctx, part.Value)
			if errors.Is(err, state.ErrNotFound) {
				return nil, absent(fmt.Sprintf("There is no node with name %q in the route %s", part.Value, to))
			}
			if err != nil {
				return nil, err
			}
			host, port, err := net.SplitHostPort(dialable(rec.ListenerAddress))
			if err != nil {
				return nil, fmt.Errorf("the node %s has no listener: %w", part.Value, err)
			}
			protocol := "ip4"
			if ip, err := netip.ParseAddr(host); err != nil {
				protocol = "dnsaddr"
			} else if ip.Is6() {
				protocol = "ip6"
			}
			addr, err := multiaddr.Parse("/" + protocol + "/" + host + "/tcp/" + port)
			if err != nil {
				return nil, err
			}
			out = append(out, addr...)
		case multiaddr.Project:
			rec, err := s.knownProject(ctx, part.Value)
			if err != nil {
				return nil, err
			}
			part.Value = rec.Name
			out = append(multiaddr.Addr{}, part) // what is in front of it is not gone through
		case multiaddr.Space:
			return nil, fmt.Errorf("the route %s leads to a space: nothing is there", to)
		default:
			out = append(out, part)
		}
	}
	return out, nil
}

// A walker follows a route from this process.
type walker struct {
	router *tunnel.Router
	path   tunnel.Path
	rest   tunnel.Route
	link   *tunnel.Link
	cancel context.CancelFunc
	wg     sync.WaitGroup // the link's reader
}

// follow goes on along hops: over connections and past workers by itself, and as
// other says for the rest.
func (w *walker) follow(ctx context.Context, hops []multiaddr.Hop, other func(multiaddr.Hop) error) (err error) {
	for _, h := range hops {
		switch h.Kind {
		case multiaddr.HopDial:
			err = passing(w.dial(ctx, h.Value))
		case multiaddr.HopService:
			w.rest = w.rest.Join(tunnel.NewRoute(tunnel.LocalAddress(h.Value)))
		default:
			err = other(h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func notFollowed(h multiaddr.Hop) error {
	return fmt.Errorf("%v %s cannot be followed", h.Kind, h.Value)
}

// dial opens the connection that the route begins with.
func (w *walker) dial(ctx context.Context, addr string) error {
	link, err := tunnel.Dial(ctx, w.router, tcp.Transport{}, addr)
	if err != nil {
		return err
	}
	serve, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.path, w.link, w.cancel = link, link, cancel
	w.wg.Go(func() { _ = link.Serve(serve) }) // its origin tells why it ends
	return nil
}

// close ends what has been opened, and waits for it.
func (w *walker) close() {
	if w.link != nil {
		w.link.Close()
		w.cancel()
		w.wg.Wait()
	}
}
