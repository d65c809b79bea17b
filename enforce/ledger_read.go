package enforce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

const decisionColumns = `id, kind, value, route, action, rate, burst, state, reason, code, rule, findings, score, why,
	collateral, by_whom, offence, people, good, created, expires, pushed_at, checked, trigger_at`

const (
	liveStates = `('approved', 'pushed', 'verified', 'not_enforced')`
	openStates = `state NOT IN ('expired', 'released')`
)

// Decisions returns a page of decisions, the newest first, then by id.
func (l *Ledger) Decisions(ctx context.Context, q DecisionQuery) ([]Decision, error) {
	var where []string
	var args []any
	add := func(cond string, on bool, v ...any) {
		if on {
			where, args = append(where, cond), append(args, v...)
		}
	}
	q.Subject.Value = l.shown(q.Subject.Value)
	wider := Network(q.Subject) // an IPv6 client is acted on with its whole /64
	add(`state = ?`, q.State != "", q.State)
	add(`state IN `+liveStates, q.Live)
	add(`kind = ?`, q.Subject.Kind != "" && wider == "", q.Subject.Kind)
	add(`value IN (?, ?, ?, ?)`, q.Subject.Value != "", q.Subject.Value, wider, l.other(q.Subject.Value), l.other(wider))
	add(`created >= ?`, q.Since != 0, q.Since)
	if q.After != "" {
		var at int64
		err := l.r.QueryRowContext(ctx, `SELECT created FROM decisions WHERE id = ?`, q.After).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("enforce: decisions: no decision %s to go on after: start from the first page", quoted(q.After))
		}
		if err != nil {
			return nil, fmt.Errorf("enforce: decisions: %w", err)
		}
		add(`(created < ? OR (created = ? AND id > ?))`, true, at, at, q.After)
	}
	text := ""
	if len(where) > 0 {
		text = `WHERE ` + strings.Join(where, ` AND `)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	return l.decisions(ctx, text+` ORDER BY created DESC, id LIMIT ?`, append(args, min(limit, 10000))...)
}

// Network is the /64 of a single IPv6 address, which is acted on as a whole; "" for
// everything else.
func Network(s detect.Subject) string {
	a, err := netip.ParseAddr(s.Value)
	if s.Kind != "ip" && s.Kind != "" || err != nil || !a.Is6() || a.Is4In6() {
		return ""
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
}

// Decision returns one decision, and whether there is one.
func (l *Ledger) Decision(ctx context.Context, id string) (Decision, bool, error) {
	out, err := l.decisions(ctx, `WHERE id = ?`, id)
	if err != nil || len(out) == 0 {
		return Decision{}, false, err
	}
	return out[0], true, nil
}

// History returns every change of a decision, the oldest first.
func (l *Ledger) History(ctx context.Context, id string) ([]Change, error) {
	out, err := collect(ctx, l.r, `SELECT at, who, from_state, to_state, why FROM changes WHERE decision = ? ORDER BY n, seq`, []any{id}, scanChange)
	if err != nil {
		return nil, fmt.Errorf("enforce: history of %s: %w", quoted(id), err)
	}
	return out, nil
}

func (l *Ledger) decisions(ctx context.Context, where string, args ...any) ([]Decision, error) {
	out, err := collect(ctx, l.r, `SELECT `+decisionColumns+` FROM decisions `+where, args,
		func(r *sql.Rows) (Decision, error) { return scanDecision(r) })
	if err != nil {
		return nil, fmt.Errorf("enforce: decisions: %w", err)
	}
	return out, nil
}

func scanChange(r *sql.Rows) (c Change, err error) {
	return c, r.Scan(&c.At, &c.Who, &c.From, &c.To, &c.Why)
}

func scanDecision(r *sql.Rows, more ...any) (d Decision, err error) {
	err = r.Scan(append([]any{&d.ID, &d.Subject.Kind, &d.Subject.Value, &d.Route, &d.Action, &d.Rate, &d.Burst, &d.State, &d.Reason,
		&d.Code, &d.Rule, &d.Findings, &d.Score, &d.Why, &d.Collateral, &d.By, &d.Offence, &d.People, &d.Good,
		&d.Created, &d.Expires, &d.PushedAt, &d.Checked, &d.Trigger}, more...)...)
	return d, err
}

const countedColumns = `finding, rule, family, hard, top, weight, at`

func scanCounted(r *sql.Rows) (c Counted, err error) {
	return c, r.Scan(&c.Finding, &c.Rule, &c.Family, &c.Hard, &c.Top, &c.Weight, &c.At)
}

// remembered tells of which of the subjects of a kind anything is remembered that record
// would return, or any other decision.
func (l *Ledger) remembered(ctx context.Context, kind string, values []string) (map[string]bool, error) {
	of := map[string]string{} // as stored, hidden or not
	known := map[string]bool{}
	var all []string
	for _, v := range values {
		for _, stored := range [...]string{v, l.other(v)} {
			of[stored] = v
			all = append(all, stored)
		}
	}
	for chunk := range slices.Chunk(all, idsAtOnce) {
		args := []any{kind}
		for _, v := range chunk {
			args = append(args, v)
		}
		list := `(?` + strings.Repeat(`, ?`, len(chunk)-1) + `)`
		for _, from := range [...]string{`counted WHERE kind = ? AND value IN ` + list, `decisions WHERE kind = ? AND value IN ` + list} {
			found, err := collect(ctx, l.r, `SELECT DISTINCT value FROM `+from, args, func(r *sql.Rows) (v string, err error) { return v, r.Scan(&v) })
			if err != nil {
				return nil, fmt.Errorf("enforce: read who is remembered: %w", err)
			}
			for _, v := range found {
				known[of[v]] = true
			}
		}
	}
	return known, nil
}

// record reads what is remembered of a subject.
func (l *Ledger) record(ctx context.Context, s detect.Subject) (*Record, error) {
	counted, err := collect(ctx, l.r, `SELECT `+countedColumns+` FROM (
		SELECT * FROM counted WHERE kind = ? AND value IN (?, ?) ORDER BY at DESC LIMIT ?) ORDER BY finding, top DESC`,
		[]any{s.Kind, s.Value, l.other(s.Value), recordMax}, scanCounted)
	// A finding stands there twice where hiding was switched off while it grew.
	counted = slices.CompactFunc(counted, func(a, b Counted) bool { return a.Finding == b.Finding })
	rec := &Record{Subject: s, Counted: counted}
	if err == nil {
		err = l.r.QueryRowContext(ctx, `SELECT coalesce(max(offence), 0), coalesce(max(trigger_at), 0),
			coalesce(max((SELECT max(at) FROM changes WHERE decision = id AND to_state IN ('expired', 'released'))), 0)
			FROM decisions WHERE kind = ? AND value IN (?, ?) AND offended = 1`, s.Kind, s.Value, l.other(s.Value)).Scan(&rec.Offences, &rec.Offended, &rec.Served)
	}
	if err != nil {
		return nil, fmt.Errorf("enforce: read the record of a subject: %w", err)
	}
	return rec, nil
}

// recent returns when the policy put decisions in force since a moment, the
// oldest first.
func (l *Ledger) recent(ctx context.Context, since int64) ([]int64, error) {
	out, err := collect(ctx, l.r, `SELECT at FROM changes WHERE to_state = 'approved' AND at > ? AND who = 'policy' ORDER BY at`, []any{since},
		func(r *sql.Rows) (at int64, err error) { return at, r.Scan(&at) })
	if err != nil {
		return nil, fmt.Errorf("enforce: read changes: %w", err)
	}
	return out, nil
}

// meta returns what is kept by key, such as the panic switch; "" = nothing.
func (l *Ledger) meta(ctx context.Context, key string) (string, error) {
	var v string
	err := l.r.QueryRowContext(ctx, `SELECT value FROM enforce_meta WHERE key = ?`, key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("enforce: read %s: %w", key, err)
	}
	return v, nil
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func collect[T any](ctx context.Context, db queryer, text string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := db.QueryContext(ctx, text, args...)
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
