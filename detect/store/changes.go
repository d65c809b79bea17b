package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/portcullis/portcullis/detect"
)

// changesOn numbers each finding anew whenever it comes or grows, so that who sends them
// on can say how far that was. A finding has one number, the newest, so the table is no
// larger than that of the findings, however long nobody sends them. It is there only where
// somebody does.
const changesOn = `
CREATE TABLE IF NOT EXISTS finding_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TRIGGER IF NOT EXISTS finding_came AFTER INSERT ON findings BEGIN
  DELETE FROM finding_changes WHERE id = new.id;
  INSERT INTO finding_changes (id) VALUES (new.id);
END;
CREATE TRIGGER IF NOT EXISTS finding_grew AFTER UPDATE ON findings
  WHEN (new.updated, new.last_seen, new.severity, new.count) IS NOT (old.updated, old.last_seen, old.severity, old.count)
BEGIN
  DELETE FROM finding_changes WHERE id = new.id;
  INSERT INTO finding_changes (id) VALUES (new.id);
END;
CREATE TRIGGER IF NOT EXISTS finding_gone AFTER DELETE ON findings BEGIN
  DELETE FROM finding_changes WHERE id = old.id;
END;
INSERT INTO finding_changes (id) SELECT id FROM findings WHERE id NOT IN (SELECT id FROM finding_changes) ORDER BY fired_at, id;
`

const changesOff = `
DROP TRIGGER IF EXISTS finding_came;
DROP TRIGGER IF EXISTS finding_grew;
DROP TRIGGER IF EXISTS finding_gone;
DROP TABLE IF EXISTS finding_changes;
`

// FollowFindings numbers changes of findings from now on, those that are there first, or
// ends that. When it ends, numbers that were given lose their meaning; forget is the
// beginning of the names under which they were noted with SetMeta.
func (db *DB) FollowFindings(ctx context.Context, on bool, forget string) error {
	err := InTx(ctx, db.w, func(tx *sql.Tx) error {
		if on {
			_, err := tx.ExecContext(ctx, changesOn)
			return err
		}
		if _, err := tx.ExecContext(ctx, changesOff); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM meta WHERE substr(key, 1, length(?1)) = ?1`, forget)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: follow findings: %w%s", err, hint(err))
	}
	return nil
}

// Changed returns findings that came or grew behind a number, in that order, and the
// number of the last one.
func (db *DB) Changed(ctx context.Context, after int64, limit int) ([]detect.Finding, int64, error) {
	type change struct {
		seq int64
		id  string
	}
	list, err := query(ctx, db.r, `SELECT seq, id FROM finding_changes WHERE seq > ? ORDER BY seq LIMIT ?`, []any{after, limit}, func(r *sql.Rows) (c change, err error) {
		return c, r.Scan(&c.seq, &c.id)
	})
	if err != nil {
		return nil, after, fmt.Errorf("store: changed findings: %w", err)
	}
	out := make([]detect.Finding, 0, len(list))
	for _, c := range list {
		f, ok, err := db.Finding(ctx, c.id)
		if err != nil {
			return nil, after, err
		}
		if ok { // else it was removed in between
			out = append(out, f)
		}
		after = c.seq
	}
	return out, after, nil
}

// Unsent counts the findings behind a number.
func (db *DB) Unsent(ctx context.Context, after int64) (n int64, err error) {
	if err := db.r.QueryRowContext(ctx, `SELECT count(*) FROM finding_changes WHERE seq > ?`, after).Scan(&n); err != nil {
		return 0, fmt.Errorf("store: changed findings: %w", err)
	}
	return n, nil
}
