package enforce

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/journal"
)

// batch is what one step of the enforcer changes. It is written in one
// transaction, so that a finding never counts without the decision that it led
// to, nor a command without its effect.
type batch struct {
	decisions map[string]Decision
	offended  map[string]bool // id of one of them → counts as an offence from now on, or no longer
	changes   []changeRow
	counted   map[countedKey]Counted
	forgiven  []detect.Subject
	allows    []Allow
	disallows []string
	commands  []Command
	panics    *string  // new value of the panic switch
	notes     []func() // what is logged once the batch is written
}

type changeRow struct {
	decision string
	Change
}

type countedKey struct {
	subject detect.Subject
	finding string
}

func newBatch() *batch {
	return &batch{decisions: map[string]Decision{}, offended: map[string]bool{}, counted: map[countedKey]Counted{}}
}

func (b *batch) empty() bool {
	return len(b.decisions) == 0 && len(b.changes) == 0 && len(b.counted) == 0 && len(b.forgiven) == 0 &&
		len(b.allows) == 0 && len(b.disallows) == 0 && len(b.commands) == 0 && b.panics == nil
}

// move changes a decision's state and records who did it, when and why.
func (b *batch) move(d *Decision, to State, who, code, why string, now time.Time) {
	b.changes = append(b.changes, changeRow{d.ID, Change{At: now.UnixNano(), Who: who, From: d.State, To: to, Why: why}})
	d.State, d.Code, d.Reason = to, code, why
	b.decisions[d.ID] = *d
}

// note keeps a line for the log until what it says is durable.
func (b *batch) note(log *slog.Logger, level slog.Level, msg string, args ...any) {
	b.notes = append(b.notes, func() { log.Log(context.Background(), level, msg, args...) })
}

// write makes the batch durable.
func (l *Ledger) write(ctx context.Context, b *batch) error {
	c := l.concealed(b)
	l.both(c)
	var err error
	if l.cluster.follows() {
		err = l.commit(ctx, func(ctx context.Context) ([][]journal.Record, error) { return c.records(ctx, l.r) })
	} else {
		err = l.tx(ctx, func(tx *sql.Tx) error { return c.write(ctx, tx) })
	}
	if err != nil {
		return fmt.Errorf("enforce: write the ledger: %w", err)
	}
	for _, n := range b.notes {
		n()
	}
	return nil
}

func (b *batch) write(ctx context.Context, tx *sql.Tx) error {
	for _, part := range []func(context.Context, *sql.Tx) error{
		b.writeDecisions, b.writeChanges, b.writeCounted, b.writeAllows, b.writeCommands,
	} {
		if err := part(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// each runs one prepared statement for every row.
func each[T any](ctx context.Context, tx *sql.Tx, text string, rows []T, args func(T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // nothing is lost with it
	for _, r := range rows {
		if _, err := stmt.ExecContext(ctx, args(r)...); err != nil {
			return err
		}
	}
	return nil
}

// decisionArgs are in the order of decisionColumns.
func decisionArgs(d Decision) []any {
	return []any{d.ID, d.Subject.Kind, d.Subject.Value, d.Route, string(d.Action), d.Rate, d.Burst, string(d.State),
		d.Reason, d.Code, d.Rule, d.Findings, d.Score, d.Why, d.Collateral, d.By, d.Offence, d.People, d.Good,
		d.Created, d.Expires, d.PushedAt, d.Checked, d.Trigger}
}

func (b *batch) writeDecisions(ctx context.Context, tx *sql.Tx) error {
	var same, said []Decision // those of which offended stays as it is, and the others
	for id, d := range b.decisions {
		if _, ok := b.offended[id]; ok {
			said = append(said, d)
		} else {
			same = append(same, d)
		}
	}
	if err := each(ctx, tx, writeDecision, same, func(d Decision) []any { return append(decisionArgs(d), false) }); err != nil {
		return err
	}
	return each(ctx, tx, writeDecision+`, offended = excluded.offended`, said,
		func(d Decision) []any { return append(decisionArgs(d), b.offended[d.ID]) })
}

const writeDecision = `INSERT INTO decisions (` + decisionColumns + `, offended)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
	ON CONFLICT (id) DO UPDATE SET action = excluded.action, rate = excluded.rate, burst = excluded.burst,
	  state = excluded.state, reason = excluded.reason, code = excluded.code, rule = excluded.rule,
	  findings = excluded.findings, score = excluded.score, why = excluded.why, collateral = excluded.collateral,
	  people = excluded.people, good = excluded.good, expires = excluded.expires,
	  pushed_at = excluded.pushed_at, checked = excluded.checked, trigger_at = excluded.trigger_at`

func (b *batch) writeChanges(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `INSERT INTO changes (decision, n, at, who, from_state, to_state, why)
		VALUES (?1, (SELECT coalesce(max(n) + 1, 0) FROM changes WHERE decision = ?1), ?,?,?,?,?)`,
		b.changes, func(c changeRow) []any {
			return []any{c.decision, c.At, c.Who, string(c.From), string(c.To), c.Why}
		})
}

// forgive takes away what weighs on a subject until now; what the batch counts
// later weighs.
func (b *batch) forgive(s detect.Subject) {
	b.forgiven = append(b.forgiven, s)
	for k, c := range b.counted {
		if k.subject == s {
			c.Weight, c.Top = 0, forgiven
			b.counted[k] = c
		}
	}
}

func (b *batch) writeCounted(ctx context.Context, tx *sql.Tx) error {
	err := each(ctx, tx, `UPDATE counted SET weight = 0, top = ? WHERE kind = ? AND value = ?`, b.forgiven,
		func(s detect.Subject) []any { return []any{forgiven, s.Kind, s.Value} })
	if err != nil {
		return err
	}
	rows := make([]countedKey, 0, len(b.counted))
	for k := range b.counted {
		rows = append(rows, k)
	}
	return each(ctx, tx, insertCounted, rows, func(k countedKey) []any { return countedArgs(k, b.counted[k]) })
}

const insertCounted = `INSERT OR REPLACE INTO counted (kind, value, finding, rule, family, hard, top, weight, at) VALUES (?,?,?,?,?,?,?,?,?)`

func countedArgs(k countedKey, c Counted) []any {
	return []any{k.subject.Kind, k.subject.Value, k.finding, c.Rule, string(c.Family), c.Hard, c.Top, c.Weight, c.At}
}

const (
	insertAllow = `INSERT OR REPLACE INTO allows (` + allowColumns + `) VALUES (?,?,?,?,?)`
	insertMeta  = `INSERT OR REPLACE INTO enforce_meta (key, value) VALUES (?, ?)`
)

func allowArgs(a Allow) []any { return []any{a.Value, a.Why, a.By, a.Created, a.Expires} }

func (b *batch) writeAllows(ctx context.Context, tx *sql.Tx) error {
	if err := each(ctx, tx, insertAllow, b.allows, allowArgs); err != nil {
		return err
	}
	return each(ctx, tx, `DELETE FROM allows WHERE value = ?`, b.disallows, func(v string) []any { return []any{v} })
}

func (b *batch) writeCommands(ctx context.Context, tx *sql.Tx) error {
	if b.panics != nil {
		if _, err := tx.ExecContext(ctx, insertMeta, "panic", *b.panics); err != nil {
			return err
		}
	}
	return each(ctx, tx, `UPDATE commands SET result = ?, done = 1 WHERE id = ?`, b.commands,
		func(c Command) []any { return []any{c.Result, c.ID} })
}
