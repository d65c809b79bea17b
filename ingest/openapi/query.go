package openapi

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// Bounds of a query. What is beyond them is not looked at.
const (
	maxPairs    = 64
	maxQuery    = 4096
	longestName = 64 // of a parameter that nobody knows, as it is kept
)

// Query notes how the query of a target departs from what its operation describes.
func (r *Reader) Query(op *Operation, target string, to *ingest.API) {
	k := strings.IndexByte(target, '?')
	if k < 0 {
		return
	}
	r.Departures(op, target[k+1:], to.Depart)
}

// Departures hands on each parameter of a query that is not as its operation describes,
// until each returns false. The names that nobody knows borrow the query.
func (r *Reader) Departures(op *Operation, query string, each func(ingest.DepartureKind, string) bool) {
	query, _, _ = strings.Cut(query[:min(len(query), maxQuery)], "#")
	for n := 0; query != "" && n < maxPairs; n++ {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		raw, value, _ := strings.Cut(pair, "=")
		if raw == "" {
			continue
		}
		buf := r.buf[:0]
		name := raw
		if escaped(raw) {
			name, buf = unescape(raw, buf, true)
		}
		p, known := op.parameter(name)
		if !known {
			if !each(ingest.DepartureName, raw[:min(len(raw), longestName)]) {
				return
			}
			continue
		}
		if p == nil || p.check == nil {
			continue
		}
		if escaped(value) {
			value, _ = unescape(value, buf, true)
		}
		if !p.admits(value) && !each(ingest.DepartureValue, p.name) {
			return
		}
	}
}

func escaped(s string) bool { return strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '+') >= 0 }

// parameter finds the description of a query parameter; nil where there is nothing to look
// at. The members of an object are written as name[member].
func (op *Operation) parameter(name string) (*param, bool) {
	if p, known := op.query[name]; known {
		return p, true
	}
	if k := strings.IndexByte(name, '['); k > 0 {
		if p, known := op.query[name[:k]]; known && p.check == nil {
			return nil, true
		}
	}
	return nil, op.open
}
