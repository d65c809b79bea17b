package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func TestKrakendContract(t *testing.T) {
	full := ingest.Event{Time: instant(t, "2026-11-23T13:04:50Z"), Peer: peer7, Method: "GET", Target: "/path?x=1", Status: 200, Duration: 123400}
	hostile := full
	hostile.Peer, hostile.Method, hostile.Target, hostile.Status, hostile.Duration = netip.MustParseAddr("2001:db8::7"), "X|Y", "/a\"b\\c\n é\x00\u202e?q=\xff\" | 1.2.3.4", 404, 62e9
	hostile.Flags = ingest.FlagInvalidUTF8
	cut := full
	cut.Target, cut.Flags = "/pat", ingest.FlagTruncated
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "krakend:trusted_proxies,zone=UTC"),
		Lines: []ingesttest.FormatLine{
			{Line: `[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/path?x=1"`, Event: full, Plain: true},
			{Line: "[GIN] 2026/11/23 - 13:04:50 |\x1b[97;42m 200 \x1b[0m|     123.4µs |     203.0.113.7 |\x1b[97;44m GET     \x1b[0m \"/path?x=1\"", Event: full, Plain: true},
			{Line: "[GIN] 2026/11/23 - 13:04:50 |\x1b[97;42m 200 \x1b[0m|\x1b[97;42m  123.4µs \x1b[0m|     203.0.113.7 |\x1b[97;44m GET     \x1b[0m \"/path?x=1\"", Event: full, Plain: true},
			{Line: `[GIN] 2026/11/23 - 13:04:50 | 404 |          1m2s |     2001:db8::7 | X|Y      "/a\"b\\c\n é\x00\u202e?q=\xff\" | 1.2.3.4"`, Event: hostile},
			{Line: `[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/pat`, Event: cut},
		},
		Rejects: map[string]ingest.Reason{
			`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |                 | GET      "/path?x=1"`:            ingest.NoClient,
			`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |           shop  | GET      "/path?x=1"`:            ingest.BadAddress,
			`[GIN] 2026/13/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/path?x=1"`:            ingest.BadTime,
			`[GIN] 2026/11/23 - 13:04:50 | 2x0 |     123.4µs |     203.0.113.7 | GET      "/path?x=1"`:            ingest.BadStatus,
			`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4ls |     203.0.113.7 | GET      "/path?x=1"`:            ingest.BadNumber,
			`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/path?x=1" "x"`:        ingest.BadShape,
			`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | "/path?x=1"`:                     ingest.BadShape,
			`[GIN-debug] GET    /__debug/*param --> github.com/luraproject/lura/v2/router/gin.DebugHandler.func1`: ingest.NotARequest,
			`2026/11/23 13:04:49 KRAKEND INFO: [SERVICE: Gin] Listening on port: 8080`:                            ingest.NotARequest,
			`[KRAKEND] 2026/11/23 - 13:04:49.218 ▶ DEBUG [SERVICE: Gin] Debug enabled`:                            ingest.NotARequest,
			`Error #01: no such host`: ingest.NotARequest,
			`hello`:                   ingest.BadShape,
		},
	})
}

// TestKrakendClient: Gin believes X-Forwarded-For of everybody unless it is told whom to
// believe, so the address counts only if the operator says that it was.
func TestKrakendClient(t *testing.T) {
	const line = `[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/path?x=1"`
	f, err := Open("krakend")
	if err != nil || !slicesContain(f.Warnings, "trusted_proxies") || !slicesContain(f.Warnings, "forwarded_by_client_ip") {
		t.Fatalf("%v, %q", err, f.Warnings)
	}
	var ev ingest.Event
	if r := f.New().Parse([]byte(line), &ev); r != ingest.NoClient {
		t.Errorf("without an argument: %s", r)
	}
	for _, spec := range []string{"krakend:trusted_proxies", "krakend: forwarded_by_client_ip=false , zone=Local"} {
		f, err := Open(spec)
		if err != nil || len(f.Warnings) != 0 {
			t.Fatalf("%s: %v %q", spec, err, f.Warnings)
		}
		ev = ingest.Event{}
		if r := f.New().Parse([]byte(line), &ev); r != ingest.OK || ev.Peer != peer7 ||
			ev.Time != time.Date(2026, 11, 23, 13, 4, 50, 0, time.Local).UnixNano() {
			t.Errorf("%s: %s %+v", spec, r, ev)
		}
	}
	for spec, want := range map[string]string{"krakend:trusted": `"trusted" is none of`, "krakend:zone=Mars": "zone=Mars is not known", "krakend:zone=": "is not known"} {
		if _, err := Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if d, why, err := Detect([]byte(line + "\n")); err != nil || d.Name != "krakend" {
		t.Errorf("detected as %q: %s %v", d.Name, why, err)
	}
}

// TestKrakendRoundTrip writes lines as defaultLogFormatter does: %v of the latency, %#v
// of the path.
func TestKrakendRoundTrip(t *testing.T) {
	p := open(t, "krakend:trusted_proxies,zone=UTC")
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		took := time.Duration(r.took) * 1234567
		path := "/" + r.line + "?" + r.ua
		color := [4]string{}
		if rapid.Bool().Draw(t, "color") {
			color = [4]string{"\x1b[97;42m", "\x1b[0m", "\x1b[97;44m", "\x1b[0m"}
		}
		method := rapid.SampledFrom([]string{"GET", "POST", "OPTIONS", "PROPFIND", "A|B", "-"}).Draw(t, "method")
		line := fmt.Sprintf("[GIN] %v |%s %3d %s| %13v | %15s |%s %-7s %s %#v", r.at.UTC().Format("2006/01/02 - 15:04:05"),
			color[0], r.status, color[1], took, r.peer, color[2], method, color[3], path)
		var ev ingest.Event
		if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
			t.Fatalf("%s: %q", reason, line)
		}
		if ev.Peer != r.peer || ev.Time != r.at.Unix()*1e9 || ev.Status != uint16(r.status) || ev.Method != method || ev.Target != path || ev.Duration != int64(took) {
			t.Fatalf("line %q\ngives %+v\nof %+v", line, ev, r)
		}
	})
}

func FuzzKrakend(f *testing.F) {
	f.Add([]byte(`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/path\u00e9\x41\n?x=1"`))
	f.Add([]byte("[GIN] 2026/11/23 - 13:04:50 |\x1b[97;42m 200 \x1b[0m|\x1b[97;42m  123.4µs \x1b[0m|     ::1 |\x1b[97;44m GET     \x1b[0m \"/p\""))
	f.Fuzz(func(t *testing.T, line []byte) { fuzzParser(t, "krakend:trusted_proxies,zone=UTC", line) })
}

func BenchmarkKrakend(b *testing.B) {
	measure(b, "krakend:trusted_proxies,zone=UTC", benchLines(`[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |      203.0.%[1]d.%[2]d | GET      "/api/v1/orders/%[5]d?page=%[6]d&size=50&sort=created_at&filter=status%%3Dopen&fields=id,total,currency,created&locale=de_DE&%[7]d=%[8]d"`))
}
