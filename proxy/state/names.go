package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkName refuses names that cannot be told apart on a terminal.
func checkName(kind, name string) error {
	if name == "" || strings.TrimSpace(name) != name || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("state: %q cannot be the name of %s %s: use letters, digits, - and _", name, article(kind), kind)
	}
	return nil
}

// checkFileName refuses names that also cannot be part of a file's name.
func checkFileName(kind, name string) error {
	if len(name) > 200 || strings.ContainsAny(name, `/\:`) || strings.Trim(name, ".") == "" && name != "" {
		return fmt.Errorf("state: %q cannot be the name of %s %s: use letters, digits, - and _, 200 bytes at most", name, article(kind), kind)
	}
	return checkName(kind, name)
}

func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an"
	}
	return "a"
}

// setDefault makes one of a kind the default. Kinds are tables here, with the
// columns sequence, name and is_default.
func (s *Store) setDefault(ctx context.Context, kind, name string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		var sequence int64
		err := tx.QueryRowContext(ctx, "SELECT sequence FROM "+kind+" WHERE name = ?", name).Scan(&sequence)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(kind, name)
		} else if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE "+kind+" SET is_default = 0 WHERE is_default = 1 AND sequence <> ?", sequence); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE "+kind+" SET is_default = 1 WHERE sequence = ?", sequence)
		return err
	})
}

// deleteNamed deletes one of a kind and sees to it that there is a default.
func (s *Store) deleteNamed(ctx context.Context, tx *sql.Tx, kind string, sequence int64) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM "+kind+" WHERE sequence = ?", sequence); err != nil {
		return err
	}
	return ensureDefault(ctx, tx, kind)
}

// ensureDefault makes the first of a kind the default if none is. The node of
// a command that will end is none for others.
func ensureDefault(ctx context.Context, tx *sql.Tx, kind string) error {
	which, first := "", "sequence"
	if kind == kindNode {
		which, first = " WHERE in_memory = 0", "is_authority, sequence"
	}
	_, err := tx.ExecContext(ctx, "UPDATE "+kind+" SET is_default = 1 WHERE sequence = (SELECT sequence FROM "+kind+which+
		" ORDER BY "+first+" LIMIT 1) AND NOT EXISTS (SELECT 1 FROM "+kind+" WHERE is_default = 1)")
	return err
}

// names returns the first column of a query.
func names(ctx context.Context, q querier, query string, args ...any) (all []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// quoted says what the names are names of.
func quoted(kind string, names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = fmt.Sprintf("%s %q", kind, n)
	}
	return all
}
