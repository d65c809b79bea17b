package rule_test

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portcullis/portcullis/detect"
)

// TestInjectionAnswerSays holds what a finding says of an answer against its log: how it
// stands out, in words and with the line, and who got it.
func TestInjectionAnswerSays(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/injection_answer.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"ip 0.850 1 192.0.2.1\n": {"sqli in query.q", "answered with 250000 bytes, where all but one in 200 of about 275 answers have less than 2048"},
		"ip 0.850 1 192.0.2.2\n": {"answered with 250000 bytes"},
		"ip 1.000 1 192.0.2.3\n": {"union select name,pass", "answered with 250000 bytes"},
		"ip 0.850 1 192.0.2.4\n": {"benchmark(", "answered after 6.5s, where all but one in 200 of about", "took less than 34ms"},
	}
	for _, f := range replay(t, readingOf(t, archive), expand(t, section(t, archive, "log").Data)) {
		if f.Rule != "injection-answer" {
			continue
		}
		words, expected := want[f.Members]
		delete(want, f.Members)
		if !expected || f.Route != "/items/{id}" || f.Evidence[0].Line == "" || f.Evidence[1] != (detect.Evidence{}) {
			t.Errorf("members %q, route %q, evidence %+v", f.Members, f.Route, f.Evidence)
		}
		for _, w := range words {
			if !strings.Contains(f.Why, w) || !strings.Contains(f.Evidence[0].Note, w) {
				t.Errorf("%q is missing in %q or %q", w, f.Why, f.Evidence[0].Note)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %q", want)
	}
}
