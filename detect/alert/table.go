package alert

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/portcullis/portcullis/detect/store"
)

// tableSchema is in the same file as the findings. seq orders writes; fresh marks what a
// person wrote here and that was not handed to the other processes yet.
const tableSchema = `
CREATE TABLE IF NOT EXISTS alert_records (
  kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL, fresh INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_records_seq ON alert_records (seq);
CREATE TABLE IF NOT EXISTS alert_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`

// The keys of alert_meta.
const (
	metaSeq   = "seq"
	metaEpoch = "epoch" // of the sender whose records count
	metaNext  = "next"  // offset to read on from, of what other processes wrote
)

// Table keeps records in an SQLite file. It may be used from any goroutine; one process
// sends, others may write what people want.
type Table struct {
	w, r *sql.DB
	hide func(string) string // addresses in what people write; nil: they stay
}

// OpenTable makes the tables where they are missing. r may be a connection that only
// reads, hide replaces addresses where they are not to be stored.
func OpenTable(ctx context.Context, w, r *sql.DB, hide func(string) string) (*Table, error) {
	if _, err := w.ExecContext(ctx, tableSchema); err != nil {
		return nil, fmt.Errorf("alert: make the tables: %w", err)
	}
	return &Table{w: w, r: r, hide: hide}, nil
}

// Load implements Store.
func (t *Table) Load(ctx context.Context) ([]Record, error) {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE kind != 'audit'`)
	return recs, err
}

// Since implements Store.
func (t *Table) Since(ctx context.Context, place int64) ([]Record, int64, error) {
	recs, to, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE seq > ? AND kind IN ('silence', 'ack') ORDER BY seq`, place)
	return recs, max(place, to), err
}

func (t *Table) query(ctx context.Context, text string, args ...any) (recs []Record, to int64, err error) {
	rows, err := t.r.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("alert: read the records: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Record
		var seq int64
		if err := rows.Scan(&r.Kind, &r.Key, &r.Value, &seq); err != nil {
			return nil, 0, fmt.Errorf("alert: read the records: %w", err)
		}
		recs, to = append(recs, r), max(to, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("alert: read the records: %w", err)
	}
	return recs, to, nil
}

// Put implements Store.
func (t *Table) Put(ctx context.Context, recs []Record) error { return t.write(ctx, recs, false) }

// Post writes what a person wants, to be handed to the other processes.
func (t *Table) Post(ctx context.Context, recs []Record) error { return t.write(ctx, recs, true) }

func (t *Table) write(ctx context.Context, recs []Record, fresh bool) error {
	err := store.InTx(ctx, t.w, func(tx *sql.Tx) error {
		seq, err := meta(ctx, tx, metaSeq)
		if err != nil {
			return err
		}
		for _, r := range recs {
			seq++
			if err := put(ctx, tx, r, seq, fresh); err != nil {
				return err
			}
		}
		return setMeta(ctx, tx, metaSeq, seq)
	})
	if err != nil {
		return fmt.Errorf("alert: write the records: %w", err)
	}
	return nil
}

func put(ctx context.Context, tx *sql.Tx, r Record, seq int64, fresh bool) error {
	if r.Value == nil {
		_, err := tx.ExecContext(ctx, `DELETE FROM alert_records WHERE kind = ? AND key = ?`, r.Kind, r.Key)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO alert_records (kind, key, value, seq, fresh) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, seq = excluded.seq, fresh = excluded.fresh`, r.Kind, r.Key, string(r.Value), seq, fresh)
	return err
}

func meta(ctx context.Context, tx *sql.Tx, key string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT value FROM alert_meta WHERE key = ?`, key).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

func setMeta(ctx context.Context, tx *sql.Tx, key string, n int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO alert_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, n)
	return err
}

// Shared is a record that some process wrote for all.
type Shared struct {
	Record
	Epoch int64 // of the sender that wrote it; 0 = it is of a person
}

// Applied is what came of records.
type Applied struct {
	Epoch int64    // of the sender whose records count from now on
	Stale []Record // were written by one who may not send any more: the sender writes them again
}

// Apply takes in what all processes wrote, in its order, and notes from where to go on.
func (t *Table) Apply(ctx context.Context, list []Shared, next int64) (done Applied, err error) {
	err = store.InTx(ctx, t.w, func(tx *sql.Tx) error {
		done = Applied{}
		var err error
		if done.Epoch, err = meta(ctx, tx, metaEpoch); err != nil {
			return err
		}
		seq, err := meta(ctx, tx, metaSeq)
		if err != nil {
			return err
		}
		for _, s := range list {
			seq++
			if err := done.take(ctx, tx, s, seq); err != nil {
				return err
			}
		}
		for key, n := range map[string]int64{metaEpoch: done.Epoch, metaSeq: seq, metaNext: next} {
			if err := setMeta(ctx, tx, key, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Applied{}, fmt.Errorf("alert: take in what others wrote: %w", err)
	}
	return done, nil
}

func (a *Applied) take(ctx context.Context, tx *sql.Tx, s Shared, seq int64) error {
	switch {
	case OfPeople(s.Kind):
		// What was written here meanwhile comes behind it.
		var value string
		err := tx.QueryRowContext(ctx, `SELECT value FROM alert_records WHERE kind = ? AND key = ? AND fresh = 1`, s.Kind, s.Key).Scan(&value)
		if err == nil && value != string(s.Value) {
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	case s.Epoch < a.Epoch:
		a.Stale = append(a.Stale, s.Record)
		return nil
	default:
		a.Epoch = s.Epoch
	}
	if s.Kind == KindLead {
		return nil
	}
	return put(ctx, tx, s.Record, seq, false)
}

// Next is the offset to read on from.
func (t *Table) Next(ctx context.Context) (next int64, err error) {
	err = store.InTx(ctx, t.w, func(tx *sql.Tx) error {
		next, err = meta(ctx, tx, metaNext)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("alert: read the place: %w", err)
	}
	return next, nil
}

// Fresh returns what people wrote here that was not handed to the other processes.
func (t *Table) Fresh(ctx context.Context) ([]Record, error) {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE fresh = 1 ORDER BY seq LIMIT 500`)
	return recs, err
}

// Handed notes that records were handed on, unless they changed meanwhile.
func (t *Table) Handed(ctx context.Context, recs []Record) error {
	err := store.InTx(ctx, t.w, func(tx *sql.Tx) error {
		for _, r := range recs {
			if _, err := tx.ExecContext(ctx, `UPDATE alert_records SET fresh = 0 WHERE kind = ? AND key = ? AND value = ?`, r.Kind, r.Key, string(r.Value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("alert: note what was handed on: %w", err)
	}
	return nil
}

// HideStored replaces the addresses in all that is stored, by the function that OpenTable
// was given.
func (t *Table) HideStored(ctx context.Context) error {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records`)
	if err != nil || t.hide == nil {
		return err
	}
	err = store.InTx(ctx, t.w, func(tx *sql.Tx) error {
		for _, r := range recs {
			hidden := []byte(t.hide(string(r.Value)))
			if bytes.Equal(hidden, r.Value) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE alert_records SET value = ? WHERE kind = ? AND key = ?`, string(hidden), r.Kind, r.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("alert: hide the stored addresses: %w", err)
	}
	return nil
}

// PruneAudit deletes what is older of the record of who did what.
func (t *Table) PruneAudit(ctx context.Context, before int64) error {
	_, err := t.w.ExecContext(ctx, `DELETE FROM alert_records WHERE kind = 'audit' AND key < ?`, auditKey(before, ""))
	if err != nil {
		return fmt.Errorf("alert: retention: %w", err)
	}
	return nil
}

// auditKey orders entries by time.
func auditKey(at int64, id string) string {
	s := strconv.FormatInt(at, 10)
	for len(s) < 20 {
		s = "0" + s
	}
	return s + "-" + id
}
