package rule_test

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// result is all that detection gives of a log.
type result struct {
	findings map[string]detect.Finding
	rollups  map[[2]string]detect.Rollup
	books    map[string]book
	seen     map[detect.Sighting]bool
}

func newResult() *result {
	return &result{map[string]detect.Finding{}, map[[2]string]detect.Rollup{}, map[string]book{}, map[detect.Sighting]bool{}}
}

func (r *result) take(s detect.Snapshot) {
	detecttest.ByID(r.findings, s.Findings)
	for _, x := range s.Rollups {
		r.rollups[[2]string{fmt.Sprint(x.Minute), x.Route}] = x
	}
}

// book is a ledger row without its lag, which is that of the source in each part.
type book struct{ read, processed, rejected, late, future, bytes, last, shapes, long int64 }

// book adds the books of one engine.
func (r *result) book(rows []ingest.LedgerRow) {
	for _, row := range rows {
		b := r.books[row.Source]
		r.books[row.Source] = book{b.read + row.Read, b.processed + row.Processed, b.rejected + row.Rejected, b.late + row.Late,
			b.future + row.Future, b.bytes + row.Bytes, max(b.last, row.LastTime), b.shapes + row.Reasons["bad_shape"], b.long + row.Reasons["too_long"]}
	}
}

func (r *result) differs(want *result) string {
	if d := detecttest.Diff(want.findings, r.findings); d != "" {
		return d
	}
	if d := differ(want.books, r.books) + differ(want.rollups, r.rollups) + differ(want.seen, r.seen); d != "" {
		return d
	}
	for source, b := range r.books {
		if b.read != b.processed+b.rejected || b.rejected != b.shapes+b.long {
			return fmt.Sprintf("the books of %s do not balance: %+v", source, b)
		}
	}
	return ""
}

func differ[K, V comparable](want, got map[K]V) string {
	var d strings.Builder
	for k, v := range want {
		if got[k] != v {
			fmt.Fprintf(&d, "%v:\n  want %+v\n  got  %+v\n", k, v, got[k])
		}
	}
	for k, v := range got {
		if _, known := want[k]; !known {
			fmt.Fprintf(&d, "%v: unexpected %+v\n", k, v)
		}
	}
	return d.String()
}

var watched = []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.3"}, Deny: 401}}
