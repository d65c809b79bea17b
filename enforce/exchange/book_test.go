package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// books is a book over a ledger that the test writes.
type books struct {
	*Book
	at     time.Time
	ledger map[string]enforce.Decision
	broken error
}

func newBooks(throttles bool) *books {
	b := &books{at: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), ledger: map[string]enforce.Decision{}}
	b.Book = NewBook(Config{Throttles: throttles, Now: func() time.Time { return b.at },
		Decisions: func(_ context.Context, ids []string) (out []enforce.Decision, err error) {
			for _, id := range ids {
				if d, ok := b.ledger[id]; ok {
					out = append(out, d)
				}
			}
			return out, b.broken
		},
		Released: func(context.Context) (out []enforce.Decision, err error) {
			for _, d := range b.ledger {
				if d.State == enforce.Released {
					out = append(out, d)
				}
			}
			return out, b.broken
		}})
	return b
}

// decide writes a decision and returns its entry.
func (b *books) decide(id, prefix string, a enforce.Action, last time.Duration) enforce.Entry {
	p := netip.MustParsePrefix(prefix)
	b.ledger[id] = enforce.Decision{ID: id, Subject: detect.Subject{Kind: "cidr", Value: prefix}, Action: a, Rule: "auth-burst",
		Created: b.at.UnixNano(), Expires: b.at.Add(last).UnixNano(), State: enforce.Pushed}
	return enforce.Entry{Decision: id, Prefix: p, Action: a, Rate: 1}
}

func (b *books) apply(t testing.TB, want ...enforce.Entry) enforce.Applied {
	t.Helper()
	got, err := b.Apply(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func keys(items []*Item) (out []string) {
	for _, it := range items {
		out = append(out, it.Key)
	}
	slices.Sort(out)
	return out
}

func TestBookDeltas(t *testing.T) {
	b := newBooks(false)
	one, two := b.decide("d1", "192.0.2.1/32", enforce.Block, time.Hour), b.decide("d2", "198.51.100.0/24", enforce.Block, time.Hour)
	slow := b.decide("d3", "192.0.2.3/32", enforce.Throttle, time.Hour)
	if enforce.Holds(b, slow.Target(), slow.Action) == nil {
		t.Error("a throttle is none of the book's")
	}
	if got := b.apply(t, one); got.Entries != 1 || got.Changed != 1 {
		t.Errorf("%+v", got)
	}
	first := b.Since(0)
	b.apply(t, one, two)
	d := b.Since(first.Seq)
	if fmt.Sprint(keys(first.New), keys(d.New), keys(d.Deleted), first.Whole, d.Whole) != "[d1] [d2] [] true false" {
		t.Errorf("%v %v", first, d)
	}
	b.apply(t, two)
	d = b.Since(d.Seq)
	if fmt.Sprint(keys(d.New), keys(d.Deleted)) != "[] [d1]" {
		t.Errorf("%v %v", keys(d.New), keys(d.Deleted))
	}
	// An offender who comes back at once: whoever asks only now is not told of the end.
	again := b.decide("d4", "192.0.2.1/32", enforce.Block, time.Hour)
	b.apply(t, two, again)
	if d := b.Since(first.Seq); fmt.Sprint(keys(d.New), keys(d.Deleted)) != "[d2 d4] []" {
		t.Errorf("%v %v", keys(d.New), keys(d.Deleted))
	}
	if got := b.apply(t, again, two); got.Changed != 0 {
		t.Errorf("the same in another order: %+v", got)
	}
	if d := b.Since(1 << 40); !d.Whole || len(d.New) != 2 {
		t.Errorf("a number from another run: %+v", d)
	}
	b.at = b.at.Add(goneFor + time.Minute)
	b.ledger["d2"], b.ledger["d4"] = enforce.Decision{ID: "d2", Expires: b.at.Add(time.Hour).UnixNano()}, enforce.Decision{ID: "d4", Expires: b.at.Add(time.Hour).UnixNano()}
	b.apply(t, two, again)
	if d := b.Since(first.Seq); !d.Whole || len(d.New) != 2 {
		t.Errorf("what is too long ago is the whole: %+v", d)
	}
}

// TestBookExtended: a decision that was extended is told anew.
func TestBookExtended(t *testing.T) {
	b := newBooks(false)
	one := b.decide("d1", "192.0.2.1/32", enforce.Block, time.Hour)
	b.apply(t, one)
	before := b.Since(0)
	d := b.ledger["d1"]
	d.Expires += int64(time.Hour)
	b.ledger["d1"] = d
	b.at = b.at.Add(refresh)
	b.apply(t, one)
	if got := b.Since(before.Seq); len(got.New) != 1 || got.New[0].Expires != d.Expires {
		t.Errorf("%+v", got)
	}
}

// TestBookRestart: what was released before a restart is told as gone, once.
func TestBookRestart(t *testing.T) {
	b := newBooks(false)
	b.decide("d1", "192.0.2.1/32", enforce.Block, time.Hour)
	over := b.ledger["d1"]
	over.State = enforce.Released
	b.ledger["d1"] = over
	b.broken = errors.New("disk")
	if _, err := b.Apply(context.Background(), nil); err == nil || b.Ready() {
		t.Errorf("%v, ready %v", err, b.Ready())
	}
	b.broken = nil
	b.apply(t)
	if d := b.Since(0); fmt.Sprint(keys(d.New), keys(d.Deleted)) != "[] [d1]" {
		t.Errorf("%+v", d)
	}
}

func TestBookForeign(t *testing.T) {
	b := newBooks(false)
	one := b.decide("d1", "192.0.2.1/32", enforce.Block, time.Hour)
	b.apply(t, one)
	until := b.at.Add(time.Hour).UnixNano()
	b.SetForeign([]Entry{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), List: "bad", Expires: until}, {Prefix: netip.MustParsePrefix("203.0.113.0/24"), List: "bad", Expires: until}})
	if d := b.Since(0); fmt.Sprint(keys(d.New)) != "[d1 list:bad:203.0.113.0/24]" {
		t.Errorf("%v", keys(d.New))
	}
	before := b.Since(0).Seq
	b.apply(t)
	if d := b.Since(before); fmt.Sprint(keys(d.New), keys(d.Deleted)) != "[list:bad:192.0.2.1/32] []" {
		t.Errorf("%v %v", keys(d.New), keys(d.Deleted))
	}
	b.SetForeign(nil)
	if d := b.Since(0); len(d.New) != 0 || len(d.Deleted) != 2 {
		t.Errorf("%v %v", keys(d.New), keys(d.Deleted))
	}
}

// TestBookReaders: readers that apply deltas whenever they like end with what is in
// force, whatever order things happen in.
func TestBookReaders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBooks(true)
		type reader struct {
			seq  uint64
			held map[spot]bool
		}
		readers := []*reader{{held: map[spot]bool{}}, {held: map[spot]bool{}}, {held: map[spot]bool{}}}
		read := func(r *reader) {
			d := b.Since(r.seq)
			for _, it := range d.Deleted {
				delete(r.held, it.spot())
			}
			for _, it := range d.New {
				r.held[it.spot()] = true
			}
			r.seq = d.Seq
		}
		live, n := map[string]enforce.Entry{}, 0
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			for range rapid.IntRange(0, 3).Draw(rt, "new") {
				n++
				id := fmt.Sprint("d", n)
				a := rapid.SampledFrom([]enforce.Action{enforce.Block, enforce.Throttle}).Draw(rt, "action")
				live[id] = b.decide(id, fmt.Sprintf("192.0.2.%d/32", rapid.IntRange(0, 3).Draw(rt, "host")), a, time.Hour)
			}
			var want []enforce.Entry
			for id, e := range live {
				if rapid.IntRange(0, 3).Draw(rt, "over") == 0 {
					delete(live, id)
				} else {
					want = append(want, e)
				}
			}
			b.at = b.at.Add(time.Second)
			b.apply(t, want...)
			for _, r := range readers {
				if rapid.Bool().Draw(rt, "reads") {
					read(r)
				}
			}
		}
		for i, r := range readers {
			read(r)
			want := map[spot]bool{}
			for _, e := range live {
				want[spot{e.Prefix, e.Action}] = true
			}
			for s := range want {
				if !r.held[s] {
					rt.Fatalf("reader %d lacks %v", i, s)
				}
			}
			if len(r.held) != len(want) {
				rt.Fatalf("reader %d holds %d, want %d", i, len(r.held), len(want))
			}
		}
	})
}
