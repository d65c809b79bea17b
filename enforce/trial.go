package enforce

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Trial decides about findings of the past: it is an enforcer without gateways, whose
// clock is the log's. Policy, guard and ledger are those of every enforcer, so a trial
// comes to what a running one would have come to. It is not safe for concurrent use.
type Trial struct {
	e  *Enforcer
	at time.Time
}

// Term is a decision and the time in which it would have been in force. Of one that was
// only proposed From and To are zero.
type Term struct {
	Decision
	From, To int64 // Unix nanoseconds of the log's clock; To is the moment after
}

// NewTrial makes a trial that keeps its decisions in a ledger of its own. A decision is
// made for what gateways that list addresses, consumers and keys can hold.
func NewTrial(ctx context.Context, cfg Config, ledger *Ledger) (*Trial, error) {
	t := &Trial{at: time.Unix(0, 0)}
	var err error
	if t.e, err = New(cfg, ledger, nil, nil, slog.New(slog.DiscardHandler), func() time.Time { return t.at }); err != nil {
		return nil, err
	}
	return t, t.e.load(ctx, t.at)
}

// Allow puts the allow-list in place, as people have made it.
func (t *Trial) Allow(list []Allow) { t.e.mem.allows = slices.Clone(list) }

// Judge takes in findings as they stand at a moment of the log; moments do not go back.
func (t *Trial) Judge(ctx context.Context, at int64, list []detect.Finding) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b detect.Finding) int {
		return cmp.Or(cmp.Compare(a.FiredAt, b.FiredAt), cmp.Compare(a.ID, b.ID))
	})
	if err := t.Pass(ctx, at); err != nil {
		return err
	}
	for chunk := range slices.Chunk(list, judgedAtOnce) {
		for i := range chunk {
			t.e.queue.offer(chunk[i])
		}
		if err := t.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Pass lets time pass: what is over by then ends.
func (t *Trial) Pass(ctx context.Context, at int64) error {
	if now := time.Unix(0, at); now.After(t.at) {
		t.at = now
	}
	b := newBatch()
	for _, d := range t.e.sorted(func(d *Decision) bool { return d.Expires <= t.at.UnixNano() }) {
		why := "its time was over"
		if !d.State.Live() {
			why = because("never in force", d.Reason)
		}
		t.e.end(b, d, Expired, policyName, d.Code, why, t.at)
	}
	clear(t.e.mem.linger)         // nobody watches
	clear(t.e.mem.roster.changed) // and nothing is pushed
	if b.empty() {
		return nil
	}
	if err := t.e.ledger.write(ctx, b); err != nil {
		return err
	}
	t.e.changed(b)
	return nil
}

func (t *Trial) step(ctx context.Context) error {
	t.e.step(ctx, false)
	if h := t.e.Health(); h.Store != "" {
		return errors.New(h.Store)
	}
	return ctx.Err()
}

// Terms returns all decisions, in the order in which they were made.
func (t *Trial) Terms(ctx context.Context) ([]Term, error) {
	list, err := t.e.ledger.decisions(ctx, `ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	out := make([]Term, len(list))
	for i, d := range list {
		out[i].Decision = d
		changes, err := t.e.ledger.History(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			switch {
			case c.To.Live() && out[i].From == 0:
				out[i].From, out[i].To = c.At, d.Expires
			case c.To.Ended() && out[i].From != 0:
				out[i].To = min(out[i].To, c.At)
			}
		}
	}
	return out, nil
}
