package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/portcullis/portcullis/detect"
)

// Tally counts findings that are alike.
type Tally struct {
	Rule     string
	Family   detect.Family
	Severity detect.Severity
	Kind     string // of the subjects
	Findings int64
	Newest   int64 // FiredAt of the newest, Unix nanoseconds
}

// Tallies counts the findings that fired at or after since and before until (Unix
// nanoseconds, 0 = no bound), by rule, severity and kind of subject. It reads an index
// only: the findings themselves are not touched.
func (db *DB) Tallies(ctx context.Context, since, until int64) ([]Tally, error) {
	text, args := `SELECT rule, family, severity, kind, count(*), max(fired_at) FROM findings WHERE fired_at >= ?`, []any{since}
	if until != 0 {
		text, args = text+` AND fired_at < ?`, append(args, until)
	}
	out, err := query(ctx, db.r, text+` GROUP BY rule, family, severity, kind ORDER BY rule, severity, kind`, args, func(r *sql.Rows) (t Tally, err error) {
		return t, r.Scan(&t.Rule, &t.Family, &t.Severity, &t.Kind, &t.Findings, &t.Newest)
	})
	if err != nil {
		return nil, fmt.Errorf("store: count findings: %w", err)
	}
	return out, nil
}
