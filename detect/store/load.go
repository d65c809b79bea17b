package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/ingest"
)

// Load gives back marks, ledger and snapshot parts of the last saved state, all
// of the same one. Findings, rollups and rejects are queried instead.
func (db *DB) Load(ctx context.Context) (State, error) {
	s := State{Blobs: map[string][]byte{}}
	err := InTx(ctx, db.r, func(tx *sql.Tx) error { // one snapshot of the file
		var err error
		if s.Marks, err = loadMarks(ctx, tx); err != nil {
			return err
		}
		if s.Ledger, err = loadLedger(ctx, tx); err != nil {
			return err
		}
		_, err = query(ctx, tx, `SELECT key, data FROM blobs JOIN parts ON parts.id = blobs.part`, nil, func(r *sql.Rows) (struct{}, error) {
			var key string
			var data []byte
			err := r.Scan(&key, &data)
			if err == nil && db.cloak != nil {
				data, err = db.cloak.Open(key, data)
			}
			if data == nil {
				data = []byte{} // nil would mean "delete" to Save
			}
			s.Blobs[key] = data
			return struct{}{}, err
		})
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("store: load: %w%s", err, hint(err))
	}
	return s, nil
}

// Ledger returns the completeness of every source.
func (db *DB) Ledger(ctx context.Context) ([]ingest.LedgerRow, error) {
	rows, err := loadLedger(ctx, db.r)
	if err != nil {
		return nil, fmt.Errorf("store: ledger: %w", err)
	}
	return rows, nil
}

// Rejects returns the samples of rejected lines, newest first; limit 0 = all
// that are kept.
func (db *DB) Rejects(ctx context.Context, limit int) ([]ingest.Reject, error) {
	if limit <= 0 {
		limit = -1
	}
	names := map[string]ingest.Reason{}
	for _, r := range ingest.Reasons() {
		names[r.String()] = r
	}
	out, err := query(ctx, db.r, `SELECT source, file, pos, reason, length, sample FROM rejects ORDER BY seq DESC LIMIT ?`,
		[]any{limit}, func(r *sql.Rows) (ingest.Reject, error) {
			var j ingest.Reject
			var file int64
			var reason string
			var sample []byte
			err := r.Scan(&j.Pos.Source, &file, &j.Pos.Offset, &reason, &j.Length, &sample)
			j.Pos.File, j.Reason, j.Sample = uint64(file), names[reason], string(sample)
			return j, err
		})
	if err != nil {
		return nil, fmt.Errorf("store: rejects: %w", err)
	}
	return out, nil
}

// Meta returns a small value kept by key, "" where there is none.
func (db *DB) Meta(ctx context.Context, key string) (string, error) {
	var v string
	err := db.r.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("store: meta %q: %w", key, err)
	}
	return v, nil
}

// SetMeta keeps a small value by key, such as the heartbeat of the daemon.
func (db *DB) SetMeta(ctx context.Context, key, value string) error {
	_, err := db.w.ExecContext(ctx, `INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`, key, value)
	if err != nil {
		return fmt.Errorf("store: set meta %q: %w%s", key, err, hint(err))
	}
	return nil
}

func loadMarks(ctx context.Context, q queryer) ([]ingest.Mark, error) {
	return query(ctx, q, `SELECT source, path, file, pos, device, inode, print, print_len FROM marks ORDER BY source, seq`,
		nil, func(r *sql.Rows) (ingest.Mark, error) {
			var m ingest.Mark
			var file, device, inode, print int64
			err := r.Scan(&m.Source, &m.Path, &file, &m.Offset, &device, &inode, &print, &m.PrintLen)
			m.File, m.Device, m.Inode, m.Print = uint64(file), uint64(device), uint64(inode), uint64(print)
			return m, err
		})
}

func loadLedger(ctx context.Context, q queryer) ([]ingest.LedgerRow, error) {
	return query(ctx, q, `SELECT source, read, processed, rejected, reasons, late, future, bytes, lag_bytes, last_time, truncated, format, carried
		FROM ledger ORDER BY source`, nil, func(r *sql.Rows) (ingest.LedgerRow, error) {
		var l ingest.LedgerRow
		var reasons, carried string
		err := r.Scan(&l.Source, &l.Read, &l.Processed, &l.Rejected, &reasons, &l.Late, &l.Future, &l.Bytes, &l.LagBytes, &l.LastTime, &l.Truncated, &l.Format, &carried)
		if err == nil {
			err = json.Unmarshal([]byte(reasons), &l.Reasons)
		}
		if err == nil {
			err = json.Unmarshal([]byte(carried), &l.Carried)
		}
		return l, err
	})
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query collects the rows of a select.
func query[T any](ctx context.Context, q queryer, text string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err below tells what matters
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
