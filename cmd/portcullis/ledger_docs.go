package main

import (
	"context"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce/indexed"
)

// each makes the documents of a list, all or none.
func each[T any](list []T, doc func(T) (elastic.Doc, error)) ([]elastic.Doc, error) {
	docs := make([]elastic.Doc, 0, len(list))
	for _, one := range list {
		d, err := doc(one)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// changedDecisions makes documents of the changes behind a place in the ledger, and of the
// decisions as they stand. It returns the place of the last change.
func (b *base) changedDecisions(ctx context.Context, x *indexed.Index, from int64) ([]elastic.Doc, int64, error) {
	list, err := b.ledger.Steps(ctx, from, stepsAtOnce)
	if err != nil || len(list) == 0 {
		return nil, from, err
	}
	docs, seen := make([]elastic.Doc, 0, 2*len(list)), map[string]int64{}
	var order []string
	for _, s := range list {
		d, err := x.ChangeDoc(s.Decision, s.Change, s.Seq)
		if err != nil {
			return nil, from, err
		}
		docs = append(docs, d)
		if _, known := seen[s.Decision]; !known {
			order = append(order, s.Decision)
		}
		seen[s.Decision] = s.Seq
	}
	for _, id := range order {
		d, ok, err := b.ledger.Decision(ctx, id)
		if err != nil {
			return nil, from, err
		}
		if !ok {
			continue // past its time
		}
		doc, err := x.DecisionDoc(d, seen[id])
		if err != nil {
			return nil, from, err
		}
		docs = append(docs, doc)
	}
	return docs, list[len(list)-1].Seq, nil
}

// answeredCommands makes documents of what people wanted behind a place in the ledger, and
// returns the place of the last one.
func (b *base) answeredCommands(ctx context.Context, x *indexed.Index, from int64) ([]elastic.Doc, int64, error) {
	list, err := b.ledger.Answered(ctx, from, stepsAtOnce)
	if err != nil || len(list) == 0 {
		return nil, from, err
	}
	docs, err := each(list, x.CommandDoc)
	return docs, list[len(list)-1].ID, err
}
