package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

const (
	// AuthorityListener is the channel listener of the authority of a project,
	// beside that of the project itself at the same port.
	AuthorityListener = "authority"
	// DefaultLifetime is how long the credentials of a project of ours hold: who
	// is no member any more can do nothing after it. The reference's authority
	// issues them for 30 days.
	DefaultLifetime = 5 * time.Minute
	// MinLifetime is the shortest that members can live with: they renew a
	// credential before it expires.
	MinLifetime = time.Minute
)

// A ProjectServer says what a node serves that is a project: a relay for members,
// and the authority that says who is one, at one port (Ockam protocol, projects,
// self-hosted). Without a name it is an authority alone.
type ProjectServer struct {
	// Name is what members call the project; it is kept under it in the state.
	Name string `json:"name,omitempty"`
	// ID is the project's identifier; empty: made from that of its identity.
	ID string `json:"id,omitempty"`
	// Address is where members connect, host:port.
	Address   string          `json:"address"`
	Authority AuthorityServer `json:"authority"`
}

// An AuthorityServer says what the authority of a project is.
type AuthorityServer struct {
	// Identity is the name of a stored identity, made if there is none.
	Identity string `json:"identity"`
	// Lifetime is how long a credential holds; 0: 30 days.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	// Database is the URL of a PostgreSQL database that keeps the members; empty:
	// the state does.
	Database string `json:"database,omitempty"`
	// Members are members from the beginning, who cannot be deleted, with their
	// attributes.
	Members map[identity.Identifier]map[string]string `json:"members,omitempty"`
	// AccountAuthority is the change history, in hex, of who names administrators.
	AccountAuthority   string `json:"account_authority,omitempty"`
	EnforceAdminChecks bool   `json:"enforce_admin_checks,omitempty"`
	OmitContext        bool   `json:"omit_context,omitempty"`
	NoDirect           bool   `json:"no_direct,omitempty"`
	NoTokens           bool   `json:"no_tokens,omitempty"`
	// Okta takes members of a tenant at Okta; nil: there is none.
	Okta *OktaTenant `json:"okta,omitempty"`
}

// An OktaTenant is whom an authority asks about those who want to be members.
type OktaTenant struct {
	BaseURL     string   `json:"tenant_base_url"`
	Certificate string   `json:"certificate"` // PEM, the only root that is trusted
	Attributes  []string `json:"attributes"`  // that become those of the member
}

// A projectServing is a project that runs on a node.
type projectServing struct {
	n     *Node
	store *state.Store
	s     ProjectServer

	authority *identity.Identity
	closers   []func()
}

// newProjectServing reads or makes what a project needs before its node starts:
// its authority's identity decides on whose credentials the node believes.
func newProjectServing(ctx context.Context, n *Node, store *state.Store, s ProjectServer) (*projectServing, error) {
	p := &projectServing{n: n, store: store, s: s}
	id, err := store.Identity(ctx, s.Authority.Identity)
	if errors.Is(err, state.ErrNotFound) {
		if _, err = store.CreateIdentity(ctx, s.Authority.Identity, identity.CreateOptions{}); err == nil || errors.Is(err, state.ErrExists) {
			id, err = store.Identity(ctx, s.Authority.Identity)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the identity of the authority: %w", err)
	}
	p.authority = id
	if p.s.ID == "" {
		p.s.ID = n.identity.Identifier().String()[1:17]
	}
	return p, nil
}

// trust is what the node believes: the credentials of the project's authority. An
// authority alone believes none but those of the account authority, which are for
// its own services.
func (p *projectServing) trust() Trust {
	if p.s.Name == "" {
		return Trust{}
	}
	return Trust{Authority: p.authority.History}
}

// record is what members are told of the project.
func (p *projectServing) record(address string) (*project.Record, error) {
	access, authorityAt, err := ProjectRoutes(address)
	if err != nil {
		return nil, err
	}
	return &project.Record{
		ID: p.s.ID, Name: p.s.Name, AccessRoute: access, AuthorityRoute: authorityAt,
		Identity: p.n.identity.Identifier(), History: p.n.identity.History, Authority: p.authority.History,
	}, nil
}

// ProjectRoutes returns the ways to the two channel listeners of a project that is
// served at an address, host:port: that of the project's node, and that of the
// authority.
func ProjectRoutes(address string) (access, authority multiaddr.Addr, err error) {
	if access, err = routeTo(address, secure.DefaultName); err != nil {
		return nil, nil, err
	}
	authority, err = routeTo(address, AuthorityListener)
	return access, authority, err
}

// routeTo is the way to a channel listener.
func routeTo(address, listener string) (multiaddr.Addr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address of the project: %w", err)
	}
	protocol := "dnsaddr" // also in front of IPv4: tickets of the reference take nothing else
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		protocol = "ip6"
	}
	return multiaddr.Parse("/" + protocol + "/" + host + "/tcp/" + port + "/service/" + listener)
}

// serveAuthority makes the authority's channel listener, called name and open to
// sources, and its services, which nothing but the channels of that listener
// reaches.
func (p *projectServing) serveAuthority(ctx context.Context, name string, sources ...tunnel.Source) error {
	n := p.n
	group := &tunnel.Group{Name: n.name + " authority"}
	p.closers = append(p.closers, func() { n.closeIf(func(o *tunnel.Origin) bool { return o.Group == group }) })
	// What the account authority says must not displace what this one says.
	attributes := keptAttributes{p.store.Node(n.name + "/" + AuthorityListener), n.peers}
	cfg := secure.Config{Router: n.router, Identity: p.authority, Histories: n.peers, Attributes: attributes, Ordered: true}
	a := &authority.Authority{
		Identity: p.authority, Histories: n.peers, Project: p.s.ID, CredentialLifetime: p.s.Authority.Lifetime,
		OmitContext: p.s.Authority.OmitContext, NoDirect: p.s.Authority.NoDirect, NoTokens: p.s.Authority.NoTokens,
		EnforceAdminChecks: p.s.Authority.EnforceAdminChecks, Events: p.log,
	}
	if text := p.s.Authority.AccountAuthority; text != "" {
		h, err := identity.ParseHistoryText(text)
		if err != nil {
			return fmt.Errorf("the account authority: %w", err)
		}
		if err := p.store.UpdateHistory(h); err != nil && !errors.Is(err, identity.ErrOlderHistory) {
			return fmt.Errorf("the account authority: %w", err)
		}
		cfg.Authorities = []identity.Identifier{h.Identifier()}
		a.AccountAuthority, a.Attributes = h.Identifier(), attributes
	}
	if o := p.s.Authority.Okta; o != nil {
		var err error
		if a.Okta, err = authority.NewOkta(o.BaseURL, []byte(o.Certificate), o.Attributes); err != nil {
			return err
		}
	}
	members, err := p.openMembers(ctx)
	if err != nil {
		return err
	}
	a.Store = keptMembers{members, n.peers}
	if err := a.Trust(ctx, p.s.Authority.Members); err != nil {
		return err
	}
	n.freely = group // the authority's echo is for everybody
	n.echoing.Open(group)
	l := n.channelListener(cfg, name)
	l.Group, l.Open = group, sources
	if err := l.Register(); err != nil {
		return err
	}
	serve, end := context.WithCancel(n.life)
	done := make(chan struct{})
	go func() { // ends with the closer below
		defer close(done)
		_ = l.Serve(serve) // nil once it is registered
	}()
	p.closers = append(p.closers, func() { end(); <-done })
	services, err := a.Register(n.router, tunnel.Access{Open: []tunnel.Source{group}})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, services.Close)
	return nil
}

// log notes what an authority has changed or refused.
func (p *projectServing) log(e authority.Event) {
	const kind = "authority"
	fields := []zap.Field{
		zap.String("service", e.Service), zap.String("request", e.Method.String()+" "+e.Path[:min(len(e.Path), maxRefusalPath)]),
		zap.Stringer("peer", e.Caller), zap.String("what", e.Text),
	}
	if e.Err != nil {
		fields = append(fields, zap.Error(e.Err))
	}
	if e.Status == api.StatusOK {
		p.n.log.Info("membership", append(fields, zap.String("node", p.n.name), zap.String("kind", kind))...)
		return
	}
	p.n.denied.say(zap.WarnLevel, refused{"refused", kind, e.Service}, e.Caller.String(), fields...)
}

// openMembers opens what keeps the members.
func (p *projectServing) openMembers(ctx context.Context) (authority.Store, error) {
	url := p.s.Authority.Database
	if url == "" {
		return p.store.Authority(p.authority.Identifier()), nil
	}
	db, err := state.OpenPostgres(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("the database of the authority: %w", err)
	}
	p.closers = append(p.closers, func() {
		if err := db.Close(); err != nil {
			p.n.log.Warn("closing the authority's database", zap.Error(err))
		}
	})
	return db.Authority(p.authority.Identifier()), nil
}

func (p *projectServing) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

// serveProject makes what a background node is that serves a project, in place of
// the services that nodes have by default.
func (b *Background) serveProject(ctx context.Context) error {
	p := b.n.serving
	alone := p.s.Name == ""
	listener := AuthorityListener
	if alone {
		listener = secure.DefaultName
	}
	if err := p.serveAuthority(ctx, listener, b.n.own); err != nil {
		return err
	}
	if alone {
		return nil
	}
	if err := b.startChannelListener(ctx, ChannelListenerOptions{Address: secure.DefaultName}); err != nil {
		return err
	}
	w := b.warden(relayServiceResource, false)
	r, err := b.n.startRelayServiceFor(relayServiceSpec{Allow: config.AllowList{Anyone: true}}, &config.RelayService{}, w)
	if err != nil {
		return err
	}
	b.n.put(relayServiceKey, r)
	return nil
}

// announceProject keeps what members are told of the project in the state, once
// it is known where it listens.
func (b *Background) announceProject(ctx context.Context) error {
	if b.n.serving.s.Name == "" {
		return nil
	}
	_, err := b.n.serving.announce(ctx, b.addr)
	return err
}

// announce keeps what members are told of the project, which listens at an
// address, and returns it.
func (p *projectServing) announce(ctx context.Context, listens string) (*project.Record, error) {
	address := p.s.Address
	if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		if _, port, err = net.SplitHostPort(listens); err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, port)
	}
	rec, err := p.record(address)
	if err != nil {
		return nil, err
	}
	if err := p.store.PutProject(ctx, rec); err != nil {
		return nil, err
	}
	p.n.log.Info("project", zap.String("node", p.n.name), zap.String("name", rec.Name), zap.String("id", rec.ID),
		zap.Stringer("at", rec.AccessRoute), zap.Stringer("identity", rec.Identity),
		zap.Stringer("authority", rec.Authority.Identifier()))
	return rec, nil
}

// OwnAddress returns the one address, without a port, by which other machines can
// reach what listens at host: an address of all interfaces, or "". With "" and ::
// that is an IPv6 address where there is no IPv4 address. It is an error if there is
// none or several.
func OwnAddress(host string) (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	ip := net.ParseIP(host)
	return chooseAddress(all, ip != nil && ip.To4() != nil)
}

// chooseAddress is OwnAddress, of a machine with these addresses.
func chooseAddress(all []net.Addr, only4 bool) (string, error) {
	var four, six []string
	for _, a := range all {
		ip, ok := a.(*net.IPNet)
		switch {
		case !ok || ip.IP.IsLoopback() || ip.IP.IsLinkLocalUnicast():
		case ip.IP.To4() != nil:
			four = append(four, ip.IP.String())
		default:
			six = append(six, ip.IP.String())
		}
	}
	found, what := four, "address"
	if only4 {
		what = "IPv4 address"
	} else if len(four) == 0 {
		found = six
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("this machine has no %s but its own loopback: it is not clear where members connect", what)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("this machine has the addresses %s: it is not clear where members connect", strings.Join(found, ", "))
}
