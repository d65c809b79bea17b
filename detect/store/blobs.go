package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
)

// stageBytes is how much of a snapshot is written per transaction. A whole one
// of 256 MB would keep the enforcer, which writes to the same file, waiting for
// all of its 2.4 s. In pieces it takes 4 s, but another write waits for 0.2 s at
// most (BenchmarkWaitBesideSnapshot, two shared cores).
const stageBytes = 4 << 20

// pieces cuts the keys of what is to be written into runs of about stageBytes.
// Sorted, so that neighbours in the file stay neighbours.
func pieces(blobs map[string][]byte) [][]string {
	keys := make([]string, 0, len(blobs))
	for key, data := range blobs {
		if data != nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var out [][]string
	size := stageBytes + 1
	for _, key := range keys {
		if size += len(blobs[key]); size > stageBytes {
			out, size = append(out, nil), len(blobs[key])
		}
		out[len(out)-1] = append(out[len(out)-1], key)
	}
	return out
}

// stage writes a large snapshot ahead of the transaction that makes it count.
// Until then no key names its parts: a crash leaves parts that sweep removes. A
// small one is left to that transaction.
func (db *DB) stage(ctx context.Context, blobs map[string][]byte) (map[string]int64, error) {
	runs := pieces(blobs)
	if len(runs) <= 1 {
		return nil, nil
	}
	staged := make(map[string]int64, len(blobs))
	for _, keys := range runs {
		err := InTx(ctx, db.w, func(tx *sql.Tx) error { return db.insertParts(ctx, tx, blobs, keys, staged) })
		if err != nil {
			return nil, err
		}
	}
	return staged, nil
}

func (db *DB) insertParts(ctx context.Context, tx *sql.Tx, blobs map[string][]byte, keys []string, staged map[string]int64) error {
	for _, key := range keys {
		data, err := db.sealed(key, blobs[key])
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO parts (data) VALUES (?)`, data)
		if err != nil {
			return err
		}
		if staged[key], err = res.LastInsertId(); err != nil {
			return err
		}
	}
	return nil
}

// saveBlobs makes the staged parts count; of a small snapshot it also writes
// the new and removes the old ones.
func (db *DB) saveBlobs(ctx context.Context, tx *sql.Tx, blobs map[string][]byte, staged map[string]int64) error {
	if len(blobs) == 0 {
		return nil
	}
	all := slices.Sorted(maps.Keys(blobs))
	if staged == nil {
		staged = map[string]int64{}
		err := each(ctx, tx, `DELETE FROM parts WHERE id = (SELECT part FROM blobs WHERE key = ?)`, all, keyArgs)
		for _, keys := range pieces(blobs) {
			if err == nil {
				err = db.insertParts(ctx, tx, blobs, keys, staged)
			}
		}
		if err != nil {
			return err
		}
	}
	err := each(ctx, tx, `DELETE FROM blobs WHERE key = ?`, all, keyArgs)
	if err != nil {
		return err
	}
	put := slices.DeleteFunc(all, func(key string) bool { return blobs[key] == nil })
	return each(ctx, tx, `INSERT INTO blobs (key, part) VALUES (?, ?)`, put,
		func(_ int, key string) []any { return []any{key, staged[key]} })
}

func keyArgs(_ int, key string) []any { return []any{key} }

// sweep removes parts that no key names, a piece at a time: those of the
// snapshot before, and what a crash left. Their pages are used again.
func (db *DB) sweep(ctx context.Context) error {
	type part struct{ id, size int64 }
	old, err := query(ctx, db.w, `SELECT id, length(data) FROM parts WHERE id NOT IN (SELECT part FROM blobs)`, nil,
		func(r *sql.Rows) (p part, err error) { return p, r.Scan(&p.id, &p.size) })
	if err != nil {
		return err
	}
	for len(old) > 0 {
		n, size := 0, int64(0)
		for n < len(old) && (n == 0 || size+old[n].size <= stageBytes) {
			size += old[n].size
			n++
		}
		err := InTx(ctx, db.w, func(tx *sql.Tx) error {
			return each(ctx, tx, `DELETE FROM parts WHERE id = ?`, old[:n], func(_ int, p part) []any { return []any{p.id} })
		})
		if err != nil {
			return err
		}
		old = old[n:]
	}
	return nil
}
