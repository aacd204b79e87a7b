package state

// applicationID marks a database as ours, in its header ("ockg").
const applicationID = 0x6f636b67

// migrations make the schema: each brings a database from the version of its
// index to the next one. One that has been released is never changed.
var migrations = []string{
	// 1: identities and what they know of each other
	`
CREATE TABLE secret (
	handle BLOB PRIMARY KEY, -- SHA-256 of the public key
	type   TEXT NOT NULL,
	secret BLOB NOT NULL
) STRICT;

CREATE TABLE history (
	identifier TEXT PRIMARY KEY,
	changes    BLOB NOT NULL -- as encoded for the wire
) STRICT;

CREATE TABLE identity ( -- our own
	sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
	name       TEXT NOT NULL UNIQUE,
	identifier TEXT NOT NULL REFERENCES history (identifier),
	is_default INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_default_identity ON identity (is_default) WHERE is_default = 1;

CREATE TABLE purpose_key (
	identifier  TEXT NOT NULL,
	purpose     TEXT NOT NULL,
	attestation BLOB NOT NULL,
	PRIMARY KEY (identifier, purpose)
) STRICT;

CREATE TABLE attributes ( -- said by verified credentials
	node        TEXT NOT NULL, -- who verified them
	subject     TEXT NOT NULL,
	attributes  BLOB NOT NULL,
	added       INTEGER NOT NULL, -- seconds since 1970
	expires     INTEGER NOT NULL,
	attested_by TEXT NOT NULL,
	PRIMARY KEY (node, subject)
) STRICT;
`,
}
