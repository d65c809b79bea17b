package follow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// TestCrashes: wherever the process dies, also between what it writes and its offsets,
// the database in the end has the last state of each finding, all of them were heard,
// and no offset was ahead of what was written.
func TestCrashes(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		path := filepath.Join(t.TempDir(), "portcullis.db")
		var why string
		synctest.Test(t, func(t *testing.T) { why = crashes(t, path, rand.New(rand.NewPCG(seed, 1)), 30) })
		if why != "" {
			t.Fatalf("seed %d: %s", seed, why)
		}
	}
}

// crashes follows a topic that grows, and dies now and then. It says what is wrong.
func crashes(t *testing.T, path string, r *rand.Rand, messages int) string {
	d := openDB(t, path)
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := map[string]detect.Finding{}
	x := newRig(t, d)
	x.run()
	for i := range messages {
		f := finding(r.IntN(9), i+1)
		want[f.ID] = f
		x.putFinding(partOf(f.ID), f)
		wait(time.Duration(r.IntN(120)) * time.Millisecond)
		switch r.IntN(8) {
		case 0:
			at := []string{"save", "meta"}[r.IntN(2)]
			d.set(func(what string) error {
				if what == at {
					return errors.New("it died")
				}
				return nil
			})
			wait(time.Duration(r.IntN(500)) * time.Millisecond)
			x.stop()
			<-x.ended // with the error, or nil where nothing waited
			d.set(nil)
			if why := ahead(x); why != "" {
				return why
			}
			x.make()
			x.run()
		case 1:
			x.end()
			x.make()
			x.run()
		}
	}
	wait(time.Second)
	x.end()
	if got := x.stored(); !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("stored %+v, want %+v", got, want)
	}
	for id := range want {
		if !slices.Contains(x.heard, id) {
			return "finding " + id + " was not heard"
		}
	}
	return ""
}

// partOf keeps the states of a finding in one partition.
func partOf(id string) int { return int(id[len(id)-1]) % parts }

// ahead compares the saved offsets with what is stored.
func ahead(x *rig) string {
	var next [parts]int64
	if text := x.offsets(); text != "" {
		if _, err := fmt.Sscanf(text, "[%d,%d,%d]", &next[0], &next[1], &next[2]); err != nil {
			return err.Error()
		}
	}
	stored := x.stored()
	for p, n := range next {
		for _, m := range x.list[p][:n] {
			f, err := detect.DecodeFinding(m.Value)
			if err != nil {
				return err.Error()
			}
			if stored[f.ID].Count < f.Count {
				return fmt.Sprintf("offsets %v, but %s has count %d, not %d", next, f.ID, stored[f.ID].Count, f.Count)
			}
		}
	}
	return ""
}
