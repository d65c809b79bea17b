package format

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
)

// The slow twin of nginx-combined: regular expressions and the standard library's
// parsers, written from nginx's documentation and not from the fast way.
var (
	twinHead    = regexp.MustCompile(`^(unix:|[0-9A-Fa-f.:]+) - (?s:(.*)) \[(\d\d/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] $`)
	twinNumbers = regexp.MustCompile(`^" (\d{3}) (\d{1,18}|-|) "`)
	twinRequest = regexp.MustCompile("^(?s:([-!#$%&'*+.^_`|~0-9A-Za-z]+) (.+) (HTTP/(?:\\d|\\d\\.\\d)))$")
	twinOld     = regexp.MustCompile(`^(?s:GET ([^ ]+))$`)
	twinEscape  = regexp.MustCompile(`\\x[0-9A-Fa-f]{2}|\\["\\]`)
)

// twinValue cuts a value off up to its closing quote, going from byte to byte.
func twinValue(s string) (value, rest string, closed bool) {
	back := 0
	for i := range len(s) {
		switch {
		case s[i] == '"' && back%2 == 0:
			return s[:i], s[i:], true
		case s[i] == '\\':
			back++
		default:
			back = 0
		}
	}
	return s, "", false
}

type twinText struct{ invalid bool }

func (u *twinText) undo(s string) string {
	if s == "-" {
		return ""
	}
	out := twinEscape.ReplaceAllStringFunc(s, func(e string) string {
		if e[1] != 'x' {
			return e[1:]
		}
		return string([]byte{unhexTwin(e[2])<<4 | unhexTwin(e[3])})
	})
	u.invalid = u.invalid || !utf8.ValidString(out)
	return out
}

func unhexTwin(c byte) byte {
	return byte(strings.IndexByte("0123456789abcdef", strings.ToLower(string(c))[0]))
}

// twinCombined returns the event of a line, or false.
func twinCombined(line string) (ev ingest.Event, ok bool) {
	var u twinText
	if strings.Contains(line, "\x00") {
		return ev, false
	}
	head, rest, closed := twinValue(line)
	m := twinHead.FindStringSubmatch(head)
	if m == nil || !closed {
		return ev, false
	}
	if ev.Peer, ok = twinAddr(m[1]); !ok {
		return ev, false
	}
	ev.User = u.undo(m[2])
	when, ok := twinTime("02/Jan/2006:15:04:05 -0700", m[3])
	if !ok {
		return ev, false
	}
	ev.Time = when.UnixNano()
	request, rest, closed := twinValue(rest[1:])
	m = twinNumbers.FindStringSubmatch(rest)
	if !closed || m == nil {
		return ev, false
	}
	twinTarget(u.undo(request), &ev)
	for _, c := range m[1] {
		ev.Status = ev.Status*10 + uint16(c-'0')
	}
	if ev.Status == 9 {
		ev.Status = 0
	}
	if ev.Status < 100 && ev.Status != 0 {
		return ev, false
	}
	for _, c := range strings.Trim(m[2], "-") {
		ev.BytesOut = ev.BytesOut*10 + int64(c-'0')
	}
	referer, rest, closed := twinValue(rest[len(m[0]):])
	ev.Referer = u.undo(referer)
	if closed {
		if !strings.HasPrefix(rest, `" "`) {
			return ev, false
		}
		var agent string
		agent, rest, closed = twinValue(rest[3:])
		ev.Agent = u.undo(agent)
		if closed && rest != `"` {
			return ev, false
		}
	}
	if !closed {
		ev.Flags |= ingest.FlagTruncated
	}
	if u.invalid || !utf8.ValidString(line) {
		ev.Flags |= ingest.FlagInvalidUTF8
	}
	return ev, true
}

// twinTime reads a time of a year whose nanoseconds an int64 holds, with a zone below
// 24 hours.
func twinTime(layout, s string) (time.Time, bool) {
	when, err := time.Parse(layout, s)
	_, zone := when.Zone()
	return when, err == nil && when.Year() >= 1971 && when.Year() <= 2261 && zone > -86400 && zone < 86400 && s[len(s)-2] <= '5'
}

func twinAddr(s string) (netip.Addr, bool) {
	if s == "unix:" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil
}

func twinTarget(request string, ev *ingest.Event) {
	if m := twinRequest.FindStringSubmatch(request); m != nil {
		ev.Method, ev.Target, ev.Protocol = m[1], m[2], m[3]
	} else if m := twinOld.FindStringSubmatch(request); m != nil && !strings.Contains(request, " HTTP/") {
		ev.Method, ev.Target, ev.Protocol = "GET", m[1], "HTTP/0.9"
	} else {
		ev.Target = request
		ev.Flags |= ingest.FlagMalformed
	}
}

// againstTwin holds the fast way against the slow one.
func againstTwin(t *testing.T, p ingest.Parser, line string) {
	t.Helper()
	var got ingest.Event
	reason := p.Parse([]byte(line), &got)
	want, ok := twinCombined(line)
	switch {
	case ok != (reason == ingest.OK):
		t.Errorf("%q\nthe parser says %s, the twin %v", line, reason, ok)
	case ok && got != want:
		t.Errorf("%q\nparser %+v\ntwin   %+v", line, got, want)
	}
}

func TestTwinOnSamples(t *testing.T) {
	p := open(t, "nginx-combined")
	n := 0
	for _, file := range []string{"samples/nginx-combined.log", "samples/nginx-ext.log", "samples/nginx-json.log", "samples/nginx-error.log", "background/elastic-apache.log.gz"} {
		for _, line := range sampleFile(t, file) {
			againstTwin(t, p, string(line))
			n++
		}
	}
	if n < 10_700 {
		t.Errorf("only %d lines were compared", n)
	}
}

// combinedSeeds are lines with something unusual in them.
var combinedSeeds = []string{
	`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl"`,
	`::ffff:203.0.113.7 - a b [23/Nov/2026:13:03:36 +0000] [29/Feb/2024:23:59:59 -0330] "GET /a b HTTP/2.0" 200 - "\"" "\\"`,
	`unix: - \x22" [01/Jan/1972:00:00:00 +1400] "GET /old" 009  "" "`,
	`1.2.3.4 -  [31/Dec/2260:23:59:59 +0000] "" 000 0 "a\" "b`,
	`01.2.3.4 - - [23/Nov/2026:13:03:36 +0000] "\x16\x03" 400 0 "-" "-"`,
	`1.2.3.4 - - [30/Feb/2026:13:03:36 +0000] "GET  HTTP/1.1" 400 0 "-" "-"`,
	`1.2.3.4 - - [23/Nov/2026:24:03:36 +0000] "- HTTP/1.1" 400 0 "-" "-"`,
	`1.2.3.4 - - [23/Nov/2026:13:03:36 +2400] "-" 099 0 "-" "-"`,
	`1.2.3.4 - x\ [23/Nov/2026:13:03:36 +0000] "G\\\" / HTTP/3" 200 012345678901234567 "\xE2\x82\xAC" "` + "\xff" + `"`,
	`1.2.3.4.5 - - [23/Nov/2026:13:03:36 +0000] "A B HTTP/1.10" 200 1 "-" "-"x`,
	`<190>Nov 23 13:03:36 vm nginx: 1.2.3.4 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`,
}

func FuzzNginxCombined(f *testing.F) {
	for _, s := range combinedSeeds {
		f.Add(s)
	}
	p := open(f, "nginx-combined")
	f.Fuzz(func(t *testing.T, line string) {
		againstTwin(t, p, line)
	})
}

// TestTwinMutations changes bytes of good lines at random, which finds more near the
// grammar than a fuzzer does in the same time.
func TestTwinMutations(t *testing.T) {
	p := open(t, "nginx-combined")
	state := uint32(1)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	const bytes = "\"\\x -[]/:.09afGETHTP+\x7f\xc3\xa9\t\x00"
	for range 60_000 {
		line := []byte(combinedSeeds[next(len(combinedSeeds)-1)])
		for range 1 + next(4) {
			k := next(len(line))
			switch next(4) {
			case 0:
				line[k] = bytes[next(len(bytes))]
			case 1:
				line = append(line[:k], line[k+1:]...)
			case 2:
				line = append(line[:k], append([]byte{bytes[next(len(bytes))]}, line[k:]...)...)
			case 3:
				j := next(len(line))
				line[k], line[j] = line[j], line[k]
			}
		}
		againstTwin(t, p, string(line))
		if t.Failed() {
			return
		}
	}
}
