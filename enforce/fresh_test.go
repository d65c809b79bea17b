package enforce_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// TestMadeOnlyOnce judges findings a second time whose subjects the ledger remembers by
// their decisions alone: those were only proposed, are over, and what counted is pruned.
// They come together, so that they are not asked for one by one.
func TestMadeOnlyOnce(t *testing.T) {
	cfg := enforceAll()
	cfg.Policy.Families.Credential = "observe"
	cfg.Push.Poll = time.Minute
	run(t, cfg, 1, func(t *testing.T, w *world) {
		var fs []detect.Finding
		for i := range 20 {
			fs = append(fs, finding(fmt.Sprint("f", i), fmt.Sprint("192.0.2.", i+1)))
		}
		offer := func() {
			for _, f := range fs {
				w.e.Offer(f)
			}
			w.pass(2 * time.Second)
		}
		offer()
		w.pass(26 * time.Hour)
		w.stop()
		if _, err := w.db.SQL().ExecContext(t.Context(), `DELETE FROM counted`); err != nil {
			t.Fatal(err)
		}
		w.start()
		offer()
		ds := w.decisions(enforce.DecisionQuery{})
		if len(ds) != len(fs) {
			t.Fatalf("%d decisions of %d findings", len(ds), len(fs))
		}
		for _, d := range ds {
			if h := w.history(d.ID); h != "proposed expired" {
				t.Errorf("%s was %s", d.ID, h)
			}
		}
	})
}
