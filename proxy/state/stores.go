package state

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

var (
	_ vault.Secrets           = (*Store)(nil)
	_ identity.Histories      = (*Store)(nil)
	_ identity.PurposeKeys    = (*Store)(nil)
	_ identity.AttributeStore = (*Store)(nil)
	_ identity.AttributeStore = (*NodeStore)(nil)
)

// Vault returns a vault whose keys are in the store.
func (s *Store) Vault() *vault.Software { return &vault.Software{Secrets: s} }

// Put stores a copy of a secret key, see vault.Secrets.
func (s *Store) Put(h vault.Handle, t vault.KeyType, secret []byte) error {
	return s.explain(secrets{s.db}.Put(h, t, secret))
}

// Get returns a copy of a secret key, which the caller wipes, or
// vault.ErrUnknownKey.
func (s *Store) Get(h vault.Handle) (vault.KeyType, []byte, error) {
	t, secret, err := secrets{s.db}.Get(h)
	return t, secret, s.explain(err)
}

// Delete removes a secret key for good (copies made before a migration keep
// it); vault.ErrUnknownKey if there is none.
func (s *Store) Delete(h vault.Handle) error { return s.explain(secrets{s.db}.Delete(h)) }

func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	return explain(s.path, err)
}

// secrets is a vault.Secrets in a database or in a transaction.
type secrets struct{ q querier }

func (s secrets) Put(h vault.Handle, t vault.KeyType, secret []byte) error {
	const query = "INSERT INTO secret (handle, type, secret) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET type = excluded.type, secret = excluded.secret"
	_, err := s.q.ExecContext(context.Background(), query, []byte(h), t.String(), secret)
	return err
}

func (s secrets) Get(h vault.Handle) (vault.KeyType, []byte, error) {
	var name string
	var secret secretBytes
	row := s.q.QueryRowContext(context.Background(), "SELECT type, secret FROM secret WHERE handle = ?", []byte(h))
	if err := row.Scan(&name, &secret); errors.Is(err, sql.ErrNoRows) {
		return 0, nil, vault.ErrUnknownKey
	} else if err != nil {
		return 0, nil, err
	}
	t, err := vault.ParseKeyType(name)
	if err != nil {
		clear(secret)
		return 0, nil, err
	}
	return t, secret, nil
}

// secretBytes takes a secret over from the driver and wipes the driver's copy,
// which is made for each row.
type secretBytes []byte

// Scan implements sql.Scanner.
func (s *secretBytes) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok {
		return errors.New("state: a secret key is no bytes")
	}
	*s = bytes.Clone(b)
	clear(b)
	return nil
}

func (s secrets) Delete(h vault.Handle) error {
	result, err := s.q.ExecContext(context.Background(), "DELETE FROM secret WHERE handle = ?", []byte(h))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return vault.ErrUnknownKey
	}
	return nil
}

// History returns the latest history of an identity, or
// identity.ErrUnknownIdentity.
func (s *Store) History(id identity.Identifier) (*identity.History, error) {
	h, err := history(context.Background(), s.db, id)
	return h, s.explain(err)
}

func history(ctx context.Context, q querier, id identity.Identifier) (*identity.History, error) {
	var b []byte
	err := q.QueryRowContext(ctx, "SELECT changes FROM history WHERE identifier = ?", id.String()).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, identity.ErrUnknownIdentity
	} else if err != nil {
		return nil, err
	}
	return identity.ParseHistory(b)
}

// UpdateHistory stores a history that is new or newer than the one known and
// keeps an equal one. It refuses the others with identity.ErrOlderHistory or
// identity.ErrHistoryConflict.
func (s *Store) UpdateHistory(h *identity.History) error {
	ctx := context.Background()
	// Mostly it is known already; that takes no lock.
	if known, err := history(ctx, s.db, h.Identifier()); err == nil && h.Compare(known) == identity.Equal {
		return nil
	}
	return s.update(ctx, func(tx *sql.Tx) error { return updateHistory(ctx, tx, h) })
}

func updateHistory(ctx context.Context, tx *sql.Tx, h *identity.History) error {
	known, err := history(ctx, tx, h.Identifier())
	if err != nil && !errors.Is(err, identity.ErrUnknownIdentity) {
		return err
	}
	store, err := identity.CheckUpdate(h, known)
	if err != nil || !store {
		return err
	}
	const query = "INSERT INTO history (identifier, changes) VALUES (?, ?) ON CONFLICT DO UPDATE SET changes = excluded.changes"
	_, err = tx.ExecContext(ctx, query, h.Identifier().String(), h.Bytes())
	return err
}

// PurposeKey returns the attestation of a purpose key of one of our own
// identities, or identity.ErrNoPurposeKey.
func (s *Store) PurposeKey(id identity.Identifier, p identity.Purpose) ([]byte, error) {
	var b []byte
	row := s.db.QueryRowContext(context.Background(),
		"SELECT attestation FROM purpose_key WHERE identifier = ? AND purpose = ?", id.String(), p.String())
	err := row.Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, identity.ErrNoPurposeKey
	}
	return b, s.explain(err)
}

// PutPurposeKey stores an attestation in place of the one before.
func (s *Store) PutPurposeKey(id identity.Identifier, p identity.Purpose, attestation []byte) error {
	ctx := context.Background()
	return s.update(ctx, func(tx *sql.Tx) error {
		const keep = "INSERT INTO former_purpose_key (identifier, attestation) SELECT identifier, attestation FROM purpose_key WHERE identifier = ? AND purpose = ?"
		if _, err := tx.ExecContext(ctx, keep, id.String(), p.String()); err != nil {
			return err
		}
		const query = "INSERT INTO purpose_key (identifier, purpose, attestation) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET attestation = excluded.attestation"
		_, err := tx.ExecContext(ctx, query, id.String(), p.String(), attestation)
		return err
	})
}

// A NodeStore stores what credentials have said to one node. Nodes that share
// a home may trust different authorities; none must see what another believed.
type NodeStore struct {
	store *Store
	node  string
}

// Node returns the attribute store of the node of that name.
func (s *Store) Node(name string) *NodeStore { return &NodeStore{s, name} }

// PutAttributes stores an entry in place of the one before, for no node in
// particular; see [Store.Node].
func (s *Store) PutAttributes(subject identity.Identifier, e identity.AttributesEntry) error {
	return s.Node("").PutAttributes(subject, e)
}

// Attributes returns the entry of a subject that PutAttributes has stored.
func (s *Store) Attributes(subject identity.Identifier, now time.Time) (identity.AttributesEntry, bool, error) {
	return s.Node("").Attributes(subject, now)
}

// PutAttributes stores an entry in place of the one before.
func (n *NodeStore) PutAttributes(subject identity.Identifier, e identity.AttributesEntry) error {
	const query = "INSERT OR REPLACE INTO attributes (node, subject, attributes, added, expires, attested_by) VALUES (?, ?, ?, ?, ?, ?)"
	_, err := n.store.db.ExecContext(context.Background(), query, n.node, subject.String(), e.Attributes.Bytes(),
		seconds(e.AddedAt), seconds(e.ExpiresAt), e.AttestedBy.String())
	return n.store.explain(err)
}

// Attributes returns the entry of a subject. At or after the time when it
// expires there is none, and it is removed.
func (n *NodeStore) Attributes(subject identity.Identifier, now time.Time) (e identity.AttributesEntry, ok bool, err error) {
	e, err = n.attributes(subject)
	if errors.Is(err, sql.ErrNoRows) {
		return identity.AttributesEntry{}, false, nil
	} else if err != nil {
		return identity.AttributesEntry{}, false, n.store.explain(err)
	}
	if e.ExpiresAt > identity.At(now) {
		return e, true, nil
	}
	const query = "DELETE FROM attributes WHERE node = ? AND expires <= ?"
	_, err = n.store.db.ExecContext(context.Background(), query, n.node, seconds(identity.At(now)))
	return identity.AttributesEntry{}, false, n.store.explain(err)
}

func (n *NodeStore) attributes(subject identity.Identifier) (e identity.AttributesEntry, err error) {
	var b []byte
	var added, expires int64
	var by string
	row := n.store.db.QueryRowContext(context.Background(),
		"SELECT attributes, added, expires, attested_by FROM attributes WHERE node = ? AND subject = ?", n.node, subject.String())
	if err := row.Scan(&b, &added, &expires, &by); err != nil {
		return e, err
	}
	e.AddedAt, e.ExpiresAt = identity.Timestamp(added), identity.Timestamp(expires)
	if e.AttestedBy, err = identity.ParseIdentifier(by); err != nil {
		return e, err
	}
	e.Attributes, err = identity.ParseAttributes(b)
	return e, err
}

// seconds is a time as SQLite keeps it: the last 2^63 of them become one.
func seconds(t identity.Timestamp) int64 { return int64(min(t, math.MaxInt64)) }
