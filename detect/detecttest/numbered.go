package detecttest

import (
	"encoding/hex"
	"fmt"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// Numbered reads a Log as files of lines, each the number of an event: unlike Log,
// it reads selections too, and rejects what is no number. Every 13th line does not
// say its time; where the batch names a format, it takes its sender's word for it.
type Numbered struct{ Log Log }

// Format is what Clients calls the format of numbered lines.
const Format = "numbered"

// NumberedBytes is the length of a numbered line.
const NumberedBytes = 7

// Decode implements detect.Decoder.
func (n Numbered) Decode(b *ingest.Batch, each func(*ingest.Event), reject func(ingest.Reject)) {
	n.walk(b, func(c ingest.Cursor, ev *ingest.Event) {
		if ev == nil {
			reject(ingest.Reject{Pos: ingest.Position{Source: b.Source, File: b.File, Offset: c.At}, Reason: ingest.BadShape, Length: c.Size - 1})
			return
		}
		each(ev)
	})
}

// Clients implements detect.LineReader.
func (n Numbered) Clients(b *ingest.Batch, each func(*ingest.Line)) {
	n.walk(b, func(c ingest.Cursor, ev *ingest.Event) {
		l := ingest.Line{Cursor: c, Format: Format, Reason: ingest.BadShape}
		if ev != nil {
			l.Reason, l.Client, l.Time, l.Untimed = ingest.OK, ev.Client, ev.Time, untimed(c.At)
		}
		each(&l)
	})
}

func untimed(at int64) bool { return at/NumberedBytes%13 == 0 }

func (n Numbered) walk(b *ingest.Batch, use func(ingest.Cursor, *ingest.Event)) {
	remarks := b.Remarks
	for c := b.Begin(); b.Next(&c); {
		var i [3]byte
		if _, err := hex.Decode(i[:], b.Data[c.Start:c.End-1]); err != nil {
			use(c, nil)
			continue
		}
		ev := n.Log[int(i[0])<<16|int(i[1])<<8|int(i[2])]
		ev.Pos = ingest.Position{Source: b.Source, File: b.File, Offset: c.At}
		if b.Format != "" && untimed(c.At) {
			r, _ := ingest.Remarked(&remarks, c.At, func(k ingest.RemarkKind) bool { return k == ingest.RemarkTime })
			ev.Time = r.Value
		}
		use(c, &ev)
	}
}

// Batches draws how a log is read: cut at random, of two sources, with lines that
// are no events between. They hold what Numbered reads.
func Batches(t *rapid.T, log Log) []ingest.Batch {
	var out []ingest.Batch
	end := map[string]int64{}
	for i := 0; i < len(log); {
		b := ingest.Batch{Source: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "source"), File: 7, Lag: int64(len(log) - i)}
		if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
			b.Rejects = []ingest.Reject{{Pos: ingest.Position{Source: b.Source, File: 7, Offset: end[b.Source]}, Reason: ingest.TooLong, Length: 1000*NumberedBytes - 1}}
			end[b.Source] += 1000 * NumberedBytes
		}
		b.Offset = end[b.Source]
		for n := rapid.IntRange(1, 150).Draw(t, "lines"); n > 0 && i < len(log); n-- {
			if rapid.IntRange(0, 40).Draw(t, "junk") == 0 {
				b.Data = append(b.Data, "no line\n"[8-NumberedBytes:]...)
				continue
			}
			b.Data = fmt.Appendf(b.Data, "%06x\n", i)
			i++
		}
		end[b.Source] += int64(len(b.Data))
		b.Mark = ingest.Mark{Source: b.Source, File: 7, Offset: end[b.Source]}
		out = append(out, b)
	}
	return out
}

// Disturb moves some events out of time, back or ahead, and opens gaps of hours.
func Disturb(t *rapid.T, log Log) Log {
	out := append(Log(nil), log...)
	shift := int64(0)
	for i := range out {
		out[i].Time += shift
		switch rapid.IntRange(0, 60).Draw(t, "fate") {
		case 1:
			out[i].Time -= rapid.SampledFrom([]int64{29, 31, 32, 300, 90_000}).Draw(t, "back") * 1e9
		case 2:
			out[i].Time += rapid.SampledFrom([]int64{1, 40, 3599, 3601, 400_000}).Draw(t, "ahead") * 1e9
		case 3:
			shift += rapid.SampledFrom([]int64{0, 0, 45, 3700, 200_000}).Draw(t, "gap") * 1e9
		}
	}
	return out
}
