package enforce

import (
	"context"
	"database/sql"
	"fmt"
)

// ledgerVersion is the newest of the upgrades below.
const ledgerVersion = 2

const changesStay = `CREATE TRIGGER changes_stay BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'changes are only ever added'); END;`

const ledgerSchema = `
CREATE TABLE enforce_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE decisions (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, route TEXT NOT NULL, action TEXT NOT NULL,
  rate REAL NOT NULL, burst INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, code TEXT NOT NULL,
  rule TEXT NOT NULL, findings TEXT NOT NULL, score REAL NOT NULL, why TEXT NOT NULL, collateral TEXT NOT NULL,
  by_whom TEXT NOT NULL, offence INTEGER NOT NULL, people INTEGER NOT NULL, good INTEGER NOT NULL,
  created INTEGER NOT NULL, expires INTEGER NOT NULL, pushed_at INTEGER NOT NULL, checked INTEGER NOT NULL,
  trigger_at INTEGER NOT NULL,
  offended INTEGER NOT NULL -- 1 = it was in force and no person took it back: it counts as an offence
) WITHOUT ROWID;
CREATE INDEX decisions_created ON decisions (created DESC, id);
CREATE INDEX decisions_subject ON decisions (kind, value, created DESC);
CREATE INDEX decisions_open ON decisions (state) WHERE state NOT IN ('expired', 'released');
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, decision TEXT NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,
  from_state TEXT NOT NULL, to_state TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX changes_decision ON changes (decision, seq);
CREATE INDEX changes_at ON changes (to_state, at);
` + changesStay + `
CREATE TABLE allows (
  value TEXT PRIMARY KEY, why TEXT NOT NULL, by_whom TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, verb TEXT NOT NULL, arg TEXT NOT NULL,
  why TEXT NOT NULL, dur INTEGER NOT NULL, result TEXT NOT NULL, done INTEGER NOT NULL
);
CREATE INDEX commands_open ON commands (id) WHERE done = 0;
CREATE TABLE counted (
  kind TEXT NOT NULL, value TEXT NOT NULL, finding TEXT NOT NULL, rule TEXT NOT NULL, family TEXT NOT NULL,
  hard INTEGER NOT NULL, top REAL NOT NULL, weight REAL NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (kind, value, finding)
) WITHOUT ROWID;
CREATE INDEX counted_at ON counted (at);
`

// clusterSchema is version 2: changes and commands get names that are the same
// on every machine, and the ledger knows how far it followed the journal. A
// program of version 1 that still runs on the file goes on as before: it leaves
// n and uid as they are by default.
const clusterSchema = `
DROP TRIGGER changes_stay;
ALTER TABLE changes ADD COLUMN n INTEGER NOT NULL DEFAULT 0; -- in the life of its decision, from 0
UPDATE changes SET n = (SELECT count(*) FROM changes AS o WHERE o.decision = changes.decision AND o.seq < changes.seq);
CREATE INDEX changes_n ON changes (decision, n);
` + changesStay + `
ALTER TABLE commands ADD COLUMN uid TEXT NOT NULL DEFAULT '';
UPDATE commands SET uid = lower(hex(randomblob(16)));
CREATE UNIQUE INDEX commands_uid ON commands (uid) WHERE uid <> '';
ALTER TABLE commands ADD COLUMN sent INTEGER NOT NULL DEFAULT 0; -- 0 = only here, 1 = the journal took it, 2 = it came from the journal
CREATE TABLE watched (
  kind TEXT NOT NULL, value TEXT NOT NULL, deny INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (kind, value)
) WITHOUT ROWID;
CREATE TABLE journal_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journal_terms (epoch INTEGER NOT NULL, member TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (epoch, member)) WITHOUT ROWID;
-- keys under which the journal may hold something else than the ledger: a leader writes them again
CREATE TABLE journal_owed (key TEXT PRIMARY KEY) WITHOUT ROWID;
`

// OpenLedger makes the ledger's tables in db where they are missing. On a
// connection that cannot write, the tables must be there.
func OpenLedger(ctx context.Context, db *sql.DB) (*Ledger, error) {
	l := &Ledger{w: db, r: db}
	v, err := versionOf(db)
	if err != nil {
		return nil, fmt.Errorf("enforce: open the ledger: %w", err)
	}
	if v > ledgerVersion {
		return nil, fmt.Errorf("enforce: the ledger is version %d, this program knows %d: a newer portcullis wrote it; use that one", v, ledgerVersion)
	}
	if v == ledgerVersion {
		return l, nil
	}
	if err := l.tx(ctx, upgrade); err != nil {
		return nil, fmt.Errorf("enforce: make the ledger's tables (start \"portcullis run\" once if this program only reads): %w", err)
	}
	return l, nil
}

// upgrade runs in a transaction that holds the write lock, so that two processes
// that start together do not both make the tables.
func upgrade(tx *sql.Tx) error {
	v, err := versionOf(tx)
	if err != nil {
		return err
	}
	for ; v < ledgerVersion; v++ {
		if _, err := tx.Exec([...]string{ledgerSchema, clusterSchema}[v]); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`INSERT OR REPLACE INTO enforce_meta (key, value) VALUES ('version', ?)`, ledgerVersion)
	return err
}

// rowQueryer is a pool or a transaction.
type rowQueryer interface {
	QueryRow(query string, args ...any) *sql.Row
}

func versionOf(q rowQueryer) (int, error) {
	var tables int
	err := q.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'enforce_meta'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	var v int
	err = q.QueryRow(`SELECT value FROM enforce_meta WHERE key = 'version'`).Scan(&v)
	return v, err
}
