package node

import (
	"container/list"
	"errors"
	"strings"
	"sync"

	"ockam/tunnel/identity"
)

const (
	// maxStrangers and maxStrangerBytes are how many histories of strangers to
	// whom no channel is open are remembered, and how large these are together.
	maxStrangers     = 4096
	maxStrangerBytes = 4 << 20
)

// A peers has the change histories of other identities. Anybody can open a channel
// with a new identity each time, so that not every history may be stored. Stored
// for good are those
//
//   - that are stored already, which is where an older one is refused,
//   - whom the configuration names, or what a channel is opened with,
//   - whom something is given by their name: attributes of a credential
//     (keptAttributes), membership (keptMembers), a resource (warden.admitName).
//
// All others are strangers. Theirs are remembered as long as a channel is open, and
// then until there are too many others; they are refused an older history as long.
// It is safe for concurrent use.
type peers struct {
	stored identity.Histories
	named  func(identity.Identifier) bool // whether the configuration names it

	// steps makes looking into both places and writing one step, for each
	// identity. It is taken before mu.
	steps [64]sync.Mutex

	mu        sync.Mutex
	most      int // strangers without a channel; 0: maxStrangers
	strangers map[identity.Identifier]*stranger
	leaving   list.List // of strangers without a channel, who goes first in front
	size      int       // of the histories in leaving, in bytes
}

// A stranger is an identity of which nothing is stored.
type stranger struct {
	history  *identity.History
	channels int           // open ones
	place    *list.Element // in leaving; nil while there are channels
}

func newPeers(stored identity.Histories, named func(identity.Identifier) bool) *peers {
	return &peers{stored: stored, named: named, strangers: make(map[identity.Identifier]*stranger)}
}

func (p *peers) step(id identity.Identifier) (done func()) {
	mu := &p.steps[int(id[0])%len(p.steps)]
	mu.Lock()
	return mu.Unlock
}

// History returns the latest history, whether it is stored or a stranger's.
func (p *peers) History(id identity.Identifier) (*identity.History, error) {
	stored, err := p.stored.History(id)
	seen := p.stranger(id)
	if seen == nil || err != nil && !errors.Is(err, identity.ErrUnknownIdentity) {
		return stored, err
	}
	if err == nil && seen.Compare(stored) != identity.Newer { // stored by another process
		return stored, nil
	}
	return seen, nil
}

// UpdateHistory takes a history that is new or newer, see [identity.Histories].
func (p *peers) UpdateHistory(h *identity.History) error {
	return p.update(h, p.named(h.Identifier()))
}

// update is UpdateHistory; with keep it is stored in any case.
func (p *peers) update(h *identity.History, keep bool) error {
	id := h.Identifier()
	defer p.step(id)()
	if seen := p.stranger(id); seen != nil {
		if _, err := identity.CheckUpdate(h, seen); err != nil {
			return err
		}
	}
	if !keep {
		_, err := p.stored.History(id)
		if errors.Is(err, identity.ErrUnknownIdentity) {
			p.remember(h)
			return nil
		} else if err != nil {
			return err
		}
	}
	return p.store(h)
}

// keep stores the history of a stranger; of others there is nothing to be done.
func (p *peers) keep(id identity.Identifier) error {
	if p.stranger(id) == nil {
		return nil
	}
	defer p.step(id)()
	if seen := p.stranger(id); seen != nil {
		return p.store(seen)
	}
	return nil
}

// store stores a history, whose owner is no stranger any more.
func (p *peers) store(h *identity.History) error {
	if err := p.stored.UpdateHistory(h); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(h.Identifier())
	return nil
}

// stranger returns the history of a stranger, nil if it is none that is remembered.
func (p *peers) stranger(id identity.Identifier) *identity.History {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.strangers[id]; s != nil {
		return s.history
	}
	return nil
}

func (p *peers) remember(h *identity.History) {
	p.mu.Lock()
	defer p.mu.Unlock()
	channels := 0
	if s := p.strangers[h.Identifier()]; s != nil {
		channels = s.channels
		p.dropLocked(h.Identifier())
	}
	s := &stranger{history: h, channels: channels}
	p.strangers[h.Identifier()] = s
	if channels == 0 {
		p.leaveLocked(s)
	}
}

// hold has a stranger remembered until release, which is called as often: a channel
// to it is open.
func (p *peers) hold(id identity.Identifier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.strangers[id]
	if s == nil {
		return
	}
	s.channels++
	p.stayLocked(s)
}

func (p *peers) release(id identity.Identifier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.strangers[id]
	if s == nil || s.channels == 0 { // stored meanwhile
		return
	}
	if s.channels--; s.channels == 0 {
		p.leaveLocked(s)
	}
}

// leaveLocked has a stranger remembered until there are too many others.
func (p *peers) leaveLocked(s *stranger) {
	s.place = p.leaving.PushBack(s)
	p.size += len(s.history.Bytes())
	most := p.most
	if most == 0 {
		most = maxStrangers
	}
	for p.leaving.Len() > most || p.size > maxStrangerBytes {
		p.dropLocked(p.leaving.Front().Value.(*stranger).history.Identifier())
	}
}

func (p *peers) stayLocked(s *stranger) {
	if s.place != nil {
		p.leaving.Remove(s.place)
		p.size -= len(s.history.Bytes())
		s.place = nil
	}
}

func (p *peers) dropLocked(id identity.Identifier) {
	if s := p.strangers[id]; s != nil {
		p.stayLocked(s)
		delete(p.strangers, id)
	}
}

// all returns the histories for channels whose far end is chosen by name: all of
// them are stored.
func (p *peers) all() identity.Histories { return keptHistories{p} }

type keptHistories struct{ *peers }

func (k keptHistories) UpdateHistory(h *identity.History) error { return k.update(h, true) }

// keptAttributes stores attributes, and the history of whom they are about.
type keptAttributes struct {
	identity.AttributeStore
	peers *peers
}

func (k keptAttributes) PutAttributes(subject identity.Identifier, e identity.AttributesEntry) error {
	if err := k.peers.keep(subject); err != nil {
		return err
	}
	if _, err := k.peers.stored.History(subject); err != nil { // nothing is kept of whom an older one could replace
		return err
	}
	return k.AttributeStore.PutAttributes(subject, e)
}

// byName reports whether the rule names the subject. Of who is admitted by a
// credential the history is kept already; others, whom a policy admits without
// knowing them, stay strangers.
func (d *Decision) byName() bool {
	return d.Rule.Allow.Permits(d.Subject) || strings.Contains(d.Rule.Policy(), d.Subject)
}

// keepHistory stores the history of who is admitted by its name: from then on an older one
// is refused, also after a restart.
func (n *Node) keepHistory(peer string) error {
	id, err := identity.ParseIdentifier(peer)
	if err != nil {
		return err
	}
	return n.peers.keep(id)
}
