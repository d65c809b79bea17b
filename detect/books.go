package detect

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// books keep the completeness of every source: read = processed + rejected.
type books struct {
	rows    map[string]*ingest.LedgerRow
	rejects []ingest.Reject // a sample, not yet collected
	redact  func(string) string
}

// RejectSample bounds the rejected lines kept between two snapshots.
const RejectSample = 64

func newBooks(redact func(string) string) books {
	return books{rows: map[string]*ingest.LedgerRow{}, redact: redact}
}

func (b *books) row(source string) *ingest.LedgerRow {
	r := b.rows[source]
	if r == nil {
		r = &ingest.LedgerRow{Source: source, Reasons: map[string]int64{}}
		b.rows[source] = r
	}
	return r
}

// add takes over what other books say of a source.
func (b *books) add(from *ingest.LedgerRow) {
	r := b.row(from.Source)
	r.Read += from.Read
	r.Processed += from.Processed
	r.Rejected += from.Rejected
	r.Late += from.Late
	r.Future += from.Future
	r.Truncated += from.Truncated
	r.Bytes += from.Bytes
	for reason, n := range from.Reasons {
		r.Reasons[reason] += n
	}
	r.LagBytes = max(r.LagBytes, from.LagBytes)
	r.Describe(from)
}

// page is the books opened at one source, for one batch.
type page struct {
	b   *books
	row *ingest.LedgerRow
}

// page opens the books; a batch that only tells how far the stream has come gets
// an empty page, which nobody reads.
func (b *books) page(batch *ingest.Batch) page {
	if batch.Source == "" && len(batch.Data) == 0 {
		return page{b, &ingest.LedgerRow{Reasons: map[string]int64{}}}
	}
	return page{b, b.row(batch.Source)}
}

func (p page) take(ev *ingest.Event, t timing) {
	p.row.Read++
	p.row.Processed++
	if ev.Flags&ingest.FlagTruncated != 0 {
		p.row.Truncated++
	}
	switch {
	case t == late:
		p.row.Late++
	case t == future:
		p.row.Future++
	case ev.Time > p.row.LastTime:
		p.row.LastTime = ev.Time
	}
	if t != future && (p.row.Processed <= lookAtAll || p.row.Processed%lookAtOne == 0) {
		p.row.Carried.Add(ev)
	}
}

// What events carry is looked at in the first lookAtAll of a source, and then in one of
// lookAtOne: a field that is there every now and then is met all the same.
const (
	lookAtAll = 4096
	lookAtOne = 8
)

func (p page) reject(r ingest.Reject) {
	p.row.Read++
	p.row.Rejected++
	p.row.Reasons[r.Reason.String()]++
	if len(p.b.rejects) < RejectSample {
		r.Sample = p.b.redact(r.Sample) // a line that cannot be read may hold secrets all the same
		p.b.rejects = append(p.b.rejects, r)
	}
}

func (p page) close(b *ingest.Batch, format string) {
	if format != "" {
		p.row.Format = format
	}
	p.row.Bytes += int64(len(b.Data))
	for i := range b.Rejects {
		p.row.Bytes += b.Rejects[i].Length
	}
	p.row.LagBytes = b.Lag
}

// copyRows returns the rows as values that do not share their maps.
func (b *books) copyRows() []ingest.LedgerRow {
	out := make([]ingest.LedgerRow, 0, len(b.rows))
	for _, r := range b.rows {
		row := *r
		row.Reasons = make(map[string]int64, len(r.Reasons))
		for k, v := range r.Reasons {
			row.Reasons[k] = v
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b ingest.LedgerRow) int { return strings.Compare(a.Source, b.Source) })
	return out
}
