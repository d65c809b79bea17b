package store_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// reader sends changed findings on, as far as at.
type reader struct {
	t  *testing.T
	db *store.DB
	at int64
}

func (r *reader) save(list ...detect.Finding) {
	r.t.Helper()
	if err := r.db.SaveFindings(r.t.Context(), list); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) follow(on bool) {
	r.t.Helper()
	if err := r.db.FollowFindings(r.t.Context(), on, "output/"); err != nil {
		r.t.Fatal(err)
	}
}

// changed takes what came or grew, which must be these.
func (r *reader) changed(what string, want ...string) {
	r.t.Helper()
	n, err := r.db.Unsent(r.t.Context(), r.at)
	if err != nil || n != int64(len(want)) {
		r.t.Errorf("%s: %d are not sent, %v; want %d", what, n, err, len(want))
	}
	var got []string
	for {
		list, next, err := r.db.Changed(r.t.Context(), r.at, 2)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range list {
			got = append(got, f.ID)
		}
		if next == r.at {
			break
		}
		r.at = next
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestChanged: a finding that comes or grows is behind every number that was given before;
// one that is saved again as it was is not.
func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	r := &reader{t: t, db: open(t, path)}
	a, b, c := finding(1), finding(2), finding(3)
	r.save(a, b)
	r.follow(true)
	r.changed("what was there before", a.ID, b.ID)
	r.changed("nothing")
	r.save(c, a)
	r.changed("a new one, and one as it was", c.ID)
	a.Count++
	r.save(a, b, c)
	r.changed("one that grew", a.ID)
	a.Count++
	r.save(a)
	b.LastSeen += int64(time.Hour)
	r.save(b)
	a.Count++
	r.save(a)
	r.changed("one that grew twice is there once, behind the other", b.ID, a.ID)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r.db = open(t, path)
	r.follow(true)
	r.changed("after a restart")
	r.save(finding(4))
	r.changed("and a new one", finding(4).ID)
}

// TestChangedAnew: when nobody follows any more, what was noted of that is forgotten, and
// who begins again begins with all; a finding that is gone is not among them.
func TestChangedAnew(t *testing.T) {
	r, ctx := &reader{t: t, db: tempDB(t)}, t.Context()
	r.follow(true)
	r.save(finding(1), finding(2))
	r.changed("both", finding(1).ID, finding(2).ID)
	for _, key := range []string{"output/far/findings", "mirrored"} {
		if err := r.db.SetMeta(ctx, key, "7"); err != nil {
			t.Fatal(err)
		}
	}
	r.follow(false)
	noted, err := r.db.Meta(ctx, "output/far/findings")
	kept, err2 := r.db.Meta(ctx, "mirrored")
	if noted != "" || kept != "7" || err != nil || err2 != nil {
		t.Errorf("afterwards %q and %q are noted, %v %v", noted, kept, err, err2)
	}
	r.save(finding(3))
	r.follow(true)
	r.at = 0
	r.changed("all", finding(1).ID, finding(2).ID, finding(3).ID)
	if err := r.db.Prune(ctx, time.Unix(0, 1<<62), store.Retention{Findings: time.Hour}); err != nil {
		t.Fatal(err)
	}
	r.at = 0
	r.changed("none")
}
