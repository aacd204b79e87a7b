package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"ockam/proxy/project"
	"ockam/tunnel/identity"
)

// A Project is a project that we know of.
type Project struct {
	// Record says where its nodes are, and who they are.
	Record *project.Record
	// Default says that it is meant where no name is given.
	Default bool

	sequence int64
}

// selectProject is what scanProject needs.
const selectProject = "SELECT sequence, record, is_default FROM project"

func scanProject(r row, p *Project) error {
	var record string
	if err := r.Scan(&p.sequence, &record, &p.Default); err != nil {
		return err
	}
	var err error
	p.Record, err = project.ParseRecord([]byte(record))
	return err
}

// PutProject stores a record in place of the one of the same id, and the change
// histories in it as those of identities that are known. The first project is
// the default. If another id has the name, the record takes its place when both
// are about the same identity (tickets may have another id than files have for
// the same project), and else the error is ErrExists. Other errors are those of
// [Store.UpdateHistory], except that a history that is known to have gone on
// since is no error; nothing is stored then.
func (s *Store) PutProject(ctx context.Context, r *project.Record) error {
	if err := r.Verify(); err != nil {
		return err
	}
	record, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		for _, h := range []*identity.History{r.History, r.Authority} {
			if h == nil {
				continue
			}
			if err := updateHistory(ctx, tx, h); err != nil && !errors.Is(err, identity.ErrOlderHistory) {
				return fmt.Errorf("state: project %q: %w", r.Name, err)
			}
		}
		wasDefault, err := displaceProject(ctx, tx, r)
		if err != nil {
			return err
		}
		const query = "INSERT INTO project (id, name, record, is_default) VALUES (?1, ?2, ?3, ?4) " +
			"ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record, is_default = is_default OR excluded.is_default"
		if _, err := tx.ExecContext(ctx, query, r.ID, r.Name, string(record), wasDefault); err != nil {
			return err
		}
		return ensureDefault(ctx, tx, kindProject)
	})
}

// displaceProject removes the project of another id that has the name of r, if
// it is the same project. It reports whether that was the default.
func displaceProject(ctx context.Context, tx *sql.Tx, r *project.Record) (wasDefault bool, err error) {
	other, err := findProject(ctx, tx, "name = ?1 AND id <> ?2", r.Name, r.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if id := r.Identifier(); id.IsZero() || id != other.Record.Identifier() {
		return false, exists(kindProject, r.Name, fmt.Sprintf("there it has the id %q, here %q, and is about another identity; "+
			"forget the one that is there with: ockam project delete %s", other.Record.ID, r.ID, r.Name))
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM project WHERE sequence = ?", other.sequence)
	return other.Default, err
}

// findProject returns the project that a condition is true for, or
// sql.ErrNoRows.
func findProject(ctx context.Context, q querier, condition string, args ...any) (*Project, error) {
	var p Project
	if err := scanProject(q.QueryRowContext(ctx, selectProject+" WHERE "+condition, args...), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// Project returns a project, the default one if name is empty. The error is
// ErrNotFound.
func (s *Store) Project(ctx context.Context, name string) (*Project, error) {
	p, err := namedProject(ctx, s.db, name)
	return p, s.explain(err)
}

func namedProject(ctx context.Context, q querier, name string) (*Project, error) {
	p, err := findProject(ctx, q, "name = ?1 OR ?1 = '' AND is_default = 1", name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(kindProject, name)
	}
	return p, err
}

// Projects returns all projects in the order in which they were first stored.
func (s *Store) Projects(ctx context.Context) ([]Project, error) {
	all, err := s.projects(ctx)
	return all, s.explain(err)
}

func (s *Store) projects(ctx context.Context) (all []Project, err error) {
	rows, err := s.db.QueryContext(ctx, selectProject+" ORDER BY sequence")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p Project
		if err := scanProject(rows, &p); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// SetDefaultProject makes a project the default. The error is ErrNotFound; then
// nothing is changed.
func (s *Store) SetDefaultProject(ctx context.Context, name string) error {
	return s.setDefault(ctx, kindProject, name)
}

// DeleteProject forgets a project, the default one if name is empty; the project
// itself knows nothing of it. The identities in its record stay known. If it was
// the default, the first one left becomes that. The error is ErrNotFound.
func (s *Store) DeleteProject(ctx context.Context, name string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		p, err := namedProject(ctx, tx, name)
		if err != nil {
			return err
		}
		return s.deleteNamed(ctx, tx, kindProject, p.sequence)
	})
}
