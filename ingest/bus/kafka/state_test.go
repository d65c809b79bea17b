package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// snapshot is what a task is to hold.
type snapshot struct {
	meta  string
	blobs map[string]string
}

func (s snapshot) clone() snapshot { return snapshot{s.meta, maps.Clone(s.blobs)} }

func (s snapshot) equal(saved kafka.Saved) bool {
	if string(saved.Meta) != s.meta || len(saved.Blobs) != len(s.blobs) {
		return false
	}
	for name, blob := range s.blobs {
		if string(saved.Blobs[name]) != blob {
			return false
		}
	}
	return true
}

// change makes a random change to a snapshot and returns what Save is to be given.
func (s *snapshot) change(rng *rand.Rand, round int) map[string][]byte {
	out := map[string][]byte{}
	s.meta = fmt.Sprint("offset ", round)
	for range rng.IntN(4) {
		name := fmt.Sprintf("shard/%d", rng.IntN(6))
		if rng.IntN(5) == 0 {
			delete(s.blobs, name)
			out[name] = nil
			continue
		}
		blob := bytes.Repeat(fmt.Append(nil, round, name, " "), rng.IntN(3)*40_000) // up to three pieces
		s.blobs[name] = string(blob)
		out[name] = append([]byte{}, blob...)
	}
	return out
}

func load(t testing.TB, s *kafka.Store, task string) (*kafka.Task, kafka.Saved) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	task1, saved, err := s.Load(ctx, task, 1)
	if err != nil {
		t.Fatal(err)
	}
	return task1, saved
}

func TestState(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Need(t)))
	s := c.Store(produce(t, c))
	task, saved := load(t, s, "access/1")
	if saved.Found || saved.Epoch != 0 || len(saved.Blobs) > 0 {
		t.Errorf("an empty topic holds %+v", saved)
	}
	rng, want := rand.New(rand.NewPCG(3, 4)), snapshot{blobs: map[string]string{}}
	other, _ := load(t, s, "access/10")
	if err := other.Save(t.Context(), 9, []byte("other"), map[string][]byte{"shard/0": []byte("x")}, nil); err != nil {
		t.Fatal(err)
	}
	for round := range 25 {
		if round%5 == 4 { // a new owner
			task, saved = load(t, s, "access/1")
			if !want.equal(saved) || !saved.Found {
				t.Fatalf("round %d: loaded %d blobs and meta %q, want %d and %q", round, len(saved.Blobs), saved.Meta, len(want.blobs), want.meta)
			}
		}
		changed := want.change(rng, round)
		if err := task.Save(t.Context(), saved.Epoch+1, []byte(want.meta), changed, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, saved = load(t, s, "access/10"); string(saved.Meta) != "other" || saved.Epoch != 9 {
		t.Errorf("another task holds %+v", saved)
	}
	live := map[string]bool{}
	for _, m := range all(t, c, kafka.State, 1) {
		if strings.HasPrefix(string(m.Key), "access/1/") {
			if live[string(m.Key)] = m.Value != nil; m.Value == nil {
				delete(live, string(m.Key))
			}
		}
	}
	heads := 0
	for key := range live {
		if strings.Contains(key, "/head/") {
			heads++
		}
	}
	if heads != 1 || len(live) > 6*3+2 {
		t.Errorf("%d heads and %d records are left: what no head needs is deleted", heads, len(live))
	}
	if err := s.Forget(t.Context(), "access/1", 1); err != nil {
		t.Fatal(err)
	}
	if _, saved = load(t, s, "access/1"); saved.Found || saved.Epoch == 0 {
		t.Errorf("a forgotten task holds %+v", saved)
	}
}

// TestTornSave stops saves at random instants: what is loaded then is the snapshot
// before, or the new one, and never a mixture.
func TestTornSave(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Full(t)))
	rng := rand.New(rand.NewPCG(5, 6))
	want := snapshot{blobs: map[string]string{}}
	late := want // of a torn save: it may still land
	torn, kept := 0, 0
	whole := 50 * time.Millisecond // what a save takes, as far as known
	for round := range 24 {
		p := c.Producer()
		task, saved := load(t, c.Store(p), "access/1")
		if late.equal(saved) { // the answer was lost, not the save
			want = late
		}
		if round > 0 && !want.equal(saved) {
			t.Fatalf("round %d: meta %q, want %q", round, saved.Meta, want.meta)
		}
		next := want.clone()
		changed := next.change(rng, round)
		changed["big"] = bytes.Repeat(fmt.Append(nil, round), 900_000) // several pieces, so that the end comes among them
		next.blobs["big"] = string(changed["big"])
		killed := make(chan struct{})
		timer := time.AfterFunc(time.Duration(rng.Int64N(2*int64(whole))), func() {
			p.Close()
			close(killed)
		})
		start := time.Now()
		err := task.Save(t.Context(), saved.Epoch+1, []byte(next.meta), changed, nil)
		if err == nil {
			whole = time.Since(start)
		} else {
			whole += 10 * time.Millisecond
		}
		if timer.Stop() {
			p.Close()
		} else {
			<-killed
		}
		other := produce(t, c)
		_, now := load(t, c.Store(other), "access/1")
		switch {
		case next.equal(now):
			want = next
			kept++
		case err == nil || round > 0 && !want.equal(now) || round == 0 && now.Found:
			t.Fatalf("round %d: Save: %v; loaded meta %q with %d blobs, want those of %q or %q", round, err, now.Meta, len(now.Blobs), want.meta, next.meta)
		default:
			torn++
			late = next
			if round == 0 {
				want = snapshot{blobs: map[string]string{}}
			}
		}
	}
	t.Logf("%d saves torn, %d whole", torn, kept)
	if torn == 0 || kept == 0 {
		t.Errorf("%d saves torn, %d whole: both must have happened to have been tested", torn, kept)
	}
}

// TestZombie lets an owner of the past go on saving and deleting.
func TestZombie(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Full(t)))
	s := c.Store(produce(t, c))
	lost := func(context.Context) error { return kafka.ErrLost }
	old, _ := load(t, s, "access/1")
	save := func(who *kafka.Task, epoch int64, meta string, changed map[string][]byte, own func(context.Context) error) {
		t.Helper()
		if err := who.Save(t.Context(), epoch, []byte(meta), changed, own); err != nil {
			t.Fatal(err)
		}
	}
	save(old, 1, "one", map[string][]byte{"a": []byte("a1"), "b": []byte("b1")}, nil)
	fresh, saved := load(t, s, "access/1")
	// The old one saves between the load of the new one and its first save, replaces
	// what the new one counts on, and is told that it is out.
	save(old, 1, "zombie", map[string][]byte{"a": []byte("a2")}, lost)
	save(fresh, saved.Epoch+1, "two", map[string][]byte{"b": []byte("b3")}, nil)
	save(old, 1, "zombie", map[string][]byte{"a": []byte("a4"), "b": nil}, lost)
	_, saved = load(t, s, "access/1")
	if want := (snapshot{"two", map[string]string{"a": "a1", "b": "b3"}}); !want.equal(saved) || saved.Epoch != 2 {
		t.Errorf("loaded %q %q, want %v", saved.Meta, saved.Blobs, want)
	}
	save(fresh, 2, "three", nil, nil)
	third, saved := load(t, s, "access/1")
	if string(saved.Meta) != "three" || string(saved.Blobs["a"]) != "a1" {
		t.Errorf("loaded %q %q", saved.Meta, saved.Blobs)
	}
	for _, epoch := range []int64{0, 1, 2} {
		if err := third.Save(t.Context(), epoch, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "epoch") {
			t.Errorf("a save with epoch %d: %v", epoch, err)
		}
	}
}

// TestDamage takes pieces away and changes others.
func TestDamage(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Full(t)))
	p := produce(t, c)
	s := c.Store(p)
	for i, damage := range []func(m *bus.Message) (says string){
		func(m *bus.Message) string { m.Value = nil; return "is missing" },
		func(m *bus.Message) string { m.Value = append([]byte("x"), m.Value[1:]...); return "checksum" },
		func(m *bus.Message) string { m.Value = m.Value[:3]; return "checksum" },
	} {
		task := fmt.Sprint("access/", i)
		owner, _ := load(t, s, task)
		if err := owner.Save(t.Context(), 1, []byte("m"), map[string][]byte{"a": []byte("0123456789")}, nil); err != nil {
			t.Fatal(err)
		}
		m := bus.Message{Key: []byte(task + "/blob/a/1.1/0"), Value: []byte("0123456789")}
		says := damage(&m)
		if _, err := p.SendWait(t.Context(), kafka.State, 1, m); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Load(t.Context(), task, 1)
		var corrupt *kafka.CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "portcullis kafka forget "+task) {
			t.Errorf("damage %d: %v, want %q", i, err, says)
		}
		if err := s.Forget(t.Context(), task, 1); err != nil {
			t.Fatal(err)
		}
		load(t, s, task)
	}
	for _, head := range []string{"", "{}", `{"version":2,"epoch":1}`, `{"version":1,"epoch":1,"seq":1}`} {
		if _, err := p.SendWait(t.Context(), kafka.State, 1, bus.Message{Key: []byte("access/9/head/1"), Value: []byte(head + " ")}); err != nil {
			t.Fatal(err)
		}
		var corrupt *kafka.CorruptError
		if _, _, err := s.Load(t.Context(), "access/9", 1); !errors.As(err, &corrupt) {
			t.Errorf("head %q: %v", head, err)
		}
	}
	if _, _, err := s.Load(t.Context(), "a b", 1); err == nil {
		t.Error("a task may be called a b")
	}
}
