package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// ticketFlags are the options of project ticket.
type ticketFlags struct {
	identity, relay string
	attributes      []string
	ttl             duration
	uses            uint64
	enroller, tls   bool
}

// values are the attributes that members get by the ticket.
func (o *ticketFlags) values() map[string]string {
	all := memberAttributes(o.attributes, o.relay, o.enroller)
	if o.tls {
		all[authority.AttributeCertificate] = "true"
	}
	return all
}

// memberAttributes reads NAME=VALUE; a bare NAME is true.
func memberAttributes(list []string, relay string, enroller bool) map[string]string {
	all := make(map[string]string)
	for _, a := range list {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			value = "true"
		}
		all[name] = value
	}
	if relay != "" {
		all[authority.AttributeRelay] = relay
	}
	if enroller {
		all[authority.AttributeRole] = authority.RoleEnroller
	}
	return all
}

func newProjectTicket(c *console) *cobra.Command {
	var o ticketFlags
	cmd := &cobra.Command{
		Use:   "ticket",
		Short: "Make a ticket that lets somebody become a member",
		Long: `Prints a ticket: one line that another machine becomes a member of the project
with, by ockam project enroll. It can be used once, within ten minutes, unless
the options say otherwise. Whoever has it can use it, so pass it on as one does a
password. Only an enroller of the project can make tickets: who made the project,
and whom --enroller made one.`,
		Example: `  # For the machine with the database, which may be reached as db
  ockam project ticket --relay db > db.ticket

  # For five members with an attribute, for a day
  ockam project ticket --attribute team=web --usage-count 5 --expires-in 1d`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "who makes it; the default identity if left out")
	f.StringArrayVarP(&o.attributes, "attribute", "a", nil, "an attribute of who uses it, NAME=VALUE or NAME; may be given again")
	f.Var(&o.ttl, "expires-in", "how long it can be used; ten minutes if left out")
	f.Uint64Var(&o.uses, "usage-count", 0, "how many can use it; one if left out")
	f.StringVar(&o.relay, "relay", "", "the relay that who uses it may register; * for any")
	f.BoolVar(&o.enroller, "enroller", false, "who uses it may make tickets and manage members")
	f.BoolVar(&o.tls, "tls", false, "who uses it may have a TLS certificate")
	f.Lookup("tls").Hidden = true
	trust := trustOptions(cmd)
	r := retryFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if c.wantsJSON() {
			return errors.New("a ticket is text in hex and has no form in JSON: leave out --output json")
		}
		return c.asEnroller(cmd, trust.project, o.identity, r, func(ctx context.Context, rec *project.Record, a *authorityCall) error {
			text, err := a.ticket(ctx, rec, &o)
			if err != nil {
				return err
			}
			return c.print(result{plain: text, machine: text})
		})
	}
	return cmd
}

// ticket makes one.
func (a *authorityCall) ticket(ctx context.Context, rec *project.Record, o *ticketFlags) (string, error) {
	code, err := a.CreateToken(ctx, o.values(), time.Duration(o.ttl), o.uses)
	if err != nil {
		return "", enrollerError(rec, err)
	}
	return (&project.Ticket{Project: rec, Code: code}).Text()
}

// enrollerError says what the refusal of an authority means for who manages
// members.
func enrollerError(rec *project.Record, err error) error {
	return fmt.Errorf("the authority of the project %q: %w", rec.Name, err)
}

// asEnroller calls f with a connection to the authority of a project.
func (c *console) asEnroller(cmd *cobra.Command, name, as string, r *retries, f func(context.Context, *project.Record, *authorityCall) error) error {
	return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
		rec, err := s.knownProject(ctx, name)
		if err != nil {
			return err
		}
		id, err := s.Identity(ctx, as)
		if errors.Is(err, state.ErrNotFound) && as == "" {
			return absent("there is no identity yet. Make one: ockam identity create NAME")
		}
		if err != nil {
			return err
		}
		return c.retry(ctx, r, func(ctx context.Context) error {
			a, err := s.callAuthority(ctx, rec, id)
			if err != nil {
				return err
			}
			defer a.close()
			return f(ctx, rec, a)
		})
	})
}

func newProjectEnroll(c *console) *cobra.Command {
	as, okta := "", false
	timeout := duration(240 * time.Second)
	cmd := &cobra.Command{
		Use:   "enroll [TICKET]",
		Short: "Become a member of a project",
		Long: `Uses a ticket: an identity of this machine becomes a member of its project, which
is then known here. TICKET is the text that ockam project ticket has printed, or a
file or URL that holds it; ENROLLMENT_TICKET in the environment is one too. Who is
a member already stays one, and needs no ticket: this only fetches a credential.`,
		Example: `  # With a ticket in a file
  ockam project enroll db.ticket

  # Another identity than the default one, with the text of the ticket
  ockam project enroll "$TICKET" --identity database`,
		Args: arguments(0, 1),
	}
	f := cmd.Flags()
	f.StringVar(&as, "identity", "", "who becomes a member; the default identity, which is made if there is none")
	f.BoolVar(&okta, "okta", false, "enroll by way of Okta, which this version does not do")
	f.Var(&timeout, "timeout", "how long to wait for the authority")
	f.Lookup("okta").Hidden = true
	trust := trustOptions(cmd)
	r := retryFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := strings.Join(args, "")
		if given == "" {
			given = getenv("ENROLLMENT_TICKET")
		}
		if okta {
			return errors.New("enrolling by way of Okta is not possible in this version; use a ticket")
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Duration(timeout))
		defer cancel()
		return withStore(ctx, func(ctx context.Context, s *store) error {
			return c.retry(ctx, r, func(ctx context.Context) error {
				e, err := c.enroll(ctx, s, enrollment{ticket: given, project: trust.project, identity: as})
				if err != nil {
					return err
				}
				return c.printEnrolled(ctx, s, e)
			})
		})
	}
	return cmd
}

// An enrollment is who becomes a member of what, and what came of it.
type enrollment struct {
	ticket, project, identity string

	read       *project.Ticket // ticket, if that has been read
	record     *project.Record
	already    bool
	credential *identity.Credential
}

// enroll makes an identity a member of a project.
func (c *console) enroll(ctx context.Context, s *store, e enrollment) (*enrollment, error) {
	var t *project.Ticket
	var err error
	if e.ticket != "" {
		if t = e.read; t == nil {
			if t, err = readTicket(ctx, e.ticket); err != nil {
				return nil, err
			}
		}
		if e.record = t.Project; e.project != "" && e.project != e.record.Name {
			return nil, fmt.Errorf("the ticket is for the project %q, not for %q", e.record.Name, e.project)
		}
		if err := s.mayKeep(ctx, e.record); err != nil {
			return nil, err
		}
	} else if e.record, err = s.knownProject(ctx, e.project); err != nil {
		return nil, err
	}
	if e.identity, err = c.ensureIdentity(ctx, s, e.identity); err != nil {
		return nil, err
	}
	id, err := s.Identity(ctx, e.identity)
	if err != nil {
		return nil, err
	}
	a, err := s.callAuthority(ctx, e.record, id)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if t != nil {
		err = a.Redeem(ctx, t.Code)
		e.already = errors.Is(err, authority.ErrAlreadyMember)
		if err != nil && !e.already {
			return nil, ticketError(e.record, err)
		}
	}
	if e.credential, err = a.Issue(ctx); err != nil {
		return nil, notMember(e.record, id.Identifier(), err)
	}
	if t != nil { // what a ticket says counts once its authority has taken it
		if e.record, err = s.keepTicket(ctx, t.Project, !e.already); err != nil {
			return nil, err
		}
		c.warnOfMove(e.record, t.Project)
	}
	return &e, nil
}

// warnOfMove says that a project is elsewhere by a ticket that was not used.
func (c *console) warnOfMove(known, said *project.Record) {
	if known.AccessRoute.String() != said.AccessRoute.String() || known.AuthorityRoute.String() != said.AuthorityRoute.String() {
		c.say(markWarning, "The ticket was not used, and says that the project %s is at %s; it is known at %s, which stays. If it has moved: ockam project import --project-file FILE",
			known.Name, said.AccessAddress(), known.AccessAddress())
	}
}

// ticketError says what to do when a ticket is refused.
func ticketError(rec *project.Record, err error) error {
	if !errors.Is(err, authority.ErrUnknownCode) {
		return fmt.Errorf("the authority of the project %q: %w", rec.Name, err)
	}
	return &failure{
		code: codeForbidden, err: fmt.Errorf("the authority of the project %q does not take the ticket: it has expired, has been used, or was never made there (403: %w)", rec.Name, err),
		help: "Ask for another one, which an enroller makes with: ockam project ticket",
	}
}

// maxTicket bounds what is read of a file or a web server.
const maxTicket = 1 << 20

// readTicket reads a ticket from a URL, a file or the text itself.
func readTicket(ctx context.Context, given string) (*project.Ticket, error) {
	text := given
	if at := ticketURL(given); at != "" {
		b, err := download(ctx, at)
		if err != nil {
			return nil, passing(fmt.Errorf("the ticket cannot be fetched from %s: %w", at, err))
		}
		text = string(b)
	} else if f, err := os.Open(given); err == nil {
		b, err := io.ReadAll(io.LimitReader(f, maxTicket))
		_ = f.Close() // was only read
		if err != nil {
			return nil, fmt.Errorf("the ticket cannot be read: %w", err)
		}
		text = string(b)
	}
	t, err := project.ParseTicket(text)
	if err != nil {
		return nil, &failure{err: fmt.Errorf("this is no ticket: %w", err), help: "Give the whole line that ockam project ticket has printed, or a file that holds it."}
	}
	return t, nil
}

// ticketURL returns the URL that is meant; empty: none is.
func ticketURL(s string) string {
	if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return s
	}
	host, path, ok := strings.Cut(s, "/")
	if _, port, hasPort := strings.Cut(host, ":"); ok && hasPort && port != "" && path != "" && strings.Trim(port, "0123456789") == "" {
		return "http://" + s
	}
	return ""
}

func download(ctx context.Context, at string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, authorityTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // was only read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxTicket))
}

func (c *console) printEnrolled(ctx context.Context, s *store, e *enrollment) error {
	shown, err := shownCredential(e.credential)
	if err != nil {
		return err
	}
	id, err := s.Named(ctx, e.identity)
	if err != nil {
		return err
	}
	text := "The identity " + id.Name + " is now a member of the project " + e.record.Name
	if e.already {
		text = "The identity " + id.Name + " is a member of the project " + e.record.Name + " already"
	}
	return c.print(result{
		plain: markOK + text + "\n" + markText + "Its credential says: " + compactJSON(shown.Attributes),
		json: object{
			"credential": shown, "project_name": e.record.Name,
			"identity": object{
				"identifier": id.Identifier.String(), "is_default": id.Default, "name": id.Name, "vault_name": id.Vault,
			},
		},
	})
}
