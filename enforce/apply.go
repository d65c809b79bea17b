package enforce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/enforce/journal"
)

// Report says what became of the records of an Apply.
type Report struct {
	Applied  int       // they are in the ledger now, as far as they say something for it
	Repeated int       // they were before
	Stale    int       // their writer led no longer
	Newer    int       // of a newer version: this program does not know what they mean
	Refused  []Refusal // what no portcullis writes, for the rejected topic
}

// Refusal is a record that was kept out.
type Refusal struct {
	Index  int // in what was given to Apply
	Reason string
}

// Apply takes the next records of the journal, in its order, into the ledger;
// next is the offset behind them. All of it is one transaction: after an error
// nothing is changed, and the same is to be given again. Records before the
// position are left out, so that giving too many does no harm. It is called from
// one goroutine, also while the ledger leads: what a leader writes stands in its
// own ledger, too, only once it came back from the journal, since only then is
// it known that nobody else led before.
func (l *Ledger) Apply(ctx context.Context, recs []journal.Record, next int64) (Report, error) {
	a := applier{}
	err := l.tx(ctx, func(tx *sql.Tx) error {
		p, ok, err := loadPlace(ctx, tx)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("Resume first")
		}
		a = applier{tx: tx, place: p}
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM journal_owed)`).Scan(&a.owes); err != nil {
			return err
		}
		for i, r := range recs {
			if err := a.take(ctx, i, r); err != nil {
				return err
			}
		}
		a.place.Position, a.place.At = max(a.place.Position, next), time.Now().UnixNano()
		return savePlace(ctx, tx, a.place)
	})
	if err != nil {
		err, a.report = fmt.Errorf("enforce: take over the journal: %w", err), Report{}
	}
	l.cluster.after(err, &a)
	return a.report, err
}

// applier is one Apply.
type applier struct {
	tx     *sql.Tx
	place  place
	report Report
	mark   int64 // the newest of the term that counts
	owes   bool  // there may be keys owed
}

func (a *applier) take(ctx context.Context, i int, r journal.Record) error {
	if r.Offset < a.place.Position {
		a.report.Repeated++
		return nil
	}
	fence := journal.Fence{Term: a.place.Term}
	verdict, err := fence.Admit(r)
	kindName, parts, _ := journal.Split(r.Key)
	k, known := kinds[kindName]
	known = known && len(parts) == k.parts
	switch {
	case err != nil:
		return a.refuse(ctx, i, r, known, err)
	case verdict == journal.Began:
		return a.began(ctx, fence.Term)
	case verdict == journal.Stale:
		return a.stale(ctx, r, kindName, parts, known)
	case kindName == journal.Leader || kindName == journal.Mark:
		return a.control(ctx, i, r, kindName, parts)
	case !known:
		a.newer()
		return nil
	}
	if err := a.settled(ctx, r.Key); err != nil {
		return err
	}
	var bad badValue
	switch err := a.row(ctx, k, parts, r.Value); {
	case errors.As(err, &bad):
		return a.refuse(ctx, i, r, known, bad)
	case err != nil:
		return err
	}
	a.report.Applied++
	return nil
}

func (a *applier) row(ctx context.Context, k kind, parts []string, value []byte) error {
	if value != nil {
		return k.put(ctx, a.tx, parts, value)
	}
	if k.del == "" {
		return nil
	}
	args := make([]any, len(parts))
	for i, p := range parts {
		args[i] = p
	}
	_, err := a.tx.ExecContext(ctx, k.del, args...)
	return err
}

func (a *applier) began(ctx context.Context, t journal.Term) error {
	if a.place.Alone && !a.place.is(t.Member) {
		return errAlone
	}
	a.place.Term, a.place.Alone = t, false
	a.mark = 0 // those before it are another's
	a.report.Applied++
	return a.term(ctx, t)
}

func (a *applier) term(ctx context.Context, t journal.Term) error {
	_, err := a.tx.ExecContext(ctx, `INSERT OR REPLACE INTO journal_terms (epoch, member, at) VALUES (?,?,?)`, t.Epoch, t.Member, t.At)
	return err
}

// stale notes a key that somebody who leads no longer wrote over: compaction
// keeps that record and not the one that counts.
func (a *applier) stale(ctx context.Context, r journal.Record, kindName string, parts []string, known bool) error {
	a.report.Stale++
	a.place.Stale++
	if kindName == journal.Leader && r.Value != nil {
		t, err := journal.TermKey(parts)
		if err != nil {
			return nil // Admit has looked at it: it cannot be
		}
		t.At = a.place.Term.At // deleted together with those that count
		return a.term(ctx, t)
	}
	if !known {
		return nil
	}
	return a.owe(ctx, r.Key)
}

// control takes a mark, or the deletion of an old term.
func (a *applier) control(ctx context.Context, i int, r journal.Record, kindName string, parts []string) error {
	if kindName == journal.Leader {
		t, err := journal.TermKey(parts)
		if err != nil {
			return a.refuse(ctx, i, r, false, err)
		}
		a.report.Applied++
		_, err = a.tx.ExecContext(ctx, `DELETE FROM journal_terms WHERE epoch = ? AND member = ?`, t.Epoch, t.Member)
		return err
	}
	var v markValue
	if err := journal.Parse(r.Value, &v, &v.V); err != nil {
		return a.refuse(ctx, i, r, false, err)
	}
	if r.Epoch == a.place.Term.Epoch {
		a.mark, a.place.Judged = v.N, v.Judged
	}
	a.report.Applied++
	return nil
}

// refuse keeps a record out. Where it stands in the place of one that counted,
// a leader has to write that again.
func (a *applier) refuse(ctx context.Context, i int, r journal.Record, known bool, why error) error {
	var newer journal.NewerError
	if errors.As(why, &newer) {
		a.newer()
	} else {
		a.place.Refused++
		a.report.Refused = append(a.report.Refused, Refusal{Index: i, Reason: clean(why.Error())})
	}
	if !known || r.Epoch == a.place.Term.Epoch { // what a leader wrote itself it would only write again
		return nil
	}
	return a.owe(ctx, r.Key)
}

func (a *applier) owe(ctx context.Context, key string) error {
	a.owes = true
	return owe(ctx, a.tx, key)
}

func (a *applier) newer() {
	a.report.Newer++
	a.place.Newer++
}

// settled notes that the journal holds what counts under a key.
func (a *applier) settled(ctx context.Context, key string) error {
	if !a.owes {
		return nil
	}
	_, err := a.tx.ExecContext(ctx, `DELETE FROM journal_owed WHERE key = ?`, key)
	return err
}

// after tells those who wait what an Apply brought.
func (c *cluster) after(err error, a *applier) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	if c.applied != nil {
		close(c.applied)
	}
	c.applied = make(chan struct{})
	if err != nil {
		return
	}
	c.stirred = c.stirred || a.report.Stale > 0 || len(a.report.Refused) > 0
	if c.lead != nil {
		c.lead.see(a.place.Term, a.mark)
	}
}
