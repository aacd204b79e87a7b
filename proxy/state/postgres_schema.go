package state

// postgresMigrations make the tables of authorities in PostgreSQL, as migrations
// do in SQLite. One that has been released is never changed.
var postgresMigrations = []string{
	`
CREATE TABLE authority_member (
	authority   TEXT COLLATE "C" NOT NULL, -- its identifier
	identifier  TEXT COLLATE "C" NOT NULL,
	attributes  BYTEA NOT NULL, -- as in a credential
	added_by    TEXT NOT NULL,
	added_at    BIGINT NOT NULL, -- seconds since 1970
	pre_trusted BIGINT NOT NULL, -- whether it stands in the authority's configuration
	PRIMARY KEY (authority, identifier)
);

CREATE TABLE authority_token (
	authority  TEXT COLLATE "C" NOT NULL,
	code       BYTEA NOT NULL, -- SHA-256 of it
	reference  TEXT NOT NULL,
	issued_by  TEXT NOT NULL,
	created    BIGINT NOT NULL, -- seconds since 1970
	expires    BIGINT NOT NULL,
	uses       BIGINT NOT NULL, -- that are left
	attributes BYTEA NOT NULL,
	PRIMARY KEY (authority, code)
);
CREATE INDEX authority_token_expires ON authority_token (authority, expires);
`,
	// 2: whether an administrator issued a token, as in SQLite
	`
ALTER TABLE authority_token ADD COLUMN by_admin BIGINT NOT NULL DEFAULT 0;
`,
}
