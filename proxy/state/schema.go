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
	// 2: vaults, background nodes and what they restore, credentials
	`
CREATE TABLE vault (
	sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
	name       TEXT NOT NULL UNIQUE,
	path       TEXT UNIQUE, -- of its file, from the home if not absolute; NULL: table secret
	is_default INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_default_vault ON vault (is_default) WHERE is_default = 1;
CREATE UNIQUE INDEX one_vault_in_the_database ON vault (path IS NULL) WHERE path IS NULL;

INSERT INTO vault (name, is_default)
	SELECT 'default', 1 WHERE EXISTS (SELECT 1 FROM identity) OR EXISTS (SELECT 1 FROM secret);
ALTER TABLE identity ADD COLUMN vault INTEGER REFERENCES vault (sequence);
UPDATE identity SET vault = (SELECT sequence FROM vault);
CREATE INDEX identity_identifier ON identity (identifier);

CREATE TABLE former_purpose_key ( -- replaced, but in the vault: a process may be using it
	identifier  TEXT NOT NULL,
	attestation BLOB NOT NULL
) STRICT;
CREATE INDEX former_purpose_key_identifier ON former_purpose_key (identifier);

CREATE TABLE node (
	sequence         INTEGER PRIMARY KEY AUTOINCREMENT,
	name             TEXT NOT NULL UNIQUE,
	identity         INTEGER REFERENCES identity (sequence), -- NULL: one of its own, not stored
	is_default       INTEGER NOT NULL,
	is_authority     INTEGER NOT NULL,
	in_memory        INTEGER NOT NULL, -- of a command, which ends with it
	listener_address TEXT NOT NULL,
	http_address     TEXT NOT NULL,
	verbosity        INTEGER NOT NULL,
	options          TEXT NOT NULL, -- JSON, of the program
	pid              INTEGER NOT NULL, -- 0: stopped
	process_start    TEXT NOT NULL, -- tells the process from a later one of the same number
	created          INTEGER NOT NULL, -- seconds since 1970
	started          INTEGER NOT NULL -- 0: never
) STRICT;

CREATE UNIQUE INDEX one_default_node ON node (is_default) WHERE is_default = 1;
CREATE INDEX node_identity ON node (identity);

CREATE TABLE node_resource ( -- what a node has when it starts again
	sequence INTEGER PRIMARY KEY AUTOINCREMENT,
	node     INTEGER NOT NULL REFERENCES node (sequence) ON DELETE CASCADE,
	kind     TEXT NOT NULL,
	name     TEXT NOT NULL,
	version  INTEGER NOT NULL, -- of the settings
	settings TEXT NOT NULL, -- JSON
	UNIQUE (node, kind, name)
) STRICT;

CREATE TABLE policy (
	node       INTEGER NOT NULL REFERENCES node (sequence) ON DELETE CASCADE,
	of_type    INTEGER NOT NULL, -- whether resource is a type
	resource   TEXT NOT NULL,
	action     TEXT NOT NULL,
	expression TEXT NOT NULL,
	PRIMARY KEY (node, of_type, resource, action)
) STRICT;

CREATE TABLE credential (
	node       TEXT NOT NULL, -- '': no node in particular
	issuer     TEXT NOT NULL,
	scope      TEXT NOT NULL,
	subject    TEXT NOT NULL,
	credential BLOB NOT NULL, -- as encoded for the wire
	expires    INTEGER NOT NULL, -- seconds since 1970
	PRIMARY KEY (node, issuer, scope, subject)
) STRICT;
`,
	// 3: projects, authorities
	`
CREATE TABLE project (
	sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	name       TEXT NOT NULL UNIQUE,
	record     TEXT NOT NULL, -- JSON, with the keys of the reference implementation
	is_default INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_default_project ON project (is_default) WHERE is_default = 1;

CREATE TABLE authority_member (
	authority   TEXT NOT NULL, -- its identifier
	identifier  TEXT NOT NULL,
	attributes  BLOB NOT NULL, -- as in a credential
	added_by    TEXT NOT NULL,
	added_at    INTEGER NOT NULL, -- seconds since 1970
	pre_trusted INTEGER NOT NULL, -- whether it stands in the authority's configuration
	PRIMARY KEY (authority, identifier)
) STRICT;

CREATE TABLE authority_token (
	authority  TEXT NOT NULL,
	code       BLOB NOT NULL, -- SHA-256 of it
	reference  TEXT NOT NULL,
	issued_by  TEXT NOT NULL,
	created    INTEGER NOT NULL, -- seconds since 1970
	expires    INTEGER NOT NULL,
	uses       INTEGER NOT NULL, -- that are left
	attributes BLOB NOT NULL,
	PRIMARY KEY (authority, code)
) STRICT;
CREATE INDEX authority_token_expires ON authority_token (authority, expires);
`,
	// 4: whether an administrator issued a token, who need not be a member; of
	// those there are nobody knows, so that their issuers must be enrollers
	`
ALTER TABLE authority_token ADD COLUMN by_admin INTEGER NOT NULL DEFAULT 0;
`,
}
