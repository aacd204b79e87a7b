package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"ockam/tunnel/authority"
)

// OpenWith opens a home with other migrations than ours; Migrations are ours.
var (
	OpenWith           = open
	Migrations         = migrations
	PostgresMigrations = postgresMigrations
)

// LimitPages makes the database full at so many pages.
func (s *Store) LimitPages(n string) error {
	s.db.SetMaxOpenConns(1)
	_, err := s.db.ExecContext(context.Background(), "PRAGMA max_page_count = "+n)
	return err
}

// Number returns the number that a query gives.
func (p *Postgres) Number(ctx context.Context, query string) (n int, err error) {
	err = p.db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// ExecPostgres runs statements in the database of a URL.
func ExecPostgres(ctx context.Context, url, statements string) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, statements)
	return err
}

// SetPatience sets how long calls try to get through to the database.
func (p *Postgres) SetPatience(d time.Duration) { p.patience = d }

// UsesLeft returns how many uses a token has left, 0 if there is none.
func (s *Store) UsesLeft(ctx context.Context, c authority.Code) (n int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT uses FROM authority_token WHERE code = $1", codeHash(c)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}
