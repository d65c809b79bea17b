package enforce_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

// TestTrialDecidesAsAnEnforcer gives the same findings to an enforcer at work, while its
// clock goes on, and afterwards to a trial with the log's clock.
func TestTrialDecidesAsAnEnforcer(t *testing.T) {
	cfg := enforceAll()
	cfg.Push.Poll = 10 * time.Second
	for seed := range uint64(4) {
		var told []detect.Finding
		var at []int64
		var want []enforce.Decision
		run(t, cfg, 1, func(t *testing.T, w *world) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for i := range 50 {
				f := finding(fmt.Sprint("f", rnd.IntN(40)), fmt.Sprintf("203.0.113.%d", rnd.IntN(12)))
				f.ID += f.Subject.Value
				f.Severity = detect.Severity(rnd.IntN(int(detect.Critical) + 1))
				f.Family = [...]detect.Family{detect.Credential, detect.Rate, detect.Injection}[rnd.IntN(3)]
				f.Standing = detect.Standing{Successes: int64(rnd.IntN(50)), People: int64(rnd.IntN(6))}
				f.Route = [...]string{"", "/login"}[rnd.IntN(2)]
				f.Count = int64(i)
				f.Updated = time.Now().UnixNano()
				told, at = append(told, f), append(at, f.Updated)
				w.e.Offer(f)
				w.pass(time.Duration(1+rnd.IntN(20*60)) * time.Second)
			}
			want = w.decisions(enforce.DecisionQuery{Limit: 1000})
		})
		got := map[string]enforce.Term{}
		for _, x := range tried(t, cfg, told, at) {
			got[x.ID] = x
		}
		if len(got) != len(want) || len(want) < 5 {
			t.Errorf("seed %d: %d decisions, the enforcer made %d", seed, len(got), len(want))
		}
		for _, d := range want {
			g, made := got[d.ID]
			if !made || g.Subject != d.Subject || g.Action != d.Action || g.Route != d.Route || g.Expires != d.Expires || g.Offence != d.Offence || g.Rule != d.Rule || g.Score != d.Score {
				t.Errorf("seed %d: %+v\nin the trial %+v", seed, d, g.Decision)
			}
		}
	}
}

func tried(t *testing.T, cfg enforce.Config, list []detect.Finding, at []int64) []enforce.Term {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "trial.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l, err := enforce.OpenLedger(t.Context(), db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	trial, err := enforce.NewTrial(t.Context(), cfg, l)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := trial.Judge(t.Context(), at[i], list[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	terms, err := trial.Terms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return terms
}

// TestTerms: when a decision would have been in force; who is on the allow-list has none.
func TestTerms(t *testing.T) {
	second := time.Second.Nanoseconds()
	f := finding("a", "203.0.113.1")
	f.FiredAt, f.LastSeen = 1000*second, 1000*second
	later := f
	later.ID, later.FiredAt, later.LastSeen = "b", 2000*second, 2000*second
	safe := f
	safe.ID, safe.Subject.Value = "c", "198.51.100.1"
	cfg := enforceAll()
	cfg.Guard.Allow = []string{"198.51.100.0/24"}
	got := tried(t, cfg, []detect.Finding{f, safe, later}, []int64{1001 * second, 1002 * second, 2001 * second})
	if len(got) != 3 {
		t.Fatalf("%d decisions: %+v", len(got), got)
	}
	if x := got[0]; x.From != 1001*second || x.To != 1600*second {
		t.Errorf("first in force from %d to %d", x.From/second, x.To/second)
	}
	if x := got[1]; x.From != 0 || x.To != 0 || x.Code != enforce.CodeAllowed {
		t.Errorf("who is allowed: %+v", x)
	}
	if x := got[2]; x.From != 2001*second || x.To != 5600*second || x.Offence != 2 {
		t.Errorf("second from %d to %d, offence %d", x.From/second, x.To/second, x.Offence)
	}
}
