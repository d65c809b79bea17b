package collect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/ingest"
)

// line is one of a log; bytes are its size in the file, which redaction changed for
// some. Text "" is one that the source refuses.
type line struct {
	text  string
	file  uint64
	at    int64
	bytes int64
}

func (l *line) where(source string) string { return fmt.Sprint(source, "/", l.file, "/", l.at) }

// log is a source with two files.
type log struct {
	name  string
	lines []line
}

func drawLog(t *rapid.T, name string) log {
	l := log{name: name}
	for file := range uint64(2) {
		at := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			x := line{file: file + 1, at: at}
			cut := len(l.lines) > 0 && strings.HasPrefix(l.lines[len(l.lines)-1].text, "+")
			switch kind := rapid.IntRange(0, 11).Draw(t, "kind"); {
			case kind == 0 && !cut:
				x.bytes = 5000
			case kind == 1:
				x.text = "no line\n"
			case kind <= 3:
				x.text = "+ part\n"
			default:
				x.text = fmt.Sprintf("%d %d\n", rapid.IntRange(0, 20).Draw(t, "client"), start+len(l.lines)/3)
			}
			if x.text != "" {
				x.bytes = int64(len(x.text) + rapid.SampledFrom([]int{0, 0, 0, 9, -2}).Draw(t, "redacted"))
			}
			at += x.bytes
			l.lines = append(l.lines, x)
		}
	}
	return l
}

// from is the number of lines before a mark.
func (l *log) from(m ingest.Mark) int {
	for i := range l.lines {
		if x := &l.lines[i]; x.file > m.File || x.file == m.File && x.at >= m.Offset {
			return i
		}
	}
	return len(l.lines)
}

// batch cuts the next batch behind the first n lines, as a source does: what it
// refuses stands before the lines of a batch.
func (l *log) batch(t *rapid.T, n int) (ingest.Batch, int) {
	b := ingest.Batch{Source: l.name, File: l.lines[n].file, Lag: rapid.Int64Range(0, 2).Draw(t, "lag")}
	sized := false
	for ; n < len(l.lines) && l.lines[n].file == b.File && l.lines[n].text == ""; n++ {
		x := &l.lines[n]
		b.Rejects = append(b.Rejects, ingest.Reject{Pos: ingest.Position{Source: l.name, File: x.file, Offset: x.at}, Reason: ingest.TooLong, Length: x.bytes - 1})
		b.Offset = x.at + x.bytes
	}
	if n < len(l.lines) && l.lines[n].file == b.File {
		b.Offset = l.lines[n].at
	}
	end := b.Offset
	for most := n + rapid.IntRange(1, 20).Draw(t, "size"); n < min(most, len(l.lines)) && l.lines[n].file == b.File && l.lines[n].text != ""; n++ {
		x := &l.lines[n]
		b.Data, b.Sizes = append(b.Data, x.text...), append(b.Sizes, int32(x.bytes))
		sized = sized || int(x.bytes) != len(x.text)
		end += x.bytes
	}
	if !sized {
		b.Sizes = nil
	}
	b.Mark = ingest.Mark{Source: l.name, File: b.File, Offset: end}
	if len(b.Data) > 0 {
		b.Free = func(data []byte) func() { return func() { clear(data) } }(b.Data) // whoever keeps it sees nothing
	}
	return b, n
}

// run is a collector that crashes, and what was saved of it.
type run struct {
	t     *rapid.T
	tb    testing.TB
	rand  *rand.Rand
	rig   *rig
	logs  [2]log
	read  [2]int // lines that were handed over since the last start
	marks map[string]ingest.Mark
	rows  map[string]ingest.LedgerRow
	state []byte
	safe  map[string]bool // lines in messages that were acknowledged
}

func (r *run) startAnew() {
	var rows []ingest.LedgerRow
	for _, x := range r.rows {
		rows = append(rows, x)
	}
	r.rig = newRig(r.tb, r.rig.broker, r.state, rows)
	for i := range r.logs {
		r.read[i] = r.logs[i].from(r.marks[r.logs[i].name])
	}
}

// ack answers for some message, and notes what is safe with it.
func (r *run) ack(i int) {
	k := r.rig.broker
	p := k.waiting[i]
	b := read(r.tb, &k.parts[p.partition][p.at])
	for c := b.Begin(); b.Next(&c); {
		r.safe[fmt.Sprint(b.Source, "/", b.File, "/", c.At)] = true
	}
	for _, x := range b.Rejects {
		r.safe[fmt.Sprint(b.Source, "/", b.File, "/", x.Pos.Offset)] = true
	}
	k.ack(i)
}

// save saves what the collector says may be saved, and checks that it may.
func (r *run) save() {
	s, moved := r.rig.c.Saved()
	if !moved {
		return
	}
	r.take(s)
	for i := range r.logs {
		l := &r.logs[i]
		n := l.from(r.marks[l.name])
		for _, x := range l.lines[:n] {
			if !r.safe[x.where(l.name)] {
				r.t.Fatalf("%s is before the mark %+v and not acknowledged", x.where(l.name), r.marks[l.name])
			}
		}
		if got := r.rows[l.name].Read; got != int64(n) {
			r.t.Fatalf("source %s: %d lines in the books, %d before the mark", l.name, got, n)
		}
	}
}

func (r *run) take(s collect.Saved) {
	r.state = s.State
	for _, m := range s.Marks {
		r.marks[m.Source] = m
	}
	for _, row := range s.Rows {
		r.rows[row.Source] = row
	}
}

// step does something at random; it reports whether there is more.
func (r *run) step() bool {
	k := r.rig.broker
	for r.rig.c.Stats().Waiting > 6 { // else the next step could wait for an answer
		r.ack(r.rand.IntN(len(k.waiting)))
	}
	switch what := rapid.IntRange(0, 19).Draw(r.t, "step"); {
	case what < 8:
		i := rapid.IntRange(0, 1).Draw(r.t, "source")
		if l := &r.logs[i]; r.read[i] < len(l.lines) {
			b, n := l.batch(r.t, r.read[i])
			r.rig.put(b)
			r.read[i] = n
		}
	case what < 13:
		if len(k.waiting) > 0 {
			r.ack(r.rand.IntN(len(k.waiting)))
		}
	case what == 13:
		r.rig.now = r.rig.now.Add(time.Second)
		r.rig.flush()
	case what == 14:
		k.crash(r.rand)
		r.startAnew()
	default:
		r.save()
	}
	return r.read[0] < len(r.logs[0].lines) || r.read[1] < len(r.logs[1].lines)
}

// TestEveryLineOnce: whatever order messages are acknowledged in and wherever the
// collector crashes, each line comes to its client's partition, in order, and once for
// who skips what it has; the marks are never ahead of what is safe.
func TestEveryLineOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := newBroker(rapid.SampledFrom([]int{1, 2, 5}).Draw(rt, "partitions"))
		r := &run{t: rt, tb: t, rig: newRig(t, k, nil, nil), marks: map[string]ingest.Mark{}, rows: map[string]ingest.LedgerRow{}, safe: map[string]bool{},
			rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "acks"), 1)), logs: [2]log{drawLog(rt, "one"), drawLog(rt, "two")}}
		for i := range r.logs { // the end of each is no beginning
			l := &r.logs[i]
			l.lines = append(l.lines, line{text: "no line\n", file: 3, bytes: 8})
		}
		for r.step() {
		}
		k2 := r.rig.broker
		r.rig.flush()
		for len(k2.waiting) > 0 {
			r.ack(r.rand.IntN(len(k2.waiting)))
		}
		r.save()
		for i := range r.logs {
			if n := r.logs[i].from(r.marks[r.logs[i].name]); n != len(r.logs[i].lines) {
				rt.Fatalf("the mark is behind %d of %d lines", n, len(r.logs[i].lines))
			}
		}
		want, got := r.want(), consume(t, k)
		for where, partition := range want {
			if got[where] != partition {
				rt.Fatalf("line %s: %q, want %q", where, got[where], partition)
			}
		}
		if len(got) != len(want) {
			rt.Fatalf("%d lines, want %d", len(got), len(want))
		}
	})
}

// want tells where each line is to arrive, and how.
func (r *run) want() map[string]string {
	out := map[string]string{}
	for i := range r.logs {
		l := &r.logs[i]
		to := 0
		for j := len(l.lines) - 1; j >= 0; j-- {
			x := &l.lines[j]
			var n, sec int
			if strings.HasPrefix(x.text, "+") { // goes with the line behind it
			} else if _, err := fmt.Sscanf(x.text, "%d %d", &n, &sec); err == nil {
				to = partitionOf(n, len(r.rig.broker.parts))
			} else {
				to = 0
			}
			out[x.where(l.name)] = fmt.Sprintf("%d: %s", to, x.text)
		}
	}
	return out
}

// consume reads every partition as a detector does.
func consume(t testing.TB, k *broker) map[string]string {
	out := map[string]string{}
	note := func(where, what string) {
		if was, twice := out[where]; twice {
			what = "twice: " + was + what
		}
		out[where] = what
	}
	for p := range k.parts {
		seen := map[string]int64{}
		for i := range k.parts[p] {
			m := k.parts[p][i]
			b := read(t, &m)
			if b.Lines() == 0 && len(b.Rejects) == 0 {
				continue
			}
			place, end := fmt.Sprint(b.Source, "/", b.File, "/"), b.End()
			if at, known := seen[place]; known {
				b.SkipTo(at)
			}
			seen[place] = max(seen[place], end)
			for c := b.Begin(); b.Next(&c); {
				note(place+fmt.Sprint(c.At), fmt.Sprintf("%d: %s", p, b.Data[c.Start:c.End]))
			}
			for _, x := range b.Rejects {
				note(place+fmt.Sprint(x.Pos.Offset), fmt.Sprintf("%d: ", p))
			}
		}
	}
	return out
}
