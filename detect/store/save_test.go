package store_test

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// TestALateWord of somebody who knows less does not replace what is known.
func TestALateWord(t *testing.T) {
	now := finding(7)
	for name, change := range map[string]func(f *detect.Finding){
		"seen before, though it counts more": func(f *detect.Finding) { f.LastSeen, f.Count, f.Severity = f.LastSeen-1, 99, detect.Critical },
		"less grave, though it counts more":  func(f *detect.Finding) { f.Severity, f.Count = detect.Low, 99 },
		"judged before, though seen later":   func(f *detect.Finding) { f.Updated, f.LastSeen, f.Count = f.Updated-1e9, f.LastSeen+1e9, 99 },
		"counts less":                        func(f *detect.Finding) { f.Count-- },
	} {
		late := now
		change(&late)
		late.Why, late.Confidence, late.Evidence[0].Line = "less", 0.1, "less"
		for order, words := range map[string][]detect.Finding{"late": {now, late}, "in order": {late, now}} {
			db, ctx := tempDB(t), t.Context()
			for _, f := range words {
				if err := db.SaveFindings(ctx, []detect.Finding{f}); err != nil {
					t.Fatal(err)
				}
			}
			if got, _, err := db.Finding(ctx, now.ID); err != nil || got != now {
				t.Errorf("%s, %s: %v\n got %+v\nwant %+v", name, order, err, got, now)
			}
		}
	}
}

// TestWhatKnowsAsMuchReplaces what is there: a start hides so what was stored.
func TestWhatKnowsAsMuchReplaces(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	was, now := finding(7), finding(7)
	now.Why, now.Standing.People = "another sentence", 2
	for _, f := range []detect.Finding{was, now} {
		if err := db.SaveFindings(ctx, []detect.Finding{f}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, err := db.Finding(ctx, now.ID); err != nil || got != now {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, now)
	}
}

// TestALateMinute that counts less does not replace what was counted.
func TestALateMinute(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	now := detect.Rollup{Minute: 60, Source: "a", Route: "/login", Requests: 7, S2xx: 7}
	late := now
	late.Requests, late.S2xx = 6, 6
	for _, r := range []detect.Rollup{late, now, late} {
		if err := db.Save(ctx, store.State{Rollups: []detect.Rollup{r}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Rollups(ctx, 0, 0, store.AnyRoute); err != nil || len(got) != 1 || got[0] != now {
		t.Errorf("%v: got %+v, want %+v", err, got, now)
	}
}
