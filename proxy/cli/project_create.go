package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

const (
	// firstTicketLife is how long the tickets that project create prints hold: a
	// newcomer walks to two other machines with them.
	firstTicketLife = time.Hour
	// projectPort is where projects listen, unless one says otherwise.
	projectPort = "4000"
)

// lifetimeValue is the value of an option that takes how long credentials hold.
type lifetimeValue time.Duration

// Set reads a duration of a minute or more.
func (v *lifetimeValue) Set(s string) error {
	d, err := config.ParseDuration(s)
	if err == nil && d < node.MinLifetime {
		err = fmt.Errorf("at least %v: members renew their credentials before they expire", node.MinLifetime)
	}
	*v = lifetimeValue(d)
	return err
}

// String returns the duration as Set reads it.
func (v *lifetimeValue) String() string { return (*duration)(v).String() }

// Type returns what the help calls the value.
func (v *lifetimeValue) Type() string { return "duration" }

func newProjectCreate(c *console) *cobra.Command {
	server := &node.ProjectServer{Authority: node.AuthorityServer{Lifetime: node.DefaultLifetime}}
	listen, address, enroller, foreground := "", "", "", false
	cmd := &cobra.Command{
		Use:   "create [NAME] --listen HOST:PORT",
		Short: "Make a project of your own: a relay and an authority",
		Long: `Starts a project in the background, at one TCP port: a relay, by way of which
members reach each other from behind firewalls, and an authority, which says who is
a member. Neither can read what members send each other. The project becomes known
on this machine, and the default one if it is the first. The identity of --identity
is its first member, and can invite others. NAME is "default" if left out.

It prints two commands with a ticket each: the one connects the machine with a
service, the other the machine that uses it. More tickets: ockam project ticket.`,
		Example: `  # On a machine that the others can connect to
  ockam project create default --listen 0.0.0.0:4000

  # Where others know the machine by a name; memberships end within two minutes
  ockam project create shop --listen 0.0.0.0:4100 --address relay.example.com:4100 --credential-lifetime 2m`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.StringVarP(&listen, "listen", "l", "", "where to listen: host:port")
	f.StringVar(&address, "address", "", "where members connect: host or host:port; that of --listen, or of this machine, if left out")
	f.StringVar(&enroller, "identity", "", "the first member; the default identity, which is made if there is none")
	f.StringVar(&server.ID, "id", "", "the identifier of the project; made from its identity if left out")
	f.Var((*lifetimeValue)(&server.Authority.Lifetime), "credential-lifetime", "how long a credential is valid, and the membership of who is no member any more")
	f.StringVar(&server.Authority.Database, "database", "", "keep members in PostgreSQL, for several authorities: postgres://…")
	f.BoolVarP(&foreground, "foreground", "f", false, "run in this process")
	require(cmd, true, "listen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server.Name = "default"
		if len(args) > 0 {
			server.Name = args[0]
		}
		if err := checkNodeName(server.Name); err != nil {
			return err
		}
		var err error
		if listen, server.Address, err = projectAddress(listen, address); err != nil {
			return err
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if _, err := s.NamedNode(ctx, "project-"+server.Name); err == nil {
				return &failure{
					code: codeExists, err: fmt.Errorf("there is a project %q already, or a node project-%s: it was already created", server.Name, server.Name),
					help: "If it does not run: ockam node start project-" + server.Name + ". To make another one in its place delete it first, with its members: ockam node delete project-" + server.Name,
				}
			}
			o, err := c.projectNode(ctx, s, server, enroller)
			if err != nil {
				return err
			}
			o.listen, o.foreground = listen, foreground
			if foreground {
				return c.runForeground(ctx, s, o)
			}
			if err := c.startProcess(ctx, s, &o.nodeOptions); err != nil {
				return err
			}
			if err := c.welcome(ctx, s, server.Name, enroller); err != nil {
				return fmt.Errorf("the project runs, but its first tickets were not made; try ockam project ticket: %w", err)
			}
			return nil
		})
	}
	return cmd
}

// projectNode makes the identities that a project needs, and says what its node
// is to be.
func (c *console) projectNode(ctx context.Context, s *store, server *node.ProjectServer, enroller string) (*createFlags, error) {
	name := "project-" + server.Name
	first, err := c.ensureIdentity(ctx, s, enroller) // before the others, so that it is the default one
	if err != nil {
		return nil, err
	}
	id, err := s.Named(ctx, first)
	if err != nil {
		return nil, err
	}
	server.Authority.Identity = name + "-authority"
	for _, n := range []string{name, server.Authority.Identity} {
		if _, _, err := s.create(ctx, n); err != nil {
			return nil, err
		}
	}
	server.Authority.Members = map[identity.Identifier]map[string]string{
		id.Identifier: {authority.AttributeRole: authority.RoleEnroller, authority.AttributeRelay: "*"},
	}
	return &createFlags{nodeOptions: nodeOptions{name: name, identity: name, nodeSettings: nodeSettings{Server: server}}}, nil
}

// projectAddress returns where to listen, and where members connect.
func projectAddress(listen, address string) (listenAt, connectTo string, err error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		if strings.Contains(listen, ":") {
			return "", "", fmt.Errorf("--listen %s: %w", listen, err)
		}
		host, port = listen, projectPort
	}
	listenAt = net.JoinHostPort(host, port)
	if address != "" {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		return listenAt, address, nil
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return listenAt, listenAt, nil
	}
	own, err := node.OwnAddress()
	if err != nil {
		return "", "", &failure{err: err, help: "Say it: --address HOST"}
	}
	return listenAt, net.JoinHostPort(own, port), nil
}

// welcome prints what a project that has just been made is for.
func (c *console) welcome(ctx context.Context, s *store, name, enroller string) error {
	rec, err := s.knownProject(ctx, name)
	if err != nil {
		return err
	}
	id, err := s.Identity(ctx, enroller)
	if err != nil {
		return err
	}
	a, err := s.callAuthority(ctx, rec, id)
	if err != nil {
		return err
	}
	defer a.close()
	ttl := duration(firstTicketLife)
	service, err := a.ticket(ctx, rec, &ticketFlags{relay: "db", ttl: ttl})
	if err != nil {
		return err
	}
	user, err := a.ticket(ctx, rec, &ticketFlags{ttl: ttl})
	if err != nil {
		return err
	}
	commands := []string{
		"ockam tcp-outlet create --to 5432 --via db --ticket " + service,
		"ockam tcp-inlet create --from 15432 --via db --ticket " + user,
	}
	return c.print(result{
		plain: markOK + "The project " + rec.Name + " runs; members connect to " + rec.AccessAddress() + "\n\n" +
			markText + "On the machine with the service, here PostgreSQL:\n\n" + commands[0] + "\n\n" +
			markText + "On the machine that uses it, at 127.0.0.1:15432:\n\n" + commands[1] + "\n\n" +
			markText + "Each can be used once, within an hour. More tickets: ockam project ticket",
		machine: strings.Join(commands, "\n"),
		json:    object{"project": rec, "commands": commands},
	})
}
