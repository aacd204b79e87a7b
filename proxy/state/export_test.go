package state

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// OpenWith opens a home with other migrations than ours; Migrations are ours.
var (
	OpenWith   = open
	Migrations = migrations
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
