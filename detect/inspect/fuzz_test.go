package inspect

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
)

// seeds are texts of every kind, in every place.
func seeds(f *testing.F, add func(s string)) {
	for _, s := range honestLines() {
		add(s)
	}
	for _, p := range loadRules().patterns {
		for _, s := range p.match {
			add(s)
		}
	}
	for _, s := range heavy {
		add(strings.Repeat(s, 9))
	}
	for _, s := range attackTargets {
		add(s)
	}
}

// FuzzDecode demands that decoding shortens or keeps, ends, and is stable on
// its own result but for letters that it joined.
func FuzzDecode(f *testing.F) {
	seeds(f, func(s string) { f.Add(s, true); f.Add(s, false) })
	f.Fuzz(func(t *testing.T, s string, plus bool) {
		var c canon
		out := string(c.decode(s, plus, 4))
		if len(out) > len(s) {
			t.Fatalf("%q grew to %q", s, out)
		}
		if again := string(c.decode(s, plus, 4)); again != out {
			t.Fatalf("%q gives %q, then %q", s, out, again)
		}
		for i := range len(out) {
			if out[i] >= 'A' && out[i] <= 'Z' {
				t.Fatalf("%q keeps capitals: %q", s, out)
			}
		}
	})
}

// FuzzFirstPassSound demands that the first pass lets through what the full
// look scores, however low.
func FuzzFirstPassSound(f *testing.F) {
	seeds(f, func(s string) {
		f.Add("/search?q="+s, "", "")
		f.Add("/"+s, "", "")
		f.Add("/", s, "")
		f.Add("/", "", s)
		f.Add("/", "", "https://www.example.com/?"+s)
	})
	in := New(Config{})
	in.ungated = true
	f.Fuzz(func(t *testing.T, target, agent, referer string) {
		ev := &ingest.Event{Target: target, Agent: agent, Referer: referer}
		v := in.full(ev)
		if v.Score > 0 && !in.Suspicious(ev) {
			t.Fatalf("the first pass stops %q %q %q, which scores %d in %s: %s", target, agent, referer, v.Score, v.Field, v.Why)
		}
	})
}

// FuzzInspect demands verdicts that hold their promises.
func FuzzInspect(f *testing.F) {
	seeds(f, func(s string) {
		f.Add("/?a="+s, "", s)
		f.Add("/", "application/json", `{"a":"`+s+`"}`)
		f.Add("/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"+s+"\r\n--x--")
		f.Add("/", "text/xml", "<a b='"+s+"'>"+s+"</a>")
	})
	in := New(Config{})
	other := New(Config{})
	f.Fuzz(func(t *testing.T, target, contentType, body string) {
		headers := [][2]string{{"Content-Type", contentType}, {"Cookie", target}}
		v := in.InspectRequest("POST", target, headers, body)
		if v.Score < 0 || v.Score > 100 || len(v.Matched) > MatchedBytes || !utf8.ValidString(v.Field) || len(v.Field) > 128 {
			t.Fatalf("%+v", v)
		}
		for _, s := range [...]string{v.Matched, v.Field} {
			for i := range len(s) {
				if s[i] < 0x20 || s[i] > 0x7E {
					t.Fatalf("%q is not printable", s)
				}
			}
		}
		if (v.Score > 0) != (v.Class != "") || v.Score == 0 && v.NearCertain {
			t.Fatalf("%+v", v)
		}
		if w := other.InspectRequest("GET", target, headers, body); w.Score != v.Score || w.Class != v.Class || w.Why != v.Why {
			t.Fatalf("%+v, then %+v", v, w)
		}
	})
}
