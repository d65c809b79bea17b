package ingest

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// fullEvent has every field.
func fullEvent() Event {
	return Event{Method: "GET", Target: "/", Host: "a", Protocol: "h2", Referer: "r", Agent: "a", Status: 200, User: "u", Consumer: "c", Subject: "s", Key: "k",
		Token: "t", Session: "s", Body: "b", TLS: "TLSv1.3", Cipher: "c", Print: "p", BytesOut: 1, BytesIn: 1, Duration: 1, Upstream: 1, Country: [2]byte{'D', 'E'}, ASN: 1, Scheme: "https", API: API{Facts: APIDescribed}}
}

// TestFields: each field is found in an event that has it, and gone when taken out.
func TestFields(t *testing.T) {
	if ev := fullEvent(); FieldsOf(&ev) != AllFields {
		t.Fatalf("missing: %v", AllFields&^FieldsOf(&ev))
	}
	if n := len(AllFields.Names()); n != len(fieldNames) {
		t.Fatalf("%d fields, %d names", n, len(fieldNames))
	}
	AllFields.Each(func(f Fields) {
		ev := fullEvent()
		f.Without(&ev)
		if got := FieldsOf(&ev); got != AllFields&^f {
			t.Errorf("without %v: %v", f, got)
		}
		if FieldsNamed([]string{f.String(), "no field"}) != f {
			t.Errorf("the name of %v is not its own", f)
		}
		data, err := json.Marshal(f)
		var back Fields
		if err != nil || json.Unmarshal(data, &back) != nil || back != f {
			t.Errorf("%v as JSON: %s, %v", f, data, err)
		}
	})
	ev := fullEvent()
	AllFields.Without(&ev)
	if !reflect.DeepEqual(ev, Event{}) {
		t.Errorf("left: %+v", ev)
	}
}

// TestCarriedHasNoOrder: the fields of the newest two weeks, in whatever order and
// groups events come, and none of those before.
func TestCarriedHasNoOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var weeks [6]Fields
		var list []Carried
		newest := 0
		for range 1 + rnd.IntN(8) {
			week := rnd.IntN(len(weeks))
			f := Fields(1) << rnd.IntN(len(fieldNames))
			weeks[week] |= f
			newest = max(newest, week)
			list = append(list, Carried{Week: int64(week + 2900), Now: f})
		}
		want := Carried{Week: int64(newest + 2900), Now: weeks[newest]}
		if newest > 0 {
			want.Before = weeks[newest-1]
		}
		for range 4 {
			rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			groups := make([]Carried, 1+rnd.IntN(3))
			for _, c := range list {
				groups[rnd.IntN(len(groups))].Merge(c)
			}
			var got Carried
			for _, g := range groups {
				got.Merge(g)
			}
			if got != want {
				t.Fatalf("%+v: got %+v, want %+v", list, got, want)
			}
		}
	}
}

// TestCarriedForgets: what a gateway ceased to log is gone two weeks later.
func TestCarriedForgets(t *testing.T) {
	var c Carried
	ev := Event{Time: 2950 * weekNanos, User: "u"}
	c.Add(&ev)
	for _, week := range []int64{2950, 2951} {
		c.Add(&Event{Time: week*weekNanos + 5, Agent: "a"})
		if !slices.Contains(c.Fields().Names(), "user") {
			t.Errorf("week %d: %+v", week, c)
		}
	}
	if c.Add(&Event{Time: 2952 * weekNanos, Agent: "a"}); c.Fields() != FieldAgent {
		t.Errorf("two weeks later: %v", c.Fields())
	}
}

func BenchmarkCarried(b *testing.B) {
	ev := fullEvent()
	ev.User, ev.Consumer, ev.Key, ev.TLS, ev.ASN, ev.Time = "", "", "", "", 0, 2950*weekNanos
	var c Carried
	for b.Loop() {
		c.Add(&ev)
	}
}
