package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/proxy/project"
	"ockam/proxy/state"
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
	f.StringVarP(&listen, "listen", "l", "", "where to listen: host:port, or a port")
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
			if err := s.mayServe(ctx, server); err != nil {
				return err
			}
			if err := mayListen(ctx, listen); err != nil {
				return err
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
			if err := c.makeDefault(ctx, s, server.Name); err != nil {
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

// mayServe looks, before anything is made for a project, whether one can be served
// under its name, by the identities that there may be from before.
func (s *store) mayServe(ctx context.Context, server *node.ProjectServer) (err error) {
	name := "project-" + server.Name
	if _, err := s.NamedNode(ctx, name); err == nil {
		return &failure{
			code: codeExists, err: fmt.Errorf("there is a project %q already, or a node %s: it was already created", server.Name, name),
			help: "If it does not run: ockam node start " + name + ". To begin anew, without its members: ockam node delete " + name +
				", ockam identity delete " + name + "-authority, ockam project delete " + server.Name + ", and then this",
		}
	}
	rec := &project.Record{ID: server.ID, Name: server.Name}
	if rec.History, err = s.historyIfAny(ctx, name); err != nil {
		return err
	}
	if rec.Authority, err = s.historyIfAny(ctx, name+"-authority"); err != nil {
		return err
	}
	err = s.MayPutProject(ctx, rec)
	if known, ok := errors.AsType[*state.ItemError](err); ok {
		return &failure{
			code: codeExists, err: fmt.Errorf("another project is known here as %q: this machine may be a member of it", known.Name),
			help: "Choose another name. Or, if the one that is known is not needed any more, forget it: ockam project delete " + known.Name,
		}
	}
	if err == nil && server.ID != "" {
		err = rec.Verify()
	}
	return err
}

// historyIfAny returns the change history of an identity of a name, nil if there is
// none.
func (s *store) historyIfAny(ctx context.Context, name string) (*identity.History, error) {
	id, err := s.Identity(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return id.History, nil
}

// mayListen looks whether a node that is to be made can listen at an address.
func mayListen(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("--listen %s: the project cannot listen there: %w", address, err)
	}
	return l.Close()
}

// projectAddress returns where to listen, and where members connect. A bare number
// is a port, of all interfaces.
func projectAddress(listen, address string) (listenAt, connectTo string, err error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		_, notIP := netip.ParseAddr(listen)
		switch {
		case strings.Trim(listen, "0123456789") == "":
			host, port = "", listen
		case notIP != nil && strings.Contains(listen, ":"):
			return "", "", fmt.Errorf("--listen %s: %w", listen, err)
		default:
			host, port = listen, projectPort
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("--listen %s: %q is no port: a number up to 65535", listen, port)
	}
	listenAt = net.JoinHostPort(host, port)
	if address != "" {
		connectTo, err := memberAddress(address, port)
		return listenAt, connectTo, err
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return listenAt, listenAt, nil
	}
	own, err := node.OwnAddress(host)
	if err != nil {
		return "", "", &failure{err: err, help: "Say it: --address HOST"}
	}
	return listenAt, net.JoinHostPort(own, port), nil
}

// memberAddress returns where members connect: host:port, or a host with the port
// where the project listens.
func memberAddress(address, port string) (string, error) {
	host, own, err := net.SplitHostPort(address)
	if err != nil {
		host, own = strings.Trim(address, "[]"), port
	}
	if _, err := strconv.ParseUint(own, 10, 16); err != nil || strings.Trim(host, "0123456789") == "" {
		return "", fmt.Errorf("--address %s: give the host that members connect to, or host:port", address)
	}
	at := net.JoinHostPort(host, own)
	if _, _, err := node.ProjectRoutes(at); err != nil {
		return "", fmt.Errorf("--address %s: %w", address, err)
	}
	return at, nil
}

// makeDefault makes a project the default one, and says so if another one was.
func (c *console) makeDefault(ctx context.Context, s *store, name string) error {
	before, err := s.Project(ctx, "")
	if err != nil || before.Record.Name == name {
		return err
	}
	if err := s.SetDefaultProject(ctx, name); err != nil {
		return err
	}
	was := before.Record.Name
	c.say(markText, "%s is now the default project, which %s was; to have that again: ockam project default %s", name, was, was)
	return nil
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
