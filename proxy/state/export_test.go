package state

import "context"

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
