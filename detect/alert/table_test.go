package alert_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
)

func record(kind, key, value string) alert.Record {
	return alert.Record{Kind: kind, Key: key, Value: []byte(value)}
}

// TestApply: of senders only the newest counts, in the order of what all wrote; people are
// heard always, and what was written here meanwhile comes behind what others wrote.
func TestApply(t *testing.T) {
	w := newWorld(t, "{}")
	ctx := t.Context()
	s, err := w.table.AddSilence(ctx, []string{"rule=x"}, time.Hour, w.who())
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.table.Apply(ctx, []alert.Shared{
		{Record: record("lead", "b", `{}`), Epoch: 7},
		{Record: record("alert", "one", `{"id":"one","why":"new"}`), Epoch: 7},
		{Record: record("alert", "one", `{"id":"one","why":"stale"}`), Epoch: 6},
		{Record: record("ack", "one", `{"alert":"one","who":"bob"}`)},
		{Record: record("silence", s.ID, `{"id":"older"}`)},
	}, 42)
	if err != nil || done.Epoch != 7 || len(done.Stale) != 1 || string(done.Stale[0].Value) != `{"id":"one","why":"stale"}` {
		t.Fatalf("applied %+v, %v", done, err)
	}
	if list := w.alerts(false); len(list) != 1 || list[0].Why != "new" || list[0].Ack == nil || list[0].Ack.Who != "bob" {
		t.Errorf("alerts %+v", list)
	}
	if next, err := w.table.Next(ctx); err != nil || next != 42 {
		t.Errorf("next %d, %v", next, err)
	}
	fresh, err := w.table.Fresh(ctx)
	if err != nil || len(fresh) != 2 {
		t.Fatalf("fresh %+v, %v", fresh, err)
	}
	var back []alert.Shared
	for _, r := range fresh {
		back = append(back, alert.Shared{Record: r})
	}
	if err := w.table.Handed(ctx, fresh); err != nil {
		t.Fatal(err)
	}
	if _, err := w.table.Apply(ctx, back, 44); err != nil {
		t.Fatal(err)
	}
	if list, err := w.table.Silences(ctx, true, w.now); err != nil || len(list) != 1 || list[0].ID != s.ID || list[0].Who != "cli:ann" {
		t.Errorf("silences %+v, %v", list, err)
	}
	if fresh, err := w.table.Fresh(ctx); err != nil || len(fresh) != 0 {
		t.Errorf("still fresh: %+v, %v", fresh, err)
	}
}

// TestHideStored: addresses that were stored are replaced.
func TestHideStored(t *testing.T) {
	w := newWorld(t, "channels: ["+hook(t, newReceiver(t), "")+"]")
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	w.pass(time.Second)
	table, err := alert.OpenTable(t.Context(), w.db.SQL(), w.db.Reader(), func(s string) string { return strings.ReplaceAll(s, "192.0.2.1", "ip_hidden") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.AddSilence(t.Context(), []string{"subject=192.0.2.1"}, time.Hour, w.who()); err != nil {
		t.Fatal(err)
	}
	if err := table.HideStored(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := table.Load(t.Context())
	if err != nil || len(list) < 2 {
		t.Fatalf("%d records, %v", len(list), err)
	}
	for _, r := range list {
		if strings.Contains(string(r.Value), "192.0.2.1") {
			t.Errorf("%s holds %s", r.Kind, r.Value)
		}
	}
}

// brittle is a store that a kill hits: from a number of writes on it refuses.
type brittle struct {
	alert.Store
	left int
}

var errKilled = errors.New("killed")

func (b *brittle) Put(ctx context.Context, recs []alert.Record) error {
	if b.left--; b.left < 0 {
		return errKilled
	}
	return b.Store.Put(ctx, recs)
}

// TestKilledAnywhere: whatever write a kill comes before, after a restart each alert was
// told, and a notice that came twice has the same id.
func TestKilledAnywhere(t *testing.T) {
	runs := 16
	if testing.Short() {
		runs = 4
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { killedAnywhere(t, rand.New(rand.NewPCG(uint64(seed), 1))) })
	}
}

func killedAnywhere(t *testing.T, rng *rand.Rand) {
	r := newReceiver(t)
	w := newWorld(t, "wait: 3s\nresolve: 1m\nchannels: ["+hook(t, r, ", rate: 0")+"]")
	want := map[string]bool{}
	for i := range 1 + rng.IntN(4) {
		w.e.Store = &brittle{w.table, rng.IntN(9)}
		for j := range 1 + rng.IntN(3) {
			f := w.finding("auth-burst", "192.0.2.1", fmt.Sprintf("/%d/%d", i, j), detect.High)
			want[f.Route] = true
			w.find(f)
		}
		for range 6 {
			w.now = w.now.Add(time.Second)
			if err := w.e.Step(t.Context(), w.now); errors.Is(err, errKilled) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		w.restart()
	}
	w.pass(20 * time.Second)
	w.pass(2 * time.Minute)
	told, byID := map[string][]string{}, map[string]string{}
	for i, n := range r.got {
		said := string(n.Kind) + " " + n.Alert
		if was := byID[r.ids[i]]; was != "" && was != said {
			t.Fatalf("%s is %q and %q", r.ids[i], was, said)
		}
		byID[r.ids[i]] = said
		told[n.Alert] = append(told[n.Alert], string(n.Kind))
	}
	list := w.alerts(false)
	if len(list) != len(want) {
		t.Fatalf("%d alerts of %d", len(list), len(want))
	}
	for _, a := range list {
		if got := told[a.ID]; !slices.Contains(got, "firing") || !slices.Contains(got, "resolved") {
			t.Fatalf("%s was told: %s", a.Route, got)
		}
	}
}
