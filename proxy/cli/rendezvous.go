package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"ockam/proxy/node"
	"ockam/tunnel/puncture"
)

// rendezvousServer returns the rendezvous server to ask, host:port; empty if
// none is named. The one of the reference implementation's vendor is not asked
// unless it is.
func rendezvousServer() string { return getenv("OCKAM_RENDEZVOUS_SERVER") }

func newRendezvous(c *console) *cobra.Command {
	cmd := group("rendezvous", "Tell nodes under which UDP address others see them", newRendezvousCreate(c), newRendezvousAddress(c))
	cmd.Aliases = []string{"rendezvous-server"}
	cmd.Hidden = true
	return cmd
}

func newRendezvousCreate(c *console) *cobra.Command {
	var udp, health string
	var foreground, exitOnEOF bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Run a rendezvous server",
		Long: `Runs a server that nodes ask for the UDP address under which others see them, in
the foreground, until SIGINT, SIGTERM or SIGHUP. Two nodes behind NATs need it to
find a direct path to each other (--udp of node create and tcp-inlet create).

Each TCP connection to the health check is answered once it has sent something:
with HTTP 200 and "Alive" if the service answers over UDP, with 503 if not.`,
		Example: `  # At the usual ports, 4000 for UDP and 4001 for the health check
  ockam rendezvous create

  # On this machine only; "curl 127.0.0.1:5001" tells how it is
  ockam rendezvous create --udp 127.0.0.1:5000 --healthcheck 127.0.0.1:5001`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.StringVar(&udp, "udp", "0.0.0.0:4000", "where the service is: ip:port")
	f.StringVar(&health, "healthcheck", "0.0.0.0:4001", "where the health check is, over TCP: ip:port")
	f.BoolVarP(&foreground, "foreground", "f", false, "has no effect: it always runs in this process")
	f.BoolVarP(&exitOnEOF, "exit-on-eof", "e", false, "end at the end of standard input; needs --foreground")
	f.Bool("child-process", false, "has no effect")
	f.Lookup("child-process").Hidden = true
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if exitOnEOF && !foreground {
			return &usageError{cmd: cmd, text: "--exit-on-eof needs --foreground"}
		}
		for name, addr := range map[string]string{"udp": udp, "healthcheck": health} {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '--%s <SOCKET_ADDRESS>': %v", addr, name, err)}
			}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := zap.NewNop()
		if c.verbosity > 0 {
			var err error
			if log, err = c.logger(c.logLevel(choice{value: "debug"}), "console"); err != nil {
				return err
			}
		}
		o := node.RendezvousOptions{UDP: udp, Health: health, Log: log, Ready: func(udp, health net.Addr) {
			c.say(markText, "The rendezvous server is at %v, its health check at %v", udp, health)
			c.say(markInfo, "Ctrl+C ends it")
		}}
		err := c.untilSignal(cmd.Context(), func(ctx context.Context) error {
			if exitOnEOF {
				var end context.CancelFunc
				ctx, end = context.WithCancel(ctx)
				go func() { // ends with standard input or the process
					_, _ = io.Copy(io.Discard, c.stdin)
					end()
				}()
			}
			return node.RunRendezvous(ctx, o)
		}, syscall.SIGHUP)
		if err == nil {
			c.say(markOK, "The rendezvous server has ended")
		}
		return err
	}
	return cmd
}

func newRendezvousAddress(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "get-my-address [ADDRESS]",
		Short: "Show the UDP address under which a rendezvous server sees this machine",
		Long: `Asks the rendezvous server at ADDRESS, host:port, under which UDP address it sees
this machine, and shows it on standard error. Without ADDRESS the server is that of
the variable OCKAM_RENDEZVOUS_SERVER.`,
		Example: `  # As a server on this machine sees it
  ockam rendezvous get-my-address 127.0.0.1:5000

  # As others in the internet see it
  OCKAM_RENDEZVOUS_SERVER=rendezvous.example.com:4000 ockam rendezvous get-my-address`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server := rendezvousServer()
			if len(args) > 0 {
				server = args[0]
			}
			if server == "" {
				return &failure{
					err:  errors.New("no rendezvous server is named"),
					help: "Name one as the argument or in OCKAM_RENDEZVOUS_SERVER; run one with: ockam rendezvous create",
				}
			}
			addr, err := puncture.MyAddress(cmd.Context(), server)
			if errors.Is(err, puncture.ErrNoAnswer) {
				return fmt.Errorf("the rendezvous server %s did not answer within 3s: is its address right, and does UDP get there? (%w)", server, err)
			} else if err != nil {
				return err
			}
			c.say(markText, "%v", addr)
			return nil
		},
	}
}
