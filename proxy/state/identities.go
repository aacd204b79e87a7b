package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// Named is one of our own identities.
type Named struct {
	// Name is how its owner calls it; it never travels.
	Name string
	// Identifier is what others know it by.
	Identifier identity.Identifier
	// Default says that it is meant where no name is given.
	Default bool
	// Vault is the name of the vault that holds its keys.
	Vault string

	sequence int64
}

// selectIdentity is what scanIdentity needs.
const selectIdentity = "SELECT i.sequence, i.name, i.identifier, i.is_default, v.name FROM identity i JOIN vault v ON v.sequence = i.vault"

func scanIdentity(r row, n *Named) error {
	var id string
	err := r.Scan(&n.sequence, &n.Name, &id, &n.Default, &n.Vault)
	if err == nil {
		n.Identifier, err = identity.ParseIdentifier(id)
	}
	return err
}

// CreateIdentity makes an identity in the default vault, which is made if there
// is none, and stores its key, its history and its name, all or nothing. The
// first one is the default. The error is ErrExists when the name is taken.
func (s *Store) CreateIdentity(ctx context.Context, name string, opt identity.CreateOptions) (*Named, error) {
	return s.CreateIdentityIn(ctx, "", name, opt)
}

// CreateIdentityIn is CreateIdentity with the vault that shall hold the keys.
// The error is ErrNotFound when there is no such vault.
func (s *Store) CreateIdentityIn(ctx context.Context, vaultName, name string, opt identity.CreateOptions) (*Named, error) {
	if err := checkName(kindIdentity, name); err != nil {
		return nil, err
	}
	n := &Named{Name: name}
	undo := func() {}
	err := s.update(ctx, func(tx *sql.Tx) error {
		if err := nameIsFree(ctx, tx, kindIdentity, name); err != nil {
			return err
		}
		v, err := s.vaultToUse(ctx, tx, vaultName)
		if err != nil {
			return err
		}
		keys := &vault.Software{Secrets: secretsOf(tx, v)}
		h, err := identity.Create(keys, opt)
		if err != nil {
			return v.explain(err)
		}
		if v.Path != "" {
			undo = func() { _ = keys.Delete(h.LatestKey().Handle()) }
		}
		if err := updateHistory(ctx, tx, h); err != nil {
			return err
		}
		n.Identifier, n.Vault = h.Identifier(), v.Name
		return insertIdentity(ctx, tx, n, v)
	})
	if err != nil {
		undo()
		return nil, err
	}
	return n, nil
}

// insertIdentity stores a new name and sets n.Default.
func insertIdentity(ctx context.Context, tx *sql.Tx, n *Named, v *NamedVault) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO identity (name, identifier, is_default, vault) VALUES (?, ?, 0, ?)",
		n.Name, n.Identifier.String(), v.sequence)
	if err != nil {
		return err
	}
	if err := ensureDefault(ctx, tx, kindIdentity); err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, "SELECT is_default FROM identity WHERE name = ?", n.Name).Scan(&n.Default)
}

// vaultToUse returns a vault, the default one if name is empty; it makes one
// if there is none at all.
func (s *Store) vaultToUse(ctx context.Context, tx *sql.Tx, name string) (*NamedVault, error) {
	v, err := s.vault(ctx, tx, name)
	if name == "" && errors.Is(err, ErrNotFound) {
		v, _, err = s.createVault(ctx, tx, "", "") // in the database
	}
	return v, err
}

// nameIsFree refuses a name that one of a kind has.
func nameIsFree(ctx context.Context, tx *sql.Tx, kind, name string) error {
	taken, err := names(ctx, tx, "SELECT name FROM "+kind+" WHERE name = ?", name)
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		return exists(kind, name, "")
	}
	return nil
}

// ImportIdentity gives a name to the identity of a history that was made
// elsewhere, or here before. If the identity has a name already, it is renamed
// and keeps its vault and whether it is the default; renamed is the name
// before. Else its keys belong in the vault of that name (the default one if
// vaultName is empty, which is made if there is none); whether they are there
// shows when they are used. The error is ErrExists when another identity has
// the name, or one of [Store.UpdateHistory].
func (s *Store) ImportIdentity(ctx context.Context, vaultName, name string, h *identity.History) (n *Named, renamed string, err error) {
	if err := checkName(kindIdentity, name); err != nil {
		return nil, "", err
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		if err := updateHistory(ctx, tx, h); err != nil {
			return err
		}
		known, err := names(ctx, tx, "SELECT name FROM identity WHERE identifier = ? ORDER BY sequence LIMIT 1", h.Identifier().String())
		if err != nil {
			return err
		}
		if len(known) > 0 && known[0] == name {
			n, err = named(ctx, tx, name)
			return err
		}
		if err := nameIsFree(ctx, tx, kindIdentity, name); err != nil {
			return err
		}
		if len(known) > 0 {
			renamed = known[0]
			if _, err := tx.ExecContext(ctx, "UPDATE identity SET name = ? WHERE name = ?", name, renamed); err != nil {
				return err
			}
			n, err = named(ctx, tx, name)
			return err
		}
		v, err := s.vaultToUse(ctx, tx, vaultName)
		if err != nil {
			return err
		}
		n = &Named{Name: name, Identifier: h.Identifier(), Vault: v.Name}
		return insertIdentity(ctx, tx, n, v)
	})
	if err != nil {
		return nil, "", err
	}
	return n, renamed, nil
}

// SetDefaultIdentity makes an identity the default. The error is ErrNotFound;
// then nothing is changed.
func (s *Store) SetDefaultIdentity(ctx context.Context, name string) error {
	return s.setDefault(ctx, kindIdentity, name)
}

// DeleteIdentity deletes the name and the keys of an identity, the default one
// if name is empty. What others have been told, its history, stays known. If
// it was the default, the first one left becomes that. The error is
// ErrNotFound, or ErrInUse when a node has the identity.
func (s *Store) DeleteIdentity(ctx context.Context, name string) error {
	var v *NamedVault
	var keys []vault.Handle
	err := s.update(ctx, func(tx *sql.Tx) error {
		n, err := named(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := s.identityIsUnused(ctx, tx, n); err != nil {
			return err
		}
		if v, err = s.vault(ctx, tx, n.Vault); err != nil {
			return err
		}
		if keys, err = s.keysOf(ctx, tx, n); err != nil {
			return err
		}
		if v.Path == "" {
			if err := deleteKeys(secrets{tx}, keys); err != nil {
				return err
			}
		}
		for _, table := range []string{"purpose_key", "former_purpose_key"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE identifier = ?", n.Identifier.String()); err != nil {
				return err
			}
		}
		return s.deleteNamed(ctx, tx, kindIdentity, n.sequence)
	})
	if err != nil || v.Path == "" {
		return err
	}
	// A file does not come back when a transaction fails, so only now.
	err = deleteKeys(s.software(v).Secrets, keys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("state: identity %q is deleted, but its keys are still in %s: %w", name, v.Path, err)
	}
	return nil
}

func (s *Store) identityIsUnused(ctx context.Context, tx *sql.Tx, n *Named) error {
	if err := sweep(ctx, tx); err != nil {
		return err
	}
	users, err := names(ctx, tx, "SELECT name FROM node WHERE identity = ? ORDER BY sequence", n.sequence)
	if err != nil || len(users) == 0 {
		return err
	}
	return &ItemError{
		Err: ErrInUse, Kind: kindIdentity, Name: n.Name, Users: quoted(kindNode, users),
		Advice: "delete what uses it first: ockam node delete NAME",
	}
}

// keysOf returns the keys of an identity, except identity keys before a rotation,
// which are gone.
func (s *Store) keysOf(ctx context.Context, tx *sql.Tx, n *Named) ([]vault.Handle, error) {
	h, err := history(ctx, tx, n.Identifier)
	if err != nil {
		return nil, err
	}
	keys := []vault.Handle{h.LatestKey().Handle()}
	attestations, err := names(ctx, tx, "SELECT attestation FROM purpose_key WHERE identifier = ?1 "+
		"UNION ALL SELECT attestation FROM former_purpose_key WHERE identifier = ?1", n.Identifier.String())
	if err != nil {
		return nil, err
	}
	for _, b := range attestations {
		if a, err := identity.ParseAttestation([]byte(b)); err == nil {
			keys = append(keys, a.PublicKey.Handle())
		}
	}
	return keys, nil
}

func deleteKeys(s vault.Secrets, keys []vault.Handle) error {
	for _, k := range keys {
		if err := s.Delete(k); err != nil && !errors.Is(err, vault.ErrUnknownKey) {
			return err
		}
	}
	return nil
}

// Identity returns one of our own identities with its vault, ready to be used; the default
// one if name is empty. The error is ErrNotFound.
func (s *Store) Identity(ctx context.Context, name string) (*identity.Identity, error) {
	n, err := named(ctx, s.db, name)
	if err != nil {
		return nil, s.explain(err)
	}
	h, err := history(ctx, s.db, n.Identifier)
	if err != nil {
		return nil, s.explain(fmt.Errorf("state: identity %q: %w", n.Name, err))
	}
	v, err := s.vault(ctx, s.db, n.Vault)
	if err != nil {
		return nil, s.explain(err)
	}
	return &identity.Identity{History: h, Vault: s.software(v), PurposeKeys: s}, nil
}

// Named returns name and identifier of one of our own identities, the default
// one if name is empty. The error is ErrNotFound.
func (s *Store) Named(ctx context.Context, name string) (*Named, error) {
	n, err := named(ctx, s.db, name)
	return n, s.explain(err)
}

func named(ctx context.Context, q querier, name string) (*Named, error) {
	var n Named
	err := scanIdentity(q.QueryRowContext(ctx, selectIdentity+" WHERE i.name = ?1 OR ?1 = '' AND i.is_default = 1", name), &n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(kindIdentity, name)
	} else if err != nil {
		return nil, err
	}
	return &n, nil
}

// Identities returns all of our own identities in the order in which they were
// created.
func (s *Store) Identities(ctx context.Context) ([]Named, error) {
	all, err := s.identities(ctx)
	return all, s.explain(err)
}

func (s *Store) identities(ctx context.Context) (all []Named, err error) {
	rows, err := s.db.QueryContext(ctx, selectIdentity+" ORDER BY i.sequence")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Named
		if err := scanIdentity(rows, &n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// RotateIdentity gives one of our own identities a new key and deletes the
// present one, all or nothing. The default one is meant if name is empty.
// Identities that were taken out before keep the history without the change.
func (s *Store) RotateIdentity(ctx context.Context, name string, opt identity.RotateOptions) (*identity.History, error) {
	var v *NamedVault
	var before, next *identity.History
	err := s.update(ctx, func(tx *sql.Tx) error {
		n, err := named(ctx, tx, name)
		if err != nil {
			return err
		}
		if before, err = history(ctx, tx, n.Identifier); err != nil {
			return err
		}
		if v, err = s.vault(ctx, tx, n.Vault); err != nil {
			return err
		}
		keys := &vault.Software{Secrets: secretsOf(tx, v)}
		if next, err = before.Rotate(keys, opt); err != nil {
			return v.explain(err)
		}
		if err := updateHistory(ctx, tx, next); err != nil {
			return err
		}
		if v.Path != "" {
			return nil
		}
		return keys.Delete(before.LatestKey().Handle())
	})
	if err != nil {
		return nil, err
	}
	if v.Path != "" { // not before the new history is on the disk
		if err := s.software(v).Delete(before.LatestKey().Handle()); err != nil {
			return next, fmt.Errorf("state: the key is replaced, but the one before is still in %s: %w", v.Path, err)
		}
	}
	return next, nil
}
