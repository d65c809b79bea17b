package format

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// The slow twin of the compiler: it tries every way to cut a line into values of the
// kinds that the variables have. The parser must find the only way if there is one,
// and if there are several may say only what is true in all of them.
var domains = map[text.Kind]*regexp.Regexp{
	text.Text:        regexp.MustCompile(`^(?:[ -!#-\[\]-~]|\\x[0-9A-F]{2})*$`),
	text.Addr:        regexp.MustCompile(`^[0-9a-f:.]+$`),
	text.Local:       regexp.MustCompile(`^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$`),
	text.ISO:         regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$`),
	text.Status:      regexp.MustCompile(`^(?:[1-9]\d\d|000|009)$`),
	text.Int:         regexp.MustCompile(`^(?:\d{0,18}|-)$`),
	text.Seconds:     regexp.MustCompile(`^(?:\d{1,9}(?:\.\d+)?|-|)$`),
	text.SecondsList: regexp.MustCompile(`^(?:\d{1,9}(?:\.\d+)?|-|)(?:(?:, | : )(?:\d{1,9}(?:\.\d+)?|-))*$`),
	text.Token:       regexp.MustCompile(`^[!#-+\--:<-\[\]-{}~]*$`),
	text.Word:        regexp.MustCompile(`^[\w-]*$`),
	text.List:        regexp.MustCompile(`^[!#-+\--:<-\[\]-{}~]*(?:(?:, | : )[!#-+\--:<-\[\]-{}~]+)*$`),
}

// bare is a variable's name without its sign.
func bare(p text.Piece) string { return strings.TrimPrefix(p.Text, "$") }

// looseDomains are those that the parser goes by where it searches for borders: it
// takes any escape for one, and a list for the bytes it can consist of. What has one
// reading only with these, it must find.
var looseDomains = map[text.Kind]*regexp.Regexp{
	text.Text: regexp.MustCompile(`^(?:[ -!#-\[\]-~]|\\x[0-9A-Fa-f]{2}|\\[ -~]|\\$)*$`),
	text.List: regexp.MustCompile(`^[ -~]*$`),
}

var noneDomain = regexp.MustCompile(`^[^\n\r\x00]*$`)

type reading map[string]string

// twinReadings returns the ways to read a line, at most limit of them.
func twinReadings(pieces []text.Piece, mode escaping, line string, limit int, loose bool) (out []reading) {
	budget := 5000
	var walk func(k int, rest string, got []string)
	walk = func(k int, rest string, got []string) {
		if budget--; len(out) >= limit || budget < 0 {
			return
		}
		if k == len(pieces) {
			if rest == "" {
				r, i := reading{}, 0
				for _, p := range pieces {
					if p.Variable != nil {
						r[bare(p)] = got[i]
						i++
					}
				}
				out = append(out, r)
			}
			return
		}
		if pieces[k].Variable == nil {
			if tail, ok := strings.CutPrefix(rest, pieces[k].Text); ok {
				walk(k+1, tail, got)
			}
			return
		}
		for n := 0; n <= len(rest); n++ {
			if inDomain(lookupVariable(bare(pieces[k])), mode, rest[:n], loose) {
				walk(k+1, rest[n:], append(slices.Clone(got), rest[:n]))
			}
		}
	}
	if walk(0, line, nil); budget < 0 {
		return nil // too many to know them all
	}
	return out
}

func inDomain(v nginxVariable, mode escaping, s string, loose bool) bool {
	if v.kind == text.Text && mode == escNone {
		return noneDomain.MatchString(s)
	}
	if wide := looseDomains[v.kind]; loose && wide != nil {
		return wide.MatchString(s)
	}
	if !domains[v.kind].MatchString(s) {
		return false
	}
	ok := true
	switch v.kind {
	case text.Addr:
		_, ok = twinAddr(s)
	case text.Local:
		_, ok = twinTime("02/Jan/2006:15:04:05 -0700", s)
	case text.ISO:
		_, ok = twinTime("2006-01-02T15:04:05-07:00", s)
	}
	return ok
}

// said returns what an event holds of the variables whose raw text can be compared.
func said(ev *ingest.Event) reading {
	out := reading{}
	for name, value := range map[string]string{
		"remote_user": ev.User, "http_referer": ev.Referer, "http_user_agent": ev.Agent, "http_x_forwarded_for": ev.Chain,
		"http_x_api_key": ev.Key, "request_id": ev.RequestID, "ssl_cipher": ev.Cipher,
	} {
		if value != "" {
			out[name] = value
		}
	}
	if ev.Peer.IsValid() {
		out["remote_addr"] = ev.Peer.String()
	}
	if ev.Status != 0 {
		out["status"] = fmt.Sprint(ev.Status)
	}
	return out
}

// wasSaid returns a reading's value as the event would hold it.
func wasSaid(name, raw string, mode escaping) string {
	switch {
	case name == "remote_addr":
		a, _ := twinAddr(raw)
		return a.String()
	case name == "status" && raw[0] == '0':
		return "" // nginx wrote none
	case mode == escDefault:
		var u twinText
		return u.undo(raw)
	}
	return raw
}

func againstReadings(t *testing.T, format, line string) {
	t.Helper()
	pieces, mode, p := compiled(format)
	if p == nil || mode == escJSON || len(line) > 90 || len(pieces) > 14 {
		return
	}
	all := twinReadings(pieces, mode, line, 50, false)
	var ev ingest.Event
	reason := p.Parse([]byte(line), &ev)
	only := len(all) == 1 && len(twinReadings(pieces, mode, line, 2, true)) == 1
	if len(all) == 0 {
		return // not a line that nginx could write; what the parser makes of it is free
	}
	if reason != ingest.OK {
		if only {
			t.Fatalf("format %q\nline %q\nrefused as %s, but it is %q", format, line, reason, all[0])
		}
		return
	}
	if ev.Flags&ingest.FlagTruncated != 0 {
		t.Fatalf("format %q\nline %q is whole: %q", format, line, all[0])
	}
	got := said(&ev)
	for name, value := range got {
		for _, r := range all {
			if raw, ok := r[name]; ok && wasSaid(name, raw, mode) != value {
				t.Fatalf("format %q\nline %q\n%s is %q, but it can also be %q", format, line, name, value, raw)
			}
		}
	}
	for name, raw := range all[0] {
		v := lookupVariable(name)
		want := wasSaid(name, raw, mode)
		if _, ok := said(&ingest.Event{User: "x", Referer: "x", Agent: "x", Chain: "x", Key: "x", RequestID: "x", Cipher: "x", Status: 1, Peer: netip.IPv4Unspecified()})[name]; !ok {
			continue
		}
		if only && v.field != field.Skip && want != "" && got[name] != want {
			t.Fatalf("format %q\nline %q\n%s is %q, there is no other way to read it, but the event says %q", format, line, name, want, got[name])
		}
	}
}

// compiled returns a format's pieces and a parser, nil if it does not compile or names
// a variable twice.
func compiled(format string) ([]text.Piece, escaping, ingest.Parser) {
	f, err := Open("nginx:" + format)
	if err != nil {
		return nil, 0, nil
	}
	src, err := readSource(format)
	if err != nil {
		return nil, 0, nil
	}
	pieces, err := src.pieces()
	seen := map[string]bool{}
	for _, p := range pieces {
		if err != nil || p.Variable != nil && seen[p.Text] {
			return nil, 0, nil
		}
		seen[p.Text] = seen[p.Text] || p.Variable != nil
	}
	return pieces, src.mode, f.New()
}

// readingSeeds are formats with uncertain borders, and lines that try to move them.
var readingSeeds = [][2]string{
	{noneFormat, `1.2.3.4 "GET / HTTP/1.1" 200 "curl"`},
	{noneFormat, `1.2.3.4 "GET /" 200 "x HTTP/1.1" 404 "curl"`},
	{noneFormat, `1.2.3.4 "a" 200 " 404 "b" 200 "c"`},
	{noneFormat, `1.2.3.4 "" 200 ""`},
	{`$http_host $remote_addr - $remote_user [$time_local] "$request"`, `a 1.2.3.4 - - [23/Nov/2026:13:03:36 +0000] "GET /"`},
	{`$http_host $remote_addr - $remote_user [$time_local] "$request"`, `a 9.9.9.9 - x 1.2.3.4 - - [23/Nov/2026:13:03:36 +0000] "x"`},
	{`$remote_user $upstream_response_time "$status" $remote_addr`, `x 0.100, 0.200 "200" 1.2.3.4`},
	{`$remote_user $body_bytes_sent "$remote_addr`, `x 12 34 "1.2.3.4`},
	{`$remote_addr:$remote_port $http_referer $http_user_agent`, `::1:443 a b c`},
	{`$remote_addr ua=$http_user_agent ref=$http_referer st=$status`, `1.2.3.4 ua=a ref=b st=200`},
	{`$remote_addr ua=$http_user_agent ref=$http_referer st=$status`, `1.2.3.4 ua=a ref=b st=200 ref=c st=404`},
	{`$remote_addr $ssl_cipher-$status $request_time`, `1.2.3.4 ECDHE-RSA-200 0.100`},
	{`[$time_iso8601]$remote_addr|$upstream_addr|$http_referer`, `[2026-11-23T13:03:36+00:00]1.2.3.4|a:1, b:2|r`},
	{"$remote_addr\t$http_referer\t$http_user_agent", "1.2.3.4\ta b\tc\\x09d"},
	{`escape=none $http_referer=$status=$http_user_agent=$remote_addr`, `a=200=b=200=c=1.2.3.4`},
	{`$remote_addr $ssl_cipher.$0`, `1.2.3.4 a.b .c`},
	{`$remote_addr $http_referer4$http_user_agent`, `1.2.3.4 a\x414b`},
	{`$time_local$status$remote_addr $http_referer "$http_user_agent`, `23/Nov/2026:13:03:36 +00002001.2.3.4 r "u`},
}

func TestReadings(t *testing.T) {
	for _, s := range readingSeeds {
		againstReadings(t, s[0], s[1])
	}
	state := uint32(7)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	parts := []string{"1.2.3.4", " ", "200", `"`, "-", "a", "23/Nov/2026:13:03:36 +0000", " - ", "[", "] ", "0.100", ", ", " : ", "::1", `" 200 "`, "ref=", "=", "|"}
	for range 4000 {
		seed := readingSeeds[next(len(readingSeeds))]
		line := seed[1]
		for range 1 + next(3) {
			k := next(len(line) + 1)
			line = line[:k] + parts[next(len(parts))] + line[min(len(line), k+next(3)):]
		}
		againstReadings(t, seed[0], line)
	}
}

func FuzzNginxCompiled(f *testing.F) {
	for _, s := range readingSeeds {
		f.Add(s[0], s[1])
	}
	f.Add(`log_format a escape=json '{"a":"$remote_addr","b":' '$status}';`, `{"a":"1.2.3.4","b":200}`)
	f.Add(jsonFormat, `{"time":"`)
	f.Add(`${remote_addr}$`, "")
	f.Fuzz(func(t *testing.T, format, line string) {
		if opened, err := Open("nginx:" + format); err == nil {
			var ev ingest.Event
			opened.New().Parse([]byte(line), &ev)
		}
		againstReadings(t, format, line)
	})
}
