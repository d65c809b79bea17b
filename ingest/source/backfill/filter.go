package backfill

import (
	"bytes"
	"context"
	"math"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// filter passes on what an archive hands out, without the lines outside the span.
type filter struct {
	*Source
	a   *source.Archive
	out func(context.Context, *ingest.Batch) error
}

// part is a run of lines that are all passed on.
type part struct{ from, to int }

// pass takes a batch of the archive. A batch with lines left out of its middle
// becomes several, since the lines of a batch follow each other in the file; one
// with no line left still carries its mark and its rejects.
func (p *filter) pass(ctx context.Context, b *ingest.Batch) error {
	parts := p.parts(b.Data)
	shared := &sharing{free: b.Free}
	shared.left.Store(int32(max(len(parts), 1)))
	if len(parts) == 0 {
		parts = []part{{0, 0}}
	}
	data, rejects, end, st := b.Data, b.Rejects, b.Mark, p.Stats()
	for i := range rejects {
		rejects[i].Pos.Source = p.cfg.Name
	}
	for i, one := range parts {
		mark := end
		if i < len(parts)-1 {
			mark = p.a.Mark(b, b.Offset+int64(one.to))
		}
		mark.Source = p.cfg.Name
		err := p.out(ctx, &ingest.Batch{
			Source: p.cfg.Name, File: b.File, Offset: b.Offset + int64(one.from), Data: data[one.from:one.to:one.to],
			Rejects: rejects, Mark: mark, Lag: max(st.Total-st.Bytes, 0), Free: shared.release,
		})
		if err != nil {
			return err
		}
		rejects = nil
	}
	return nil
}

// parts finds the lines to be passed on, and counts the others. A line without a
// time is passed on: the parser says what is wrong with it.
func (p *filter) parts(data []byte) (out []part) {
	if p.in.since == math.MinInt64 && p.in.until == math.MaxInt64 {
		if len(data) == 0 {
			return nil
		}
		return []part{{0, len(data)}}
	}
	skipped := int64(0)
	for at := 0; at < len(data); {
		end := at + bytes.IndexByte(data[at:], '\n')
		if t, ok := p.cfg.TimeOf(data[at:end]); ok && !p.in.holds(t) {
			skipped++
		} else if n := len(out); n > 0 && out[n-1].to == at {
			out[n-1].to = end + 1
		} else {
			out = append(out, part{at, end + 1})
		}
		at = end + 1
	}
	p.stats.lines.Add(skipped)
	return out
}

// sharing gives the bytes of a batch back once all its parts are released.
type sharing struct {
	left atomic.Int32
	free func()
}

func (s *sharing) release() {
	if s.left.Add(-1) == 0 && s.free != nil {
		s.free()
	}
}
