package decode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/format"
)

// outcome is what became of a line, with everything that its place decides.
type outcome struct {
	at   int64
	told string
}

func outcomes(d *Decoder, b *ingest.Batch) []outcome {
	var out []outcome
	d.Decode(b, func(ev *ingest.Event) {
		out = append(out, outcome{ev.Pos.Offset, fmt.Sprintf("%+v", *ev)})
	}, func(r ingest.Reject) { out = append(out, outcome{r.Pos.Offset, fmt.Sprintf("%+v", r)}) })
	return out
}

// drawBatch is a batch of all sorts of lines, perhaps with secrets replaced.
func drawBatch(rt *rapid.T, d *Decoder, redact func(*ingest.Batch)) *ingest.Batch {
	secret := line("192.0.2.1", "GET /a?token=abcdefghijkl&password=x HTTP/1.1")
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{line("192.0.2.1", "GET /a HTTP/1.1"), line("192.0.2.2", "GET /orders/17 HTTP/1.1"),
		secret, "", "junk token=abc", "\x00", secret + "\r", line("-", "GET / HTTP/1.1"), strings.Repeat("y", 300)}), 1, 20).Draw(rt, "lines")
	data := strings.Join(lines, "\n")
	if rapid.Bool().Draw(rt, "ended") || lines[len(lines)-1] == "" {
		data += "\n"
	}
	b := batch(data)
	if rapid.Bool().Draw(rt, "redacted") {
		redact(b)
	}
	return b
}

// TestSelectionIsWhatItSelects: any choice of a batch's lines, sent as a message,
// gives the same events and rejects at the same places as in the whole batch; so
// does what SkipTo leaves of it.
func TestSelectionIsWhatItSelects(t *testing.T) {
	_, d, red := redacted(t, "nginx-combined")
	rapid.Check(t, func(rt *rapid.T) {
		b := drawBatch(rt, d, red.Batch)
		all := outcomes(d, b)
		var p ingest.Picker
		var want []outcome
		for c := b.Begin(); b.Next(&c); {
			if rapid.Bool().Draw(rt, "chosen") {
				if !p.Add(b, &c) {
					rt.Fatalf("line %d cannot be added", c.Number)
				}
				want = append(want, all[c.Number])
			}
		}
		chosen := p.Take()
		chosen.Source, chosen.File = b.Source, b.File
		end := chosen.End()
		chosen.Rejects = []ingest.Reject{{Pos: ingest.Position{Source: "s", File: 7, Offset: 130}, Reason: ingest.TooLong, Length: 9}}
		m, err := bus.FromBatch("t", &chosen)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := bus.ToBatch(&m)
		if err != nil {
			rt.Fatal(err)
		}
		if o := outcomes(d, &got); !slices.Equal(o, want) {
			rt.Fatalf("of the selection\n%v\nof the same lines in the batch\n%v", o, want)
		}
		again := got
		from := rapid.Int64Range(90, got.End()+10).Draw(rt, "from")
		got.SkipTo(from)
		want = slices.DeleteFunc(want, func(o outcome) bool { return o.at < from })
		if o := outcomes(d, &got); !slices.Equal(o, want) || (len(got.Rejects) == 1) != (from <= 130) {
			rt.Fatalf("behind %d\n%v, %d rejects\nwant\n%v", from, o, len(got.Rejects), want)
		}
		if got.End() < end || len(want) > 0 && from > 130 && got.End() != end {
			rt.Fatalf("ends at %d, before at %d", got.End(), end)
		}
		if again.SkipTo(again.End()); len(again.Data) > 0 || again.Rejects != nil {
			rt.Fatalf("what is left behind its end: %q, %v", again.Data, again.Rejects)
		}
	})
}

// TestClientsAreThoseOfDecode: the sender finds of every line what the detector will.
func TestClientsAreThoseOfDecode(t *testing.T) {
	_, d, red := redacted(t, "nginx-combined")
	rapid.Check(t, func(rt *rapid.T) {
		b := drawBatch(rt, d, red.Batch)
		brief := func(at int64, client, reason any, time int64) string { return fmt.Sprintln(at, client, reason, time) }
		var want, got []string
		d.Decode(b, func(ev *ingest.Event) { want = append(want, brief(ev.Pos.Offset, ev.Client, ingest.OK, ev.Time)) },
			func(r ingest.Reject) { want = append(want, brief(r.Pos.Offset, "invalid IP", r.Reason, 0)) })
		d.Clients(b, func(l *ingest.Line) {
			got = append(got, brief(l.At, l.Client, l.Reason, l.Time))
			if l.Format != "nginx-combined" || l.Untimed {
				rt.Fatalf("format %q, untimed %v", l.Format, l.Untimed)
			}
		})
		if !slices.Equal(got, want) {
			rt.Fatalf("clients\n%v\ndecoded\n%v", got, want)
		}
	})
}

// TestFormatOfTheBatch: a batch that names its format needs no source in the
// config; one that names none to be had is rejected, and Open says why.
func TestFormatOfTheBatch(t *testing.T) {
	const own = `nginx:$remote_addr [$time_local] "$request" $status`
	p := plan(t, "nginx-combined", Options{})
	d := decoder(t, p)
	told := func(source, format, data string) []string {
		b := batch(data)
		b.Source, b.Format = source, format
		return told(d, b)
	}
	short := `192.0.2.1 [02/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200` + "\n"
	for _, c := range []struct{ source, format, data, want string }{
		{"elsewhere", own, short, "100 192.0.2.1 GET /a"},
		{"s", own, short, "100 192.0.2.1 GET /a"},
		{"s", "", line("192.0.2.1", "GET /b HTTP/1.1") + "\n", "100 192.0.2.1 GET /b"},
		{"s", "auto", line("192.0.2.1", "GET /b HTTP/1.1") + "\n", "100 bad_shape 78"},
		{"s", "from-the-future", short, "100 bad_shape 60"},
	} {
		if got := told(c.source, c.format, c.data); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s in %q: %v, want %s", c.source, c.format, got, c.want)
		}
	}
	for spec, want := range map[string]string{own: "", "auto": "has not found yet", "cri:auto": "has not found yet", "from-the-future": "from-the-future"} {
		if err := p.Open(spec); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v, want %q", spec, err, want)
		}
	}
}

// TestFormatsOfBatchesAreBounded: who names ever new formats fills no memory.
func TestFormatsOfBatchesAreBounded(t *testing.T) {
	p := plan(t, "nginx-combined", Options{})
	d := decoder(t, p)
	for i := range 3 * maxOpened {
		b := batch("192.0.2.1 200\n")
		b.Format = fmt.Sprintf("nginx:$remote_addr $status x%d", i)
		told(d, b)
	}
	if len(d.parsers) > maxOpened || len(p.opened) > maxOpened {
		t.Errorf("%d parsers and %d formats are kept, at most %d", len(d.parsers), len(p.opened), maxOpened)
	}
}

// TestFormatFoundIsSaid: what "auto" came to can be opened elsewhere.
func TestFormatFoundIsSaid(t *testing.T) {
	const cri = `2026-03-02T10:00:00Z stdout F `
	for spec, want := range map[string]string{"auto": "nginx-combined", "cri:auto": "cri:nginx-combined"} {
		d := decoder(t, plan(t, spec, Options{}))
		wrap := map[bool]string{true: cri}[spec != "auto"]
		for _, data := range []string{"junk\n", strings.Repeat(wrap+line("192.0.2.1", "GET /a HTTP/1.1")+"\n", 9)} {
			d.Clients(batch(data), func(l *ingest.Line) {
				if now := map[bool]string{true: "auto", false: want}[data == "junk\n"]; l.Format != now {
					t.Errorf("%s: a line of format %q, want %q", spec, l.Format, now)
				}
			})
		}
		if f, err := format.Open(want); err != nil || f.Spec != want {
			t.Errorf("%s opens as %q, %v", want, f.Spec, err)
		}
	}
}

// TestTimeOfTheSender: what the sender says is the time of a line that has none,
// and of no other.
func TestTimeOfTheSender(t *testing.T) {
	d := decoder(t, plan(t, `nginx:$remote_addr "$request" $status`, Options{NoTime: func() int64 { return 42e9 }}))
	b := batch("192.0.2.1 \"GET /a HTTP/1.1\" 200\n192.0.2.1 \"GET /b HTTP/1.1\" 200\n")
	b.Remarks = []ingest.Remark{{At: 132, What: ingest.RemarkTime, Value: 7e9}, {At: 132, What: ingest.RemarkLate, Value: 9}}
	var times []int64
	d.Decode(b, func(ev *ingest.Event) { times = append(times, ev.Time) }, func(r ingest.Reject) { t.Errorf("%+v", r) })
	if !slices.Equal(times, []int64{42e9, 7e9}) {
		t.Errorf("times %v", times)
	}
	d.Clients(b, func(l *ingest.Line) {
		if !l.Untimed {
			t.Errorf("line %d says its time", l.Number)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := decoder(b, plan(b, "nginx-combined", Options{}))
	data := []byte(strings.Repeat(line("192.0.2.1", "GET /orders/17?page=2 HTTP/1.1")+"\n", 1000))
	in := func() *ingest.Batch { return &ingest.Batch{Source: "s", Data: data} }
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			d.Decode(in(), func(*ingest.Event) {}, func(ingest.Reject) {})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/line")
	})
	b.Run("clients", func(b *testing.B) {
		for b.Loop() {
			d.Clients(in(), func(*ingest.Line) {})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/line")
	})
}
