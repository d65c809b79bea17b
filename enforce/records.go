package enforce

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/journal"
)

// records is a batch as the journal gets it, as it is stored. A group must be
// there as a whole or not at all. The order makes a batch harmless of which only
// the beginning is there, since its writer died: a decision whose finding does
// not count yet is found when that is judged again, and a command is done again
// unless it is noted as done, which is last.
func (b *batch) records(ctx context.Context, q queryer) (groups [][]journal.Record, err error) {
	for _, part := range []func(context.Context, queryer) ([][]journal.Record, error){
		b.decisionRecords, b.countedRecords, b.otherRecords,
	} {
		more, err := part(ctx, q)
		if err != nil {
			return nil, err
		}
		groups = append(groups, more...)
	}
	return groups, nil
}

// decisionRecords has one group for each decision: what changed, and how it
// stands now.
func (b *batch) decisionRecords(ctx context.Context, q queryer) (groups [][]journal.Record, err error) {
	ids := map[string]bool{}
	for id := range b.decisions {
		ids[id] = true
	}
	for id := range b.offended {
		ids[id] = true
	}
	changes := map[string][]Change{}
	for _, c := range b.changes {
		ids[c.decision] = true
		changes[c.decision] = append(changes[c.decision], c.Change)
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		var group []journal.Record
		if len(changes[id]) > 0 {
			next, err := collect(ctx, q, `SELECT coalesce(max(n) + 1, 0) FROM changes WHERE decision = ?`, []any{id},
				func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
			if err != nil {
				return nil, err
			}
			for i, c := range changes[id] {
				n := strconv.FormatInt(next[0]+int64(i), 10)
				group = append(group, journal.Record{Key: journal.Key(journal.Change, id, n), Value: encodeChange(c)})
			}
		}
		value, err := b.decisionValue(ctx, q, id)
		if err != nil {
			return nil, err
		}
		if value != nil {
			group = append(group, journal.Record{Key: journal.Key(journal.Decision, id), Value: value})
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// decisionValue is a decision as it will stand; nil: there is none.
func (b *batch) decisionValue(ctx context.Context, q queryer, id string) ([]byte, error) {
	type row struct {
		Decision
		offended bool
	}
	rows, err := collect(ctx, q, `SELECT `+decisionColumns+`, offended FROM decisions WHERE id = ?`, []any{id}, func(r *sql.Rows) (o row, err error) {
		o.Decision, err = scanDecision(r, &o.offended)
		return o, err
	})
	if err != nil {
		return nil, err
	}
	var now row
	if len(rows) > 0 {
		now = rows[0]
	}
	if d, ok := b.decisions[id]; ok {
		now.Decision = d
	} else if len(rows) == 0 {
		return nil, nil
	}
	if v, ok := b.offended[id]; ok {
		now.offended = v
	}
	return encodeDecision(now.Decision, now.offended), nil
}

// countedRecords spells out what is forgiven: every finding of the subject.
func (b *batch) countedRecords(ctx context.Context, q queryer) (groups [][]journal.Record, err error) {
	all := map[countedKey]Counted{}
	for _, s := range b.forgiven {
		rows, err := collect(ctx, q, `SELECT `+countedColumns+` FROM counted WHERE kind = ? AND value = ?`, []any{s.Kind, s.Value}, scanCounted)
		if err != nil {
			return nil, err
		}
		for _, c := range rows {
			c.Weight, c.Top = 0, forgiven
			all[countedKey{s, c.Finding}] = c
		}
	}
	maps.Copy(all, b.counted)
	for k, c := range all {
		groups = append(groups, []journal.Record{{
			Key: journal.Key(journal.Counted, k.subject.Kind, k.subject.Value, k.finding), Value: encodeCounted(c),
		}})
	}
	slices.SortFunc(groups, func(a, b []journal.Record) int { return compareKeys(a[0], b[0]) })
	return groups, nil
}

func compareKeys(a, b journal.Record) int {
	switch {
	case a.Key < b.Key:
		return -1
	case a.Key > b.Key:
		return 1
	}
	return 0
}

// otherRecords has the allow-list, the panic switch and, last, the commands.
func (b *batch) otherRecords(context.Context, queryer) (groups [][]journal.Record, err error) {
	add := func(recs ...journal.Record) { groups = append(groups, recs) }
	for _, a := range b.allows {
		add(journal.Record{Key: journal.Key(journal.Allow, a.Value), Value: encodeAllow(a)})
	}
	for _, v := range b.disallows {
		add(journal.Record{Key: journal.Key(journal.Allow, v)})
	}
	if b.panics != nil {
		add(journal.Record{Key: journal.Key(journal.Meta, "panic"), Value: encodeMeta(*b.panics)})
	}
	for _, c := range b.commands {
		add(journal.Record{Key: journal.Key(journal.Command, c.UID), Value: encodeCommand(c)},
			journal.Record{Key: journal.Key(journal.Request, c.UID)})
	}
	return groups, nil
}

// owedAtOnce is how many owed keys one append writes again.
const owedAtOnce = 1000

// repay writes again what the journal may hold otherwise than the ledger: keys
// that somebody who led no longer wrote over, and everything where a ledger that
// worked alone begins to lead. It must lead.
func (l *Ledger) repay(ctx context.Context) error {
	for {
		var keys []string
		keys, err := collect(ctx, l.r, `SELECT key FROM journal_owed LIMIT ?`, []any{owedAtOnce}, func(r *sql.Rows) (k string, err error) { return k, r.Scan(&k) })
		if err != nil || len(keys) == 0 {
			return err
		}
		err = l.commit(ctx, func(ctx context.Context) (groups [][]journal.Record, err error) {
			for _, key := range keys {
				name, parts, _ := journal.Split(key)
				value, err := kinds[name].get(ctx, l.r, parts)
				if err != nil {
					return nil, err
				}
				groups = append(groups, []journal.Record{{Key: key, Value: value}})
			}
			return groups, nil
		})
		if err != nil {
			return err
		}
	}
}

// watched returns the watch list of the journal, as the enforcer knows subjects.
func (l *Ledger) watched(ctx context.Context) ([]detect.Watch, error) {
	list, err := collect(ctx, l.r, selectWatched, nil, scanWatch)
	for i := range list {
		list[i].Subject.Value = l.shown(list[i].Subject.Value)
	}
	slices.SortFunc(list, compareWatch)
	return list, err
}

// writeWatched makes the list that of the journal, from where detectors take it.
func (l *Ledger) writeWatched(ctx context.Context, list []detect.Watch) error {
	want := slices.Clone(list)
	for i := range want {
		want[i].Subject = l.hiddenSubject(want[i].Subject)
	}
	return l.commit(ctx, func(ctx context.Context) (groups [][]journal.Record, err error) {
		have, err := collect(ctx, l.r, selectWatched, nil, scanWatch)
		for _, r := range journal.WatchDiff(have, want) {
			groups = append(groups, []journal.Record{r})
		}
		return groups, err
	})
}

// requestsAtOnce bounds the commands that one Send takes.
const requestsAtOnce = 100

// Send appends the commands that were posted on this machine and that the
// journal does not have yet, and returns how many. Every process with an inbox
// calls it often, whether it leads or not: the leader takes commands from the
// journal only, and the answer comes back by Apply. After an error they are sent
// again, and done once all the same.
func (l *Ledger) Send(ctx context.Context, j Journal) (int, error) {
	list, err := l.commands(ctx, `WHERE done = 0 AND sent = 0 AND uid <> '' ORDER BY id LIMIT ?`, requestsAtOnce)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	var recs []journal.Record
	for _, c := range list {
		recs = append(recs, journal.Record{Key: journal.Key(journal.Request, c.UID), Value: encodeCommand(c)})
	}
	if err := appendWithin(ctx, j, 0, recs); err != nil {
		return 0, err
	}
	err = l.tx(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `UPDATE commands SET sent = `+sentTaken+` WHERE uid = ? AND sent = 0`, list, func(c Command) []any { return []any{c.UID} })
	})
	if err != nil {
		return 0, fmt.Errorf("enforce: note what the journal took: %w", err)
	}
	return len(list), nil
}
