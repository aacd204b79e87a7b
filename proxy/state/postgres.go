package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

const (
	// postgresPatience is how long a call tries to get through to PostgreSQL, for
	// instance while that restarts.
	postgresPatience = 10 * time.Second
	postgresConnect  = 5 * time.Second
	postgresLongest  = time.Second // between two attempts
	postgresPool     = 16          // connections
	postgresIdle     = 10 * time.Minute
)

// postgresSettings bound how long others wait for a transaction whose connection
// was lost on this side only: less than they wait for a lock.
const postgresSettings = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '3s'; SET statement_timeout = '30s'"

// A Postgres is a PostgreSQL database with the members and tokens of authorities,
// for several processes that share them. It is safe for concurrent use.
type Postgres struct {
	db    *sql.DB
	place string // host, port and name of the database, for errors
	// patience is how long a call tries to get through.
	patience time.Duration
}

// OpenPostgres connects to the database of a postgres:// URL and makes the tables
// if they are missing. The error is ErrForeign or ErrNewer when tables of those
// names are not ours to touch. A password in the URL is never shown.
//
// Connections that are lost are made again. While the database is away, a call
// tries for ten seconds and then returns an error.
func OpenPostgres(ctx context.Context, url string) (*Postgres, error) {
	if !IsPostgresURL(url) {
		return nil, errors.New("state: PostgreSQL: want a URL of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil { // pgx leaves the password out
		return nil, fmt.Errorf("state: PostgreSQL: %w", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = postgresConnect
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "ockam"
	}
	p := &Postgres{
		db: stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, postgresSettings)
			return err
		})),
		place:    fmt.Sprintf("%s:%d/%s", cfg.Host, cfg.Port, cfg.Database),
		patience: postgresPatience,
	}
	p.db.SetMaxOpenConns(postgresPool)
	p.db.SetMaxIdleConns(postgresPool)
	p.db.SetConnMaxIdleTime(postgresIdle)
	if err := p.write(ctx, p.migrate); err != nil {
		_ = p.db.Close()
		return nil, err
	}
	return p, nil
}

// IsPostgresURL reports whether s means a PostgreSQL database.
func IsPostgresURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// Close closes all connections.
func (p *Postgres) Close() error { return p.db.Close() }

// Authority returns the store of the authority of that identifier.
func (p *Postgres) Authority(id identity.Identifier) *AuthorityStore {
	return &AuthorityStore{p, id.String()}
}

// migrate brings the tables to the latest version. One process at a time does it.
func (p *Postgres) migrate(tx *sql.Tx, _ bool) error {
	ctx := context.Background()
	const lock = "SELECT pg_advisory_xact_lock($1)"
	if _, err := tx.ExecContext(ctx, lock, int64(applicationID)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS ockam_schema (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	version := 0
	err := tx.QueryRowContext(ctx, "SELECT version FROM ockam_schema").Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, "INSERT INTO ockam_schema (version) VALUES (0)")
	}
	switch {
	case err != nil:
		return err
	case version == len(postgresMigrations):
		return nil
	case version > len(postgresMigrations) || version < 0:
		return fmt.Errorf("%w (version %d, known is %d)", ErrNewer, version, len(postgresMigrations))
	}
	for i, statements := range postgresMigrations[version:] {
		if _, err := tx.ExecContext(ctx, statements); sqlState(err) == "42P07" { // there is such a table
			return fmt.Errorf("%w: name another database: %w", ErrForeign, err)
		} else if err != nil {
			return fmt.Errorf("migration to version %d: %w", version+i+1, err)
		}
	}
	_, err = tx.ExecContext(ctx, "UPDATE ockam_schema SET version = $1", len(postgresMigrations))
	return err
}

func (*Postgres) forUpdate() string { return " FOR UPDATE" }

func (p *Postgres) read(ctx context.Context, f func(querier) error) error {
	return p.insist(ctx, func() (bool, error) {
		err := f(p.db)
		return mayPass(err), err
	})
}

func (p *Postgres) write(ctx context.Context, f func(tx *sql.Tx, repeated bool) error) error {
	unknown := false // whether an attempt may have been committed
	return p.insist(ctx, func() (bool, error) {
		tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return mayPass(err), err
		}
		if err := f(tx, unknown); err != nil { // nothing is committed
			_ = tx.Rollback()
			return mayPass(err), err
		}
		if err := tx.Commit(); err != nil {
			unknown = unknown || !strings.HasPrefix(sqlState(err), "40") // rolled back
			return mayPass(err), err
		}
		return false, nil
	})
}

// insist calls try again, for a while, as long as it says so.
func (p *Postgres) insist(ctx context.Context, try func() (again bool, err error)) error {
	end := time.Now().Add(p.patience)
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, postgresLongest) {
		again, err := try()
		wait := delay/2 + rand.N(delay)
		if err == nil || !again || ctx.Err() != nil || time.Now().Add(wait).After(end) {
			return p.explain(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return p.explain(err)
		}
	}
}

// sqlState returns the code of an error of the server, empty if it is none.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// mayPass reports whether another attempt may go better: the connection is lost
// or cannot be made, or another transaction was in the way.
func mayPass(err error) bool {
	if err == nil || isOurs(err) || errors.Is(err, errDamaged) {
		return false
	}
	state := sqlState(err)
	if state == "" { // not said by the server
		return true
	}
	for _, prefix := range []string{
		"08",    // connection exceptions
		"40",    // deadlock, serialization failure
		"53",    // too many connections, out of memory
		"57P01", // shutting down
		"57P02", // after the crash of another connection
		"57P03", // starting up
		"55P03", // a lock was not to be had
		"25P03", // too long idle in a transaction
		"XX000", // internal error, as while another one crashes
		"25006", // read only: a standby, before it is promoted
	} {
		if strings.HasPrefix(state, prefix) {
			return true
		}
	}
	return false
}

// isOurs reports whether the error is about what was asked, not about the
// database.
func isOurs(err error) bool {
	for _, known := range []error{
		authority.ErrNotMember, authority.ErrAlreadyMember, authority.ErrUnknownCode, errEnrolled, errUnknownDeletion,
		ErrForeign, ErrNewer, sql.ErrNoRows, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (p *Postgres) explain(err error) error {
	if err == nil || isOurs(err) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrNewer) {
		return err
	}
	line := strings.Join(strings.Fields(err.Error()), " ") // one for each address, by itself
	return &explained{fmt.Sprintf("state: PostgreSQL at %s: %s", p.place, line), err}
}
