package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// firstVault is the name of the vault that is made where one is needed.
const firstVault = "default"

// vaultPrefix begins the names of the files of vaults in the home.
const vaultPrefix = "vault-"

// NamedVault is a place for secret keys: the database, or a file of its own.
type NamedVault struct {
	// Name is how its owner calls it.
	Name string
	// Path is the absolute path of its file, empty if its keys are in the
	// database.
	Path string
	// Default says that it is meant where no name is given.
	Default bool

	sequence int64
}

// CreateVault makes a vault, empty and for the owner alone. The first one
// keeps its keys in the database unless path is given; the others do in a file
// at path or, by default, vault-NAME in the home. A relative path is taken
// from the current folder, once and for all. The first vault, which may do
// without a name, is the default. The error is ErrExists when the name is
// taken or a file is there.
func (s *Store) CreateVault(ctx context.Context, name, path string) (*NamedVault, error) {
	var v *NamedVault
	made := "" // the file that is made
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		v, made, err = s.createVault(ctx, tx, name, path)
		return err
	})
	if err != nil {
		if made != "" {
			_ = os.Remove(made)
		}
		return nil, err
	}
	return v, nil
}

func (s *Store) createVault(ctx context.Context, tx *sql.Tx, name, path string) (v *NamedVault, made string, err error) {
	all, err := s.vaults(ctx, tx)
	if err != nil {
		return nil, "", err
	}
	if name == "" && len(all) == 0 {
		name = firstVault
	}
	if err := checkFileName(kindVault, name); err != nil {
		return nil, "", err
	}
	v = &NamedVault{Name: name, Default: len(all) == 0}
	own := path == "" && len(all) > 0
	if own {
		v.Path = filepath.Join(s.home(), vaultPrefix+name)
	} else if path != "" {
		if v.Path, err = filepath.Abs(path); err != nil {
			return nil, "", err
		}
	}
	for _, other := range all {
		if other.Name == name {
			return nil, "", exists(kindVault, name, "give this one another name")
		}
	}
	if err := s.vaultPathIsFree(all, v.Path); err != nil {
		return nil, "", err
	}
	result, err := tx.ExecContext(ctx, "INSERT INTO vault (name, path, is_default) VALUES (?, ?, ?)",
		v.Name, s.storedPath(v.Path), v.Default)
	if err != nil {
		return nil, "", err
	}
	if v.sequence, err = result.LastInsertId(); err != nil || v.Path == "" {
		return v, "", err
	}
	if err := createVaultFile(v.Path, own); err != nil {
		return nil, "", err
	}
	return v, v.Path, nil
}

// createVaultFile makes the file of a vault. A crash may have left the file of
// one that was never made: if it has our own name it is taken.
func createVaultFile(path string, own bool) error {
	id := make([]byte, vaultIDSize)
	rand.Read(id)
	err := writeVault(path, &vaultFile{id: hex.EncodeToString(id)}, true)
	if err == nil || !errors.Is(err, os.ErrExist) {
		return explainFile(path, err)
	}
	if own {
		if f, err := readVault(path); err == nil && len(f.keys) == 0 {
			return nil
		} else if err == nil {
			f.wipe()
		}
	}
	return exists("file", path, "give another --path, or move the file away")
}

func (s *Store) vaultPathIsFree(all []NamedVault, path string) error {
	for _, other := range all {
		if path != "" && other.Path == path {
			return exists("file", path, fmt.Sprintf("it belongs to the vault %q: give another --path", other.Name))
		}
	}
	if path == s.path || strings.HasPrefix(path, s.path+"-") {
		return exists("file", path, "it is the database: give another --path")
	}
	return nil
}

// home returns the folder of the store.
func (s *Store) home() string { return filepath.Dir(s.path) }

// storedPath is a path as the database has it: a copy of the home must not
// depend on where it is.
func (s *Store) storedPath(path string) any {
	if path == "" {
		return nil
	}
	if rel, err := filepath.Rel(s.home(), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// Vaults returns all vaults in the order in which they were created.
func (s *Store) Vaults(ctx context.Context) ([]NamedVault, error) {
	all, err := s.vaults(ctx, s.db)
	return all, s.explain(err)
}

func (s *Store) vaults(ctx context.Context, q querier) (all []NamedVault, err error) {
	rows, err := q.QueryContext(ctx, "SELECT sequence, name, coalesce(path, ''), is_default FROM vault ORDER BY sequence")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v NamedVault
		if err := s.scanVault(rows, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// A row is sql.Row or sql.Rows.
type row interface{ Scan(to ...any) error }

func (s *Store) scanVault(r row, v *NamedVault) error {
	if err := r.Scan(&v.sequence, &v.Name, &v.Path, &v.Default); err != nil {
		return err
	}
	if v.Path != "" && !filepath.IsAbs(v.Path) {
		v.Path = filepath.Join(s.home(), v.Path)
	}
	return nil
}

// NamedVault returns a vault, the default one if name is empty. The error is
// ErrNotFound.
func (s *Store) NamedVault(ctx context.Context, name string) (*NamedVault, error) {
	v, err := s.vault(ctx, s.db, name)
	return v, s.explain(err)
}

func (s *Store) vault(ctx context.Context, q querier, name string) (*NamedVault, error) {
	var v NamedVault
	err := s.scanVault(q.QueryRowContext(ctx,
		"SELECT sequence, name, coalesce(path, ''), is_default FROM vault WHERE name = ?1 OR ?1 = '' AND is_default = 1", name), &v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(kindVault, name)
	} else if err != nil {
		return nil, err
	}
	return &v, nil
}

// SetDefaultVault makes a vault the default. The error is ErrNotFound; then
// nothing is changed.
func (s *Store) SetDefaultVault(ctx context.Context, name string) error {
	return s.setDefault(ctx, kindVault, name)
}

// DeleteVault deletes a vault and all its keys; the default one if name is
// empty. If it was the default, the first one left becomes that. The error is
// ErrNotFound, or ErrInUse when an identity has its key there.
func (s *Store) DeleteVault(ctx context.Context, name string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		v, err := s.vault(ctx, tx, name)
		if err != nil {
			return err
		}
		users, err := names(ctx, tx, "SELECT name FROM identity WHERE vault = ? ORDER BY sequence", v.sequence)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return &ItemError{
				Err: ErrInUse, Kind: kindVault, Name: v.Name, Users: quoted(kindIdentity, users),
				Advice: "delete what uses it first: ockam identity delete NAME",
			}
		}
		if v.Path == "" {
			if _, err := tx.ExecContext(ctx, "DELETE FROM secret"); err != nil {
				return err
			}
		}
		if err := s.deleteNamed(ctx, tx, kindVault, v.sequence); err != nil {
			return err
		}
		// Last, so that nothing was changed when it fails. If it is the
		// commit that fails then, deleting the vault again succeeds.
		return removeVaultFile(v)
	})
}

// removeVaultFile removes the file of a vault, if it is one.
func removeVaultFile(v *NamedVault) error {
	if v.Path == "" {
		return nil
	}
	f, err := readVault(v.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if errors.Is(err, errVaultFile) {
		return fmt.Errorf("state: vault %q: %s: %w: move the file away, then try again", v.Name, v.Path, errVaultFile)
	} else if err != nil {
		return v.explain(err)
	}
	f.wipe()
	_ = os.Remove(unfinished(v.Path))
	if err := os.Remove(v.Path); err != nil {
		return v.explain(err)
	}
	return syncFolder(filepath.Dir(v.Path))
}

// MoveVault moves the file of a vault. The error is ErrNotFound, or ErrExists
// when there is a file at path already; nothing is overwritten. A vault in the
// database cannot be moved. Vaults and identities that were taken out before
// go on working.
func (s *Store) MoveVault(ctx context.Context, name, path string) (*NamedVault, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var v *NamedVault
	before := ""
	err = s.update(ctx, func(tx *sql.Tx) error {
		if v, err = s.vault(ctx, tx, name); err != nil {
			return err
		}
		if v.Path == "" {
			return fmt.Errorf("state: vault %q: its keys are in the database: it cannot be moved; "+
				"make another: ockam vault create NAME --path FILE", v.Name)
		}
		all, err := s.vaults(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.vaultPathIsFree(all, path); err != nil {
			return err
		}
		if err := copyVaultFile(v.Path, path); err != nil {
			return err
		}
		before, v.Path = v.Path, path
		_, err = tx.ExecContext(ctx, "UPDATE vault SET path = ? WHERE sequence = ?", s.storedPath(path), v.sequence)
		return err
	})
	if err != nil {
		if before != "" {
			_ = os.Remove(path) // the copy
		}
		return nil, err
	}
	if err := os.Remove(before); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("state: vault %q: it was moved to %s, but the keys are still in %s: remove that file: %w", v.Name, path, before, err)
	}
	if err := syncFolder(filepath.Dir(before)); err != nil {
		return nil, explain(before, err)
	}
	return v, nil
}

// copyVaultFile copies the file of a vault to where no file is, or only the
// copy of a move that did not end.
func copyVaultFile(from, to string) error {
	unlock, err := lockFile(from)
	if err != nil {
		return explain(from, err)
	}
	defer unlock()
	f, err := readVault(from)
	if err != nil {
		return explain(from, err)
	}
	defer f.wipe()
	err = writeVault(to, f, true)
	if err == nil || !errors.Is(err, os.ErrExist) {
		return explainFile(to, err)
	}
	if there, err := readVault(to); err == nil {
		defer there.wipe()
		if there.id == f.id {
			return explainFile(to, writeVault(to, f, false))
		}
	}
	return exists("file", to, "give another --path, or move the file away")
}
