package elastic

import (
	"context"
	"time"
)

// Piece is some documents, and what to do once they are settled, such as to commit
// the message that they are from.
type Piece struct {
	Docs []Doc
	Done func() // nil: nothing
}

// Pump gathers pieces until a request is full or Bulk.Interval after the first of
// them, writes them, and calls Done of each in the order they came. It returns nil
// once in is closed and all is settled, and an error when ctx ends before: pieces
// whose Done was not called must come again. At most Bulk.Bytes times
// Bulk.Parallel is gathered; beyond that, whoever sends waits.
func (s *Store) Pump(ctx context.Context, in <-chan Piece) error {
	for {
		pieces, docs, open, err := s.gather(ctx, in)
		if err != nil {
			return err
		}
		if err := s.Write(ctx, docs); err != nil {
			return err
		}
		for _, p := range pieces {
			if p.Done != nil {
				p.Done()
			}
		}
		if !open {
			return nil
		}
	}
}

func (s *Store) gather(ctx context.Context, in <-chan Piece) (pieces []Piece, docs []Doc, open bool, err error) {
	var full <-chan time.Time
	for size := int64(0); size < s.cfg.Bulk.Bytes*int64(s.cfg.Bulk.Parallel); {
		select {
		case <-ctx.Done():
			return nil, nil, false, ctx.Err()
		case <-full:
			return pieces, docs, true, nil
		case p, ok := <-in:
			if !ok {
				return pieces, docs, false, nil
			}
			if full == nil {
				t := time.NewTimer(s.cfg.Bulk.Interval)
				defer t.Stop()
				full = t.C
			}
			pieces, docs = append(pieces, p), append(docs, p.Docs...)
			for i := range p.Docs {
				size += int64(len(p.Docs[i].Source)) + overhead
			}
		}
	}
	return pieces, docs, true, nil
}
