package journal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/journal"
	"pgregory.net/rapid"
)

func FuzzKey(f *testing.F) {
	f.Add("cidr", "192.0.2.0/24", "f1")
	f.Add("account", "a/b%2F\xff\x00 ", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		key := journal.Key(journal.Counted, a, b, c)
		kind, parts, ok := journal.Split(key)
		if !ok || kind != journal.Counted || len(parts) != 3 || parts[0] != a || parts[1] != b || parts[2] != c {
			t.Errorf("%q %q %q came back as %q %q %v by %q", a, b, c, kind, parts, ok, key)
		}
		if kind, parts, ok := journal.Split(a); ok && journal.Key(kind, parts...) != a {
			t.Errorf("%q is taken for %q %q", a, kind, parts)
		}
	})
}

// TestFence: who leads from where, and what is ignored.
func TestFence(t *testing.T) {
	put := func(epoch int64, key string) journal.Record {
		return journal.Record{Key: key, Value: []byte("{}"), Epoch: epoch}
	}
	begin := func(epoch int64, member string) journal.Record {
		return journal.Term{Epoch: epoch, Member: member, At: 5, Needs: 1}.Record()
	}
	f := journal.Fence{}
	for i, c := range []struct {
		r    journal.Record
		want journal.Verdict
		bad  bool
	}{
		{put(0, "request/a"), journal.Valid, false},
		{journal.Record{Key: "request/a"}, journal.Stale, true}, // only a leader takes one away
		{put(0, "decision/a"), journal.Stale, true},
		{put(-1, "decision/a"), journal.Stale, true},
		{begin(1, "a"), journal.Began, false},
		{put(1, "decision/a"), journal.Valid, false},
		{begin(3, "b"), journal.Began, false},
		{begin(3, "c"), journal.Stale, false}, // the first one has the epoch
		{begin(2, "c"), journal.Stale, false},
		{put(1, "decision/a"), journal.Stale, false},
		{put(3, "decision/a"), journal.Valid, false},
		{put(4, "decision/a"), journal.Valid, false}, // its beginning was deleted long ago
		{put(1, "mark"), journal.Stale, false},
		{put(3, "decision//../%zz"), journal.Stale, true},
		{put(3, "decision/a b"), journal.Stale, true}, // not as Key writes it
		{put(3, ""), journal.Stale, true},
		{journal.Record{Key: "leader/4/d", Value: []byte(`{"v":1}`), Epoch: 5}, journal.Stale, true},
		{journal.Record{Key: "leader/x/d", Value: []byte(`{"v":1}`), Epoch: 5}, journal.Stale, true},
		{journal.Record{Key: "leader/5/d", Value: []byte(`[]`), Epoch: 5}, journal.Stale, true},
		{journal.Record{Key: "leader/1/a", Epoch: 3}, journal.Valid, false}, // the leader deletes an old beginning
		{journal.Record{Key: "decision/a", Value: make([]byte, journal.ValueMax+1), Epoch: 3}, journal.Stale, true},
		{journal.Record{Key: "leader/5/d", Value: []byte(`{"v":9,"needs":2,"more":{}}`), Epoch: 5}, journal.Began, false},
	} {
		got, err := f.Admit(c.r)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%d: %q of epoch %d: %v %v", i, c.r.Key, c.r.Epoch, got, err)
		}
	}
	if f.Term != (journal.Term{Epoch: 5, Member: "d", Needs: 2}) {
		t.Errorf("the term: %+v", f.Term)
	}
}

func watch(i, deny int) detect.Watch {
	return detect.Watch{Subject: detect.Subject{Kind: "ip", Value: fmt.Sprint("192.0.2.", i)}, Deny: uint16(deny), Since: int64(i)}
}

// TestViewFollowsTheList: the differences of any lists make the view what the
// newest list is.
func TestViewFollowsTheList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := journal.NewView(100, nil)
		var have []detect.Watch
		for range rapid.IntRange(1, 5).Draw(t, "lists") {
			set := map[int]int{}
			for range rapid.IntRange(0, 30).Draw(t, "length") {
				set[rapid.IntRange(10, 40).Draw(t, "who")] = rapid.SampledFrom([]int{403, 429}).Draw(t, "deny")
			}
			var want []detect.Watch
			for i, deny := range set {
				want = append(want, watch(i, deny))
			}
			recs := journal.WatchDiff(have, want)
			for _, r := range recs {
				r.Epoch = 1
				if changed, err := v.Apply(r); err != nil || !changed {
					t.Fatalf("%s: %v %v", r.Key, changed, err)
				}
			}
			have = v.List()
			if len(have) != len(want) || len(journal.WatchDiff(have, want)) != 0 {
				t.Fatalf("the view has %+v, the list is %+v", have, want)
			}
		}
	})
}

func TestViewIsBounded(t *testing.T) {
	v := journal.NewView(10, func(s string) string { return strings.TrimPrefix(s, "hidden-") })
	apply := func(r journal.Record) {
		r.Epoch = max(r.Epoch, 2)
		if _, err := v.Apply(r); err != nil {
			t.Error(err)
		}
	}
	for i := range 30 {
		w := watch(i, 403)
		w.Subject.Value = "hidden-" + w.Subject.Value
		apply(journal.WatchRecord(w))
	}
	if len(v.List()) != 10 || v.Left() != 10 || v.List()[0].Subject.Value != "192.0.2.0" {
		t.Errorf("%d, %d wait: %+v", len(v.List()), v.Left(), v.List())
	}
	for i := range 5 {
		apply(journal.Record{Key: journal.Key(journal.Watch, "ip", fmt.Sprint("hidden-192.0.2.", i))})
	}
	if len(v.List()) != 10 || v.Left() != 5 {
		t.Errorf("others went: %d, %d wait", len(v.List()), v.Left())
	}
	apply(journal.Term{Epoch: 3, Member: "b"}.Record())
	before := v.List()
	for _, r := range []journal.Record{
		{Key: journal.Key(journal.Watch, "ip", "hidden-192.0.2.7"), Epoch: 2}, // of one that leads no longer
		{Key: "watch/ip", Value: []byte("{}"), Epoch: 3},
		{Key: "note/a", Value: []byte("{}"), Epoch: 3},
	} {
		if changed, err := v.Apply(r); changed || err != nil {
			t.Errorf("%s: %v %v", r.Key, changed, err)
		}
	}
	for _, text := range []string{"", "{}", `{"v":1}`, `{"v":2}`, `{"v":1,"kind":"ip","value":"x","deny":403}`, `{"v":1,"kind":"ip","value":"y","deny":0}`} {
		if changed, err := v.Apply(journal.Record{Key: "watch/ip/y", Value: []byte(text), Epoch: 3}); changed || err == nil {
			t.Errorf("%q: %v %v", text, changed, err)
		}
	}
	if fmt.Sprint(v.List()) != fmt.Sprint(before) {
		t.Errorf("%+v", v.List())
	}
}
