package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// tallies compares what a store counts with counting the findings one by one. The newest
// may be off by a microsecond, since Elasticsearch computes with floating point.
func tallies(t *testing.T, r Reader, all []detect.Finding) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b detect.Finding) int { return cmp.Compare(a.FiredAt, b.FiredAt) })
	middle, last := all[len(all)/2].FiredAt, all[len(all)-1].FiredAt
	for _, span := range [][2]int64{{0, 0}, {middle, 0}, {0, middle}, {middle, last}, {last + 1, 0}} {
		var in []detect.Finding
		for _, f := range all {
			if f.FiredAt >= span[0] && (span[1] == 0 || f.FiredAt < span[1]) {
				in = append(in, f)
			}
		}
		got, err := r.Tallies(t.Context(), span[0], span[1])
		if err != nil {
			t.Fatal(err)
		}
		want := counted(in)
		for _, list := range [][]store.Tally{got, want} {
			slices.SortFunc(list, func(a, b store.Tally) int {
				return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Kind, b.Kind))
			})
		}
		if !slices.EqualFunc(got, want, func(a, b store.Tally) bool {
			near := max(a.Newest-b.Newest, b.Newest-a.Newest) <= int64(time.Microsecond)
			a.Newest, b.Newest = 0, 0
			return near && a == b
		}) {
			t.Errorf("from %d to %d: %+v, want %+v", span[0], span[1], got, want)
		}
	}
}

// counted counts findings one by one.
func counted(findings []detect.Finding) []store.Tally {
	at := map[store.Tally]int{}
	var out []store.Tally
	for i := range findings {
		f := &findings[i]
		key := store.Tally{Rule: f.Rule, Family: f.Family, Severity: f.Severity, Kind: f.Subject.Kind}
		n, ok := at[key]
		if !ok {
			n = len(out)
			at[key] = n
			out = append(out, key)
		}
		out[n].Findings++
		out[n].Newest = max(out[n].Newest, f.FiredAt)
	}
	return out
}
