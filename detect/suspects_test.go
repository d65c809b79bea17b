package detect_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
)

// TestClassReadsBack: whatever is written into a user agent or a path, a class names one
// pair of them, and no two have one name.
func TestClassReadsBack(t *testing.T) {
	part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ` "`, `" "`, `\`, `\"`, `/a "x"`, "\xff", "a\nb"}))
	rapid.Check(t, func(t *rapid.T) {
		c := detect.Class{Route: "/" + part.Draw(t, "route"), Agent: part.Draw(t, "agent")}
		if got, ok := detect.ParseClass(c.Subject()); !ok || got != c {
			t.Fatalf("%+v is named %q, which is read as %+v, %v", c, c.Subject().Value, got, ok)
		}
		s := detect.Subject{Kind: "class", Value: part.Draw(t, "value")}
		if got, ok := detect.ParseClass(s); ok && got.Subject() != s {
			t.Fatalf("%q is read as %+v, which is named %q", s.Value, got, got.Subject().Value)
		}
	})
}

// TestSuspectsReadBack: largest first, at most MaxSuspects, and by JSON the same.
func TestSuspectsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []detect.Suspects
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			list = append(list, detect.Suspects{Class: detect.Class{Route: rapid.String().Draw(t, "route"), Agent: rapid.String().Draw(t, "agent")},
				Clients: rapid.Int64().Draw(t, "clients"), Standing: detect.Standing{Successes: rapid.Int64().Draw(t, "successes"), People: rapid.Int64().Draw(t, "people")}})
		}
		f := detect.Finding{Suspects: detect.PackSuspects(list)}
		got := f.SuspectList()
		if len(got) != min(len(list), detect.MaxSuspects) {
			t.Fatalf("%d classes packed, %d read, from %q", len(list), len(got), f.Suspects)
		}
		var again detect.Finding
		again.SetSuspects(f.SuspectsJSON())
		if packed := detect.PackSuspects(rapid.Permutation(got).Draw(t, "order")); packed != f.Suspects || again.Suspects != f.Suspects {
			t.Fatalf("packed again %q, by JSON %q, first %q", packed, again.Suspects, f.Suspects)
		}
		for i := 1; i < len(got); i++ {
			if got[i].Clients > got[i-1].Clients {
				t.Fatalf("the largest is not first: %+v", got)
			}
		}
	})
	broken := detect.Finding{Suspects: "x 1 1 \"/\" a\n1 1 1 / a\n1 1 1 \"/\"a\n1 1 1 \"/\" \"a\n"}
	if got := broken.SuspectList(); got != nil {
		t.Errorf("lines that are none: %+v", got)
	}
}

// TestClassAgent: what is cut, or reads otherwise in a header, makes no class.
func TestClassAgent(t *testing.T) {
	for agent, want := range map[string]bool{"": false, "-": false, "curl/8": true, "Mozilla/5.0 (x; y)": true, "é": true, `a"b\`: true, " a": false, "a\tb": false,
		"\xff": false, strings.Repeat("x", 120): true, strings.Repeat("x", 121): false} {
		if got := detect.ClassAgent(agent); got != want {
			t.Errorf("%q: %v", agent, got)
		}
	}
}
