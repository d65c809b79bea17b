package follow_test

import (
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce/follow"
	"github.com/portcullis/portcullis/ingest"
)

// TestBooks: of a source the collector says what was read, the tasks together what
// became of it.
func TestBooks(t *testing.T) {
	tasks := []task.Beat{
		{Task: "front", Partition: 0, Waiting: 2, Newest: start + 9, Rows: []ingest.LedgerRow{
			{Source: "a", Read: 5, Processed: 4, Rejected: 1, Late: 1, LastTime: 9, Reasons: map[string]int64{"bad_time": 1},
				Format: "new", Carried: ingest.Carried{Week: 7, Now: ingest.FieldAgent, Before: ingest.FieldUser}},
			{Source: "b", Read: 3, Processed: 3, Bytes: 30, LagBytes: 3}}},
		{Task: "front", Partition: 1, Waiting: 1, Newest: start + 4, Rows: []ingest.LedgerRow{
			{Source: "a", Read: 6, Processed: 4, Rejected: 2, Future: 1, Truncated: 1, LastTime: 7, Reasons: map[string]int64{"bad_time": 1, "empty": 1},
				Format: "old", Carried: ingest.Carried{Week: 6, Now: ingest.FieldKey}}}},
		{Task: "wide", Waiting: 4}, // has seen no second yet
	}
	processes := []task.Process{
		{ID: "new", At: 20, Rows: []ingest.LedgerRow{{Source: "a", Read: 12, Bytes: 120, LagBytes: 7}}},
		{ID: "old", At: 10, Rows: []ingest.LedgerRow{{Source: "a", Read: 10, Bytes: 100}, {Source: "c", Read: 1}}},
	}
	want := follow.Books{Waiting: 7, Newest: start + 4, Tasks: 3, Rows: []ingest.LedgerRow{
		{Source: "a", Read: 12, Processed: 8, Rejected: 3, Late: 1, Future: 1, Truncated: 1, Bytes: 120, LagBytes: 7, LastTime: 9, Reasons: map[string]int64{"bad_time": 2, "empty": 1},
			Format: "new", Carried: ingest.Carried{Week: 7, Now: ingest.FieldAgent, Before: ingest.FieldUser | ingest.FieldKey}},
		{Source: "b", Read: 3, Processed: 3, Reasons: map[string]int64{}}, // no collector speaks of it
		{Source: "c", Read: 1, Reasons: map[string]int64{}},
	}}
	if got := follow.Add(tasks, processes); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if tasks[0].Rows[0].Reasons["bad_time"] != 1 || processes[0].ID != "new" {
		t.Error("what was said is changed")
	}
	if got := follow.Add(nil, nil); len(got.Rows) != 0 || got.Newest != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestGap: a difference counts once it stood still for 15 seconds in which nothing
// waited.
func TestGap(t *testing.T) {
	var g follow.Gap
	now := time.Unix(start, 0)
	for i, c := range []struct {
		after   int // seconds
		missing int64
		waiting int64
		want    int64
	}{
		{0, 0, 0, 0}, {1, 4, 0, 0}, {14, 4, 0, 0}, {1, 4, 0, 4}, {60, 4, 0, 4},
		{1, 3, 0, 0}, {14, 3, 0, 0}, {1, 3, 5, 0}, {14, 3, 0, 0}, {1, 3, 0, 3}, // what waits starts it anew
		{1, 0, 0, 0}, {1, 3, 0, 0}, {15, 3, 0, 3}, {1, -2, 0, 0}, {15, -2, 0, -2}, // more than was read
	} {
		now = now.Add(time.Duration(c.after) * time.Second)
		b := follow.Books{Waiting: c.waiting, Rows: []ingest.LedgerRow{{Source: "a", Read: 100, Processed: 90 - c.missing, Rejected: 10}, {Source: "fine", Read: 1, Rejected: 1}}}
		want := map[string]int64{}
		if c.want != 0 {
			want["a"] = c.want
		}
		if got := g.Missing(b, now); !maps.Equal(got, want) {
			t.Errorf("step %d: missing %v, want %v", i, got, want)
		}
	}
}

// TestGapNeedsQuiet: whatever is said, nothing is missing within 15 seconds of a
// change or of a message that waits.
func TestGapNeedsQuiet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g follow.Gap
		now, quiet, last := time.Unix(start, 0), time.Duration(0), int64(0)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			step := time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond
			now = now.Add(step)
			n, waiting := last, int64(0)
			switch rapid.IntRange(0, 15).Draw(t, "what") {
			case 0:
				n = rapid.Int64Range(-1, 3).Draw(t, "missing")
			case 1:
				waiting = 1
			}
			quiet += step
			if n != last || n == 0 || waiting > 0 {
				quiet = 0
			}
			last = n
			got := g.Missing(follow.Books{Waiting: waiting, Rows: []ingest.LedgerRow{{Source: "s", Read: n}}}, now)
			want := map[string]int64{}
			if quiet >= 15*time.Second {
				want["s"] = n
			}
			if !maps.Equal(got, want) {
				t.Fatal(fmt.Sprintf("%v of quiet: missing %v, want %v", quiet, got, want))
			}
		}
	})
}
