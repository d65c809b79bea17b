package enforce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Standing is what gateways should hold by the ledger as it is. It is for those who are
// asked and do not decide: an enforcer that stands by answers like the active one.
type Standing struct {
	Entries []Entry
	Panic   string // who switched it on and why; "" = off
}

// For is what of it one gateway holds.
func (s Standing) For(gw Gateway) []Entry { return fitting(gw, s.Entries) }

// Standing reads what should be in force at a moment, for an enforcer with such a guard.
func (l *Ledger) Standing(ctx context.Context, guard GuardConfig, now time.Time) (s Standing, err error) {
	if s.Panic, err = l.Panic(ctx); err != nil {
		return s, err
	}
	open, err := l.inForceAgain(ctx)
	if err != nil {
		return s, err
	}
	var live []*Decision
	for i := range open {
		if d := &open[i]; d.State.Live() && d.Expires > now.UnixNano() {
			live = append(live, d)
		}
	}
	g, err := NewGuard(guard)
	if err != nil {
		return s, err
	}
	allows, err := l.Allowing(ctx, now)
	s.Entries = entries(live, g.spared(allows, now.UnixNano()))
	return s, err
}

// Panic says who switched the panic switch on and why; "" = it is off.
func (l *Ledger) Panic(ctx context.Context) (string, error) { return l.meta(ctx, "panic") }

// Mark is a number that grows with every change of a decision.
func (l *Ledger) Mark(ctx context.Context) (int64, error) {
	var n sql.NullInt64
	if err := l.r.QueryRowContext(ctx, `SELECT max(seq) FROM changes`).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("enforce: read changes: %w", err)
	}
	return n.Int64, nil
}

// idsAtOnce bounds the parameters of one query.
const idsAtOnce = 500

// ByID returns the decisions with these ids, as far as there are any, with the subjects
// that are meant, also where they are stored hidden.
func (l *Ledger) ByID(ctx context.Context, ids []string) ([]Decision, error) {
	var all []Decision
	for chunk := range slices.Chunk(ids, idsAtOnce) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		list, err := l.decisions(ctx, `WHERE id IN (?`+strings.Repeat(`, ?`, len(chunk)-1)+`)`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return l.unhidden(all), nil
}

// ReleasedEarly returns decisions that were released, and whose time would not be over
// yet; the newest 10 000.
func (l *Ledger) ReleasedEarly(ctx context.Context, now time.Time) ([]Decision, error) {
	list, err := l.decisions(ctx, `WHERE state = 'released' AND expires > ? ORDER BY created DESC LIMIT 10000`, now.UnixNano())
	return l.unhidden(list), err
}

func (l *Ledger) unhidden(list []Decision) []Decision {
	for i := range list {
		list[i].Subject.Value = l.shown(list[i].Subject.Value)
	}
	return list
}

// Allowing returns the allow-list that counts at a moment, with the values that are meant.
func (l *Ledger) Allowing(ctx context.Context, now time.Time) ([]Allow, error) {
	list, err := l.allowedAgain(ctx)
	return slices.DeleteFunc(list, func(a Allow) bool { return a.Expires != 0 && a.Expires <= now.UnixNano() }), err
}
