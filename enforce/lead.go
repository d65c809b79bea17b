package enforce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/enforce/journal"
)

// Journal is the topic that outlives every machine: the enforcer writes there
// first, and every ledger is made from it.
type Journal interface {
	// Append writes the records behind all others, in their order, with nothing
	// between them, and marked with the epoch. On nil they are durable. An error
	// leaves open whether they were written; the ledger then appends the same
	// again before anything else. It is called from one goroutine at a time, and
	// ends when ctx does. The records are only borrowed.
	Append(ctx context.Context, epoch int64, recs []journal.Record) error
}

// ErrDeposed says that another enforcer leads, or this one stepped down:
// nothing is written any more.
var ErrDeposed = errors.New("enforce: this enforcer does not lead")

const (
	// patience is how long a leader waits for the journal before it says so and
	// tries again.
	patience = 10 * time.Second
	// appendBytes bounds an append: Kafka takes 1 MiB by default.
	appendBytes = 512 << 10
	// contests is how often a member tries to lead against others before its
	// caller looks again whether it should.
	contests = 5
)

// leadership is one term of this ledger as the leader.
type leadership struct {
	j     Journal
	term  journal.Term
	turn  chan struct{} // held by whoever appends
	ended chan struct{} // closed when another leads, or this one stepped down

	// of the holder of turn
	pending [][]journal.Record // not known to be written, in order
	n       int64              // the newest mark

	// under cluster.mu
	sure bool  // its beginning came back
	gone bool  // ended is closed
	seen int64 // the newest mark that came back
}

// see takes in which term counts, and how far its marks came back.
func (ld *leadership) see(t journal.Term, mark int64) {
	switch {
	case t.Epoch == ld.term.Epoch && t.Member == ld.term.Member:
		ld.sure = true
		ld.seen = max(ld.seen, mark)
	case t.Epoch >= ld.term.Epoch:
		ld.end()
	}
}

func (ld *leadership) end() {
	if !ld.gone {
		ld.gone = true
		close(ld.ended)
	}
}

// Lead begins a term in which this ledger may be written, and returns its
// epoch: at least least, and above every other. It returns once the beginning
// came back, so Apply must be running; what others wrote before it is in the
// ledger then. Call it when Apply has caught up with the journal: nobody else
// can write from its first moment on. Then run a new Enforcer.
func (l *Ledger) Lead(ctx context.Context, j Journal, least int64) (epoch int64, err error) {
	for range contests {
		p, ok, err := loadPlace(ctx, l.r)
		switch {
		case err != nil:
			return 0, fmt.Errorf("enforce: lead: %w", err)
		case !ok || !l.cluster.follows():
			return 0, errors.New("enforce: lead: the ledger does not follow the journal yet")
		case p.Term.Needs > journal.Version:
			return 0, fmt.Errorf("enforce: lead: the journal needs version %d, this program knows %d: a newer portcullis led before; upgrade this one", p.Term.Needs, journal.Version)
		}
		ld := &leadership{
			j: j, turn: make(chan struct{}, 1), ended: make(chan struct{}),
			term: journal.Term{Epoch: max(p.Term.Epoch+1, least), Member: p.member(), At: time.Now().UnixNano(), Needs: 1},
		}
		if err := l.begin(ld); err != nil {
			return 0, err
		}
		if err = l.announce(ctx, ld); err == nil {
			return ld.term.Epoch, nil
		}
		l.Follow()
		if !errors.Is(err, ErrDeposed) {
			return 0, fmt.Errorf("enforce: lead: %w", err)
		}
	}
	return 0, fmt.Errorf("enforce: lead: others began %d terms at the same time: %w", contests, ErrDeposed)
}

func (l *Ledger) begin(ld *leadership) error {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	if l.cluster.lead != nil {
		return errors.New("enforce: lead: it leads already; Follow comes first")
	}
	l.cluster.lead = ld
	return nil
}

// announce writes that the term begins, and waits until that came back.
func (l *Ledger) announce(ctx context.Context, ld *leadership) error {
	if err := ld.append(ctx, []journal.Record{ld.term.Record()}); err != nil {
		return err
	}
	return l.await(ctx, ld, func() bool { return ld.sure })
}

// Follow steps down: nothing more is appended, and what was not known to be
// written is forgotten; it comes back from the journal, or another decides
// anew. The ledger goes on to follow. It is harmless if it did not lead.
func (l *Ledger) Follow() {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	if l.cluster.lead != nil {
		l.cluster.lead.end()
		l.cluster.lead = nil
	}
}

// deposed is closed when the ledger leads no longer. A ledger that works alone
// is never deposed.
func (l *Ledger) deposed() <-chan struct{} {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	switch {
	case !l.cluster.on:
		return nil
	case l.cluster.lead == nil:
		c := make(chan struct{})
		close(c)
		return c
	}
	return l.cluster.lead.ended
}

// commit writes to the journal what build makes of the ledger, and waits until
// the ledger holds it. What an earlier commit could not finish comes first.
// Whether or not there is something to write, a nil error says that this
// ledger led at a moment after the call.
func (l *Ledger) commit(ctx context.Context, build func(ctx context.Context) ([][]journal.Record, error)) error {
	ld, err := l.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer func() { <-ld.turn }()
	if err := l.finish(ctx, ld); err != nil {
		return err
	}
	groups, err := build(ctx)
	if err != nil {
		return err
	}
	ld.pending = packed(groups)
	ld.n++
	l.cluster.mu.Lock()
	mark := markValue{V: journal.Version, N: ld.n, Judged: l.cluster.judged}
	l.cluster.mu.Unlock()
	last := len(ld.pending) - 1
	ld.pending[last] = append(ld.pending[last], journal.Record{Key: journal.Mark, Value: encode(mark)})
	return l.finish(ctx, ld)
}

// confirm asks the journal whether this ledger still leads, before something is
// done outside of it. A ledger that works alone always does.
func (l *Ledger) confirm(ctx context.Context) error {
	if !l.cluster.follows() {
		return nil
	}
	return l.commit(ctx, func(context.Context) ([][]journal.Record, error) { return nil, nil })
}

// ready finishes what an earlier write left open, so that the ledger can be read.
func (l *Ledger) ready(ctx context.Context) error {
	if l.cluster.follows() {
		return l.confirm(ctx)
	}
	switch _, ok, err := loadPlace(ctx, l.r); {
	case err != nil:
		return err
	case ok:
		return errors.New("enforce: this ledger follows the decisions topic of a cluster: start \"portcullis enforce\" on it, or use another state directory")
	}
	return nil
}

// unjudged is the moment since when findings may wait for an enforcer.
func (l *Ledger) unjudged(ctx context.Context, now time.Time) (time.Time, error) {
	p, ok, err := loadPlace(ctx, l.r)
	if err != nil || !ok || p.Judged > now.UnixNano() {
		return now, err
	}
	if p.Judged == 0 { // nobody led before: whoever is next begins where this one does, however soon it ends
		p.Judged = now.UnixNano()
	}
	l.judgedUntil(time.Unix(0, p.Judged)) // until this one has judged what is left
	return time.Unix(0, p.Judged), nil
}

func (l *Ledger) judgedUntil(t time.Time) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.cluster.judged = t.UnixNano()
}

// stirred reports whether somebody wrote who leads no longer, since it was asked
// last.
func (l *Ledger) stirred() bool {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	was := l.cluster.stirred
	l.cluster.stirred = false
	return was
}

func (l *Ledger) takeTurn(ctx context.Context) (*leadership, error) {
	l.cluster.mu.Lock()
	ld := l.cluster.lead
	ok := ld != nil && ld.sure && !ld.gone
	l.cluster.mu.Unlock()
	if !ok {
		return nil, ErrDeposed
	}
	select {
	case ld.turn <- struct{}{}:
		return ld, nil
	case <-ld.ended:
		return nil, ErrDeposed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// finish appends what is pending and waits until all of it came back.
func (l *Ledger) finish(ctx context.Context, ld *leadership) error {
	for len(ld.pending) > 0 {
		if err := ld.append(ctx, ld.pending[0]); err != nil {
			return err
		}
		ld.pending = ld.pending[1:]
	}
	return l.await(ctx, ld, func() bool { return ld.seen >= ld.n })
}

func (ld *leadership) append(ctx context.Context, recs []journal.Record) error {
	select {
	case <-ld.ended:
		return ErrDeposed
	default:
	}
	for i := range recs {
		recs[i].Epoch = ld.term.Epoch
	}
	return appendWithin(ctx, ld.j, ld.term.Epoch, recs)
}

// appendWithin gives up on a journal that does not answer.
func appendWithin(ctx context.Context, j Journal, epoch int64, recs []journal.Record) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	if err := j.Append(ctx, epoch, recs); err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		return fmt.Errorf("enforce: write to the journal: %w", err)
	}
	return nil
}

// await waits until a condition holds after an Apply. It is looked at under
// cluster.mu. Only the wait for a beginning has no limit but ctx: before it
// there may be much to read.
func (l *Ledger) await(ctx context.Context, ld *leadership, done func() bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		l.cluster.mu.Lock()
		ok, sure, applied, failed := done(), ld.sure, l.cluster.applied, l.cluster.failed
		l.cluster.mu.Unlock()
		if ok {
			return nil
		}
		late := timer.C
		if !sure {
			late = nil
		}
		select {
		case <-applied:
		case <-ld.ended:
			return ErrDeposed
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			if failed != nil {
				return fmt.Errorf("enforce: the journal holds it, but the ledger cannot be written: %w", failed)
			}
			return fmt.Errorf("enforce: the journal took it, but it did not come back within %s: is the decisions topic still read here?", patience)
		}
	}
}

// packed puts groups of records together that are appended at once. A group is
// never divided: what belongs together is there, or nothing of it.
func packed(groups [][]journal.Record) [][]journal.Record {
	out := [][]journal.Record{nil}
	size := 0
	for _, g := range groups {
		n := 0
		for _, r := range g {
			n += len(r.Key) + len(r.Value) + 32 // and what a record costs besides
		}
		if size > 0 && size+n > appendBytes {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], g...)
		size += n
	}
	return out
}
