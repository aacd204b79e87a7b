package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

// issueTimeout is how long an authority's answer is waited for.
const issueTimeout = 10 * time.Second

// acceptTimeout is how long a channel that is accepted waits for the credential that
// is presented to who opens it.
const acceptTimeout = time.Second

// join makes the node a member where t has the route to the authority, which the
// node trusts; it is called before the node starts. Credentials are kept in store
// under the node's name; with nil they are not.
func (n *Node) join(t Trust, store *state.Store, name string) error {
	d := &disbelief{node: n}
	n.channels.Disbelieved = d.say
	if t.Route == nil {
		return nil
	}
	if t.Authority == nil {
		return errors.New("the route to an authority without the authority's identity")
	}
	hops, err := listenerHops(t.Route)
	if err != nil {
		return fmt.Errorf("the route %v to the authority: %w", t.Route, err)
	}
	m := &membership{
		node: n, trust: t, hops: hops, store: store, name: name, members: make(map[identity.Identifier]*member),
	}
	n.members = m
	n.wg.Go(func() {
		<-n.life.Done()
		m.close()
	})
	return nil
}

// A membership keeps credentials about identities of a node, each from its first
// use until the node ends, and presents them in all channels of theirs. The nil
// membership presents nothing.
type membership struct {
	node  *Node
	trust Trust
	hops  []multiaddr.Hop // to the authority
	store *state.Store
	name  string

	wg sync.WaitGroup // retrievers, and what presents

	mu      sync.Mutex
	closed  bool
	members map[identity.Identifier]*member
}

// A member is an identity with its credential.
type member struct {
	*authority.Retriever
	of *membership

	mu       sync.Mutex
	channels map[*secure.Channel]bool
	said     string // why there was no credential, when somebody was told last
}

func (m *membership) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.wg.Wait()
}

// member returns what keeps the credential about id; nil when the node has ended.
func (m *membership) member(id *identity.Identity) *member {
	m.mu.Lock()
	defer m.mu.Unlock()
	mb := m.members[id.Identifier()]
	if mb == nil && !m.closed {
		mb = m.newMember(id)
		m.members[id.Identifier()] = mb
		m.wg.Go(func() { mb.Run(m.node.life) })
	}
	return mb
}

func (m *membership) newMember(id *identity.Identity) *member {
	mb := &member{of: m, channels: make(map[*secure.Channel]bool)}
	mb.Retriever = &authority.Retriever{
		Issuer: m.trust.Authority.Identifier(), Subject: id.Identifier(), Histories: m.node.channels.Histories,
		Fetch:    func(ctx context.Context) (*identity.Credential, error) { return m.ask(ctx, id) },
		Obtained: mb.obtained, Failed: mb.failed,
	}
	if m.store == nil {
		return mb
	}
	key := state.CredentialKey{Node: m.name, Issuer: mb.Issuer, Subject: mb.Subject, Scope: m.trust.Scope}
	mb.Load = func(ctx context.Context) (*identity.Credential, error) {
		stored, err := m.store.Credential(ctx, key)
		if errors.Is(err, state.ErrNotFound) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return identity.ParseCredential(stored.Credential)
	}
	mb.Save = func(ctx context.Context, c *identity.Credential, data *identity.CredentialData) error {
		return m.store.PutCredential(ctx, state.StoredCredential{
			CredentialKey: key, Credential: c.Bytes(), ExpiresAt: data.ExpiresAt,
		})
	}
	return mb
}

// ask asks the authority for a credential about id, over a connection for that.
func (m *membership) ask(ctx context.Context, id *identity.Identity) (*identity.Credential, error) {
	n, issuer := m.node, m.trust.Authority.Identifier()
	nothing := func() (*identity.Credential, error) { return nil, nil }
	hops := m.hops
	if m.trust.Find != nil {
		if now, err := m.trust.Find(ctx); err == nil {
			if found, err := listenerHops(now); err == nil {
				hops = found
			}
		}
	}
	w := newWay(nil)
	defer w.close()
	err := n.follow(ctx, w, target{
		hops: hops,
		peer: func(peer identity.Identifier) error {
			if peer == issuer {
				return nil
			}
			return fmt.Errorf("the authority is %v", issuer)
		},
		channels: &secure.Config{
			Router: n.router, Identity: id, Histories: n.channels.Histories, Ordered: true, Credential: nothing,
		},
	})
	if err != nil {
		return nil, err
	}
	c := authority.Client{Router: n.router, Path: w.path, Via: w.rest, Timeout: issueTimeout}
	return c.Issue(ctx)
}

// dialing has a channel that is to be opened present the credential about its
// identity, unless it has another one to present. It waits for one.
func (m *membership) dialing(ctx context.Context, cfg *secure.Config) (*member, error) {
	if m == nil || cfg.Credential != nil {
		return nil, nil
	}
	mb := m.member(cfg.Identity)
	if mb == nil {
		return nil, tunnel.ErrClosed
	}
	c, err := mb.Current(ctx)
	if err != nil {
		return nil, mb.explain(err)
	}
	cfg.Credential = func() (*identity.Credential, error) { return c, nil }
	return mb, nil
}

// accepting has channels that are accepted present the credential there is then.
// Who connects while the node starts waits for it a moment, since without one it may
// be of no use; who connects while there is none to be had is not refused.
func (m *membership) accepting(cfg *secure.Config) *member {
	if m == nil || cfg.Credential != nil {
		return nil
	}
	mb := m.member(cfg.Identity)
	if mb != nil {
		cfg.Credential = func() (*identity.Credential, error) {
			ctx, cancel := context.WithTimeout(m.node.life, acceptTimeout)
			defer cancel()
			c, _ := mb.Current(ctx) // why there is none is told where it is asked for
			return c, nil
		}
	}
	return mb
}

// explain says what to do about a credential that cannot be had.
func (mb *member) explain(err error) error {
	if errors.Is(err, authority.ErrNotMember) {
		return fmt.Errorf("node: %v is not a member of the project: ask an enroller for a ticket, then: ockam project enroll TICKET: %w", mb.Subject, err)
	}
	return fmt.Errorf("node: no credential about %v from the authority at %v: %w", mb.Subject, mb.of.trust.Route, err)
}

// add has a channel get each credential that comes from now on. The nil member
// does nothing.
func (mb *member) add(c *secure.Channel) {
	if mb == nil {
		return
	}
	mb.mu.Lock()
	defer mb.mu.Unlock()
	mb.channels[c] = true
}

func (mb *member) forget(c *secure.Channel) {
	if mb == nil {
		return
	}
	mb.mu.Lock()
	defer mb.mu.Unlock()
	delete(mb.channels, c)
}

// forget forgets a channel whoever is its member.
func (m *membership) forget(c *secure.Channel) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mb := range m.members {
		mb.forget(c)
	}
}

// present gives the peer of a channel the credential there is, if it has another
// one or none. It waits for room in the link's queue.
func (mb *member) present(c *secure.Channel) {
	if mb == nil {
		return
	}
	if cred := mb.Known(); cred != nil && cred != c.Presented() {
		_ = c.Present(cred) // or the channel has ended
	}
}

// obtained presents a new credential in all channels at once: one that waits for
// room does not keep the others waiting.
func (mb *member) obtained(*identity.Credential) {
	mb.mu.Lock()
	defer mb.mu.Unlock()
	if mb.said != "" {
		mb.of.node.event("credential", "", true, "has come from the project's authority")
		mb.said = ""
	}
	for c := range mb.channels {
		mb.of.wg.Go(func() { mb.present(c) })
	}
}

// failed says why there is no credential, once for each reason in a row.
func (mb *member) failed(err error) {
	text := fmt.Sprintf("cannot be had: %v", mb.explain(err))
	if mb.Known() != nil {
		text = fmt.Sprintf("is not renewed by the authority at %v, and used until it ends: %v", mb.of.trust.Route, err)
	}
	mb.mu.Lock()
	defer mb.mu.Unlock()
	if text == mb.said {
		return
	}
	mb.said = text
	mb.of.node.event("credential", "", false, "%s", text)
}

// A disbelief says why the credentials that peers present are not believed. A peer
// presents the same one again with each channel, which need not be said each time.
type disbelief struct {
	node *Node

	mu   sync.Mutex
	said string
	at   time.Time
}

func (d *disbelief) say(peer identity.Identifier, err error) {
	text := peer.String() + err.Error()
	d.mu.Lock()
	again := text == d.said && time.Since(d.at) < time.Minute
	if !again {
		d.said, d.at = text, time.Now()
	}
	d.mu.Unlock()
	if !again {
		d.node.denied.say(zap.WarnLevel, refused{message: "credential not believed"}, peer.String(), zap.Stringer("peer", peer), zapErr(err))
	}
}
