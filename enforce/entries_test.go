package enforce

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestEntriesAreTheStrongest compares the entries with what a look at each decision in turn
// says of its target.
func TestEntriesAreTheStrongest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var live []*Decision
		for i := range rapid.IntRange(0, 30).Draw(t, "decisions") {
			d := &Decision{ID: fmt.Sprint(i), Route: rapid.SampledFrom([]string{"", "/login"}).Draw(t, "route"), Action: rapid.SampledFrom([]Action{Challenge, Throttle, Tarpit, Block}).Draw(t, "action")}
			d.Subject.Kind = rapid.SampledFrom([]string{"ip", "cidr", "consumer", "nonsense"}).Draw(t, "kind")
			d.Subject.Value = map[string][]string{"ip": {"192.0.2.1", "2001:db8::1"}, "cidr": {"192.0.2.0/24", "192.0.2.1/32"}, "consumer": {"a", "b"}, "nonsense": {"x", "y"}}[d.Subject.Kind][rapid.IntRange(0, 1).Draw(t, "value")]
			live = append(live, d)
		}
		best := map[Target]*Decision{}
		for _, d := range live {
			target, err := targetOf(d.Subject, d.Route)
			if err == nil && (best[target] == nil || stronger(d.Action, best[target].Action)) {
				best[target] = d
			}
		}
		got := entries(live, "")
		if len(got) != len(best) {
			t.Fatalf("%d entries of %d targets: %+v", len(got), len(best), got)
		}
		for i, e := range got {
			if d := best[e.Target()]; d == nil || d.ID != e.Decision || d.Action != e.Action {
				t.Fatalf("entry %+v, the strongest is %+v", e, d)
			}
			if i > 0 && compareTargets(got[i-1].Target(), e.Target()) >= 0 {
				t.Fatalf("not in order: %+v before %+v", got[i-1], e)
			}
		}
	})
}
