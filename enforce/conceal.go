package enforce

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// Cloak hides addresses in the ledger and shows them to the enforcer, since a
// gateway needs them; *identity.Cloak is one. It is used from any goroutine.
type Cloak interface {
	HideText(s string) string // all addresses and networks in s; what is hidden stays so
	ShowText(s string) string // its inverse
}

// Conceal gives the ledger what hides addresses. With hide, all that is written
// from now on is hidden; without, only what was hidden before is understood.
// What the methods of the ledger return is as it is stored: only the enforcer
// looks behind it. Call it before anything else.
func (l *Ledger) Conceal(c Cloak, hide bool) *Ledger {
	l.cloak, l.hide = c, hide
	return l
}

// hidden is a text as it is stored. One that clean has cut loses an address that
// the cut left half of, which could not be told for one.
func (l *Ledger) hidden(s string) string {
	if !l.hide || s == "" {
		return s
	}
	if len(s) > textMax-4 {
		s = strings.TrimRight(s, "0123456789abcdefABCDEF:.")
	}
	return l.cloak.HideText(s)
}

// Hidden is a text as the ledger would store it, for those who show it.
func (l *Ledger) Hidden(s string) string { return l.hidden(s) }

// shown is what a stored value stands for.
func (l *Ledger) shown(s string) string {
	if l.cloak == nil || s == "" {
		return s
	}
	return l.cloak.ShowText(s)
}

// other is how a value may be stored besides as it is.
func (l *Ledger) other(s string) string {
	if l.cloak == nil || s == "" {
		return s
	}
	return l.cloak.HideText(s)
}

func (l *Ledger) hiddenSubject(s detect.Subject) detect.Subject {
	s.Value = l.hidden(s.Value)
	return s
}

// inForceAgain returns the open decisions as the enforcer knows them.
func (l *Ledger) inForceAgain(ctx context.Context) ([]Decision, error) {
	open, err := l.decisions(ctx, `WHERE `+openStates)
	for i := range open {
		open[i].Subject.Value = l.shown(open[i].Subject.Value)
	}
	return open, err
}

// allowedAgain returns the allow-list as the enforcer knows it.
func (l *Ledger) allowedAgain(ctx context.Context) ([]Allow, error) {
	list, err := l.Allowed(ctx)
	for i := range list {
		list[i].Value = l.shown(list[i].Value)
	}
	return list, err
}

// concealed is the batch as it is stored.
func (l *Ledger) concealed(b *batch) *batch {
	if !l.hide {
		return b
	}
	c := *b
	c.decisions, c.counted = maps.Clone(b.decisions), make(map[countedKey]Counted, len(b.counted))
	for id, d := range c.decisions {
		d.Subject, d.Reason, d.Why = l.hiddenSubject(d.Subject), l.hidden(d.Reason), l.hidden(d.Why)
		d.Collateral, d.Route = l.hidden(d.Collateral), l.hidden(d.Route)
		c.decisions[id] = d
	}
	c.changes = append([]changeRow(nil), b.changes...)
	for i := range c.changes {
		c.changes[i].Why = l.hidden(c.changes[i].Why)
	}
	for k, v := range b.counted {
		k.subject = l.hiddenSubject(k.subject)
		c.counted[k] = v
	}
	c.allows = append([]Allow(nil), b.allows...)
	for i := range c.allows {
		c.allows[i].Value, c.allows[i].Why = l.hidden(c.allows[i].Value), l.hidden(c.allows[i].Why)
	}
	c.commands = append([]Command(nil), b.commands...)
	for i := range c.commands {
		o := &c.commands[i]
		o.Arg, o.Why, o.Result = l.hidden(o.Arg), l.hidden(o.Why), l.hidden(o.Result)
	}
	if b.panics != nil {
		text := l.hidden(*b.panics)
		c.panics = &text
	}
	return &c
}

// both adds to the batch the other form of what it deletes or replaces by its
// value, for what was stored before the hiding was switched.
func (l *Ledger) both(b *batch) {
	if l.cloak == nil {
		return
	}
	for _, s := range b.forgiven {
		if o := l.other(s.Value); o != s.Value {
			b.forgiven = append(b.forgiven, detect.Subject{Kind: s.Kind, Value: o})
		}
	}
	for _, v := range b.disallows {
		if o := l.other(v); o != v {
			b.disallows = append(b.disallows, o)
		}
	}
	for _, a := range b.allows {
		for _, v := range [...]string{a.Value, l.other(a.Value)} {
			if v != l.hidden(a.Value) {
				b.disallows = append(b.disallows, v)
			}
		}
	}
}

// stored are the columns in which addresses may stand.
var stored = []struct{ table, key, column string }{
	{"decisions", "id", "value"}, {"decisions", "id", "reason"}, {"decisions", "id", "why"}, {"decisions", "id", "collateral"}, {"decisions", "id", "route"},
	{"changes", "seq", "why"}, {"allows", "value", "why"}, {"allows", "value", "value"},
	{"commands", "id", "arg"}, {"commands", "id", "why"}, {"commands", "id", "result"}, {"enforce_meta", "key", "value"},
}

// HideStored hides what was stored before addresses were hidden, once: it is for
// the first start with hiding on. Ids of decisions stay, people know them. It is
// the one time that history is written anew.
func (l *Ledger) HideStored(ctx context.Context) error {
	err := l.tx(ctx, func(tx *sql.Tx) error {
		clear, err := recorded(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DROP TRIGGER IF EXISTS changes_stay`); err != nil {
			return err
		}
		for _, s := range stored {
			if err := l.hideColumn(ctx, tx, s.table, s.key, s.column); err != nil {
				return err
			}
		}
		for _, table := range [...]string{"counted", "watched"} {
			if err := l.hideSubjects(ctx, tx, table); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, changesStay); err != nil {
			return err
		}
		return oweChanged(ctx, tx, clear)
	})
	if err != nil {
		return fmt.Errorf("enforce: hide what the ledger holds: %w", err)
	}
	return nil
}

func (l *Ledger) hideColumn(ctx context.Context, tx *sql.Tx, table, key, column string) error {
	type cell struct{ key, text string }
	cells, err := collect(ctx, tx, `SELECT `+key+`, `+column+` FROM `+table, nil,
		func(r *sql.Rows) (c cell, err error) { return c, r.Scan(&c.key, &c.text) })
	if err != nil {
		return err
	}
	var changed []cell
	for _, c := range cells {
		if l.hidden(c.text) != c.text {
			changed = append(changed, c)
		}
	}
	return each(ctx, tx, `UPDATE OR REPLACE `+table+` SET `+column+` = ? WHERE `+key+` = ?`, changed,
		func(c cell) []any { return []any{l.hidden(c.text), c.key} })
}

func (l *Ledger) hideSubjects(ctx context.Context, tx *sql.Tx, table string) error {
	values, err := collect(ctx, tx, `SELECT DISTINCT value FROM `+table, nil, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		return err
	}
	return each(ctx, tx, `UPDATE OR REPLACE `+table+` SET value = ? WHERE value = ?`, values,
		func(v string) []any { return []any{l.hidden(v), v} })
}
