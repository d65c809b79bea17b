package inspect

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// smallBytes is the length of a request below which the effort never counts.
const smallBytes = 1024

// TestEffortLeavesSmallAlone demands of every row and text that is below a kilobyte the
// same verdict, to the letter, as of an inspection that reads on whatever it costs.
func TestEffortLeavesSmallAlone(t *testing.T) {
	in, thorough := New(Config{}), New(Config{})
	thorough.thorough = true
	n := 0
	same := func(target, body string, headers [][2]string) {
		ev := &ingest.Event{Target: target, Body: body}
		if len(target)+len(body) >= smallBytes {
			return
		}
		n++
		v, w := in.full(ev), thorough.full(ev)
		if !reflect.DeepEqual(v, w) {
			t.Errorf("%q %q: %+v, without a limit %+v", target, body, v, w)
		}
		if v, w = in.InspectRequest("POST", target, headers, body), thorough.InspectRequest("POST", target, headers, body); !reflect.DeepEqual(v, w) {
			t.Errorf("%q %q %q: %+v, without a limit %+v", target, headers, body, v, w)
		}
	}
	for _, rows := range labelledSets(t) {
		for i := range rows {
			r := &rows[i]
			same(r.URI, r.Body, nil)
			same(r.URI, r.Body, r.headers())
		}
	}
	for _, a := range attackLines() {
		same("/x?q="+queryEscape(a.text), "", nil)
		same("/x?id=1&id="+queryEscape(a.text), a.text, nil)
	}
	for _, s := range honestLines() {
		same("/x?q="+queryEscape(s), s, nil)
	}
	if n < 10_000 {
		t.Errorf("only %d requests below %d bytes", n, smallBytes)
	}
}

// TestEffortIsCounted demands that what an inspection costs is counted the same each time,
// whatever was looked at before, and that a request dense with attacks is left at some time.
func TestEffortIsCounted(t *testing.T) {
	in, other := New(Config{}), New(Config{})
	left := 0
	for i, unit := range heavy {
		for _, shape := range []string{"form", "json", "text"} {
			kind, body := shapes[shape](unit+heavy[(i+7)%len(heavy)]+"<script>alert(1)</script>' union select 1,2--", 8<<10)
			headers := [][2]string{{"Content-Type", kind}}
			v := in.InspectRequest("POST", "/x", headers, body)
			w := other.InspectRequest("POST", "/x", headers, body)
			again := other.InspectRequest("POST", "/x", headers, body)
			if in.look.spent != other.look.spent || !reflect.DeepEqual(v, w) || !reflect.DeepEqual(w, again) {
				t.Errorf("%s of %q: %+v at %d, then %+v, %+v at %d", shape, unit, v, in.look.spent, w, again, other.look.spent)
			}
			if v.Score < in.Threshold() {
				t.Errorf("%s of %q: %+v", shape, unit, v)
			}
			if strings.Contains(v.Why, "the rest was not read") {
				left++
			}
		}
	}
	if left < 2*len(heavy) {
		t.Errorf("of %d dense requests %d were left before the end", 3*len(heavy), left)
	}
}

// paddings put an attack among what is costly to read, up to 8 KB.
var paddings = map[string]func(unit, attack string) (target, contentType, body string){
	"in front": func(unit, attack string) (string, string, string) {
		return "/x?q=" + fill(queryEscape(unit), 8000-len(queryEscape(attack))) + queryEscape(attack), "", ""
	},
	"behind": func(unit, attack string) (string, string, string) {
		return "/x?q=" + queryEscape(attack) + fill(queryEscape(unit), 8000-len(queryEscape(attack))), "", ""
	},
	"64 parameters": func(unit, attack string) (string, string, string) {
		return "/x?" + strings.Repeat("a="+fill(queryEscape(unit), 100)+"&", 62) + "id=" + queryEscape(attack), "", ""
	},
	"64 names": func(unit, attack string) (string, string, string) {
		var sb strings.Builder
		for i := range 60 {
			sb.WriteString("a" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=" + fill(queryEscape(unit), 90) + string(rune('a'+i%26)) + "&")
		}
		return "/x?" + sb.String() + "id=" + queryEscape(attack), "", ""
	},
	"json": func(unit, attack string) (string, string, string) {
		list := make([]string, 0, 200)
		for i := range 7600 / (len(unit) + 8) {
			list = append(list, unit+string(rune('a'+i%26))+string(rune('a'+i/26%26)))
		}
		b, _ := json.Marshal(append(list, attack)) // strings: it cannot fail
		return "/x", "application/json", string(b)
	},
}

// fill repeats a unit up to n bytes, whole units only.
func fill(unit string, n int) string { return strings.Repeat(unit, max(n/len(unit), 1)) }

// TestPaddedAttacks puts attacks before, behind and among what is costly to read, and demands
// that as many are found as by an inspection that reads on whatever it costs. With
// PORTCULLIS_SOAK each unit stands beside each attack, or else each attack beside some.
func TestPaddedAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("long: leave out -short")
	}
	in, thorough := New(Config{}), New(Config{})
	thorough.thorough = true
	step := 41
	if os.Getenv("PORTCULLIS_SOAK") != "" {
		step = 1
	}
	for name, pad := range paddings {
		all, found, before, sure, sureBefore, left := 0, 0, 0, 0, 0, 0
		for i, a := range attackTexts() {
			for k := i % step; k < len(heavy); k += step {
				target, kind, body := pad(heavy[k], a.text)
				headers := [][2]string{{"Content-Type", kind}}
				v, w := in.InspectRequest("POST", target, headers, body), thorough.InspectRequest("POST", target, headers, body)
				all++
				found += pick(v.Score >= in.Threshold(), 1, 0)
				before += pick(w.Score >= in.Threshold(), 1, 0)
				sure += pick(v.NearCertain, 1, 0)
				sureBefore += pick(w.NearCertain, 1, 0)
				left += pick(in.look.stopped, 1, 0)
				if v.Score < in.Threshold() && w.Score >= in.Threshold() && os.Getenv("PORTCULLIS_MISSES") == "padded" {
					t.Logf("%s of %q: %q scores %d, without a limit %d as %s: %s", name, heavy[k], a.text, v.Score, w.Score, w.Class, w.Why)
				}
			}
		}
		t.Logf("%-14s found %5d of %5d, without a limit %5d; near certain %5d and %5d; left before the end %d", name, found, all, before, sure, sureBefore, left)
		if found < before {
			t.Errorf("%s: %d of %d are found, without a limit %d", name, found, all, before)
		}
	}
}
