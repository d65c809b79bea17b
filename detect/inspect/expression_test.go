package inspect

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	libinjection "github.com/corazawaf/libinjection-go"
)

// TestReached holds the search for words of expressions against one word after the other.
func TestReached(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	found := 0
	for range 50_000 {
		var sb strings.Builder
		for n := r.IntN(5); n >= 0; n-- {
			sb.WriteString([]string{expressionWords[r.IntN(len(expressionWords))], "x", ".", "_", " ", "("}[r.IntN(6)])
		}
		body := []byte(sb.String())
		want := ""
		for _, w := range expressionWords {
			if i := bytes.Index(body, []byte(w)); i == 0 || i > 0 && (!alpha(w[0]) || !word(body[i-1])) {
				want = w
				break
			}
		}
		if got, barren := reached(body); got != want || barren && want != "" {
			t.Fatalf("%q reaches for %q, not %q", body, got, want)
		}
		found += len(want)
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}

// TestWitnessInCapitals demands that libinjection says the same of a text in capitals, in
// which it is asked, and nothing of what it is not asked about.
func TestWitnessInCapitals(t *testing.T) {
	texts := honestLines()
	for _, a := range attackTexts() {
		texts = append(texts, a.text)
	}
	found := 0
	for _, s := range texts {
		s = strings.ToLower(s)
		if strings.Contains(s, "sp_password") {
			continue
		}
		small, _ := libinjection.IsSQLi(s)
		large, _ := libinjection.IsSQLi(strings.ToUpper(s))
		if small != large {
			t.Errorf("%q: %v, in capitals %v", s, small, large)
		}
		if small {
			found++
		}
	}
	if found < 50 {
		t.Errorf("only %d texts are known to it", found)
	}
	for a := range 256 {
		one := string([]byte{byte(a)})
		if sql, _ := libinjection.IsSQLi(one); sql {
			t.Errorf("libinjection knows %q", one)
		}
		for b := range 256 {
			if two := one + string([]byte{byte(b)}); libinjection.IsXSS(one) || libinjection.IsXSS(two) {
				t.Errorf("libinjection knows %q", two)
			}
		}
	}
}
