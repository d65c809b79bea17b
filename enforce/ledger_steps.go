package enforce

import (
	"context"
	"database/sql"
	"fmt"
)

// Step is a change as it was written here: Seq grows with each.
type Step struct {
	Seq      int64
	Decision string
	Change
}

// Steps returns changes behind seq, the oldest first, at most limit: for those who
// copy the ledger's history elsewhere, and note how far they are.
func (l *Ledger) Steps(ctx context.Context, seq int64, limit int) ([]Step, error) {
	out, err := collect(ctx, l.r, `SELECT seq, decision, at, who, from_state, to_state, why FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`, []any{seq, limit},
		func(r *sql.Rows) (s Step, err error) {
			return s, r.Scan(&s.Seq, &s.Decision, &s.At, &s.Who, &s.From, &s.To, &s.Why)
		})
	if err != nil {
		return nil, fmt.Errorf("enforce: read changes: %w", err)
	}
	return out, nil
}

// Answered returns commands behind an id that were carried out, the oldest first, at
// most limit.
func (l *Ledger) Answered(ctx context.Context, id int64, limit int) ([]Command, error) {
	return l.commands(ctx, `WHERE done = 1 AND id > ? ORDER BY id LIMIT ?`, id, limit)
}
