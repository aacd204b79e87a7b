package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

func newMessage(c *console) *cobra.Command {
	return group("message", "Send messages", newMessageSend(c))
}

// messageOptions are those of message send.
type messageOptions struct {
	from     nodeName
	to       routeValue
	hex      bool
	timeout  duration
	identity string
	trust    *trustFlags
	retries  *retries
}

func newMessageSend(c *console) *cobra.Command {
	o := messageOptions{timeout: duration(10 * time.Second)}
	cmd := &cobra.Command{
		Use:   "send MESSAGE",
		Short: "Send a message along a route and print the answer",
		Long: `Sends a text, or the bytes that hexadecimal digits stand for, to the end of a
route and prints the one answer that comes back. With --from a node sends it;
without, this command does, as an identity of yours. With --authority-identity and
--credential-scope it presents the credential that is stored under that scope.`,
		Example: `  # From here to a service of the node n1
  ockam message send hello --to /node/n1/service/uppercase

  # Through a secure channel that the node n2 opens for it
  ockam message send hello --from n2 --to /node/n1/secure/api/service/uppercase`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.VarP(&o.from, "from", "f", "the node that sends; this command if it is left out")
	f.VarP(&o.to, "to", "t", "where to: a route, such as /node/n1/service/echo")
	f.BoolVar(&o.hex, "hex", false, "message and answer are hexadecimal digits")
	f.Var(&o.timeout, "timeout", "how long to wait for the answer")
	f.StringVar(&o.identity, "identity", "", "whose secure channels the route makes; the default identity if it is left out")
	o.trust = trustOptions(cmd)
	o.retries = retryFlags(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{cmd: cmd, text: "an argument is missing: <MESSAGE>"}
		}
		return nil
	}
	require(cmd, true, "to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.trust.check(); err != nil {
			return err
		}
		message := []byte(args[0])
		if o.hex {
			var err error
			if message, err = hex.DecodeString(args[0]); err != nil {
				return fmt.Errorf("the message %q is no hexadecimal text: %w", args[0], err)
			}
		}
		return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
			if o.trust.project != "" { // also where no channel is opened in its name
				if _, err := s.projectOf(ctx, o.trust.project); err != nil {
					return err
				}
			}
			to, err := s.resolve(ctx, o.to.addr)
			if err != nil {
				return err
			}
			var reply []byte
			err = c.retry(ctx, o.retries, func(ctx context.Context) (err error) {
				reply, err = c.send(ctx, s, &o, to, message)
				return err
			})
			if err != nil {
				return err
			}
			return c.printReply(reply, o.hex)
		})
	}
	return cmd
}

func (c *console) printReply(reply []byte, asHex bool) error {
	text := string(reply)
	switch {
	case asHex:
		text = hex.EncodeToString(reply)
	case !utf8.Valid(reply):
		return errors.New("the answer is no text; --hex prints it")
	}
	return c.print(result{plain: text})
}

// send sends a message and returns the answer.
func (c *console) send(ctx context.Context, s *store, o *messageOptions, to multiaddr.Addr, message []byte) ([]byte, error) {
	timeout := time.Duration(o.timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reply []byte
	err := func() error {
		if o.from == "" {
			var err error
			reply, err = c.sendFromHere(ctx, s, o, to, message)
			return err
		}
		rec, err := c.findNode(ctx, s, string(o.from), false)
		if err != nil {
			return err
		}
		return s.connect(ctx, rec, func(ctx context.Context, n *remote) error {
			reply, err = n.SendMessage(ctx, control.SendMessage{Route: to.String(), Message: message})
			return err
		})
	}()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, secure.ErrTimeout) {
		err = passing(fmt.Errorf("there was no answer within %s", o.timeout.String()))
	}
	return reply, err
}

// sendFromHere sends a message from this process.
func (c *console) sendFromHere(ctx context.Context, s *store, o *messageOptions, to multiaddr.Addr, message []byte) ([]byte, error) {
	hops, err := to.Hops()
	if err != nil {
		return nil, err
	}
	if o.identity != "" {
		if _, err := s.Named(ctx, o.identity); err != nil {
			return nil, err
		}
	}
	router := tunnel.NewRouter()
	echo := tunnel.LocalAddress(service.EchoName)
	if _, err := router.Handle(echo, service.Echo{Router: router, Self: echo}, tunnel.Access{}); err != nil {
		return nil, err
	}
	w := walker{router: router}
	defer w.close()
	err = w.follow(ctx, hops, func(h multiaddr.Hop) error {
		switch h.Kind {
		case multiaddr.HopSecure:
			return c.secure(ctx, s, &w, o, h.Value)
		case multiaddr.HopProject:
			return c.enter(ctx, s, &w, o, h.Value)
		default:
			return notFollowed(h)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("the route %s leads nowhere: %w", to, err)
	}
	return w.ask(ctx, message)
}

// secure goes on through a secure channel, as the identity of the options.
func (c *console) secure(ctx context.Context, s *store, w *walker, o *messageOptions, listener string) error {
	if w.path == nil {
		return errors.New("there is no secure channel listener in this command")
	}
	id, err := c.identityOrNew(ctx, s, o.identity)
	if err != nil {
		return err
	}
	present, err := o.trust.presents(ctx, s, id)
	if err != nil {
		return err
	}
	return w.open(ctx, &secure.Config{Router: w.router, Identity: id, Histories: s, Credential: present}, listener)
}

// enter goes on at a project, as a member.
func (c *console) enter(ctx context.Context, s *store, w *walker, o *messageOptions, name string) error {
	rec, err := s.knownProject(ctx, name)
	if err != nil {
		return err
	}
	id, err := c.identityOrNew(ctx, s, o.identity)
	if err != nil {
		return err
	}
	if rec, err = s.nearby(ctx, rec); err != nil {
		return err
	}
	cfg := &secure.Config{Router: w.router, Identity: id, Histories: s, Authorize: exactly(rec.Identity)}
	if rec.Authority != nil {
		cfg.Credential = func() (*identity.Credential, error) { return s.memberCredential(ctx, rec, scopeOf(rec), id) }
	}
	return w.through(ctx, rec.AccessRoute, cfg)
}

// identityOrNew returns an identity, the default one if name is empty. That is
// made when there is none.
func (c *console) identityOrNew(ctx context.Context, s *store, name string) (*identity.Identity, error) {
	id, err := s.Identity(ctx, name)
	if name != "" || !errors.Is(err, state.ErrNotFound) {
		return id, err
	}
	if _, err := c.ensureIdentity(ctx, s, ""); err != nil {
		return nil, err
	}
	return s.Identity(ctx, "")
}

// ask sends a message to the end of the route and returns the answer.
func (w *walker) ask(ctx context.Context, message []byte) ([]byte, error) {
	b, err := tunnel.Ask(ctx, w.router, w.path, w.rest, wire.AppendBytes(nil, message))
	if err != nil {
		if errors.Is(err, tunnel.ErrNoRoute) && w.path == nil {
			return nil, absent(fmt.Sprintf("there is no worker %s within this command: only echo; say through which node: --from NODE", w.rest))
		}
		if w.path != nil && w.path.Origin().Err() != nil {
			return nil, passing(fmt.Errorf("the connection was lost: %w", err))
		}
		return nil, err
	}
	reply, _, err := wire.ParseBytes(b)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return reply, nil
}
