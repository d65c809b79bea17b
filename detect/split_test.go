package detect_test

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// reader reads source "s"; without a format it knows of no source.
func reader(t testing.TB, spec string) *decode.Decoder {
	t.Helper()
	formats := map[string]format.Format{}
	if spec != "" {
		f, err := format.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		formats["s"] = f
	}
	d, err := decode.NewPlan(formats, identity.Config{Key: [identity.KeyBytes]byte{1}}, decode.Options{}).New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read adds what becomes of the lines of a batch, by where they stand.
func read(d *decode.Decoder, b *ingest.Batch, into map[int64]string) {
	put := func(at int64, told string) {
		if was, twice := into[at]; twice {
			told = "twice: " + was + ", " + told
		}
		into[at] = told
	}
	d.Decode(b, func(ev *ingest.Event) { put(ev.Pos.Offset, fmt.Sprintln(ev.Time, ev.Client, ev.Target)) },
		func(r ingest.Reject) { put(r.Pos.Offset, fmt.Sprintln(r.Reason, r.Length)) })
}

// divide sends batches through a splitter to readers that know of no source, and
// returns what becomes of the lines, and the marks.
func divide(t testing.TB, spec string, n int, batches []ingest.Batch) (map[int64]string, []ingest.Mark) {
	t.Helper()
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: n, Seed: 7, LateSeconds: 30, Lines: reader(t, spec)})
	if err != nil {
		t.Fatal(err)
	}
	readers := make([]*decode.Decoder, n)
	for i := range readers {
		readers[i] = reader(t, "")
	}
	got := map[int64]string{}
	var marks []ingest.Mark
	for _, b := range batches {
		parts, mark := s.Split(&b)
		marks = append(marks, mark)
		for _, p := range parts {
			if p.Batch.Mark != mark || p.Batch.Newest != s.Newest() && p.Batch.Format == parts[len(parts)-1].Batch.Format {
				t.Fatalf("a part with mark %+v, newest %d; want %+v, %d", p.Batch.Mark, p.Batch.Newest, mark, s.Newest())
			}
			read(readers[p.Partition], &p.Batch, got)
		}
	}
	return got, marks
}

func cutAt(data string, offsets ...int) []ingest.Batch {
	var out []ingest.Batch
	at := 0
	for _, end := range append(offsets, len(data)) {
		if end <= at {
			continue
		}
		end = at + strings.LastIndexByte(data[at:end], '\n') + 1
		if end == at {
			continue
		}
		out = append(out, ingest.Batch{Source: "s", File: 1, Offset: int64(at), Data: []byte(data[at:end]), Mark: ingest.Mark{Source: "s", File: 1, Offset: int64(end)}})
		at = end
	}
	return out
}

// TestLinesInPartsStayTogether: a line that the container runtime cut goes as a
// whole where its client belongs, also over the end of a batch; until then the mark
// stays in front of it.
func TestLinesInPartsStayTogether(t *testing.T) {
	const head = "2026-03-02T10:00:00.5Z stdout "
	rapid.Check(t, func(rt *rapid.T) {
		var log strings.Builder
		open := map[int64]bool{} // ends of batches in the middle of a line
		for i := range rapid.IntRange(1, 30).Draw(rt, "lines") {
			line := fmt.Sprintf(`192.0.2.%d - - [02/Mar/2026:10:00:%02d +0000] "GET /%d HTTP/1.1" 200 5 "-" "a"`, i%7, i, i)
			for rapid.IntRange(0, 2).Draw(rt, "cut") == 0 && len(line) > 12 {
				fmt.Fprintln(&log, head+"P "+line[:10])
				open[int64(log.Len())] = true
				line = line[10:]
			}
			fmt.Fprintln(&log, head+"F "+line)
		}
		data := log.String()
		batches := cutAt(data, rapid.IntRange(0, len(data)).Draw(rt, "end"), rapid.IntRange(0, len(data)).Draw(rt, "end"))
		want := map[int64]string{}
		d := reader(t, "cri:nginx-combined")
		for _, b := range batches {
			read(d, &b, want)
		}
		got, marks := divide(t, "cri:nginx-combined", rapid.SampledFrom([]int{1, 3, 8}).Draw(rt, "partitions"), batches)
		if !maps.Equal(got, want) {
			rt.Fatalf("whole\n%v\nin parts\n%v", want, got)
		}
		for i, m := range marks {
			at := batches[i].Mark.Offset
			if want := open[at]; want != (m.Offset < at) || want && strings.Contains(data[m.Offset:at], " F ") {
				rt.Fatalf("mark %d behind a batch that ends at %d, in the middle of a line: %v", m.Offset, at, want)
			}
		}
	})
}

// TestPartsOfSeveral: of batches in a row Parts makes the same as Split of all their lines.
func TestPartsOfSeveral(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var log strings.Builder
		for i := range rapid.IntRange(1, 40).Draw(rt, "lines") {
			if rapid.IntRange(0, 9).Draw(rt, "no event") == 0 {
				fmt.Fprintf(&log, "no event %d\n", i)
				continue
			}
			sec := rapid.IntRange(0, 59).Draw(rt, "second")
			fmt.Fprintf(&log, `192.0.2.%d - - [02/Mar/2026:10:%02d:%02d +0000] "GET /%d HTTP/1.1" 200 5 "-" "a"`+"\n", i%7, i, sec, i)
		}
		data := log.String()
		cuts := []int{rapid.IntRange(0, len(data)).Draw(rt, "cut"), rapid.IntRange(0, len(data)).Draw(rt, "cut")}
		slices.Sort(cuts)
		splitter := func() *detect.Splitter {
			s, err := detect.NewSplitter(detect.SplitConfig{Partitions: 3, Seed: 7, LateSeconds: 30, Lines: reader(t, "nginx-combined")})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		whole, pieces := splitter(), splitter()
		begin := ingest.Batch{Source: "s", Data: []byte(`192.0.2.1 - - [02/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "a"` + "\n")}
		whole.Split(&begin) // the stream is the same from its beginning on
		pieces.Split(&begin)
		all := cutAt(data)[0]
		want, wantMark := whole.Split(&all)
		lines, end := 0, int64(0)
		for _, b := range cutAt(data, cuts...) {
			n, to := pieces.Add(&b)
			lines, end = lines+n, to
		}
		got, mark := pieces.Parts()
		if again, _ := pieces.Parts(); len(again) != 0 {
			rt.Fatalf("%d parts come twice", len(again))
		}
		for _, parts := range [][]detect.Part{want, got} {
			for i := range parts {
				parts[i].Batch.Free = nil
			}
		}
		if !reflect.DeepEqual(got, want) || mark != wantMark || lines != all.Lines() || end != all.End() || !bytes.Equal(pieces.State(), whole.State()) {
			rt.Fatalf("%d lines to %d, mark %+v\n%+v\nwant %d lines to %d, mark %+v\n%+v", lines, end, mark, got, all.Lines(), all.End(), wantMark, want)
		}
	})
}

// TestAnUncutSourceKeepsNothingBack: a batch that cannot be cut is sent whole.
func TestAnUncutSourceKeepsNothingBack(t *testing.T) {
	b := cutAt("2026-03-02T10:00:00.5Z stdout P 192.0.2.1 - -\n")
	b[0].Whole = true
	got, marks := divide(t, "cri:nginx-combined", 3, b)
	if len(got) != 1 || marks[0] != b[0].Mark {
		t.Errorf("outcomes %v, mark %+v", got, marks[0])
	}
}

// TestFormatsThatChange: where "auto" is settled late, or gives way to another format
// in the middle of a batch, every partition reads each line as the sender did.
func TestFormatsThatChange(t *testing.T) {
	var log bytes.Buffer
	for i := range 2000 {
		switch {
		case i < 3:
			fmt.Fprintf(&log, "nothing %d known\n", i)
		case i < 700:
			fmt.Fprintf(&log, `192.0.2.%d - - [02/Mar/2026:10:00:%02d +0000] "GET /%d HTTP/1.1" 200 5 "-" "a"`+"\n", i%90, i/50, i)
		default:
			fmt.Fprintf(&log, `{"time":"2026-03-02T10:01:%02d+00:00","remote_addr":"192.0.2.%d","request":"GET /%d HTTP/1.1","status":200}`+"\n", i/50, i%90, i)
		}
	}
	data := log.String()
	first := strings.Index(data, "192.0.2.")
	batches := cutAt(data, first, first+40_000)
	want, d := map[int64]string{}, reader(t, "auto")
	for i, b := range batches {
		if i < 2 { // as an engine does at the beginning of a stream, which reads twice to find it
			read(d, &b, map[int64]string{})
		}
		read(d, &b, want)
	}
	events := 0
	for _, told := range want {
		if strings.Contains(told, "192.0.2") {
			events++
		}
	}
	if events < 1000 || events == 1997 {
		t.Fatalf("%d events: the format does not change as this test wants", events)
	}
	if got, _ := divide(t, "auto", 3, batches); !maps.Equal(got, want) {
		for at, told := range want {
			if got[at] != told {
				t.Errorf("at %d: %s, want %s", at, got[at], told)
				break
			}
		}
	}
}

// TestClientsOfAShard: the exported shard is the one of the engine's snapshots, and
// of the splitter's partitions.
func TestClientsOfAShard(t *testing.T) {
	for i := range 50 {
		ev := plain(start, fmt.Sprintf("192.0.2.%d", i))
		log := logOf(one(ev))
		e := detecttest.Engine(t, detecttest.Setup{Late: 30}, log)
		feed(e, 0, 1)
		want := detect.ShardOf(ev.Client, 7)
		for name := range e.Snapshot().Blobs {
			if strings.HasPrefix(name, "shard/") && name != fmt.Sprintf("shard/%03d", want) {
				t.Errorf("%s is in %s, want %d", ev.Client, name, want)
			}
		}
		e.Close()
		s, err := detect.NewSplitter(detect.SplitConfig{Partitions: 5, Seed: 7, LateSeconds: 30, Lines: detecttest.Numbered{Log: log}})
		if err != nil {
			t.Fatal(err)
		}
		if parts, _ := s.Split(&ingest.Batch{Source: "s", Data: []byte("000000\n")}); len(parts) != 1 || parts[0].Partition != want%5 {
			t.Errorf("%s goes to %+v, want partition %d", ev.Client, parts, want%5)
		}
	}
}

// TestSplitterState refuses what it did not write, and goes on from what it did.
func TestSplitterState(t *testing.T) {
	log := logOf(one(plain(start, "192.0.2.1")), one(plain(start+9000, "192.0.2.1")), one(plain(start+9000, "192.0.2.1")), one(plain(start+9000, "192.0.2.1")))
	fresh := func() *detect.Splitter {
		s, err := detect.NewSplitter(detect.SplitConfig{Partitions: 2, Seed: 7, LateSeconds: 30, Lines: detecttest.Numbered{Log: log}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := fresh()
	for i, newest := range []int64{start, start, start, start + 9000} { // the third witness is believed
		s.Split(&ingest.Batch{Source: "s", Data: fmt.Appendf(nil, "%06x\n", i)})
		if s.Newest() != newest {
			t.Errorf("newest %d after line %d, want %d", s.Newest(), i, newest)
		}
		state := s.State()
		for n := range state {
			if fresh().Restore(state[:n]) == nil {
				t.Errorf("%d of %d bytes of a state are taken", n, len(state))
			}
		}
		s = fresh()
		if err := s.Restore(state); err != nil {
			t.Fatal(err)
		}
	}
	if s.Advance(start + 20_000); s.Newest() != start+20_031 {
		t.Errorf("newest %d after all up to %d was said to be there", s.Newest(), start+20_000)
	}
	if s.Advance(start); s.Newest() != start+20_031 {
		t.Error("the stream went back")
	}
	for _, n := range []int{0, 257} {
		if _, err := detect.NewSplitter(detect.SplitConfig{Partitions: n}); err == nil {
			t.Errorf("%d partitions: no error", n)
		}
	}
}
