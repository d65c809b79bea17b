package enforce

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// byPeople is the condition that a change was made by a person, not by a part of ours.
const byPeople = `who NOT IN ('policy', 'gateway', 'verify')`

// Trace is a step with what is told of its decision.
type Trace struct {
	Step
	Subject detect.Subject
	Action  Action
	Rule    string
}

// AuditQuery selects traces or commands; the zero value of a field does not restrict.
type AuditQuery struct {
	People bool   // only what a person did
	Text   string // only steps of a decision of exactly this subject value
	Since  int64  // at or after, Unix nanoseconds
	Before int64  // Seq or ID of the last row of the page before
	Limit  int    // 0 = 100, at most 10 000
}

func (q AuditQuery) limit() int {
	if q.Limit <= 0 {
		return 100
	}
	return min(q.Limit, 10000)
}

// Trail returns a page of all changes of all decisions, the newest first.
func (l *Ledger) Trail(ctx context.Context, q AuditQuery) ([]Trace, error) {
	where, args := []string{`1`}, []any{}
	add := func(cond string, on bool, v ...any) {
		if on {
			where, args = append(where, cond), append(args, v...)
		}
	}
	add(`c.`+byPeople, q.People)
	add(`d.value IN (?, ?)`, q.Text != "", q.Text, l.other(q.Text))
	add(`c.at >= ?`, q.Since != 0, q.Since)
	add(`c.seq < ?`, q.Before != 0, q.Before)
	text := `SELECT c.seq, c.decision, coalesce(d.kind, ''), coalesce(d.value, ''), coalesce(d.action, ''), coalesce(d.rule, ''),
		c.at, c.who, c.from_state, c.to_state, c.why
		FROM changes c LEFT JOIN decisions d ON d.id = c.decision WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY c.seq DESC LIMIT ?`
	out, err := collect(ctx, l.r, text, append(args, q.limit()), func(r *sql.Rows) (s Trace, err error) {
		return s, r.Scan(&s.Seq, &s.Decision, &s.Subject.Kind, &s.Subject.Value, &s.Action, &s.Rule, &s.At, &s.Who, &s.From, &s.To, &s.Why)
	})
	if err != nil {
		return nil, fmt.Errorf("enforce: read changes: %w", err)
	}
	return out, nil
}

// Commands returns a page of what people asked for, the newest first.
func (l *Ledger) Commands(ctx context.Context, q AuditQuery) ([]Command, error) {
	where, args := `WHERE at >= ?`, []any{q.Since}
	if q.Before != 0 {
		where, args = where+` AND id < ?`, append(args, q.Before)
	}
	return l.commands(ctx, where+` ORDER BY id DESC LIMIT ?`, append(args, q.limit())...)
}

// Judged is what became of the decisions of one rule.
type Judged struct {
	Rule     string
	Decided  int64 // decisions that were made or proposed
	Standing int64 // of them in force now
	Approved int64 // put in force by a person
	TakenOff int64 // released, dismissed or allowed by a person: what is regretted
}

// Judged counts decisions made at or after since by the rule that weighed most.
func (l *Ledger) Judged(ctx context.Context, since int64) ([]Judged, error) {
	const by = `EXISTS (SELECT 1 FROM changes WHERE decision = d.id AND ` + byPeople + ` AND to_state = `
	out, err := collect(ctx, l.r, `SELECT rule, count(*), sum(state IN `+liveStates+`), sum(`+by+`'approved')),
		sum(code <> ? AND `+by+`'released' AND why NOT LIKE 'superseded by %')) FROM decisions d WHERE created >= ? GROUP BY rule ORDER BY rule`,
		[]any{CodePanic, since}, func(r *sql.Rows) (j Judged, err error) {
			return j, r.Scan(&j.Rule, &j.Decided, &j.Standing, &j.Approved, &j.TakenOff)
		})
	if err != nil {
		return nil, fmt.Errorf("enforce: count decisions by rule: %w", err)
	}
	return out, nil
}

// States counts all decisions made at or after since by their state.
func (l *Ledger) States(ctx context.Context, since int64) (map[State]int64, error) {
	out := map[State]int64{}
	_, err := collect(ctx, l.r, `SELECT state, count(*) FROM decisions WHERE created >= ? OR `+openStates+` GROUP BY state`, []any{since},
		func(r *sql.Rows) (struct{}, error) {
			var s State
			var n int64
			err := r.Scan(&s, &n)
			out[s] = n
			return struct{}{}, err
		})
	if err != nil {
		return nil, fmt.Errorf("enforce: count decisions by state: %w", err)
	}
	return out, nil
}
