package store_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/storetest"
)

// TestTallies compares what the database counts with counting the findings one by one.
func TestTallies(t *testing.T) {
	db := tempDB(t)
	all := storetest.Findings()
	if err := db.Save(t.Context(), store.State{Findings: all}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b detect.Finding) int { return cmp.Compare(a.FiredAt, b.FiredAt) })
	middle, last := all[len(all)/2].FiredAt, all[len(all)-1].FiredAt
	for _, span := range [][2]int64{{0, 0}, {middle, 0}, {0, middle}, {middle, last}, {last + 1, 0}} {
		var in []detect.Finding
		for _, f := range all {
			if f.FiredAt >= span[0] && (span[1] == 0 || f.FiredAt < span[1]) {
				in = append(in, f)
			}
		}
		got, err := db.Tallies(t.Context(), span[0], span[1])
		if err != nil {
			t.Fatal(err)
		}
		want := store.TallyOf(in)
		for _, list := range [][]store.Tally{got, want} {
			slices.SortFunc(list, func(a, b store.Tally) int {
				return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Kind, b.Kind))
			})
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %+v, want %+v", span[0], span[1], got, want)
		}
	}
}
