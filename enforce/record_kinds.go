package enforce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/journal"
)

// kind is how the records of one kind stand in the tables. A record is a row:
// putting it twice is putting it once.
type kind struct {
	parts int // of the key, after the kind
	// put decodes and writes. What cannot be decoded is a badValue, found before
	// anything is written.
	put func(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error
	del string // a statement with the parts
	// get is the value that the row stands for; nil: there is none.
	get  func(ctx context.Context, q queryer, parts []string) ([]byte, error)
	keys string // selects the parts of every row; it ends in a condition
}

// badValue is why a value is none of its kind.
type badValue struct{ error }

// Unwrap gives what journal.Parse said.
func (b badValue) Unwrap() error { return b.error }

// kinds are those that the ledger keeps. Terms and marks are handled apart.
var kinds = map[string]kind{
	journal.Decision: {1, putDecision, `DELETE FROM decisions WHERE id = ?`, getDecision, `SELECT id FROM decisions WHERE true`},
	journal.Change: {2, putChange, `DELETE FROM changes WHERE decision = ? AND n = ?`, getChange,
		`SELECT decision, n FROM changes WHERE true`},
	journal.Counted: {3, putCounted, `DELETE FROM counted WHERE kind = ? AND value = ? AND finding = ?`, getCounted,
		`SELECT kind, value, finding FROM counted WHERE true`},
	journal.Allow: {1, putAllow, `DELETE FROM allows WHERE value = ?`, getAllow, `SELECT value FROM allows WHERE true`},
	journal.Command: {1, putCommand, `DELETE FROM commands WHERE uid = ? AND done = 1`, getCommand(`done = 1`),
		`SELECT uid FROM commands WHERE done = 1 AND uid <> ''`},
	// A request that is answered stays as the command: nothing to delete.
	journal.Request: {1, putRequest, ``, getCommand(`done = 0 AND sent = ` + sentArrived),
		`SELECT uid FROM commands WHERE done = 0 AND sent = ` + sentArrived},
	journal.Meta:  {1, putMeta, `DELETE FROM enforce_meta WHERE key = ? AND key <> 'version'`, getMeta, `SELECT key FROM enforce_meta WHERE key = 'panic'`},
	journal.Watch: {2, putWatch, `DELETE FROM watched WHERE kind = ? AND value = ?`, getWatch, `SELECT kind, value FROM watched WHERE true`},
}

// Where a command stands on its way to the journal.
const (
	sentTaken   = `1` // the journal took it
	sentArrived = `2` // it came from the journal
)

func putDecision(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	d, offended, err := decodeDecision(value)
	if err == nil && d.ID != parts[0] {
		err = errors.New("enforce: a decision with another id than its key")
	}
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO decisions (`+decisionColumns+`, offended)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, append(decisionArgs(d), offended)...)
	return err
}

func getDecision(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, `SELECT `+decisionColumns+`, offended FROM decisions WHERE id = ?`, parts, func(r *sql.Rows) ([]byte, error) {
		var offended bool
		d, err := scanDecision(r, &offended)
		return encodeDecision(d, offended), err
	})
}

func putChange(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	c, err := decodeChange(value)
	n, numErr := strconv.ParseInt(parts[1], 10, 64)
	if err = errors.Join(err, numErr); err != nil {
		return badValue{err}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM changes WHERE decision = ? AND n = ?`, parts[0], n); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO changes (decision, n, at, who, from_state, to_state, why) VALUES (?,?,?,?,?,?,?)`,
		parts[0], n, c.At, c.Who, string(c.From), string(c.To), c.Why)
	return err
}

func getChange(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, `SELECT at, who, from_state, to_state, why FROM changes WHERE decision = ? AND n = ?`, parts, func(r *sql.Rows) ([]byte, error) {
		c, err := scanChange(r)
		return encodeChange(c), err
	})
}

func putCounted(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	c, err := decodeCounted(value)
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, insertCounted, countedArgs(countedKey{detect.Subject{Kind: parts[0], Value: parts[1]}, parts[2]}, c)...)
	return err
}

func getCounted(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, `SELECT `+countedColumns+` FROM counted WHERE kind = ? AND value = ? AND finding = ?`, parts, func(r *sql.Rows) ([]byte, error) {
		c, err := scanCounted(r)
		return encodeCounted(c), err
	})
}

func putAllow(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	a, err := decodeAllow(value)
	if err != nil {
		return badValue{err}
	}
	a.Value = parts[0]
	_, err = tx.ExecContext(ctx, insertAllow, allowArgs(a)...)
	return err
}

func getAllow(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, `SELECT `+allowColumns+` FROM allows WHERE value = ?`, parts, func(r *sql.Rows) ([]byte, error) {
		a, err := scanAllow(r)
		return encodeAllow(a), err
	})
}

func putCommand(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	c, err := decodeCommand(value)
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO commands (uid, at, who, verb, arg, why, dur, result, done, sent) VALUES (?,?,?,?,?,?,?,?,1,`+sentArrived+`)
		ON CONFLICT (uid) WHERE uid <> '' DO UPDATE SET at = excluded.at, who = excluded.who, verb = excluded.verb, arg = excluded.arg,
		  why = excluded.why, dur = excluded.dur, result = excluded.result, done = 1, sent = `+sentArrived,
		parts[0], c.At, c.Who, c.Verb, c.Arg, c.Why, int64(c.For), c.Result)
	return err
}

// putRequest takes a command into the inbox. One that is there already, since its
// sender did not hear that it arrived and sent it again, stays as it is.
func putRequest(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	c, err := decodeCommand(value)
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO commands (uid, at, who, verb, arg, why, dur, result, done, sent) VALUES (?,?,?,?,?,?,?,'',0,`+sentArrived+`)
		ON CONFLICT (uid) WHERE uid <> '' DO UPDATE SET sent = `+sentArrived,
		parts[0], c.At, c.Who, c.Verb, c.Arg, c.Why, int64(c.For))
	return err
}

func getCommand(where string) func(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return func(ctx context.Context, q queryer, parts []string) ([]byte, error) {
		return one(ctx, q, `SELECT `+commandColumns+` FROM commands WHERE uid = ? AND `+where, parts, func(r *sql.Rows) ([]byte, error) {
			c, err := scanCommand(r)
			return encodeCommand(c), err
		})
	}
}

func putMeta(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	var v metaValue
	err := journal.Parse(value, &v, &v.V)
	if err == nil && parts[0] != "panic" {
		err = fmt.Errorf("enforce: no switch %s", quoted(parts[0]))
	}
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, insertMeta, parts[0], string(v.Text))
	return err
}

func getMeta(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, `SELECT value FROM enforce_meta WHERE key = ? AND key <> 'version'`, parts, func(r *sql.Rows) ([]byte, error) {
		var text string
		err := r.Scan(&text)
		return encodeMeta(text), err
	})
}

func putWatch(ctx context.Context, tx *sql.Tx, parts []string, value []byte) error {
	w, err := journal.ParseWatch(value)
	if err == nil && (w.Subject != detect.Subject{Kind: parts[0], Value: parts[1]}) {
		err = errors.New("enforce: a watch on another subject than its key")
	}
	if err != nil {
		return badValue{err}
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO watched (kind, value, deny, since) VALUES (?,?,?,?)`, w.Subject.Kind, w.Subject.Value, w.Deny, w.Since)
	return err
}

func getWatch(ctx context.Context, q queryer, parts []string) ([]byte, error) {
	return one(ctx, q, selectWatched+` WHERE kind = ? AND value = ?`, parts, func(r *sql.Rows) ([]byte, error) {
		w, err := scanWatch(r)
		return journal.WatchRecord(w).Value, err
	})
}

const selectWatched = `SELECT kind, value, deny, since FROM watched`

func scanWatch(r *sql.Rows) (w detect.Watch, err error) {
	return w, r.Scan(&w.Subject.Kind, &w.Subject.Value, &w.Deny, &w.Since)
}

// rows returns the parts of the rows that match more of the condition.
func (k kind) rows(ctx context.Context, q queryer, more string, args ...any) ([][]string, error) {
	return collect(ctx, q, k.keys+more, args, func(r *sql.Rows) ([]string, error) {
		parts := make([]string, k.parts)
		into := make([]any, k.parts)
		for i := range parts {
			into[i] = &parts[i]
		}
		return parts, r.Scan(into...)
	})
}

// one returns what stands in the row that the parts name; nil: there is none.
func one(ctx context.Context, q queryer, text string, parts []string, scan func(*sql.Rows) ([]byte, error)) ([]byte, error) {
	args := make([]any, len(parts))
	for i, p := range parts {
		args[i] = p
	}
	rows, err := collect(ctx, q, text, args, scan)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// owe notes that the journal may hold something else under a key than the ledger.
func owe(ctx context.Context, tx *sql.Tx, key string) error {
	_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO journal_owed (key) VALUES (?)`, key)
	return err
}
