package elastic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
)

// item is a document on its way.
type item struct {
	doc     Doc
	again   bool   // it may be there already
	at      *place // where it lies in a data stream, if that is known
	located bool   // and it is known whether it lies there
}

// Write returns nil once every document is settled: durable, there before, or kept
// by Rejected. An error says that ctx ended, or Rejected failed, while some were
// not. It holds Bulk.Parallel requests of at most Bulk.Bytes in memory besides the
// documents. Of several versions of a document the highest is sent.
func (s *Store) Write(ctx context.Context, docs []Doc) error {
	queue := newest(docs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for len(queue) > 0 && ctx.Err() == nil {
		var part []*item
		part, queue = cut(queue, s.size.now())
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			if err := s.deliver(ctx, part); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("elastic: write: %w", err)
	}
	return nil
}

// newest drops older versions of the same document, and keeps the order.
func newest(docs []Doc) []*item {
	queue := make([]*item, 0, len(docs))
	at := map[string]*item{}
	for _, d := range docs {
		key := string(d.Kind) + " " + d.ID
		if it := at[key]; it != nil {
			if d.Version >= it.doc.Version && d.Version != 0 {
				it.doc = d
			}
			continue
		}
		it := &item{doc: d, again: d.Again}
		at[key] = it
		queue = append(queue, it)
	}
	return queue
}

// cut takes the documents that fit into a request; at least one.
func cut(queue []*item, size int) (part, rest []*item) {
	n, sum := 0, 0
	for ; n < len(queue); n++ {
		if sum += len(queue[n].doc.Source) + overhead; n > 0 && sum > size {
			break
		}
	}
	return queue[:n:n], queue[n:]
}

// overhead is about what a request says of a document besides itself.
const overhead = 200

// deliver sends documents until all are settled.
func (s *Store) deliver(ctx context.Context, queue []*item) error {
	for try := 0; len(queue) > 0; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		part, rest := cut(queue, s.size.now())
		left, err := s.attempt(ctx, part)
		var final *finalError
		if errors.As(err, &final) {
			return final.err
		}
		if err == nil {
			s.size.grow()
			s.meet.fine()
			queue, try = append(left, rest...), 0
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.meet.count(0, 0, 0, len(left))
		switch {
		case tooLarge(err):
			s.size.shrink(1)
		case overload(err):
			s.size.shrink(sizeMin)
		}
		s.meet.trouble(err)
		if len(left) < len(part) {
			try = 0 // some got through
		}
		if queue = append(left, rest...); len(queue) > 0 {
			if err := pause(ctx, try); err != nil {
				return context.Cause(ctx)
			}
		}
		try++
	}
	return nil
}

// finalError ends a Write.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// attempt sends documents once and returns those that are not settled. A nil error
// with documents left means that they can go on at once.
func (s *Store) attempt(ctx context.Context, part []*item) ([]*item, error) {
	part, err := s.sound(ctx, part)
	if err != nil || len(part) == 0 {
		return part, err
	}
	if err := s.guard(ctx, part); err != nil {
		return part, err
	}
	if s.cfg.Layout == LayoutDataStream {
		if part, err = s.locate(ctx, part); err != nil || len(part) == 0 {
			return part, err
		}
	}
	var a bulkAnswer
	err = s.web.call(ctx, "POST", "/_bulk?filter_path=items.*.status,items.*.error,items.*._index,items.*._seq_no,items.*._primary_term", s.body(part), &a)
	if err == nil && len(a.Items) != len(part) {
		err = fmt.Errorf("%d documents were sent, the answer is about %d (is there a proxy in between?)", len(part), len(a.Items))
	}
	if tooLarge(err) && len(part) == 1 {
		return nil, s.reject(ctx, part[0], fmt.Sprintf("a document of %d bytes is larger than the cluster takes (http.max_content_length)", len(part[0].doc.Source)))
	}
	if err != nil {
		var f *fault
		if !errors.As(err, &f) || f.Status >= 500 {
			for _, it := range part { // nobody knows what became of them
				it.again, it.located, it.at = true, false, nil
				s.places.Remove(it.key())
			}
		}
		return part, err
	}
	return s.settle(ctx, part, &a)
}

// sound takes out what cannot be part of a request.
func (s *Store) sound(ctx context.Context, part []*item) ([]*item, error) {
	kept := part[:0:0]
	for i, it := range part {
		if src := it.doc.Source; len(src) > 1 && src[0] == '{' && !bytes.ContainsAny(src, "\r\n") && it.doc.ID != "" && len(it.doc.ID) <= 512 {
			kept = append(kept, it)
		} else if err := s.reject(ctx, it, "it is no JSON object on one line with an id of up to 512 bytes"); err != nil {
			return append(kept, part[i:]...), err
		}
	}
	return kept, nil
}

// reject hands a document over for good.
func (s *Store) reject(ctx context.Context, it *item, reason string) error {
	if s.opt.Rejected != nil {
		if err := s.opt.Rejected(ctx, it.doc, reason); err != nil {
			return &finalError{fmt.Errorf("keep a document that Elasticsearch refused: %w", err)}
		}
	} else {
		s.opt.Log.Error("elastic: a document was refused and is lost, since nothing keeps such", "kind", string(it.doc.Kind), "id", it.doc.ID, "reason", reason)
	}
	s.meet.count(0, 0, 1, 0)
	return nil
}

func (it *item) key() string { return string(it.doc.Kind) + " " + it.doc.ID }
