package elastic

import (
	"context"
	"fmt"
	"slices"
)

// place is where a changing document lies in a data stream, and in which state.
type place struct {
	index     string
	seq, term int64
	version   int64
}

func (s *Store) remember(it *item, p place) {
	if s.cfg.Layout == LayoutDataStream && it.doc.Version != 0 {
		s.places.Add(it.key(), p)
	}
}

// lookMax bounds the ids of one look-up.
const lookMax = 5000

// locate finds out which documents a data stream holds already: create alone would
// make a second one when the stream has rolled over in between. It asks for those
// that change and that it does not remember, and for those that may have been
// written before. What needs no writing is taken out.
func (s *Store) locate(ctx context.Context, part []*item) ([]*item, error) {
	asked := map[Kind][]*item{}
	for _, it := range part {
		if it.located {
			continue
		}
		if p, ok := s.places.Get(it.key()); ok && it.doc.Version != 0 {
			it.at, it.located = &p, true
		} else if it.doc.Version != 0 || it.again {
			asked[it.doc.Kind] = append(asked[it.doc.Kind], it)
		}
	}
	existing := map[*item]bool{}
	for k, list := range asked {
		for chunk := range slices.Chunk(list, lookMax) {
			if err := s.lookUp(ctx, k, chunk, existing); err != nil {
				return part, fmt.Errorf("look up documents in %s: %w", s.base(k), err)
			}
		}
	}
	kept := part[:0:0]
	for _, it := range part {
		if existing[it] || it.at != nil && it.at.version > it.doc.Version {
			existing[it] = true
			continue
		}
		kept = append(kept, it)
	}
	s.meet.count(0, len(part)-len(kept), 0, 0)
	return kept, nil
}

// lookUp asks for ids in all backing indices. A search sees what was refreshed, so
// that comes first.
func (s *Store) lookUp(ctx context.Context, k Kind, list []*item, existing map[*item]bool) error {
	if err := s.refresh(ctx, k); err != nil {
		return err
	}
	ids := make([]string, len(list))
	for i, it := range list {
		ids[i] = it.doc.ID
	}
	hits, err := s.search(ctx, k, object{
		"size": len(ids), "query": object{"ids": object{"values": ids}},
		"seq_no_primary_term": true, "_source": false, "docvalue_fields": []any{"portcullis.version"},
	})
	if err != nil {
		return err
	}
	found := map[string]hit{}
	for _, h := range hits {
		found[h.ID] = h
	}
	for _, it := range list {
		it.located = true
		h, ok := found[it.doc.ID]
		if !ok {
			continue
		}
		if it.doc.Version == 0 {
			existing[it] = true
			continue
		}
		p := place{index: h.Index, seq: h.Seq, term: h.PrimaryTerm}
		if v := h.Fields["portcullis.version"]; len(v) > 0 {
			p.version = v[0]
		}
		it.at = &p
		s.places.Add(it.key(), p)
	}
	return nil
}
