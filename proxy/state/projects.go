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

// PutProject stores a record in place of the one of the same id or name, and the
// change histories in it as those of identities that are known. The first project
// is the default. Tickets may have another id than files have for the same project.
// Another project than the one that is known is never put in its place, as
// [Store.MayPutProject] says. Other errors are those of [Store.UpdateHistory],
// except that a history that is known to have gone on since is no error; nothing is
// stored then.
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

// MayPutProject looks whether a record may be put in the place of what is known of
// the project with its id or name. It must be about the same project: its node and
// its authority must have the same identities, since who writes a record may write
// into it what he wants. The error is ErrExists.
func (s *Store) MayPutProject(ctx context.Context, r *project.Record) error {
	_, err := knownAs(ctx, s.db, r)
	return s.explain(err)
}

// knownAs returns the projects that have the id or the name of r: one, or two that
// are the same. The error is ErrExists if one of them is another project.
func knownAs(ctx context.Context, q querier, r *project.Record) ([]Project, error) {
	all, err := selectProjects(ctx, q, " WHERE id = ?1 OR name = ?2", r.ID, r.Name)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if what := difference(p.Record, r); what != "" {
			return nil, exists(kindProject, p.Record.Name, fmt.Sprintf("there it has the id %q, here %q, and %s; "+
				"if the one that is there is not needed any more, forget it with: ockam project delete %s", p.Record.ID, r.ID, what, p.Record.Name))
		}
	}
	return all, nil
}

// difference says why a record is not about the project that is known; empty if it
// is. What is not known yet may be added where the id is the same.
func difference(known, r *project.Record) string {
	var was, is identity.Identifier
	if known.Authority != nil {
		was = known.Authority.Identifier()
	}
	if r.Authority != nil {
		is = r.Authority.Identifier()
	}
	sameID := known.ID == r.ID
	differs := func(was, is identity.Identifier) bool { return was != is && (!sameID || !was.IsZero()) }
	switch {
	case differs(known.Identifier(), r.Identifier()):
		return "it names another identity, or none"
	case differs(was, is):
		return "it names another authority, or none"
	case !sameID && (is.IsZero() || r.Identifier().IsZero()):
		return "nothing says that it is the same"
	}
	return ""
}

// displaceProject removes the project of another id that has the name of r, if
// it is the same project. It reports whether that was the default.
func displaceProject(ctx context.Context, tx *sql.Tx, r *project.Record) (wasDefault bool, err error) {
	all, err := knownAs(ctx, tx, r)
	if err != nil {
		return false, err
	}
	for _, p := range all {
		if p.Record.ID == r.ID {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM project WHERE sequence = ?", p.sequence); err != nil {
			return false, err
		}
		wasDefault = p.Default
	}
	return wasDefault, nil
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
	all, err := selectProjects(ctx, s.db, "")
	return all, s.explain(err)
}

func selectProjects(ctx context.Context, q querier, where string, args ...any) (all []Project, err error) {
	rows, err := q.QueryContext(ctx, selectProject+where+" ORDER BY sequence", args...)
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
