package inspect

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestPairsHideNothing holds the search by pairs against the search without, and the
// joined values against the slow way.
func TestPairsHideNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		few := heavy[r.IntN(len(heavy)-6):][:6]
		for b.Len() < n {
			b.WriteString(few[r.IntN(len(few))])
		}
		return b.String()
	}
	var l look
	spared := 0
	for range 300 {
		s := text(r.IntN(4 * pairLeast))
		l.text = []byte(s)
		l.pairs.read(l.text)
		for _, w := range heavy {
			if got, want := l.find(w), strings.Index(s, w); got != want {
				t.Fatalf("%q in %q: %d, want %d", w, s, got, want)
			}
			if !l.pairs.may(w) {
				spared++
			}
		}
		name := string(rune('a' + r.IntN(3)))
		query := strings.ReplaceAll(s, "=", "=a&b=&a=")
		if got, want := l.values(query, name), slowValues(query, name); got != want {
			t.Fatalf("values of %s in %q: %q, want %q", name, query, got, want)
		}
	}
	if spared < 1000 {
		t.Errorf("pairs spared %d searches", spared)
	}
}

func slowValues(query, name string) string {
	out := ""
	for field := range strings.SplitSeq(query, "&") {
		if k, v := cutPair(field); k == name {
			if out != "" {
				out += ","
			}
			out += v
		}
	}
	return out
}
