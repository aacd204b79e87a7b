package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// An AuthorityStore keeps the members and enrollment tokens of an authority in
// SQLite or PostgreSQL: the statements are the same. Of a code it keeps only the
// hash, which redeems nothing.
type AuthorityStore struct {
	db        database
	authority string
}

var _ authority.Store = (*AuthorityStore)(nil)

// A database runs statements for an AuthorityStore and makes its errors readable.
type database interface {
	// read runs f, which does not write, again if the connection is lost.
	read(ctx context.Context, f func(q querier) error) error
	// write runs f in a transaction. It is run again if that certainly had no
	// effect, and, with repeated set, if nobody can know whether it had.
	write(ctx context.Context, f func(tx *sql.Tx, repeated bool) error) error
	// forUpdate is what makes a SELECT lock its rows.
	forUpdate() string
}

// Authority returns the store of the authority of that identifier. Several may
// share a home.
func (s *Store) Authority(id identity.Identifier) *AuthorityStore {
	return &AuthorityStore{inHome{s}, id.String()}
}

// inHome is a home as a database. Its transactions lock everything.
type inHome struct{ s *Store }

func (d inHome) read(_ context.Context, f func(querier) error) error { return d.s.explain(f(d.s.db)) }

func (d inHome) write(ctx context.Context, f func(*sql.Tx, bool) error) error {
	return d.s.update(ctx, func(tx *sql.Tx) error { return f(tx, false) })
}

func (inHome) forUpdate() string { return "" }

// tokenGrace is how long a token that has expired stays in the database: several
// authorities with different clocks may share it.
const tokenGrace = 3600

// encodeAttributes has them as in a credential, which keeps any bytes.
func encodeAttributes(a map[string]string) []byte { return identity.Attributes{Values: a}.Bytes() }

// errDamaged is the cause when a row cannot be read.
var errDamaged = errors.New("damaged row of a member or token")

const selectMember = "SELECT identifier, attributes, added_by, added_at, pre_trusted FROM authority_member WHERE authority = $1"

func scanMember(r row, m *authority.Member) error {
	var id, by string
	var attributes []byte
	var added, preTrusted int64
	err := r.Scan(&id, &attributes, &by, &added, &preTrusted)
	if err != nil {
		return err
	}
	var err1, err2, err3 error
	m.Identifier, err1 = identity.ParseIdentifier(id)
	m.AddedBy, err2 = identity.ParseIdentifier(by)
	m.Attributes, err3 = decodeAttributes(attributes)
	m.AddedAt, m.PreTrusted = identity.Timestamp(added), preTrusted != 0
	return damaged(errors.Join(err1, err2, err3))
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

func decodeAttributes(b []byte) (map[string]string, error) {
	a, err := identity.ParseAttributes(b)
	return a.Values, err
}

// Member returns a member, or authority.ErrNotMember.
func (a *AuthorityStore) Member(ctx context.Context, id identity.Identifier) (m authority.Member, err error) {
	err = a.db.read(ctx, func(q querier) error { return a.member(ctx, q, id, &m) })
	return m, err
}

func (a *AuthorityStore) member(ctx context.Context, q querier, id identity.Identifier, m *authority.Member) error {
	err := scanMember(q.QueryRowContext(ctx, selectMember+" AND identifier = $2", a.authority, id.String()), m)
	if errors.Is(err, sql.ErrNoRows) {
		return authority.ErrNotMember
	}
	return err
}

// Members returns the first n members above an identifier.
func (a *AuthorityStore) Members(ctx context.Context, after identity.Identifier, n int) (page []authority.Member, err error) {
	err = a.db.read(ctx, func(q querier) error {
		page = nil
		return each(ctx, q, func(r row) error {
			var m authority.Member
			err := scanMember(r, &m)
			page = append(page, m)
			return err
		}, selectMember+" AND identifier > $2 ORDER BY identifier LIMIT $3", a.authority, after.String(), n)
	})
	return page, err
}

// MemberIDs returns the identifiers of all members, in order.
func (a *AuthorityStore) MemberIDs(ctx context.Context) (ids []identity.Identifier, err error) {
	err = a.db.read(ctx, func(q querier) error {
		ids = nil
		return each(ctx, q, func(r row) error {
			var text string
			if err := r.Scan(&text); err != nil {
				return err
			}
			id, err := identity.ParseIdentifier(text)
			ids = append(ids, id)
			return damaged(err)
		}, "SELECT identifier FROM authority_member WHERE authority = $1 ORDER BY identifier", a.authority)
	})
	return ids, err
}

// each calls f for each row.
func each(ctx context.Context, q querier, f func(row) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// insertMember adds a member or does what follows.
const insertMember = `INSERT INTO authority_member (authority, identifier, attributes, added_by, added_at, pre_trusted)
	VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (authority, identifier) DO `

const replaceMember = "UPDATE SET attributes = excluded.attributes, added_by = excluded.added_by, added_at = excluded.added_at"

// number is a truth value as the databases keep it.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (a *AuthorityStore) insert(ctx context.Context, tx *sql.Tx, m *authority.Member, onConflict string) (added bool, err error) {
	result, err := tx.ExecContext(ctx, insertMember+onConflict, a.authority, m.Identifier.String(),
		encodeAttributes(m.Attributes), m.AddedBy.String(), seconds(m.AddedAt), number(m.PreTrusted))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// PutMember adds a member, or replaces the one there is.
func (a *AuthorityStore) PutMember(ctx context.Context, m authority.Member) error {
	m.PreTrusted = false // of a new one; the other keeps what it has
	return a.db.write(ctx, func(tx *sql.Tx, _ bool) error {
		_, err := a.insert(ctx, tx, &m, replaceMember)
		return err
	})
}

var errUnknownDeletion = errors.New("state: the database went away, and nobody knows whether members were deleted: list them, and try again")

// DeleteMembers deletes members that are not pre-trusted.
func (a *AuthorityStore) DeleteMembers(ctx context.Context, ids ...identity.Identifier) error {
	return a.db.write(ctx, func(tx *sql.Tx, repeated bool) error {
		if repeated && len(ids) > 1 {
			return errUnknownDeletion // somebody may have been added again meanwhile
		}
		for _, id := range ids {
			const query = "DELETE FROM authority_member WHERE authority = $1 AND identifier = $2 AND pre_trusted = 0"
			if _, err := tx.ExecContext(ctx, query, a.authority, id.String()); err != nil {
				return err
			}
			// Nobody comes back by a ticket of its own.
			const tokens = "DELETE FROM authority_token WHERE authority = $1 AND issued_by = $2 AND NOT EXISTS " +
				"(SELECT 1 FROM authority_member WHERE authority = $1 AND identifier = $2)"
			if _, err := tx.ExecContext(ctx, tokens, a.authority, id.String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetPreTrusted replaces the pre-trusted members.
func (a *AuthorityStore) SetPreTrusted(ctx context.Context, members []authority.Member) error {
	return a.db.write(ctx, func(tx *sql.Tx, _ bool) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM authority_member WHERE authority = $1 AND pre_trusted = 1", a.authority); err != nil {
			return err
		}
		for _, m := range members {
			m.PreTrusted = true
			if _, err := a.insert(ctx, tx, &m, replaceMember+", pre_trusted = 1"); err != nil {
				return err
			}
		}
		return nil
	})
}

// codeHash is what is kept of a code. It needs no salt: a code is random.
func codeHash(c authority.Code) []byte {
	h := sha256.Sum256(c[:])
	return h[:]
}

// PutToken stores a new token, and deletes those that have expired long ago.
func (a *AuthorityStore) PutToken(ctx context.Context, t authority.Token) error {
	return a.db.write(ctx, func(tx *sql.Tx, _ bool) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM authority_token WHERE authority = $1 AND expires < $2",
			a.authority, seconds(t.CreatedAt)-tokenGrace)
		if err != nil {
			return err
		}
		const query = `INSERT INTO authority_token (authority, code, reference, issued_by, created, expires, uses, attributes, by_admin)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (authority, code) DO NOTHING`
		_, err = tx.ExecContext(ctx, query, a.authority, codeHash(t.Code), t.Reference, t.IssuedBy.String(),
			seconds(t.CreatedAt), seconds(t.ExpiresAt), int64(min(max(t.Uses, 1), math.MaxInt64)), encodeAttributes(t.Attributes), number(t.ByAdmin))
		return err
	})
}

// Redeem makes a member of who has a code.
//
// When the connection to PostgreSQL is lost while a transaction is committed,
// nobody knows whether it was. Then it is tried again: the rows that it would
// change are locked until the former attempt has ended, and a member who is there
// now was made by it. So no use is lost and none is taken twice. If the database
// does not come back in time, the caller is told of the error; who then redeems
// the code again is a member already, or becomes one.
func (a *AuthorityStore) Redeem(ctx context.Context, code authority.Code, by identity.Identifier, now identity.Timestamp) (authority.Member, error) {
	m := authority.Member{Identifier: by, AddedAt: now}
	err := a.db.write(ctx, func(tx *sql.Tx, repeated bool) error {
		if err := a.isNew(ctx, tx, &m, repeated); err != nil {
			return err
		}
		err := a.redeem(ctx, tx, codeHash(code), &m)
		if errors.Is(err, authority.ErrUnknownCode) || errors.Is(err, authority.ErrAlreadyMember) {
			// A transaction that has ended in between may have used the code for the
			// same member.
			if err := a.isNew(ctx, tx, &m, repeated); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnrolled) {
		return authority.Member{}, err
	}
	return m, nil
}

// errEnrolled means that a former attempt has succeeded.
var errEnrolled = errors.New("state: enrolled by the attempt before")

// isNew returns authority.ErrAlreadyMember if m is one, or errEnrolled and what is
// known of it if a former attempt has made it one.
func (a *AuthorityStore) isNew(ctx context.Context, tx *sql.Tx, m *authority.Member, repeated bool) error {
	var known authority.Member
	switch err := a.member(ctx, tx, m.Identifier, &known); {
	case errors.Is(err, authority.ErrNotMember):
		return nil
	case err != nil:
		return err
	case repeated && known.AddedAt == m.AddedAt && !known.PreTrusted:
		*m = known
		return errEnrolled
	}
	return authority.ErrAlreadyMember
}

// redeem takes a use from a token and adds the member.
func (a *AuthorityStore) redeem(ctx context.Context, tx *sql.Tx, hash []byte, m *authority.Member) error {
	var issuer string
	var attributes []byte
	var uses, byAdmin int64
	err := tx.QueryRowContext(ctx, "SELECT issued_by, attributes, uses, by_admin FROM authority_token WHERE authority = $1 AND code = $2 AND expires > $3"+
		a.db.forUpdate(), a.authority, hash, seconds(m.AddedAt)).Scan(&issuer, &attributes, &uses, &byAdmin)
	if errors.Is(err, sql.ErrNoRows) {
		return authority.ErrUnknownCode
	} else if err != nil {
		return err
	}
	var err1, err2 error
	m.AddedBy, err1 = identity.ParseIdentifier(issuer)
	m.Attributes, err2 = decodeAttributes(attributes)
	if err := damaged(errors.Join(err1, err2)); err != nil {
		return err
	}
	if byAdmin == 0 {
		if err := a.mayIssue(ctx, tx, m.AddedBy); err != nil {
			return err
		}
	}
	// In PostgreSQL this waits for a transaction that adds the same member.
	if added, err := a.insert(ctx, tx, m, "NOTHING"); err != nil {
		return err
	} else if !added {
		return authority.ErrAlreadyMember
	}
	if uses > 1 {
		_, err = tx.ExecContext(ctx, "UPDATE authority_token SET uses = uses - 1 WHERE authority = $1 AND code = $2", a.authority, hash)
	} else {
		_, err = tx.ExecContext(ctx, "DELETE FROM authority_token WHERE authority = $1 AND code = $2", a.authority, hash)
	}
	return err
}

// mayIssue returns authority.ErrUnknownCode if the issuer of a token is no
// enroller any more. It is looked at when the token is used, because there are
// many ways to end as an enroller, also while a token is being issued.
func (a *AuthorityStore) mayIssue(ctx context.Context, tx *sql.Tx, issuer identity.Identifier) error {
	var m authority.Member
	err := a.member(ctx, tx, issuer, &m)
	if errors.Is(err, authority.ErrNotMember) || err == nil && !m.IsEnroller() {
		return authority.ErrUnknownCode
	}
	return err
}
