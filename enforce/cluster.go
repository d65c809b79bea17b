package enforce

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce/journal"
)

// cluster is what a ledger knows beside its tables while it follows a journal.
type cluster struct {
	mu      sync.Mutex
	on      bool
	lead    *leadership   // nil: it only follows
	applied chan struct{} // closed, and made anew, with every Apply
	failed  error         // of the newest Apply
	stirred bool          // a record of somebody who leads no longer was seen
	judged  int64         // up to when findings are judged, for the next mark
}

func (c *cluster) follows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.on
}

// place is how far a ledger followed the journal. It is saved in the same
// transaction as what it covers.
type place struct {
	Position int64        `json:"position"` // the next offset to read
	At       int64        `json:"at"`       // when it was saved, Unix nanoseconds
	Self     string       `json:"self"`     // the name of this ledger as a member
	Alone    bool         `json:"alone"`    // it holds what it decided alone, and has not led since
	Knows    int          `json:"knows"`    // the journal.Version of the program that read it
	Term     journal.Term `json:"term"`
	Judged   int64        `json:"judged"` // up to when a leader had judged all findings
	Newer    int64        `json:"newer"`  // records of a newer version, kept out
	Stale    int64        `json:"stale"`  // records of those who led no longer
	Refused  int64        `json:"refused"`
}

// member is a name for one term: a ledger that lost its newest pages in a power
// cut must not take what it wrote before for what it writes now.
func (p *place) member() string { return p.Self + "." + newUID()[:8] }

// is reports whether a member was this ledger.
func (p *place) is(member string) bool { return strings.HasPrefix(member, p.Self+".") }

func loadPlace(ctx context.Context, q queryer) (p place, ok bool, err error) {
	rows, err := collect(ctx, q, `SELECT value FROM journal_state WHERE key = 'place'`, nil, func(r *sql.Rows) (text []byte, err error) {
		return text, r.Scan(&text)
	})
	if err != nil || len(rows) == 0 {
		return p, false, err
	}
	if err := json.Unmarshal(rows[0], &p); err != nil {
		return p, false, fmt.Errorf("enforce: read how far the ledger followed the journal: %w", err)
	}
	return p, true, nil
}

func savePlace(ctx context.Context, tx *sql.Tx, p place) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO journal_state (key, value) VALUES ('place', ?)`, string(encode(p)))
	return err
}

// Resume makes the ledger follow a journal and returns the offset from which to
// read it. A ledger that was away for longer than the journal keeps deletions
// (retention, above 0) is emptied and begins at 0, and so is one that left out
// records which this program knows. One that worked alone until now keeps what
// it holds: it may lead first, and then writes all of that to the journal.
func (l *Ledger) Resume(ctx context.Context, now time.Time, retention time.Duration) (from int64, err error) {
	var p place
	err = l.tx(ctx, func(tx *sql.Tx) error {
		var ok bool
		if p, ok, err = loadPlace(ctx, tx); err != nil {
			return err
		}
		switch {
		case !ok:
			p.Self = newUID()
			if p.Alone, err = oweAll(ctx, tx); err != nil {
				return err
			}
		case now.UnixNano()-p.At > int64(retention), p.Newer > 0 && p.Knows < journal.Version:
			if err := wipe(ctx, tx, &p); err != nil {
				return err
			}
		}
		p.Knows, p.At = journal.Version, now.UnixNano()
		return savePlace(ctx, tx, p)
	})
	if err != nil {
		return 0, fmt.Errorf("enforce: follow the journal: %w", err)
	}
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.cluster.on = true
	if l.cluster.applied == nil {
		l.cluster.applied = make(chan struct{})
	}
	return p.Position, nil
}

// Position is the next offset to read.
func (l *Ledger) Position(ctx context.Context) (int64, error) {
	p, _, err := loadPlace(ctx, l.w)
	return p.Position, err
}

// Rebuild empties the ledger, so that it is read from the beginning of the
// journal. Commands that were posted here and not sent yet stay. Do not call it
// while it leads.
func (l *Ledger) Rebuild(ctx context.Context) error {
	err := l.tx(ctx, func(tx *sql.Tx) error {
		p, ok, err := loadPlace(ctx, tx)
		if err != nil || !ok {
			return err
		}
		if err := wipe(ctx, tx, &p); err != nil {
			return err
		}
		return savePlace(ctx, tx, p)
	})
	if err != nil {
		return fmt.Errorf("enforce: empty the ledger: %w", err)
	}
	return nil
}

// Leave makes the ledger one that works alone again, with what it holds.
func (l *Ledger) Leave(ctx context.Context) error {
	err := l.tx(ctx, func(tx *sql.Tx) error {
		for _, text := range []string{`DELETE FROM journal_state`, `DELETE FROM journal_owed`, `DELETE FROM journal_terms`, `DELETE FROM watched`} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("enforce: leave the journal: %w", err)
	}
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.cluster.on = false
	return nil
}

func wipe(ctx context.Context, tx *sql.Tx, p *place) error {
	for _, text := range []string{
		`DELETE FROM decisions`, `DELETE FROM changes`, `DELETE FROM counted`, `DELETE FROM allows`, `DELETE FROM watched`,
		`DELETE FROM commands WHERE done = 1 OR sent = ` + sentArrived, `DELETE FROM enforce_meta WHERE key = 'panic'`,
		`DELETE FROM journal_owed`, `DELETE FROM journal_terms`,
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	*p = place{Self: p.Self, Knows: p.Knows, At: p.At}
	return nil
}

// oweAll notes every row as one that the journal may lack, and reports whether
// there is any.
func oweAll(ctx context.Context, tx *sql.Tx) (any bool, err error) {
	err = eachKey(ctx, tx, func(_ kind, key string, _ []string) error {
		any = true
		return owe(ctx, tx, key)
	})
	return any, err
}

// recorded is the sum of every record that the rows stand for, by key, of a
// ledger that follows a journal.
func recorded(ctx context.Context, tx *sql.Tx) (map[string][sha256.Size]byte, error) {
	out := map[string][sha256.Size]byte{}
	if _, ok, err := loadPlace(ctx, tx); err != nil || !ok {
		return out, err
	}
	err := eachKey(ctx, tx, func(k kind, key string, parts []string) error {
		value, err := k.get(ctx, tx, parts)
		out[key] = sha256.Sum256(value)
		return err
	})
	return out, err
}

// oweChanged lets a leader write again what is not as it was before.
func oweChanged(ctx context.Context, tx *sql.Tx, before map[string][sha256.Size]byte) error {
	after, err := recorded(ctx, tx)
	if err != nil {
		return err
	}
	for key, sum := range after {
		if was, ok := before[key]; ok && was == sum {
			delete(before, key)
		} else {
			before[key] = sum
		}
	}
	for key := range before {
		if err := owe(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}

func eachKey(ctx context.Context, tx *sql.Tx, do func(k kind, key string, parts []string) error) error {
	for name, k := range kinds {
		rows, err := k.rows(ctx, tx, ``)
		if err != nil {
			return err
		}
		for _, parts := range rows {
			if err := do(k, journal.Key(name, parts...), parts); err != nil {
				return err
			}
		}
	}
	return nil
}

// Membership is how a ledger stands to the journal, for status pages.
type Membership struct {
	Self     string // the name of this ledger
	Leader   string // the member that leads: a ledger and one of its terms; "" = none was seen
	Epoch    int64
	Since    time.Time // when the term began, by the leader's clock
	Leading  bool      // this process leads, and has seen its own beginning come back
	Position int64     // the next offset to read
	Owed     int64     // records that a leader still has to write again
	Newer    int64     // records of a newer version, kept out
	Stale    int64     // records of those who led no longer, ignored
	Refused  int64     // records that are none
	Failed   string    // why the newest Apply failed; "" = it did not
}

// Membership reports how the ledger follows the journal.
func (l *Ledger) Membership(ctx context.Context) (Membership, error) {
	p, _, err := loadPlace(ctx, l.r)
	if err != nil {
		return Membership{}, err
	}
	m := Membership{Self: p.Self, Leader: p.Term.Member, Epoch: p.Term.Epoch, Position: p.Position, Newer: p.Newer, Stale: p.Stale, Refused: p.Refused}
	if p.Term.At != 0 {
		m.Since = time.Unix(0, p.Term.At)
	}
	if err := l.r.QueryRowContext(ctx, `SELECT count(*) FROM journal_owed`).Scan(&m.Owed); err != nil {
		return Membership{}, fmt.Errorf("enforce: read how the ledger follows the journal: %w", err)
	}
	c := &l.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Leading = c.lead != nil && c.lead.sure
	if c.failed != nil {
		m.Failed = clean(c.failed.Error())
	}
	return m, nil
}

// errAlone is why two ledgers that both hold decisions are not mixed.
var errAlone = errors.New("enforce: this ledger holds decisions that were made before it followed the journal, and another machine leads: " +
	"move the state directory away to take over what the journal holds (what was decided here alone is lost then), " +
	"or let this machine lead first on an empty decisions topic")
