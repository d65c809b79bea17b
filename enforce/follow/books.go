package follow

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
)

// Books is the completeness of every source, over all processes.
type Books struct {
	Rows    []ingest.LedgerRow // Read is what the collectors read, the rest what the detectors made of it
	Waiting int64              // messages that detectors have not taken in
	Newest  int64              // newest event time that every task has seen, Unix seconds; 0 = not known
	Tasks   int                // that are heard of
}

// Add puts together what tasks and collectors said of the sources.
func Add(tasks []task.Beat, processes []task.Process) Books {
	var b Books
	rows := map[string]*ingest.LedgerRow{}
	row := func(source string) *ingest.LedgerRow {
		r := rows[source]
		if r == nil {
			r = &ingest.LedgerRow{Source: source, Reasons: map[string]int64{}}
			rows[source] = r
		}
		return r
	}
	for _, t := range tasks {
		b.Waiting += t.Waiting
		b.Tasks++
		if t.Newest > 0 && (b.Newest == 0 || t.Newest < b.Newest) {
			b.Newest = t.Newest
		}
		for _, d := range t.Rows {
			r := row(d.Source)
			r.Processed += d.Processed
			r.Rejected += d.Rejected
			r.Late += d.Late
			r.Future += d.Future
			r.Truncated += d.Truncated
			r.Read += d.Read
			r.Describe(&d)
			for why, n := range d.Reasons {
				r.Reasons[why] += n
			}
		}
	}
	for _, p := range newest(processes) {
		for _, d := range p.Rows {
			r := row(d.Source)
			r.Read, r.Bytes, r.LagBytes = d.Read, d.Bytes, d.LagBytes
		}
	}
	for _, r := range rows {
		b.Rows = append(b.Rows, *r)
	}
	slices.SortFunc(b.Rows, func(x, y ingest.LedgerRow) int { return strings.Compare(x.Source, y.Source) })
	return b
}

// newest puts the latest words last: of a source that two processes speak of, one
// has just taken over from the other.
func newest(processes []task.Process) []task.Process {
	out := slices.Clone(processes)
	slices.SortFunc(out, func(a, b task.Process) int { return cmp.Compare(a.At, b.At) })
	return out
}

// Gap tells lines that are on their way from lines that are lost: read by a
// collector, neither event nor reject, and nothing waits that they could be in.
type Gap struct {
	since map[string]time.Time
	last  map[string]int64
}

// settle is for how long a difference must stand still before it counts: words of
// different processes are not of the same moment.
const settle = 15 * time.Second

// Missing returns what is missing of each source. It is called about once a second.
func (g *Gap) Missing(b Books, now time.Time) map[string]int64 {
	if g.since == nil {
		g.since, g.last = map[string]time.Time{}, map[string]int64{}
	}
	out := map[string]int64{}
	for _, r := range b.Rows {
		n := r.Read - r.Processed - r.Rejected
		if n == 0 || b.Waiting > 0 || n != g.last[r.Source] {
			g.since[r.Source], g.last[r.Source] = now, n
			continue
		}
		if now.Sub(g.since[r.Source]) >= settle {
			out[r.Source] = n
		}
	}
	return out
}
