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
	"slices"
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

func TestSamples(t *testing.T) {
	var table strings.Builder
	for _, s := range sampleSpecs {
		p := open(t, s.spec)
		lines := sampleFile(t, "samples/"+s.file)
		events, malformed, invalid, forged, gone := 0, 0, 0, 0, 0
		rejects := map[ingest.Reason]int{}
		for n, line := range lines {
			var ev ingest.Event
			if reason := p.Parse(line, &ev); reason != ingest.OK {
				rejects[reason]++
				continue
			}
			events++
			malformed += count(ev.Flags, ingest.FlagMalformed)
			invalid += count(ev.Flags, ingest.FlagInvalidUTF8)
			forged += count(ev.Flags, ingest.FlagForgeable)
			if ev.Target == "" && ev.Flags&ingest.FlagMalformed == 0 {
				gone++
			}
			seen := ev.Peer.String()
			if seen != "127.0.0.1" && seen != "::1" {
				t.Errorf("%s:%d: the gateway never saw %s: %q", s.file, n+1, seen, line)
			}
			if s.file != "nginx-escapenone.log" && (ev.Time < 1795439016e9 || ev.Time >= 1795439024e9) {
				t.Errorf("%s:%d: time %d is not within the run", s.file, n+1, ev.Time)
			}
			if ev.Status == 0 {
				t.Errorf("%s:%d: no status: %q", s.file, n+1, line)
			}
		}
		fmt.Fprintf(&table, "\n%-32s %-16.16s lines %d events %d rejects %v", s.file, s.spec, len(lines), events, rejects)
		fmt.Fprintf(&table, " (malformed %d, invalid UTF-8 %d, forgeable %d)", malformed, invalid, forged)
		got := []int{len(lines), events, malformed, invalid, forged, gone}
		want := []int{s.lines, s.events, s.malformed, s.invalid, s.forged, s.gone}
		if !slices.Equal(got, want) {
			t.Errorf("%s as %.20s: lines, events, malformed, invalid, forgeable, without target = %v, want %v", s.file, s.spec, got, want)
		}
		if fmt.Sprint(rejects) != fmt.Sprint(s.rejects) {
			t.Errorf("%s as %.20s: rejects %v, want %v", s.file, s.spec, rejects, s.rejects)
		}
	}
	t.Log(table.String())
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
