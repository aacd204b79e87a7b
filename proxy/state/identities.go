package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

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
}

// CreateIdentity makes an identity and stores its key, its history and its
// name, all or nothing. The first one is the default. The error is ErrExists
// when the name is taken.
func (s *Store) CreateIdentity(ctx context.Context, name string, opt identity.CreateOptions) (*Named, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	n := &Named{Name: name}
	err := s.update(ctx, func(tx *sql.Tx) error {
		var taken, total int
		row := tx.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE name = ?), count(*) FROM identity", name)
		if err := row.Scan(&taken, &total); err != nil {
			return err
		}
		if taken > 0 {
			return fmt.Errorf("%w: identity %q", ErrExists, name)
		}
		h, err := identity.Create(&vault.Software{Secrets: secrets{tx}}, opt)
		if err != nil {
			return err
		}
		if err := updateHistory(ctx, tx, h); err != nil {
			return err
		}
		n.Identifier, n.Default = h.Identifier(), total == 0
		_, err = tx.ExecContext(ctx, "INSERT INTO identity (name, identifier, is_default) VALUES (?, ?, ?)",
			name, n.Identifier.String(), n.Default)
		return err
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// checkName refuses names that cannot be told apart on a terminal.
func checkName(name string) error {
	if name == "" || strings.TrimSpace(name) != name || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("state: %q cannot be the name of an identity", name)
	}
	return nil
}

// Identity returns one of our own identities, ready to be used; the default
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
	return &identity.Identity{History: h, Vault: s.Vault(), PurposeKeys: s}, nil
}

// Named returns name and identifier of one of our own identities, the default
// one if name is empty. The error is ErrNotFound.
func (s *Store) Named(ctx context.Context, name string) (*Named, error) {
	n, err := named(ctx, s.db, name)
	return n, s.explain(err)
}

func named(ctx context.Context, q querier, name string) (*Named, error) {
	var n Named
	var id string
	row := q.QueryRowContext(ctx,
		"SELECT name, identifier, is_default FROM identity WHERE name = ?1 OR ?1 = '' AND is_default = 1", name)
	if err := row.Scan(&n.Name, &id, &n.Default); errors.Is(err, sql.ErrNoRows) {
		if name == "" {
			return nil, fmt.Errorf("%w: there is no default identity", ErrNotFound)
		}
		return nil, fmt.Errorf("%w: identity %q", ErrNotFound, name)
	} else if err != nil {
		return nil, err
	}
	var err error
	n.Identifier, err = identity.ParseIdentifier(id)
	return &n, err
}

// Identities returns all of our own identities in the order in which they were
// created.
func (s *Store) Identities(ctx context.Context) ([]Named, error) {
	all, err := s.identities(ctx)
	return all, s.explain(err)
}

func (s *Store) identities(ctx context.Context) (all []Named, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT name, identifier, is_default FROM identity ORDER BY sequence")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Named
		var id string
		if err := rows.Scan(&n.Name, &id, &n.Default); err != nil {
			return nil, err
		}
		if n.Identifier, err = identity.ParseIdentifier(id); err != nil {
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
	var next *identity.History
	err := s.update(ctx, func(tx *sql.Tx) error {
		n, err := named(ctx, tx, name)
		if err != nil {
			return err
		}
		h, err := history(ctx, tx, n.Identifier)
		if err != nil {
			return err
		}
		v := &vault.Software{Secrets: secrets{tx}}
		if next, err = h.Rotate(v, opt); err != nil {
			return err
		}
		if err := updateHistory(ctx, tx, next); err != nil {
			return err
		}
		return v.Delete(h.LatestKey().Handle())
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}
