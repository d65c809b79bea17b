package main

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/fixtures/scenario"
)

// TestScenarioCrowds has somebody attack from every address that hundreds of honest people
// of a scenario share, in two ways, and decides about all that is found, with everything
// enforced: no such address is blocked. Something is done, or a person is asked.
func TestScenarioCrowds(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of generated traffic: leave out -short")
	}
	t.Parallel()
	settings := scenarioSettings(t)
	found, truth := runScenario(t, settings, "quick-api", 1, "nginx-combined", true, func(truth *scenario.Truth) (lines []string) {
		at := truth.End.Add(time.Second)
		for _, addr := range crowds(truth) {
			for range 15 {
				lines = append(lines, line(addr, at, "POST /api/v1/login", 401, "attacker/1"))
			}
			lines = append(lines, line(addr, at, "GET "+attackTarget, 200, "attacker/1"))
		}
		return append(lines, line("192.0.2.250", at.Add(5*time.Minute), "GET /api/v1/products", 200, "browser/1"))
	})
	acted := map[string]bool{}
	for _, d := range decidedOn(t, settings, found) {
		if !slices.Contains(crowds(truth), d.Subject.Value) {
			continue
		}
		acted[d.Subject.Value] = true
		if d.From != 0 && d.Action != enforce.Throttle {
			t.Errorf("%s of %s, which hundreds of people share: %s; %s", d.Action, d.Subject.Value, d.Why, d.Collateral)
		}
	}
	if len(acted) == 0 || len(acted) != len(crowds(truth)) {
		t.Errorf("of %d shared addresses from which somebody attacks, %d are decided about", len(crowds(truth)), len(acted))
	}
}

// crowds are the addresses that hundreds of honest people share.
func crowds(truth *scenario.Truth) (addrs []string) {
	for _, h := range truth.Honest {
		if h.Kind == "ip" && h.Trap == scenario.NAT {
			addrs = append(addrs, h.Value)
		}
	}
	return addrs
}

// decidedOn is what findings lead to with everything enforced.
func decidedOn(t *testing.T, settings *Settings, found map[string]detect.Finding) []enforce.Term {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), storeFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ledger, err := enforce.OpenLedger(t.Context(), db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	cfg := settings.Enforce
	cfg.Policy.Families = enforced(cfg.Policy.Families)
	trial, err := enforce.NewTrial(t.Context(), cfg, ledger.ReadFrom(db.Reader()))
	if err != nil {
		t.Fatal(err)
	}
	list := slices.Collect(maps.Values(found))
	detect.SortFindings(list)
	for _, f := range list {
		if err := trial.Judge(t.Context(), f.FiredAt, []detect.Finding{f}); err != nil {
			t.Fatal(err)
		}
	}
	terms, err := trial.Terms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return terms
}
