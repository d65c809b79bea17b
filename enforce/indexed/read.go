package indexed

import (
	"context"
	"fmt"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
)

// live are the states of decisions that belong on the gateway.
var live = []string{string(enforce.Approved), string(enforce.Pushed), string(enforce.Verified), string(enforce.NotEnforced)}

// Decisions returns a page of decisions as the ledger does: the newest first, then
// by id.
func (x *Index) Decisions(ctx context.Context, q enforce.DecisionQuery) ([]enforce.Decision, error) {
	if x.cloak != nil && q.Subject.Value != "" {
		q.Subject.Value = x.cloak.ShowText(q.Subject.Value)
	}
	wider := enforce.Network(q.Subject)
	p := elastic.Page{By: "portcullis.created_ns", Then: "event.id", Limit: q.Limit}
	add := func(on bool, c elastic.Clause) {
		if on {
			p.Where = append(p.Where, c)
		}
	}
	add(q.State != "", elastic.Term("portcullis.state", string(q.State)))
	add(q.Live, elastic.Term("portcullis.state", live...))
	add(q.Subject.Kind != "" && wider == "", elastic.Term("portcullis.subject.kind", q.Subject.Kind))
	if v := q.Subject.Value; v != "" {
		values := []string{v, x.store.Hidden(v)}
		if wider != "" {
			values = append(values, wider, x.store.Hidden(wider))
		}
		add(true, elastic.Term("portcullis.subject.value", values...))
	}
	add(q.Since != 0, elastic.From("portcullis.created_ns", q.Since))
	if q.After != "" {
		last, ok, err := x.Decision(ctx, q.After)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("indexed: decisions: no decision %.80q to go on after: start from the first page", q.After)
		}
		p.After = []any{last.Created, last.ID}
	}
	return elastic.Read(ctx, x.store, elastic.Decision, p, decodeDecision)
}

// Decision returns one decision, and whether there is one.
func (x *Index) Decision(ctx context.Context, id string) (enforce.Decision, bool, error) {
	list, err := elastic.Read(ctx, x.store, elastic.Decision, elastic.Page{
		By: "portcullis.created_ns", Then: "event.id", Limit: 1, Where: []elastic.Clause{elastic.Term("event.id", id)},
	}, decodeDecision)
	if err != nil || len(list) == 0 {
		return enforce.Decision{}, false, err
	}
	return list[0], true, nil
}

// historyMax bounds what is shown of one decision; a year of hourly checks is less.
const historyMax = 10000

// History returns the changes of a decision, the oldest first.
func (x *Index) History(ctx context.Context, id string) ([]enforce.Change, error) {
	return elastic.Read(ctx, x.store, elastic.Audit, elastic.Page{
		By: "portcullis.at_ns", Then: "portcullis.seq", Rising: true, Limit: historyMax,
		Where: []elastic.Clause{elastic.Term("portcullis.decision", id)},
	}, decodeChange)
}
