package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// rejectsKept is how many rejected lines are kept per source and reason: enough
// to see a pattern, too few for a hostile log to fill the disk.
const rejectsKept = 20

// State is what Save makes durable at once, and what Load gives back.
type State struct {
	Findings []detect.Finding
	Rollups  []detect.Rollup    // absolute values: they replace what is stored, unless that counts more
	Ledger   []ingest.LedgerRow // absolute values
	Rejects  []ingest.Reject
	Marks    []ingest.Mark     // replace all marks of the sources they name
	Blobs    map[string][]byte // changed snapshot parts by key; nil deletes
}

// Save makes the state durable at once: after a crash either all of it is
// there or nothing, so marks never run ahead of the snapshot they belong to.
// Saving the same state again changes nothing. One Save runs at a time.
func (db *DB) Save(ctx context.Context, s State) error {
	db.saving.Lock()
	defer db.saving.Unlock()
	staged, err := db.stage(ctx, s.Blobs)
	if err == nil {
		err = InTx(ctx, db.w, func(tx *sql.Tx) error { return db.saveAll(ctx, tx, s, staged) })
	}
	if err != nil {
		return fmt.Errorf("store: save: %w%s", err, hint(err))
	}
	if staged == nil {
		return nil
	}
	if err := db.sweep(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("store: save: the state is saved, but not the old one removed: %w%s", err, hint(err))
	}
	return nil
}

func (db *DB) saveAll(ctx context.Context, tx *sql.Tx, s State, staged map[string]int64) error {
	for _, part := range []func() error{
		func() error { return db.saveBlobs(ctx, tx, s.Blobs, staged) },
		func() error { return saveMarks(ctx, tx, s.Marks) },
		func() error { return saveLedger(ctx, tx, s.Ledger) },
		func() error { return db.saveFindings(ctx, tx, s.Findings) },
		func() error { return db.saveRollups(ctx, tx, s.Rollups) },
		func() error { return db.saveRejects(ctx, tx, s.Rejects) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// SaveFindings writes findings by id. Of several copies of one the newest stays,
// in whatever order they come.
func (db *DB) SaveFindings(ctx context.Context, fs []detect.Finding) error {
	return db.Save(ctx, State{Findings: fs})
}

// each runs one prepared statement for every row of a table.
func each[T any](ctx context.Context, tx *sql.Tx, query string, rows []T, args func(int, T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // nothing is lost with it
	for i, row := range rows {
		if _, err := stmt.ExecContext(ctx, args(i, row)...); err != nil {
			return err
		}
	}
	return nil
}

func saveMarks(ctx context.Context, tx *sql.Tx, marks []ingest.Mark) error {
	var sources []string
	for _, m := range marks {
		if !slices.Contains(sources, m.Source) {
			sources = append(sources, m.Source)
		}
	}
	err := each(ctx, tx, `DELETE FROM marks WHERE source = ?`, sources, func(_ int, s string) []any { return []any{s} })
	if err != nil {
		return err
	}
	return each(ctx, tx, `INSERT INTO marks (source, seq, path, file, pos, device, inode, print, print_len)
		VALUES (?,?,?,?,?,?,?,?,?)`, marks, func(i int, m ingest.Mark) []any {
		return []any{m.Source, i, m.Path, int64(m.File), m.Offset, int64(m.Device), int64(m.Inode), int64(m.Print), m.PrintLen}
	})
}

func saveLedger(ctx context.Context, tx *sql.Tx, rows []ingest.LedgerRow) error {
	return each(ctx, tx, `INSERT INTO ledger (source, read, processed, rejected, reasons, late, future, bytes, lag_bytes, last_time, truncated, format, carried)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (source) DO UPDATE SET read = excluded.read, processed = excluded.processed,
		  rejected = excluded.rejected, reasons = excluded.reasons, late = excluded.late, future = excluded.future,
		  bytes = excluded.bytes, lag_bytes = excluded.lag_bytes, last_time = excluded.last_time, truncated = excluded.truncated,
		  format = excluded.format, carried = excluded.carried`,
		rows, func(_ int, l ingest.LedgerRow) []any {
			reasons, _ := json.Marshal(l.Reasons) // a map of numbers always marshals
			carried, _ := json.Marshal(l.Carried) // and so do names
			return []any{l.Source, l.Read, l.Processed, l.Rejected, string(reasons), l.Late, l.Future, l.Bytes, l.LagBytes, l.LastTime, l.Truncated, l.Format, string(carried)}
		})
}

// A copy may come late: a detector that has lost its partition can still have a word
// on its way when its successor has said more. So the copies of an id are ordered by
// when they were judged, and those of before the judgement by when it was last seen, how
// grave it is and how often it was seen, as they are in Elasticsearch. Copies that are
// equal in them replace each other, so that what was stored can be hidden.
var (
	saveFinding = upsert("findings", findingColumns, "id", "updated, last_seen, severity, count")
	saveRollup  = upsert("rollups", rollupColumns, "minute, source, route", "requests")
)

// upsert is the statement that writes a row unless there is one that comes behind it
// in the order of some columns.
func upsert(table, columns, key, order string) string {
	names := strings.Fields(strings.ReplaceAll(columns, ",", " "))
	set := make([]string, len(names))
	for i, n := range names {
		set[i] = n + " = excluded." + n
	}
	of := func(row string) string { return "(" + row + "." + strings.ReplaceAll(order, ", ", ", "+row+".") + ")" }
	return "INSERT INTO " + table + " (" + columns + ") VALUES (?" + strings.Repeat(",?", len(names)-1) + ")" +
		" ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(set, ", ") +
		" WHERE " + of("excluded") + " >= " + of(table)
}

func (db *DB) saveFindings(ctx context.Context, tx *sql.Tx, fs []detect.Finding) error {
	return each(ctx, tx, saveFinding, fs, func(_ int, f detect.Finding) []any {
		db.hideFinding(&f)
		return []any{f.ID, f.Rule, f.Version, string(f.Family), int(f.Severity), f.Confidence,
			f.Subject.Kind, f.Subject.Value, f.Window, f.FirstSeen, f.LastSeen, f.FiredAt, f.Count, f.Why, f.Route,
			f.Standing.Successes, f.Standing.People, f.Standing.Since, detect.EncodeEvidence(&f), f.Members, f.Updated, f.Suspects}
	})
}

func (db *DB) saveRollups(ctx context.Context, tx *sql.Tx, rows []detect.Rollup) error {
	return each(ctx, tx, saveRollup, rows, func(_ int, r detect.Rollup) []any {
		return []any{r.Minute, r.Source, db.hidden(r.Route, 0), r.Requests, r.S2xx, r.S3xx, r.S4xx, r.S5xx,
			r.Refused, r.Denied, r.BytesOut, r.Nanos}
	})
}

// saveRejects keeps the newest few of each source and reason. A line read again
// after a crash has the same position and is not counted as another.
func (db *DB) saveRejects(ctx context.Context, tx *sql.Tx, rejects []ingest.Reject) error {
	type class struct{ source, reason string }
	var classes []class
	for _, r := range rejects {
		if c := (class{r.Pos.Source, r.Reason.String()}); !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	err := each(ctx, tx, `INSERT INTO rejects (source, file, pos, reason, length, sample) VALUES (?,?,?,?,?,?)
		ON CONFLICT (source, file, pos) DO NOTHING`, rejects, func(_ int, r ingest.Reject) []any {
		sample := r.Sample[:min(len(r.Sample), ingest.SampleBytes)]
		return []any{r.Pos.Source, int64(r.Pos.File), r.Pos.Offset, r.Reason.String(), r.Length, []byte(db.hidden(sample, ingest.SampleBytes))}
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, `DELETE FROM rejects WHERE source = ?1 AND reason = ?2 AND seq <= (
		SELECT seq FROM rejects WHERE source = ?1 AND reason = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)`,
		classes, func(_ int, c class) []any { return []any{c.source, c.reason, rejectsKept} })
}
