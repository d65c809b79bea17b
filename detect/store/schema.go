package store

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring the schema from version i to i+1; the version is the file's
// user_version. Only ever append.
var migrations = []string{`
CREATE TABLE findings (
  id TEXT PRIMARY KEY, rule TEXT NOT NULL, version INTEGER NOT NULL, family TEXT NOT NULL,
  severity INTEGER NOT NULL, confidence REAL NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
  win INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, fired_at INTEGER NOT NULL,
  count INTEGER NOT NULL, why TEXT NOT NULL, route TEXT NOT NULL,
  successes INTEGER NOT NULL, people INTEGER NOT NULL, since INTEGER NOT NULL,
  evidence TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX findings_fired ON findings (fired_at DESC, id);
CREATE INDEX findings_seen ON findings (last_seen);
CREATE INDEX findings_subject ON findings (kind, value, fired_at DESC);
CREATE TABLE rollups (
  minute INTEGER NOT NULL, source TEXT NOT NULL, route TEXT NOT NULL, requests INTEGER NOT NULL,
  s2xx INTEGER NOT NULL, s3xx INTEGER NOT NULL, s4xx INTEGER NOT NULL, s5xx INTEGER NOT NULL,
  refused INTEGER NOT NULL, denied INTEGER NOT NULL, bytes_out INTEGER NOT NULL, nanos INTEGER NOT NULL,
  PRIMARY KEY (minute, source, route)
) WITHOUT ROWID;
CREATE TABLE ledger (
  source TEXT PRIMARY KEY, read INTEGER NOT NULL, processed INTEGER NOT NULL, rejected INTEGER NOT NULL,
  reasons TEXT NOT NULL, late INTEGER NOT NULL, future INTEGER NOT NULL, bytes INTEGER NOT NULL,
  lag_bytes INTEGER NOT NULL, last_time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE rejects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, file INTEGER NOT NULL, pos INTEGER NOT NULL,
  reason TEXT NOT NULL, length INTEGER NOT NULL, sample BLOB NOT NULL,
  UNIQUE (source, file, pos)
);
CREATE INDEX rejects_bound ON rejects (source, reason, seq);
CREATE TABLE marks (
  source TEXT NOT NULL, seq INTEGER NOT NULL, path TEXT NOT NULL, file INTEGER NOT NULL, pos INTEGER NOT NULL,
  device INTEGER NOT NULL, inode INTEGER NOT NULL, print INTEGER NOT NULL, print_len INTEGER NOT NULL,
  PRIMARY KEY (source, seq)
) WITHOUT ROWID;
CREATE TABLE parts (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);
CREATE TABLE blobs (key TEXT PRIMARY KEY, part INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX blobs_part ON blobs (part);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`, `
ALTER TABLE ledger ADD COLUMN truncated INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE findings ADD COLUMN members TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE findings ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE ledger ADD COLUMN format TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN carried TEXT NOT NULL DEFAULT '{}';
`, `
-- What filters and counts look at stands in the index that pages go along, so that they
-- touch only the findings that they show.
CREATE INDEX findings_along ON findings (fired_at DESC, id, family, severity, rule, kind);
DROP INDEX findings_fired;
`, `
ALTER TABLE findings ADD COLUMN suspects TEXT NOT NULL DEFAULT '';
`}

func version(ctx context.Context, db *sql.DB) (int, error) {
	var v int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, fmt.Errorf("read the schema version: %w%s", err, hint(err))
	}
	return v, nil
}

// checkVersion refuses a schema that this program does not know.
func checkVersion(ctx context.Context, db *sql.DB) error {
	v, err := version(ctx, db)
	if err != nil {
		return err
	}
	switch want := len(migrations); {
	case v > want:
		return newer(v)
	case v < want:
		return fmt.Errorf("the schema is version %d, this program reads %d: start \"portcullis run\" once, it brings the file up to date", v, want)
	}
	return nil
}

func newer(v int) error {
	return fmt.Errorf("the schema is version %d, this program knows %d: a newer portcullis wrote it; use that one, or restore the copy made before the upgrade",
		v, len(migrations))
}

// migrate runs what is missing, each step with its version in one transaction,
// so that a kill in between leaves a whole older schema.
func migrate(ctx context.Context, db *sql.DB) error {
	v, err := version(ctx, db)
	if err != nil {
		return err
	}
	if v > len(migrations) {
		return newer(v)
	}
	for ; v < len(migrations); v++ {
		err := InTx(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, migrations[v]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", v+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring the schema to version %d: %w%s", v+1, err, hint(err))
		}
	}
	return nil
}

// InTx runs do in a transaction, which is undone where do fails.
func InTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the error that matters is do's
		return err
	}
	return tx.Commit()
}
