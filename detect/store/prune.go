package store

import (
	"context"
	"fmt"
	"time"
)

// Retention says how long things are kept. Zero keeps them for good.
type Retention struct {
	Findings    time.Duration `yaml:"findings" default:"720h" doc:"how long findings are kept, by the time they fired (30 days)"`
	Rollups     time.Duration `yaml:"rollups" default:"2160h" doc:"how long minute-wise traffic is kept (90 days: about 130 000 rows per route)"`
	MaxFindings int           `yaml:"max_findings" default:"1000000" doc:"findings kept at most, the oldest go first (about 1 KB each)"`
}

// Check reports settings that would delete what was just written.
func (r Retention) Check(report func(key, message string)) {
	if r.Findings != 0 && r.Findings < time.Hour {
		report("findings", "keep findings for at least 1h, or 0 for good")
	}
	if r.Rollups != 0 && r.Rollups < time.Hour {
		report("rollups", "keep rollups for at least 1h, or 0 for good")
	}
	if r.MaxFindings < 0 {
		report("max_findings", "must not be negative; 0 means no bound")
	}
}

// pruneRows is deleted per transaction, so that a first prune of a large file
// never keeps the engine from saving for long.
const pruneRows = 5000

// Prune deletes what is older than the retention, counted back from now, and
// gives the space back to the file system. It may be interrupted at any point.
func (db *DB) Prune(ctx context.Context, now time.Time, r Retention) error {
	type cut struct {
		text string
		args []any
	}
	var cuts []cut
	if r.Findings > 0 {
		cuts = append(cuts, cut{`DELETE FROM findings WHERE id IN (SELECT id FROM findings WHERE fired_at < ? LIMIT ?)`,
			[]any{now.Add(-r.Findings).UnixNano(), pruneRows}})
	}
	if r.MaxFindings > 0 {
		cuts = append(cuts, cut{`DELETE FROM findings WHERE id IN (SELECT id FROM findings ORDER BY fired_at DESC, id LIMIT ?2 OFFSET ?1)`,
			[]any{r.MaxFindings, pruneRows}})
	}
	if r.Rollups > 0 {
		cuts = append(cuts, cut{`DELETE FROM rollups WHERE (minute, source, route) IN
			(SELECT minute, source, route FROM rollups WHERE minute < ? LIMIT ?)`,
			[]any{now.Add(-r.Rollups).Unix(), pruneRows}})
	}
	for _, c := range cuts {
		for n := int64(pruneRows); n == pruneRows; {
			res, err := db.w.ExecContext(ctx, c.text, c.args...)
			if err == nil {
				n, err = res.RowsAffected()
			}
			if err != nil {
				return fmt.Errorf("store: prune: %w%s", err, hint(err))
			}
		}
	}
	if _, err := db.w.ExecContext(ctx, `PRAGMA incremental_vacuum(10000)`); err != nil {
		return fmt.Errorf("store: prune: give space back: %w%s", err, hint(err))
	}
	return nil
}
