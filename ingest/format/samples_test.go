package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

const fixtures = "../../fixtures"

// sampleFile reads the lines of a file below fixtures.
func sampleFile(t testing.TB, name string) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join(fixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(bufio.NewReader(r))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

// sampleSpecs are the samples, how each is read, and what must come of it.
var sampleSpecs = []struct {
	file, spec                       string
	lines, events                    int
	malformed, invalid, forged, gone int // flags, and requests that are not known
	rejects                          map[ingest.Reason]int
}{
	{file: "nginx-combined.log", spec: "nginx-combined", lines: 197, events: 197, malformed: 3, invalid: 3},
	{file: "nginx-ext.log", spec: "nginx:" + extFormat, lines: 197, events: 197, malformed: 3, invalid: 3},
	{file: "nginx-json.log", spec: "nginx:" + jsonFormat, lines: 197, events: 197, malformed: 3, invalid: 4},
	{file: "nginx-json.log", spec: "nginx-json", lines: 197, events: 197, malformed: 3, invalid: 4},
	{file: "nginx-syslog_rfc3164_json.log", spec: "syslog:nginx-json", lines: 197, events: 197, malformed: 3, invalid: 4},
	{file: "nginx-escapenone.log", spec: "nginx:" + noneFormat, lines: 197, events: 195, malformed: 2, invalid: 2, forged: 195,
		rejects: map[ingest.Reason]int{ingest.HasNUL: 2}},
	{file: "nginx-error.log", spec: "nginx-combined", lines: 193, rejects: map[ingest.Reason]int{ingest.NotARequest: 191, ingest.HasNUL: 2}},
	{file: "nginx-error.log", spec: "nginx-json", lines: 193, rejects: map[ingest.Reason]int{ingest.NotARequest: 191, ingest.HasNUL: 2}},
	{file: "nginx-modsecurity-error.log", spec: "nginx-combined", lines: 34, rejects: map[ingest.Reason]int{ingest.NotARequest: 34}},
	{file: "nginx-combined.log", spec: "nginx-json", lines: 197, rejects: map[ingest.Reason]int{ingest.BadJSON: 197}},
	{file: "nginx-json.log", spec: "nginx-combined", lines: 197, rejects: map[ingest.Reason]int{ingest.BadShape: 197}},
}

// tally is what came of the lines of a sample.
type tally struct {
	lines, events                      int
	malformed, invalid, cut, forgeable int // flags
	rejects                            map[ingest.Reason]int
}

// tallied reads a sample, each line by the first parser that fits, and shows the
// events to look. All clients of the samples were on the gateway's own machine: any
// other address was written by one of them.
func tallied(t *testing.T, file string, parsers []ingest.Parser, look func(where string, ev *ingest.Event)) tally {
	t.Helper()
	lines := sampleFile(t, "samples/"+file)
	sum := tally{lines: len(lines), rejects: map[ingest.Reason]int{}}
	for n, line := range lines {
		ev, reason := readBy(parsers, line)
		if reason != ingest.OK {
			sum.rejects[reason]++
			continue
		}
		where := fmt.Sprintf("%s:%d", file, n+1)
		if seen := ev.Peer.String(); seen != "127.0.0.1" && seen != "::1" {
			t.Errorf("%s: the gateway never saw %s: %q", where, seen, line)
		}
		sum.events++
		sum.malformed += count(ev.Flags, ingest.FlagMalformed)
		sum.invalid += count(ev.Flags, ingest.FlagInvalidUTF8)
		sum.cut += count(ev.Flags, ingest.FlagTruncated)
		sum.forgeable += count(ev.Flags, ingest.FlagForgeable)
		look(where, &ev)
	}
	return sum
}

// readBy reads a line by the first parser that fits; else the reason is that of one
// that knows what the line is, or of the last.
func readBy(parsers []ingest.Parser, line []byte) (ingest.Event, ingest.Reason) {
	var best ingest.Reason
	for _, p := range parsers {
		var ev ingest.Event
		r := p.Parse(line, &ev)
		if r == ingest.OK {
			return ev, r
		}
		if best != ingest.NotARequest {
			best = r
		}
	}
	return ingest.Event{}, best
}

// is compares a tally with what is wanted.
func (sum tally) is(t *testing.T, what string, want tally) {
	t.Helper()
	if fmt.Sprint(sum) != fmt.Sprint(want) {
		t.Errorf("%.60s: lines, events, malformed, invalid UTF-8, cut, forgeable, rejects are %v, want %v", what, sum, want)
	}
}

func TestSamples(t *testing.T) {
	for _, s := range sampleSpecs {
		gone := 0
		sum := tallied(t, s.file, []ingest.Parser{open(t, s.spec)}, func(where string, ev *ingest.Event) {
			if ev.Target == "" && ev.Flags&ingest.FlagMalformed == 0 {
				gone++
			}
			if s.file != "nginx-escapenone.log" && (ev.Time < 1795439016e9 || ev.Time >= 1795439024e9) {
				t.Errorf("%s: time %d is not within the run", where, ev.Time)
			}
			if ev.Status == 0 {
				t.Errorf("%s: no status: %+v", where, ev)
			}
		})
		what := s.file + " as " + s.spec
		t.Logf("%-48.48s %v", what, sum)
		sum.is(t, what, tally{s.lines, s.events, s.malformed, s.invalid, 0, s.forged, s.rejects})
		if gone != s.gone {
			t.Errorf("%.60s: %d without target, want %d", what, gone, s.gone)
		}
	}
}

func count(flags, f ingest.Flags) int {
	if flags&f != 0 {
		return 1
	}
	return 0
}

// TestSamplesAgree reads the same requests from each format: what two formats both
// hold must be the same, bytes and all.
func TestSamplesAgree(t *testing.T) {
	ref := parseAll(t, "nginx:"+jsonFormat, "nginx-json.log")
	for _, c := range []struct {
		file, spec string
		same       func(a, b ingest.Event) bool
	}{
		{"nginx-json.log", "nginx-json", func(a, b ingest.Event) bool { return a == b }},
		{"nginx-syslog_rfc3164_json.log", "syslog:nginx-json", func(a, b ingest.Event) bool { return a == b }},
		{"nginx-ext.log", "nginx:" + extFormat, func(a, b ingest.Event) bool {
			return a.Time/1e9 == b.Time/1e9 && a.Target == b.Target && a.Referer == b.Referer && a.Agent == b.Agent &&
				a.Chain == b.Chain && a.Status == b.Status && a.BytesOut == b.BytesOut && a.User == b.User &&
				a.RequestID == b.RequestID && a.Duration == b.Duration && a.Upstream == b.Upstream
		}},
		{"nginx-combined.log", "nginx-combined", func(a, b ingest.Event) bool {
			return a.Target == b.Target && a.Referer == b.Referer && a.Agent == b.Agent && a.Status == b.Status &&
				a.BytesOut == b.BytesOut && a.User == b.User && a.Peer == b.Peer
		}},
	} {
		for i, b := range parseAll(t, c.spec, c.file) {
			if a := ref[i]; !c.same(a, b) {
				t.Errorf("%s:%d as %.20s differs from nginx-json.log:\n%+v\n%+v", c.file, i+1, c.spec, b, a)
			}
		}
	}
}

func parseAll(t *testing.T, spec, file string) []ingest.Event {
	t.Helper()
	p := open(t, spec)
	var out []ingest.Event
	for _, line := range sampleFile(t, "samples/"+file) {
		var ev ingest.Event
		if r := p.Parse(line, &ev); r != ingest.OK {
			t.Fatalf("%s: %s: %q", file, r, line)
		}
		out = append(out, ev)
	}
	return out
}

// TestBackground: every one of 10 000 real lines is an event, and one that was cut
// says so.
func TestBackground(t *testing.T) {
	p := open(t, "nginx-combined")
	lines := sampleFile(t, "background/elastic-apache.log.gz")
	cut := 0
	private := netip.MustParsePrefix("10.0.0.0/8")
	for n, line := range lines {
		var ev ingest.Event
		if r := p.Parse(line, &ev); r != ingest.OK {
			t.Errorf("line %d: %s: %q", n+1, r, line)
			continue
		}
		cut += count(ev.Flags, ingest.FlagTruncated)
		if !private.Contains(ev.Peer) || ev.Method == "" || ev.Status == 0 || ev.Time < 1431000000e9 || ev.Time > 1433000000e9 {
			t.Errorf("line %d: %+v", n+1, ev)
		}
	}
	if len(lines) != 10000 || cut != 1 {
		t.Errorf("%d lines, %d cut; want 10000 and 1", len(lines), cut)
	}
}
