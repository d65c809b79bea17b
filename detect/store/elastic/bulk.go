package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// bulkAnswer is what the cluster says of each document, in the order sent.
type bulkAnswer struct {
	Items []map[string]struct {
		Index       string `json:"_index"`
		Status      int    `json:"status"`
		Seq         int64  `json:"_seq_no"`
		PrimaryTerm int64  `json:"_primary_term"`
		Error       *cause `json:"error"`
	} `json:"items"`
}

// body is the request for documents: for each a line that says what to do, and the
// document.
//
// In plain indices, create makes what never changes, and the version that we give
// orders the rest. Data streams know only create; what is there is replaced in its
// backing index, if nobody else did so meanwhile.
func (s *Store) body(part []*item) []byte {
	size := 0
	for _, it := range part {
		size += len(it.doc.Source) + overhead
	}
	b := make([]byte, 0, size)
	field := func(name, value string) {
		b = append(b, `"`+name+`":`...)
		b = appendString(b, value)
	}
	for _, it := range part {
		stream := s.cfg.Layout == LayoutDataStream
		switch {
		case it.at != nil:
			b = append(b, `{"index":{`...)
			field("_index", it.at.index)
		case it.doc.Version != 0 && !stream:
			b = append(b, `{"index":{`...)
			field("_index", s.index(&it.doc))
		default:
			b = append(b, `{"create":{`...)
			field("_index", s.index(&it.doc))
		}
		b = append(b, ',')
		field("_id", it.doc.ID)
		switch {
		case it.at != nil:
			b = strconv.AppendInt(append(b, `,"if_seq_no":`...), it.at.seq, 10)
			b = strconv.AppendInt(append(b, `,"if_primary_term":`...), it.at.term, 10)
		case stream:
			b = append(b, `,"require_data_stream":true`...)
		case it.doc.Version != 0:
			b = strconv.AppendInt(append(b, `,"version_type":"external_gte","version":`...), it.doc.Version, 10)
		}
		b = append(b, "}}\n"...)
		b = append(append(b, it.doc.Source...), '\n')
	}
	return b
}

// settle goes through the answer and returns what has to be sent again, with one of
// the reasons.
func (s *Store) settle(ctx context.Context, part []*item, a *bulkAnswer) (left []*item, err error) {
	written, existing := 0, 0
	defer func() { s.meet.count(written, existing, 0, 0) }()
	misfits := map[string]string{} // of indices whose refusals were looked into
	for i, it := range part {
		for _, r := range a.Items[i] { // there is one
			f := &fault{Status: r.Status}
			if r.Error != nil {
				f.Cause = *r.Error
			}
			switch {
			case r.Status >= 200 && r.Status < 300:
				written++
				s.remember(it, place{r.Index, r.Seq, r.PrimaryTerm, it.doc.Version})
			case r.Status == http.StatusConflict && (s.cfg.Layout == LayoutIndex || it.doc.Version == 0):
				existing++ // there before, or something newer is
			case r.Status == http.StatusConflict:
				// It is there, or somebody replaced it meanwhile: look where, and compare.
				s.places.Remove(it.key())
				it.again, it.located, it.at = true, false, nil
				left = append(left, it)
			case f.poison():
				name := s.index(&it.doc)
				if _, known := misfits[name]; !known {
					// An index of somebody else refuses what ours would take.
					why, bad := s.misfit(ctx, it.doc.Kind, name)
					if bad != nil && !forbidden(bad) {
						return append(left, part[i:]...), bad
					}
					misfits[name] = why
				}
				if why := misfits[name]; why != "" {
					left = append(left, it)
					err = worse(err, fmt.Errorf("%w: %s", errNotReady, why))
					continue
				}
				if bad := s.reject(ctx, it, f.Cause.String()); bad != nil {
					return append(left, part[i:]...), bad
				}
			default:
				left = append(left, it)
				err = worse(err, fmt.Errorf("index %s: %w", s.index(&it.doc), f))
			}
		}
	}
	return left, err
}

// worse picks the reason to report: one that somebody has to mend.
func worse(a, b error) error {
	var f *fault
	if a == nil || errors.As(a, &f) && f.Status == http.StatusTooManyRequests && f.Cause.Type != typeBlock {
		return b
	}
	return a
}
