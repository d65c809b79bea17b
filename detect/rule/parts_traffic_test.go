package rule_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/traffic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// line is real lines on their way through a collector, partitions and level two.
type line struct {
	t       testing.TB
	split   *detect.Splitter
	engines []*detect.Engine
	level2  *detect.Wide

	took            [3]time.Duration // by stage
	lines, messages int64            // bytes and number of messages of lines
	partials        int64            // bytes
}

func newLine(t testing.TB, partitions int) *line {
	t.Helper()
	cfg := realConfig(t, detect.Rules()...)
	reader, err := cfg.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t}
	if l.split, err = detect.NewSplitter(detect.SplitConfig{Partitions: partitions, Seed: cfg.Seed, LateSeconds: cfg.LateSeconds, Lines: reader.(detect.LineReader)}); err != nil {
		t.Fatal(err)
	}
	if l.level2, err = detect.NewWide(cfg, partitions); err != nil {
		t.Fatal(err)
	}
	cfg.Forward = true
	for range partitions {
		e, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l.engines = append(l.engines, e)
	}
	return l
}

func (l *line) feed(b *ingest.Batch) {
	began := time.Now()
	parts, _ := l.split.Split(b)
	l.took[0] += time.Since(began)
	for _, p := range parts {
		l.message(p.Partition, &p.Batch)
	}
}

// message takes a batch through its message and level one to level two.
func (l *line) message(p int, b *ingest.Batch) {
	m, err := bus.FromBatch("access", b)
	if err != nil {
		l.t.Fatal(err)
	}
	l.messages++
	l.lines += int64(len(m.Value))
	for _, h := range m.Headers {
		l.lines += int64(len(h.Key) + len(h.Value))
	}
	began := time.Now()
	got, err := bus.ToBatch(&m)
	if err != nil {
		l.t.Fatal(err)
	}
	l.engines[p].Feed(&got)
	sent := l.engines[p].Partials()
	l.took[1] += time.Since(began)
	l.level(p, sent)
}

func (l *line) level(p int, sent *detect.Partials) {
	if sent == nil {
		return
	}
	value := sent.Append(nil)
	l.partials += int64(len(value))
	began := time.Now()
	got, err := detect.ParsePartials(value)
	if err == nil {
		err = l.level2.Feed(p, got)
	}
	if l.took[2] += time.Since(began); err != nil {
		l.t.Fatal(err)
	}
	scribble(value)
}

// finish tells all how far the stream has come and returns what they found.
func (l *line) finish() *result {
	r := newResult()
	for p, e := range l.engines {
		l.message(p, &ingest.Batch{Newest: l.split.Newest()})
		s := e.Finish()
		l.level(p, e.Partials())
		r.take(s)
		r.book(s.Ledger)
		e.Close()
	}
	r.take(l.level2.Snapshot())
	return r
}

// TestPartsOnRealLines: generated traffic with attackers, and with logins refused
// for accounts, read from lines as messages: three and eight partitions find what one
// engine finds, and count what it counts.
func TestPartsOnRealLines(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	var log bytes.Buffer
	if _, err := traffic.Write(&log, traffic.Options{Lines: 60_000, Seed: 5, Attackers: true}); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(log.Bytes(), []byte("\n"))
	log = bytes.Buffer{}
	for i, line := range lines {
		if log.Write(line); i%97 == 0 && len(line) > 0 {
			at := stamp.FindSubmatch(line)[1]
			fmt.Fprintf(&log, "203.0.113.%d - user%d [%s] \"POST /login HTTP/1.1\" 401 5 \"-\" \"a\"\n", i/97%40, i/97%3, at)
		}
		if i%5000 == 0 {
			log.WriteString("no line\n")
		}
	}
	e := realEngine(t, detect.Rules()...)
	defer e.Close()
	batches(log.Bytes(), e.Feed)
	s := e.Finish()
	want := newResult()
	want.take(s)
	want.book(s.Ledger)
	accounts := 0
	for _, f := range s.Findings {
		if f.Rule == "auth-account" {
			accounts++
		}
	}
	if accounts == 0 || s.Ledger[0].Rejected == 0 {
		t.Fatalf("%d findings of accounts, books %+v: the log is not what this test wants", accounts, s.Ledger)
	}
	for _, n := range []int{1, 3, 8} {
		l := newLine(t, n)
		batches(log.Bytes(), l.feed)
		got := l.finish()
		// A route gets its number with its first success, in each process for itself: only all
		// traffic is the same to the last request.
		got.rollups, want.rollups = allTraffic(got.rollups), allTraffic(want.rollups)
		if d := got.differs(want); d != "" {
			t.Errorf("%d partitions:\n%s", n, d)
		}
	}
}

func allTraffic(rows map[[2]string]detect.Rollup) map[[2]string]detect.Rollup {
	out := map[[2]string]detect.Rollup{}
	for k, r := range rows {
		if k[1] == "" {
			out[k] = r
		}
	}
	return out
}

// BenchmarkParts is the whole path over generated traffic with attackers, divided: what
// a line costs where it is split, detected on and merged, and the bytes of messages.
func BenchmarkParts(b *testing.B) {
	const lines = 200_000
	var log bytes.Buffer
	if _, err := traffic.Write(&log, traffic.Options{Lines: lines, Seed: 1, Attackers: true}); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var took [3]time.Duration
			var l *line
			for b.Loop() {
				l = newLine(b, n)
				batches(log.Bytes(), l.feed)
				l.finish()
				for i := range took {
					took[i] += l.took[i]
				}
			}
			for i, stage := range []string{"split", "level1", "level2"} {
				b.ReportMetric(float64(took[i].Nanoseconds())/float64(b.N)/lines, stage+"-ns/line")
			}
			b.ReportMetric(float64(l.lines)/lines, "message-B/line")
			b.ReportMetric(float64(l.partials)/lines, "partials-B/line")
			b.ReportMetric(float64(l.messages)/lines*1000, "messages/1000lines")
		})
	}
}
