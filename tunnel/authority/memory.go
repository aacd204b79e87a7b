package authority

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"ockam/tunnel/identity"
)

// A MemoryStore is a Store that forgets everything with the process: for
// ephemeral authorities and tests. The zero value is an empty one.
type MemoryStore struct {
	mu      sync.Mutex
	members map[identity.Identifier]Member
	order   []identity.Identifier // of members; nil: to be sorted anew
	tokens  map[Code]Token
}

var _ Store = (*MemoryStore)(nil)

func (m Member) clone() Member {
	m.Attributes = cloneAttributes(m.Attributes)
	return m
}

// cloneAttributes never returns nil, as what comes from a database is not either.
func cloneAttributes(a map[string]string) map[string]string {
	c := make(map[string]string, len(a))
	maps.Copy(c, a)
	return c
}

// Member returns a member, or ErrNotMember.
func (s *MemoryStore) Member(_ context.Context, id identity.Identifier) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.members[id]
	if !ok {
		return Member{}, ErrNotMember
	}
	return m.clone(), nil
}

// Members returns the first n members above an identifier.
func (s *MemoryStore) Members(_ context.Context, after identity.Identifier, n int) ([]Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.orderLocked()
	at, found := slices.BinarySearchFunc(ids, after, compare)
	if found {
		at++
	}
	var page []Member
	for _, id := range ids[at:min(at+n, len(ids))] {
		page = append(page, s.members[id].clone())
	}
	return page, nil
}

func compare(x, y identity.Identifier) int { return bytes.Compare(x[:], y[:]) }

// orderLocked returns the identifiers of all members, in order.
func (s *MemoryStore) orderLocked() []identity.Identifier {
	if s.order == nil {
		s.order = slices.SortedFunc(maps.Keys(s.members), compare)
	}
	return s.order
}

// MemberIDs returns the identifiers of all members, in order.
func (s *MemoryStore) MemberIDs(context.Context) ([]identity.Identifier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.orderLocked()), nil
}

// PutMember adds a member, or replaces the one there is.
func (s *MemoryStore) PutMember(_ context.Context, m Member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.PreTrusted = s.members[m.Identifier].PreTrusted
	s.putLocked(m)
	return nil
}

func (s *MemoryStore) putLocked(m Member) {
	if s.members == nil {
		s.members = make(map[identity.Identifier]Member)
	}
	if _, known := s.members[m.Identifier]; !known {
		s.order = nil
	}
	s.members[m.Identifier] = m.clone()
}

// DeleteMembers deletes members that are not pre-trusted.
func (s *MemoryStore) DeleteMembers(_ context.Context, ids ...identity.Identifier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if m, ok := s.members[id]; ok && !m.PreTrusted {
			delete(s.members, id)
			s.order = nil
		}
		if _, stays := s.members[id]; !stays {
			maps.DeleteFunc(s.tokens, func(_ Code, t Token) bool { return t.IssuedBy == id })
		}
	}
	return nil
}

// SetPreTrusted replaces the pre-trusted members.
func (s *MemoryStore) SetPreTrusted(_ context.Context, members []Member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.members, func(_ identity.Identifier, m Member) bool { return m.PreTrusted })
	s.order = nil
	for _, m := range members {
		m.PreTrusted = true
		s.putLocked(m)
	}
	return nil
}

// PutToken stores a new token.
func (s *MemoryStore) PutToken(_ context.Context, t Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = make(map[Code]Token)
	}
	s.expireLocked(t.CreatedAt)
	t.Attributes = cloneAttributes(t.Attributes)
	t.Uses = max(t.Uses, 1)
	s.tokens[t.Code] = t
	return nil
}

func (s *MemoryStore) expireLocked(now identity.Timestamp) {
	maps.DeleteFunc(s.tokens, func(_ Code, t Token) bool { return t.ExpiresAt <= now })
}

// Redeem makes a member of who has a code.
func (s *MemoryStore) Redeem(_ context.Context, code Code, by identity.Identifier, now identity.Timestamp) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.members[by]; known {
		return Member{}, ErrAlreadyMember
	}
	t, ok := s.tokens[code]
	if !ok || t.ExpiresAt <= now {
		return Member{}, ErrUnknownCode
	}
	if issuer := s.members[t.IssuedBy]; !t.ByAdmin && !issuer.IsEnroller() {
		return Member{}, ErrUnknownCode
	}
	if t.Uses--; t.Uses == 0 {
		delete(s.tokens, code)
	} else {
		s.tokens[code] = t
	}
	m := Member{Identifier: by, Attributes: t.Attributes, AddedBy: t.IssuedBy, AddedAt: now}
	s.putLocked(m)
	return m.clone(), nil
}
