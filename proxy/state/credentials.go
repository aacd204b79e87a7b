package state

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"ockam/tunnel/identity"
)

// A CredentialKey says which credential is meant.
type CredentialKey struct {
	// Node is the name of the node that has it, empty for none in particular.
	Node string
	// Issuer has issued it, about Subject.
	Issuer, Subject identity.Identifier
	// Scope is a word that tells it from others of the two.
	Scope string
}

// A StoredCredential is a credential of one of our own identities.
type StoredCredential struct {
	CredentialKey
	// Credential is the credential with the attestation of its key, as
	// identity.Credential.Bytes returns it. The store does not verify it.
	Credential []byte
	// ExpiresAt is when it ends. The store keeps it beyond that.
	ExpiresAt identity.Timestamp
}

// PutCredential stores a credential in place of the one before.
func (s *Store) PutCredential(ctx context.Context, c StoredCredential) error {
	const query = "INSERT OR REPLACE INTO credential (node, issuer, scope, subject, credential, expires) VALUES (?, ?, ?, ?, ?, ?)"
	_, err := s.db.ExecContext(ctx, query, c.Node, c.Issuer.String(), c.Scope, c.Subject.String(),
		bytes.Clone(c.Credential), seconds(c.ExpiresAt))
	return s.explain(err)
}

// Credential returns a credential, which may have expired. The error is
// ErrNotFound.
func (s *Store) Credential(ctx context.Context, k CredentialKey) (*StoredCredential, error) {
	var c StoredCredential
	err := scanCredential(s.db.QueryRowContext(ctx, selectCredential+" WHERE node = ? AND issuer = ? AND scope = ? AND subject = ?",
		k.Node, k.Issuer.String(), k.Scope, k.Subject.String()), &c)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noCredential(k)
	} else if err != nil {
		return nil, s.explain(err)
	}
	return &c, nil
}

func noCredential(k CredentialKey) error {
	return &ItemError{Err: ErrNotFound, Kind: "credential", Name: k.Scope, Advice: "from " + k.Issuer.String() + " about " + k.Subject.String()}
}

const selectCredential = "SELECT node, issuer, scope, subject, credential, expires FROM credential"

func scanCredential(r row, c *StoredCredential) error {
	var issuer, subject string
	var expires int64
	err := r.Scan(&c.Node, &issuer, &c.Scope, &subject, &c.Credential, &expires)
	if err != nil {
		return err
	}
	c.ExpiresAt = identity.Timestamp(expires)
	if c.Issuer, err = identity.ParseIdentifier(issuer); err == nil {
		c.Subject, err = identity.ParseIdentifier(subject)
	}
	return err
}

// Credentials returns the credentials of a node, or those of no node in
// particular if node is empty, in the order in which they were stored.
func (s *Store) Credentials(ctx context.Context, node string) ([]StoredCredential, error) {
	all, err := s.credentials(ctx, node)
	return all, s.explain(err)
}

func (s *Store) credentials(ctx context.Context, node string) (all []StoredCredential, err error) {
	rows, err := s.db.QueryContext(ctx, selectCredential+" WHERE node = ? ORDER BY rowid", node)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c StoredCredential
		if err := scanCredential(rows, &c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// DeleteCredential deletes a credential. The error is ErrNotFound.
func (s *Store) DeleteCredential(ctx context.Context, k CredentialKey) error {
	result, err := s.db.ExecContext(ctx, "DELETE FROM credential WHERE node = ? AND issuer = ? AND scope = ? AND subject = ?",
		k.Node, k.Issuer.String(), k.Scope, k.Subject.String())
	if err != nil {
		return s.explain(err)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return s.explain(err)
	}
	return noCredential(k)
}
