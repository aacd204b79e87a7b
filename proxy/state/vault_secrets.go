package state

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"ockam/tunnel/vault"
)

func (s *Store) vaultBySequence(ctx context.Context, q querier, sequence int64) (*NamedVault, error) {
	var v NamedVault
	err := s.scanVault(q.QueryRowContext(ctx,
		"SELECT sequence, name, coalesce(path, ''), is_default FROM vault WHERE sequence = ?", sequence), &v)
	return &v, err
}

// VaultNamed returns the vault of that name, ready to be used; the default one
// if name is empty. The error is ErrNotFound.
func (s *Store) VaultNamed(ctx context.Context, name string) (*vault.Software, error) {
	v, err := s.NamedVault(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.software(v), nil
}

func (s *Store) software(v *NamedVault) *vault.Software {
	if v.Path == "" {
		return s.Vault()
	}
	return &vault.Software{Secrets: movingSecrets{s, v.sequence}}
}

// secretsOf returns the secrets of a vault, for use within a transaction.
func secretsOf(tx *sql.Tx, v *NamedVault) vault.Secrets {
	if v.Path == "" {
		return secrets{tx}
	}
	return fileSecrets{v.Path}
}

// explain says which file an error is about.
func (v *NamedVault) explain(err error) error {
	if v.Path == "" {
		return err
	}
	return explainFile(v.Path, err)
}

func explainFile(path string, err error) error {
	if err == nil {
		return nil
	}
	return explain(path, err)
}

// movingSecrets is a vault.Secrets in a file that may be moved meanwhile.
type movingSecrets struct {
	s        *Store
	sequence int64
}

func (m movingSecrets) Get(h vault.Handle) (t vault.KeyType, secret []byte, err error) {
	before := ""
	for {
		v, verr := m.s.vaultBySequence(context.Background(), m.s.db, m.sequence)
		if errors.Is(verr, sql.ErrNoRows) {
			return 0, nil, vault.ErrUnknownKey
		} else if verr != nil {
			return 0, nil, m.s.explain(verr)
		}
		if v.Path == before { // it was not moved away
			return 0, nil, v.explain(err)
		}
		t, secret, err = fileSecrets{v.Path}.Get(h)
		if !errors.Is(err, os.ErrNotExist) {
			return t, secret, v.explain(err)
		}
		before = v.Path
	}
}

func (m movingSecrets) Put(h vault.Handle, t vault.KeyType, secret []byte) error {
	return m.change(func(s vault.Secrets) error { return s.Put(h, t, secret) })
}

func (m movingSecrets) Delete(h vault.Handle) error {
	return m.change(func(s vault.Secrets) error { return s.Delete(h) })
}

func (m movingSecrets) change(fn func(vault.Secrets) error) error {
	ctx := context.Background()
	return m.s.update(ctx, func(tx *sql.Tx) error {
		v, err := m.s.vaultBySequence(ctx, tx, m.sequence)
		if errors.Is(err, sql.ErrNoRows) {
			return vault.ErrUnknownKey
		} else if err != nil {
			return err
		}
		return v.explain(fn(secretsOf(tx, v)))
	})
}
