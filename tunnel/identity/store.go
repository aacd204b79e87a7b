package identity

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// Histories stores the histories of the identities that are known, our own
// and others'. It is safe for concurrent use.
type Histories interface {
	// History returns the latest history stored, or ErrUnknownIdentity.
	History(Identifier) (*History, error)
	// UpdateHistory stores a history that is new or newer than the one known
	// and keeps an equal one. It refuses the others with ErrOlderHistory or
	// ErrHistoryConflict. Comparing and storing are one transaction.
	UpdateHistory(*History) error
}

// PurposeKeys stores the attestations of the purpose keys of our own
// identities. The keys themselves are in the vault: the attested public key
// gives the handle. It is safe for concurrent use.
type PurposeKeys interface {
	// PurposeKey returns the attestation stored, encoded, or ErrNoPurposeKey.
	PurposeKey(Identifier, Purpose) (attestation []byte, err error)
	// PutPurposeKey stores an attestation in place of the one before.
	PutPurposeKey(id Identifier, p Purpose, attestation []byte) error
}

// AttributesEntry is what a verified credential said about a subject.
type AttributesEntry struct {
	// Attributes is what was said.
	Attributes Attributes
	// AddedAt is when the credential was verified, ExpiresAt when it ends.
	AddedAt, ExpiresAt Timestamp
	// AttestedBy is the issuer of the credential.
	AttestedBy Identifier
}

// AttributeStore stores what verified credentials have said. It is safe for
// concurrent use.
type AttributeStore interface {
	// PutAttributes stores an entry in place of the one before, as a whole.
	PutAttributes(subject Identifier, e AttributesEntry) error
	// Attributes returns the entry of a subject. At or after the time when it
	// expires there is none, and it is removed.
	Attributes(subject Identifier, now time.Time) (AttributesEntry, bool, error)
}

// CheckUpdate says whether a history may take the place of the one known
// before (nil if none was), and whether there is anything to store. It is what
// implementations of Histories decide by.
func CheckUpdate(received, known *History) (store bool, err error) {
	if known == nil {
		return true, nil
	}
	switch r := received.Compare(known); r {
	case Equal:
		return false, nil
	case Newer:
		return true, nil
	case Older:
		return false, fmt.Errorf("%w: %v", ErrOlderHistory, received.Identifier())
	case Conflict:
		return false, fmt.Errorf("%w: %v", ErrHistoryConflict, received.Identifier())
	default:
		return false, fmt.Errorf("identity: unknown relation %v", r)
	}
}

// MemoryStore is a Histories, PurposeKeys and AttributeStore that forgets
// everything with the process: for ephemeral identities and tests.
type MemoryStore struct {
	mu          sync.Mutex
	histories   map[Identifier]*History
	purposeKeys map[purposeKey][]byte
	attributes  map[Identifier]AttributesEntry
}

type purposeKey struct {
	id      Identifier
	purpose Purpose
}

var (
	_ Histories      = (*MemoryStore)(nil)
	_ PurposeKeys    = (*MemoryStore)(nil)
	_ AttributeStore = (*MemoryStore)(nil)
)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{
		histories:   map[Identifier]*History{},
		purposeKeys: map[purposeKey][]byte{},
		attributes:  map[Identifier]AttributesEntry{},
	}
}

// History returns the latest history stored, or ErrUnknownIdentity.
func (s *MemoryStore) History(id Identifier) (*History, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.histories[id]
	if !ok {
		return nil, fmt.Errorf("%w %v", ErrUnknownIdentity, id)
	}
	return h, nil
}

// UpdateHistory stores a history that is new or newer, see [Histories].
func (s *MemoryStore) UpdateHistory(h *History) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	store, err := CheckUpdate(h, s.histories[h.Identifier()])
	if store {
		s.histories[h.Identifier()] = h
	}
	return err
}

// PurposeKey returns the attestation stored, or ErrNoPurposeKey.
func (s *MemoryStore) PurposeKey(id Identifier, p Purpose) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.purposeKeys[purposeKey{id, p}]
	if !ok {
		return nil, ErrNoPurposeKey
	}
	return bytes.Clone(b), nil
}

// PutPurposeKey stores an attestation in place of the one before.
func (s *MemoryStore) PutPurposeKey(id Identifier, p Purpose, attestation []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purposeKeys[purposeKey{id, p}] = bytes.Clone(attestation)
	return nil
}

// PutAttributes stores an entry in place of the one before.
func (s *MemoryStore) PutAttributes(subject Identifier, e AttributesEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Attributes = e.Attributes.clone()
	s.attributes[subject] = e
	return nil
}

// Attributes returns the entry of a subject unless it has expired.
func (s *MemoryStore) Attributes(subject Identifier, now time.Time) (AttributesEntry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.attributes[subject]
	if !ok {
		return AttributesEntry{}, false, nil
	}
	if e.ExpiresAt <= At(now) {
		delete(s.attributes, subject)
		return AttributesEntry{}, false, nil
	}
	e.Attributes = e.Attributes.clone()
	return e, true, nil
}
