package store_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// TestChanged: a finding that comes or grows is behind every number that was given before;
// one that is saved again as it was is not, and one that is gone is not there.
func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := open(t, path)
	ctx := t.Context()
	save := func(list ...detect.Finding) {
		t.Helper()
		if err := db.SaveFindings(ctx, list); err != nil {
			t.Fatal(err)
		}
	}
	follow := func(on bool) {
		t.Helper()
		if err := db.FollowFindings(ctx, on, "output/"); err != nil {
			t.Fatal(err)
		}
	}
	at := int64(0)
	changed := func(what string, want ...string) {
		t.Helper()
		n, err := db.Unsent(ctx, at)
		if err != nil || n != int64(len(want)) {
			t.Errorf("%s: %d are not sent, %v; want %d", what, n, err, len(want))
		}
		var got []string
		for {
			list, next, err := db.Changed(ctx, at, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range list {
				got = append(got, f.ID)
			}
			if next == at {
				break
			}
			at = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	a, b, c := finding(1), finding(2), finding(3)
	save(a, b)
	follow(true)
	changed("what was there before", a.ID, b.ID)
	changed("nothing")
	save(c, a)
	changed("a new one, and one as it was", c.ID)
	a.Count++
	save(a, b, c)
	changed("one that grew", a.ID)
	a.Count++
	save(a)
	b.LastSeen += int64(time.Hour)
	save(b)
	a.Count++
	save(a)
	changed("one that grew twice is there once, behind the other", b.ID, a.ID)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	follow(true)
	changed("after a restart")
	save(finding(4))
	changed("and a new one", finding(4).ID)
	for _, key := range []string{"output/far/findings", "mirrored"} {
		if err := db.SetMeta(ctx, key, "7"); err != nil {
			t.Fatal(err)
		}
	}
	follow(false)
	noted, err := db.Meta(ctx, "output/far/findings")
	kept, err2 := db.Meta(ctx, "mirrored")
	if noted != "" || kept != "7" || err != nil || err2 != nil {
		t.Errorf("afterwards %q and %q are noted, %v %v", noted, kept, err, err2)
	}
	follow(true)
	at = 0
	changed("when it begins anew", a.ID, b.ID, c.ID, finding(4).ID)
	if err := db.Prune(ctx, time.Unix(0, 1<<62), store.Retention{Findings: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Unsent(ctx, 0); n != 0 || err != nil {
		t.Errorf("%d of no finding, %v", n, err)
	}
}
