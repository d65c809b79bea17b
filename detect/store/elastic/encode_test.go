package elastic

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// hostile draws bytes that clients send: text, controls, what is no UTF-8, and much.
func hostile(t *rapid.T, name string) string {
	switch rapid.IntRange(0, 3).Draw(t, name+" kind") {
	case 0:
		return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, name))
	case 1:
		return strings.Repeat(rapid.String().Draw(t, name), 300)
	}
	return rapid.String().Draw(t, name)
}

func drawFinding(t *rapid.T) detect.Finding {
	n := func(name string) int64 { return rapid.Int64().Draw(t, name) }
	f := detect.Finding{
		ID: hostile(t, "id"), Rule: hostile(t, "rule"), Version: int(n("version")), Family: detect.Family(hostile(t, "family")),
		Severity: detect.Severity(rapid.IntRange(0, 255).Draw(t, "severity")), Confidence: rapid.Float64Range(-1e308, 1e308).Draw(t, "confidence"),
		Subject: detect.Subject{Kind: rapid.SampledFrom([]string{"ip", "account", "asn", "country", "route", "\xff"}).Draw(t, "kind"), Value: hostile(t, "value")},
		Window:  n("window"), FirstSeen: n("first"), LastSeen: n("last"), FiredAt: n("fired"), Count: n("count"),
		Why: hostile(t, "why"), Route: hostile(t, "route"),
		Members:  detect.PackMembers([]detect.Member{{Subject: detect.Subject{Kind: "account", Value: hostile(t, "member")}, Score: 0.125, Count: 3}}),
		Suspects: detect.PackSuspects([]detect.Suspects{{Class: detect.Class{Route: hostile(t, "on"), Agent: hostile(t, "with")}, Clients: n("clients")}}),
		Standing: detect.Standing{Successes: n("successes"), People: n("people"), Since: n("since")},
	}
	for i := range rapid.IntRange(0, detect.MaxEvidence).Draw(t, "lines") {
		f.Evidence[i] = detect.Evidence{Source: hostile(t, "source"), Offset: n("offset"), Time: n("time"), Line: "x" + hostile(t, "line"), Agent: hostile(t, "agent"), Note: hostile(t, "note")}
	}
	return f
}

// offline is a store that asks nobody.
func offline(t testing.TB) *rig { return newRig(t, "http://127.0.0.1:1", LayoutIndex) }

func TestFindingComesBack(t *testing.T) {
	r := offline(t)
	rapid.Check(t, func(t *rapid.T) {
		f := drawFinding(t)
		d, err := r.FindingDoc(f)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(d.Source) || !utf8.Valid(d.Source) || bytes.ContainsAny(d.Source, "\r\n") || len(d.ID) > 512 || d.Version < 1 {
			t.Fatalf("no document for a request: %q, id %q, version %d", d.Source, d.ID, d.Version)
		}
		got, err := decodeFinding(d.Source)
		if err != nil || got != f {
			t.Fatalf("error %v\ngot  %+v\nwant %+v", err, got, f)
		}
	})
}

func TestTrafficComesBack(t *testing.T) {
	r := offline(t)
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64().Draw(t, name) }
		u := detect.Rollup{
			Minute: rapid.Int64Range(0, 1<<33).Draw(t, "minute"), Source: hostile(t, "source"), Route: hostile(t, "route"), Requests: rapid.Int64Range(0, math.MaxInt64-1).Draw(t, "requests"),
			S2xx: n("2"), S3xx: n("3"), S4xx: n("4"), S5xx: n("5"), Refused: n("refused"), Denied: n("denied"), BytesOut: n("bytes"), Nanos: n("nanos"),
		}
		d, err := r.TrafficDoc(u, hostile(t, "part"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeTraffic(d.Source); err != nil || got != u {
			t.Fatalf("error %v\ngot  %+v\nwant %+v", err, got, u)
		}
	})
}

func TestNotANumber(t *testing.T) {
	f := sample(1)
	f.Confidence = math.NaN()
	if _, err := offline(t).FindingDoc(f); err == nil || !strings.Contains(err.Error(), "portcullis.confidence") {
		t.Errorf("a confidence that is no number: %v", err)
	}
}

// FuzzString compares with encoding/json, the plain way.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\/`, "\x00\x1f\x7f\u2028\U0001f600", "\xff\xfe", "a\xe2\x82b", "\\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%q became %q, which is no UTF-8", s, got)
		}
		if e := exact(s); len(e) > keywordMax || !utf8.ValidString(e) || utf8.ValidString(s) && len(s) <= keywordMax && e != s {
			t.Fatalf("%q is searched for as %q", s, e)
		}
	})
}

// TestVersionOrder demands that a later state of a finding has a higher version.
func TestVersionOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 1795910400e9
		a := detect.Finding{Window: window, LastSeen: window + rapid.Int64Range(0, 3e12).Draw(t, "last"), Updated: rapid.Int64Range(0, 4e18).Draw(t, "judged"), Count: rapid.Int64Range(0, 1<<40).Draw(t, "count"),
			Severity: detect.Severity(rapid.IntRange(0, 4).Draw(t, "severity"))}
		for name, grow := range map[string]func(*detect.Finding){
			"judged":    func(f *detect.Finding) { f.Updated += 1e9; f.LastSeen, f.Count, f.Severity = 0, 0, 0 },
			"last seen": func(f *detect.Finding) { f.LastSeen += 2e8; f.Count, f.Severity = 0, 0 },
			"severity":  func(f *detect.Finding) { f.Severity++; f.Count = 0 },
			"count":     func(f *detect.Finding) { f.Count += f.Count/64 + 1 },
		} {
			b := a
			grow(&b)
			if va, vb := findingVersion(&a), findingVersion(&b); va > 0 && vb <= va {
				t.Fatalf("%s: %+v has version %d, %+v has %d", name, a, va, b, vb)
			}
		}
	})
}

func TestAccess(t *testing.T) {
	r := offline(t)
	ev := ingest.Event{
		Time: 1795910280123456789, Client: netip.MustParseAddr("::ffff:192.0.2.1"), Peer: netip.MustParseAddr("fe80::1%eth0"), Method: "GET",
		Target: "/a?q=secret\xff", Host: "api.example.org", Protocol: "HTTP/1.1", Status: 403, Agent: "x\x00y", TLS: "TLSv1.3",
		Duration: 5e6, BytesOut: 7, Key: "k_1", Session: "s\xff", ASN: 64500, Country: [2]byte{'N', 'L'}, Line: "the secret line\n",
		Pos: ingest.Position{Source: "gate", File: 1 << 63, Offset: 42},
	}
	redact := func(s string) string { return strings.ReplaceAll(s, "secret", "[gone]") }
	d, err := r.AccessDoc(&ev, Verdict{Classes: []string{"sqli"}, Findings: []string{"f1"}}, redact)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(d.Source), "secret") || bytes.ContainsAny(d.Source, "\n") {
		t.Errorf("a secret, or a line break, is in %s", d.Source)
	}
	var got map[string]any
	if err := json.Unmarshal(d.Source, &got); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"@timestamp": "2026-11-28T23:58:00.123Z", "source.ip": "192.0.2.1", "portcullis.peer": "fe80::1", "http.response.status_code": 403.0,
		"url.path": "/a", "url.query": `q=[gone]\xff`, "url.original": `/a?q=[gone]\xff`, "user_agent.original": "x\x00y", "event.outcome": "failure",
		"http.version": "1.1", "tls.version": "1.3", "portcullis.file": "8000000000000000", "portcullis.verdict": "suspicious",
		"source.geo.country_iso_code": "NL", "data_stream.dataset": "portcullis.access",
	} {
		if got[field] != want {
			t.Errorf("%s is %q, want %q", field, got[field], want)
		}
	}
	if d.Version != 0 || r.index(&d) != "portcullis.access-testaccess-2026.11.28" {
		t.Errorf("version %d, index %s", d.Version, r.index(&d))
	}
	ev.Time++ // the same line, however it is read
	if again, _ := r.AccessDoc(&ev, Verdict{}, nil); again.ID != d.ID {
		t.Errorf("ids %s and %s for one line", again.ID, d.ID)
	}
	ev.Pos.Offset++
	if other, _ := r.AccessDoc(&ev, Verdict{}, nil); other.ID == d.ID {
		t.Error("two lines have one id")
	}
}

func TestKeeps(t *testing.T) {
	for access, want := range map[string][2]int{AccessAll: {1000, 1000}, AccessSuspicious: {0, 1000}, AccessNone: {0, 0}, AccessSampled: {100, 1000}} {
		c := Config{Index: Index{Access: access, Sample: 10}}
		var got [2]int
		for n := range 1000 {
			for i, suspicious := range []bool{false, true} {
				if c.Keeps(ingest.Position{Source: "gate", Offset: int64(n * 100)}, suspicious) {
					got[i]++
				}
			}
		}
		if d := got[0] - want[0]; d < -40 || d > 40 || access != AccessSampled && d != 0 || got[1] != want[1] {
			t.Errorf("%s keeps %d ordinary and %d suspicious of 1000, want %d and %d", access, got[0], got[1], want[0], want[1])
		}
	}
}

func TestDurations(t *testing.T) {
	for want, d := range map[string]time.Duration{"7d": 168 * time.Hour, "90s": 90 * time.Second, "1500ms": 1500 * time.Millisecond} {
		if got := esTime(d); got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
	}
}
