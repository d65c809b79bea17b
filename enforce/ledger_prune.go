package enforce

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/enforce/journal"
)

// pruned is what goes after a moment: changes before the decision that they are
// found by.
var pruned = []struct{ kind, table, where string }{
	{journal.Change, `changes`, `decision IN (SELECT id FROM decisions WHERE NOT (` + openStates + `) AND created < ?)`},
	{journal.Decision, `decisions`, `NOT (` + openStates + `) AND created < ?`},
	{journal.Command, `commands`, `done = 1 AND at < ?`},
	{journal.Allow, `allows`, `expires <> 0 AND expires < ?`},
	{journal.Counted, `counted`, `at < ?`},
}

const (
	prunedAtOnce = 1000
	// prunedMost bounds what one call deletes in the journal, since nothing else is
	// decided meanwhile; the next call goes on.
	prunedMost = 100_000
)

// Prune deletes ended decisions that began before the moment, with their
// history, and commands and findings as old. Open decisions and the allow-list
// stay. A leader deletes them in the journal, and so in every ledger; a ledger
// that only follows cannot be pruned.
func (l *Ledger) Prune(ctx context.Context, before time.Time) error {
	cut := before.UnixNano()
	var err error
	if l.cluster.follows() {
		err = l.pruneJournal(ctx, cut)
	} else {
		err = l.tx(ctx, func(tx *sql.Tx) error {
			for _, p := range pruned {
				if _, err := tx.ExecContext(ctx, `DELETE FROM `+p.table+` WHERE `+p.where, cut); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("enforce: prune the ledger: %w", err)
	}
	return nil
}

func (l *Ledger) pruneJournal(ctx context.Context, cut int64) error {
	total := 0
	for _, p := range pruned {
		for n := prunedAtOnce; n == prunedAtOnce && total < prunedMost; total += n {
			err := l.commit(ctx, func(ctx context.Context) ([][]journal.Record, error) {
				rows, err := kinds[p.kind].rows(ctx, l.r, ` AND `+p.where+` LIMIT ?`, cut, prunedAtOnce)
				n = len(rows)
				return tombstones(p.kind, rows), err
			})
			if err != nil {
				return err
			}
		}
	}
	return l.commit(ctx, func(ctx context.Context) ([][]journal.Record, error) {
		rows, err := collect(ctx, l.r, `SELECT epoch, member FROM journal_terms WHERE at < ? AND epoch < (SELECT max(epoch) FROM journal_terms) LIMIT ?`,
			[]any{cut, prunedAtOnce}, func(r *sql.Rows) ([]string, error) {
				var epoch int64
				var member string
				err := r.Scan(&epoch, &member)
				return []string{strconv.FormatInt(epoch, 10), member}, err
			})
		return tombstones(journal.Leader, rows), err
	})
}

func tombstones(kind string, rows [][]string) (out [][]journal.Record) {
	for _, parts := range rows {
		group := []journal.Record{{Key: journal.Key(kind, parts...)}}
		if kind == journal.Command { // one that was sent twice must not be done again by who reads it later
			group = append(group, journal.Record{Key: journal.Key(journal.Request, parts...)})
		}
		out = append(out, group)
	}
	return out
}
