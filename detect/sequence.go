package detect

import "github.com/portcullis/portcullis/ingest"

// sequence places the lines of one batch in the stream, in their order.
type sequence struct {
	mark    *watermark
	remarks []ingest.Remark
	limit   int64 // no remark on closed seconds is believed beyond
}

// open begins a batch. earliest is where the stream stood at the earliest of its
// lines; it is asked only at the beginning.
func (m *watermark) open(b *ingest.Batch, earliest func() int64) sequence {
	if m.newest == 0 {
		m.begin(earliest())
	}
	m.promise(b.Newest)
	return sequence{mark: m, remarks: b.Remarks, limit: m.promised - m.bound - 1}
}

// place says how a line stands to the late bound. Where the sender says that it is
// out of time, the stream is at least as far as it was there: what follows is later.
func (q *sequence) place(ev *ingest.Event) timing {
	if len(q.remarks) > 0 {
		if r, ok := ingest.Remarked(&q.remarks, ev.Pos.Offset, outOfTime); ok {
			if closed := min(r.Value, q.limit); closed > 0 && closed > q.mark.closed() {
				q.mark.advance(closed)
			}
			if r.What == ingest.RemarkFuture {
				return future
			}
			return late
		}
	}
	return q.mark.pass(ev.Time / 1e9)
}

func outOfTime(k ingest.RemarkKind) bool { return k == ingest.RemarkLate || k == ingest.RemarkFuture }

// least finds where the stream stood at the earliest line of a batch.
type least struct {
	remarks []ingest.Remark
	bound   int64
	sec     int64
}

func (l *least) see(ev *ingest.Event) {
	sec := ev.Time / 1e9
	if len(l.remarks) > 0 {
		if r, out := ingest.Remarked(&l.remarks, ev.Pos.Offset, outOfTime); out {
			if r.Value <= 0 {
				return
			}
			sec = r.Value + l.bound + 1
		}
	}
	if l.sec == 0 || sec < l.sec {
		l.sec = sec
	}
}
