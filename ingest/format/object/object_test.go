package object

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

func compiled(t *testing.T, m Map, entries ...Entry) ingest.Parser {
	t.Helper()
	plan, err := Compile(m, append(entries, Entry{Path: "p", Field: field.Peer}))
	if err != nil {
		t.Fatal(err)
	}
	return New(plan)
}

// TestUnits: what a number counts, and what else may stand for it.
func TestUnits(t *testing.T) {
	const noon = int64(1795439016694543217)
	for _, c := range []struct {
		unit Unit
		v    string
		took int64 // -1 if it cannot be read
		at   int64
	}{
		{Usual, `0.004`, 4e6, -1}, {Usual, `"0.1, 0.2"`, 3e8, -1}, {Usual, `1.2e-05`, 12e3, -1}, {Usual, `"1.5ms"`, 15e5, -1}, {Usual, `"0.000958300s"`, 958300, -1},
		{Seconds, `12`, 12e9, 12e9}, {Millis, `12.000083923`, 12000083, 12000083}, {Micros, `"14636"`, 14636e3, 14636e3}, {Nanos, `9437346`, 9437346, 9437346}, {Nanos, `1.9`, 1, 1},
		{Millis, `-1`, 0, -1}, {Millis, `"soon"`, -1, -1}, {Seconds, `99999999999`, -1, -1}, {Nanos, `1e300`, -1, -1}, {Nanos, `0x10`, -1, -1}, {Nanos, `1_0`, -1, -1},
		{Usual, `1795439016.694543217`, 1795439016694543217, noon}, {Usual, `1795439016694.543217`, -2, noon}, {Usual, `"1795439016694543.217"`, -2, noon}, {Usual, `1795439016694543217`, -2, noon},
		{Usual, `"2026-11-23T14:03:36.694543217+01:00"`, -1, noon}, {Millis, `1795439016694`, -2, noon / 1e6 * 1e6}, {Millis, `"2026-11-23T13:03:36.694543217Z"`, -1, noon},
		{Usual, `"23/Nov/2026:13:03:36 +0000"`, -1, noon / 1e9 * 1e9}, {Usual, `"Mon Nov 23 13:03:36 2026"`, -1, noon / 1e9 * 1e9}, {Usual, `"2026/11/23 13:03:36.694"`, -1, noon / 1e6 * 1e6},
		{Usual, `"2026-11-23 13:03:36,694"`, -1, noon / 1e6 * 1e6}, {Usual, `"2026-11-23 13:03:61"`, -1, -1}, {Usual, `"2026-13-23 13:03:36"`, -1, -1}, {Usual, `"2026/11/23 13:03:36."`, -1, -1},
	} {
		line := []byte(fmt.Sprintf(`{"p":"1.2.3.4","v":%s}`, c.v))
		var ev ingest.Event
		r := compiled(t, Map{}, Entry{Path: "v", Field: field.Duration, Unit: c.unit}).Parse(line, &ev)
		if c.took != -2 && (c.took < 0 && r != ingest.BadNumber || c.took >= 0 && (r != ingest.OK || ev.Duration != c.took)) {
			t.Errorf("duration %s, unit %d: %s %d, want %d", c.v, c.unit, r, ev.Duration, c.took)
		}
		ev = ingest.Event{}
		r = compiled(t, Map{Zone: time.UTC}, Entry{Path: "v", Field: field.Time, Unit: c.unit}).Parse(line, &ev)
		if c.at < 0 && r != ingest.BadTime || c.at >= 0 && (r != ingest.OK || ev.Time != c.at) {
			t.Errorf("time %s, unit %d: %s %d, want %d", c.v, c.unit, r, ev.Time, c.at)
		}
	}
}

func TestAddresses(t *testing.T) {
	p := compiled(t, Map{}, Entry{Path: "u", Field: field.RequestURI})
	for v, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "1.2.3.4:80": "1.2.3.4", "::1": "::1", "[::1]:80": "::1", "[2001:db8::7]": "2001:db8::7", "::ffff:1.2.3.4": "1.2.3.4",
		"fe80::1%eth0": "fe80::1", "[fe80::1%eth0]:80": "fe80::1", "@": "127.0.0.1", "unix:": "127.0.0.1", "unix:/run/x.sock": "127.0.0.1",
		"": "none", "-": "none", "localhost": "bad", "1.2.3.4:": "bad", "1.2.3.4:x": "bad", "1.2.3.4:123456": "bad", "[::1": "bad", "[::1]80": "bad", "1.2.3": "bad", "1.2.3.4, 5.6.7.8": "bad",
	} {
		var ev ingest.Event
		r := p.Parse(fmt.Appendf(nil, `{"p":%q,"u":"/"}`, v), &ev)
		got := ev.Peer.String()
		switch r {
		case ingest.NoClient:
			got = "none"
		case ingest.BadAddress:
			got = "bad"
		}
		if got != want {
			t.Errorf("%q: %s %s, want %s", v, r, ev.Peer, want)
		}
	}
}

// TestOrder: of rivals the better wins wherever it stands, of one path the last.
func TestOrder(t *testing.T) {
	p := compiled(t, Map{}, Entry{Path: "u", Field: field.URL}, Entry{Path: "path", Field: field.URI}, Entry{Path: "n", Field: field.User}, Entry{Path: "n2", Field: field.User},
		Entry{Path: "h", Field: field.Host}, Entry{Path: "g", Field: field.Chain, Unit: Guess}, Entry{Path: "x", Field: field.Chain}, Entry{Path: "k", Field: field.Marker, Is: func(v []byte) bool { return string(v) != "error" }})
	for line, want := range map[string]ingest.Event{
		`{"p":"1.2.3.4","p":"4.3.2.1","n":"a","n":"b"}`:                    {User: "b"},
		`{"p":"4.3.2.1","n":"a","n":null,"n":"","n":"-","n":true}`:         {User: "a"},
		`{"p":"4.3.2.1","n2":"b","n":"a"}`:                                 {User: "a"},
		`{"p":"4.3.2.1","n":"a","n2":"b"}`:                                 {User: "a"},
		`{"p":"4.3.2.1","n2":"b"}`:                                         {User: "b"},
		`{"p":"4.3.2.1","path":"/p","u":"http://o/u","h":"h"}`:             {Target: "/u", Host: "h"},
		`{"p":"4.3.2.1","h":"h","u":"http://o/u","path":"/p"}`:             {Target: "/u", Host: "h"},
		`{"p":"4.3.2.1","u":"http://o/u"}`:                                 {Target: "/u", Host: "o"},
		`{"p":"4.3.2.1","g":"9.9.9.9:1"}`:                                  {Chain: "9.9.9.9"},
		`{"p":"4.3.2.1","g":"4.3.2.1:1"}`:                                  {},
		`{"g":"9.9.9.9","p":"4.3.2.1","x":"8.8.8.8"}`:                      {Chain: "8.8.8.8"},
		`{"p":"4.3.2.1","k":"access","n":"\u0061\n\"\\\/\ud83d\ude00"}`:    {User: "a\n\"\\/😀"},
		`{"p":"4.3.2.1","\u006e":"a","z":[{"n":"b"},[[{"n":"c"}]],"n",1]}`: {User: "a"},
	} {
		var ev ingest.Event
		r := p.Parse([]byte(line), &ev)
		want.Peer = ev.Peer
		if r != ingest.OK || ev != want || ev.Peer.String() != "4.3.2.1" {
			t.Errorf("%s: %s\n%+v, want\n%+v", line, r, ev, want)
		}
	}
	var ev ingest.Event
	if r := p.Parse([]byte(`{"k":"error","p":"4.3.2.1"}`), &ev); r != ingest.NotARequest {
		t.Errorf("a marker says that it is no request: %s", r)
	}
}

// TestBroken: what is no object is refused, be the damage where nobody asked.
func TestBroken(t *testing.T) {
	p := compiled(t, Map{}, Entry{Path: "a.b", Field: field.User})
	for _, line := range []string{
		`{"p":"1.2.3.4"`, `{"p":"1.2.3.4",}`, `{"p":"1.2.3.4"}}`, `{"p":"1.2.3.4"} x`, `{"p" "1.2.3.4"}`, `{p:"1.2.3.4"}`, `{"p":"1.2.3.4","x":"}`, `{"p":"1.2.3.4","x":{"y":[}`,
		`{"p":"1.2.3.4","x":[1,2}`, `{"p":"1.2.3.4","a":{"b":"c"}`, `{"p":"1.2.3.4","a":{"b":"c",}}`, `{"p":"1.2.3.4","a":[{"name":"b"]}`,
		`{"p":["1.2.3.4"`, `{"p":["1.2.3.4",]`, `{"p":{"stringValue":"1.2.3.4"`, `{"p":{"stringValue"}}`, `{"p":"1.2.3.4\"}`, `{`, `"p"`, `[{"p":"1.2.3.4"}]`, `null`,
	} {
		var ev ingest.Event
		if r := p.Parse([]byte(line), &ev); r != ingest.BadJSON {
			t.Errorf("%s: %s", line, r)
		}
	}
	for _, e := range [][]Entry{{{Path: "", Field: field.User}}, {{Path: "a.", Field: field.User}}, {{Path: "a"}}, {{Path: "a", Field: field.User}, {Path: "a", Field: field.Host}}} {
		if _, err := Compile(Map{}, e); err == nil {
			t.Errorf("%+v compiles", e)
		}
	}
}

// TestFlood: a client that makes up header names, a new one in each request, costs
// neither memory nor the fields of others.
func TestFlood(t *testing.T) {
	p := compiled(t, Map{}, Entry{Path: "h.x-forwarded-for", Field: field.Chain, Fold: true}, Entry{Path: "h.user-agent", Field: field.Agent, Fold: true})
	var lines [][]byte
	for n := range 3000 {
		lines = append(lines, fmt.Appendf(nil, `{"h":{"X-%d":["%s"],"User-Agent":["curl"],"Y-%d":1,"X-Forwarded-For":["1.1.1.%d"]},"p":"1.2.3.4"}`, n, strings.Repeat("x", n%50), n*7, n%256))
	}
	read := func() {
		for n, line := range lines {
			var ev ingest.Event
			if r := p.Parse(line, &ev); r != ingest.OK || ev.Agent != "curl" || ev.Chain != fmt.Sprintf("1.1.1.%d", n%256) {
				t.Fatalf("%s %+v: %s", r, ev, line)
			}
		}
	}
	read()
	var ev ingest.Event
	n := 0
	if got := testing.AllocsPerRun(2000, func() {
		ev = ingest.Event{}
		p.Parse(lines[n%len(lines)], &ev)
		n++
	}); got != 0 {
		t.Errorf("%v allocations a line", got)
	}
}

// TestLongList: a thousand header lines of one name are joined in linear memory.
func TestLongList(t *testing.T) {
	p := compiled(t, Map{}, Entry{Path: "h.x-forwarded-for", Field: field.Chain, Fold: true})
	var b strings.Builder
	b.WriteString(`{"p":"1.2.3.4","h":{`)
	var want []string
	for n := range 4000 {
		a := fmt.Sprintf("1.2.%d.%d", n/256, n%256)
		want = append(want, a)
		fmt.Fprintf(&b, `"X-Forwarded-For":[%q],`, a)
	}
	line := []byte(b.String() + `"x":1}}`)
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			var ev ingest.Event
			if r := p.Parse(line, &ev); r != ingest.OK || ev.Chain != strings.Join(want, ", ") {
				b.Fatalf("%s: %d bytes", r, len(ev.Chain))
			}
		}
	})
	if got := res.AllocedBytesPerOp(); got > 1<<20 {
		t.Errorf("%d bytes for a line of %d", got, len(line))
	}
}
