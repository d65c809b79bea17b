package follow_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// TestWhatIsFollowed: each kind goes where it belongs, and what a newer version says
// or nobody can read does not stop the rest.
func TestWhatIsFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.putFinding(0, finding(1, 5))
		r.putFinding(0, finding(1, 9))
		r.putFinding(1, finding(2, 1))
		row := detect.Rollup{Minute: start / 60 * 60, Requests: 3, S2xx: 3}
		r.putJSON(2, task.KindRollup, "rollup", []detect.Rollup{row, {Minute: row.Minute, Route: "/login", Requests: 1, S4xx: 1}})
		row.Requests, row.S2xx = 7, 7
		r.putJSON(2, task.KindRollup, "rollup", []detect.Rollup{row})
		r.putJSON(2, task.KindReject, "reject", []map[string]any{{"source": "s", "file": 1, "offset": 7, "reason": ingest.BadTime, "length": 3, "sample": []byte("\xffab")}})
		seen := detect.Sightings{Sighting: detect.Sighting{Time: start * 1e9, Client: netip.MustParseAddr("192.0.2.1"), Status: 403}, First: start * 1e9, N: 4}
		r.put(1, task.KindSighting, "ip:192.0.2.1", detect.EncodeSightings(seen))
		r.putJSON(1, task.KindBeat, "front/0", task.Beat{Task: "front", Epoch: 3, Offset: 8})
		r.putJSON(1, task.KindProcess, "a/1", task.Process{ID: "a/1", At: time.Now().UnixNano()})
		r.put(0, "of a newer version", "x", []byte("?"))
		for _, kind := range []string{task.KindFinding, task.KindSighting, task.KindRollup, task.KindReject, task.KindBeat, task.KindProcess} {
			r.put(0, kind, "x", []byte("\x00?"))
		}
		r.putFinding(0, finding(3, 1))
		wait(time.Second)
		if got := r.offsets(); got != "[10,4,3]" {
			t.Errorf("offsets %s", got)
		}
		r.end()
		want := map[string]detect.Finding{finding(1, 0).ID: finding(1, 9), finding(2, 0).ID: finding(2, 1), finding(3, 0).ID: finding(3, 1)}
		if got := r.stored(); !reflect.DeepEqual(got, want) {
			t.Errorf("stored %+v, want %+v", got, want)
		}
		if len(r.heard) != 4 || len(r.saw) != 1 || r.saw[0] != seen {
			t.Errorf("heard %q, saw %+v", r.heard, r.saw)
		}
		rows, err := r.db.Rollups(t.Context(), 0, 1<<40, "")
		rejects, err2 := r.db.Rejects(t.Context(), 10)
		if err != nil || err2 != nil || len(rows) != 1 || rows[0] != row || len(rejects) != 1 || rejects[0].Sample != "\xffab" || rejects[0].Reason != ingest.BadTime {
			t.Errorf("traffic %+v, rejects %+v, %v, %v", rows, rejects, err, err2)
		}
		if h := r.f.Health(); h.Unread != 6 || h.Waiting != 0 || h.Error != "" || strings.Count(r.log.String(), "cannot be read") != 1 {
			t.Errorf("%+v, log:\n%s", h, &r.log)
		}
		if tasks, processes := r.f.Beats(); len(tasks) != 1 || tasks[0].Offset != 8 || len(processes) != 1 {
			t.Errorf("beats %+v %+v", tasks, processes)
		}
	})
}

// TestAStoreThatFails: nothing is lost and no offset runs ahead; it is said once, and
// once more when it works again.
func TestAStoreThatFails(t *testing.T) {
	for _, what := range []string{"save", "meta"} {
		bubble(t, func(t *testing.T, r *rig) {
			r.run()
			r.putFinding(0, finding(1, 1))
			wait(time.Second)
			r.db.set(func(at string) error {
				if at == what {
					return errors.New("disk full")
				}
				return nil
			})
			r.putFinding(0, finding(1, 2))
			r.putJSON(1, task.KindReject, "reject", []map[string]any{{"source": "s", "offset": 7, "reason": ingest.BadTime}})
			r.putFinding(2, finding(2, 1))
			wait(30 * time.Second)
			if h := r.f.Health(); h.Error != "disk full" || r.offsets() != "[1,0,0]" {
				t.Errorf("%s: health %+v, offsets %s", what, h, r.offsets())
			}
			if n := len(r.stored()); what == "save" && n != 1 {
				t.Errorf("%d findings stored", n)
			}
			r.db.set(nil)
			r.putFinding(2, finding(3, 1))
			wait(15 * time.Second)
			if h := r.f.Health(); h.Error != "" || r.offsets() != "[2,1,2]" || strings.Count(r.log.String(), "level=ERROR") != 1 || strings.Count(r.log.String(), "can be written again") != 1 {
				t.Errorf("%s: health %+v, offsets %s, log:\n%s", what, h, r.offsets(), &r.log)
			}
			r.end()
			rejects, err := r.db.Rejects(t.Context(), 10)
			if got := r.stored(); len(got) != 3 || got[finding(1, 0).ID].Count != 2 || len(rejects) != 1 || err != nil {
				t.Errorf("%s: stored %+v, %+v, %v", what, got, rejects, err)
			}
		})
	}
}

// TestMemoryIsBounded while the database cannot be written: the topic keeps the rest.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	bubble(t, func(t *testing.T, r *rig) {
		for i := range 6000 {
			r.list[i%parts] = append(r.list[i%parts], nil)
		}
		for i := range 6000 {
			f := finding(i, 1)
			value, err := detect.EncodeFinding(&f)
			if err != nil {
				t.Fatal(err)
			}
			r.list[i%parts][i/parts] = &bus.Message{Partition: i % parts, Offset: int64(i / parts), Value: value, Headers: []bus.Header{{Key: task.HeaderKind, Value: []byte(task.KindFinding)}}}
		}
		r.db.set(func(string) error { return errors.New("disk full") })
		r.run()
		wait(time.Minute)
		r.mu.Lock()
		n := r.read
		r.mu.Unlock()
		if h := r.f.Health(); n > 2000+256+parts || h.Waiting < 1000 {
			t.Errorf("%d messages in memory, %d wait", n, h.Waiting)
		}
		r.db.set(nil)
		wait(time.Minute)
		if got := r.stored(); len(got) != 6000 || r.f.Health().Waiting != 0 {
			t.Errorf("%d findings stored, %+v", len(got), r.f.Health())
		}
		r.end()
	})
}

// TestReadersThatEnd: an error of one ends the follower, whatever the others do.
func TestReadersThatEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		wait(time.Second)
		r.mu.Lock()
		r.fails = errors.New("no such topic")
		r.mu.Unlock()
		r.wake()
		if err := <-r.ended; !errors.Is(err, r.fails) {
			t.Errorf("it ended with %v", err)
		}
		r.make()
		r.run()
		if err := <-r.ended; !errors.Is(err, r.fails) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// TestTheLastWriteIsBounded: a database that hangs does not keep the process.
func TestTheLastWriteIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		synctest.Wait()
		r.db.hold = true
		r.putFinding(0, finding(1, 1))
		synctest.Wait()
		from := time.Now()
		r.stop()
		if err := <-r.ended; !errors.Is(err, context.DeadlineExceeded) || time.Since(from) != 5*time.Second {
			t.Errorf("it ended with %v after %v", err, time.Since(from))
		}
	})
}

// TestOffsets: where to go on; partitions that were not there yet begin at 0.
func TestOffsets(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			text string
			want [parts]int64
		}{{"", [parts]int64{}}, {"[5,6]", [parts]int64{5, 6, 0}}, {"[1,2,3,4]", [parts]int64{1, 2, 3}}} {
			if err := r.db.DB.SetMeta(t.Context(), "followed_findings", c.text); err != nil {
				t.Fatal(err)
			}
			r.make()
			r.run()
			wait(time.Second)
			r.end()
			if r.begun != c.want {
				t.Errorf("%q: begins at %v, want %v", c.text, r.begun, c.want)
			}
		}
		if err := r.db.DB.SetMeta(t.Context(), "followed_findings", "{}"); err != nil {
			t.Fatal(err)
		}
		r.run()
		if err := <-r.ended; err == nil || !strings.Contains(err.Error(), `saved offsets "{}"`) {
			t.Errorf("error %v", err)
		}
	})
}

// TestGapsAreSaid: findings that were deleted before they were read.
func TestGapsAreSaid(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.list[1] = []*bus.Message{nil}
		r.run()
		r.putFinding(1, finding(1, 1))
		wait(time.Second)
		r.end()
		if len(r.stored()) != 1 || !strings.Contains(r.log.String(), "this database lacks them") {
			t.Errorf("%d findings, log:\n%s", len(r.stored()), &r.log)
		}
	})
}

// TestBeats: the newest owner's word counts, and who says nothing for a minute is
// forgotten; a process is as old as it says.
func TestBeats(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		check := func(what string, tasks, processes string) {
			t.Helper()
			wait(time.Second)
			bs, ps := r.f.Beats()
			var got, got2 []string
			for _, b := range bs {
				got = append(got, fmt.Sprint(b.Task, b.Partition, ":", b.Epoch, ":", b.Offset))
			}
			for _, p := range ps {
				got2 = append(got2, p.ID)
			}
			slices.Sort(got)
			slices.Sort(got2)
			if fmt.Sprint(got) != tasks || fmt.Sprint(got2) != processes {
				t.Errorf("%s: %v %v, want %s %s", what, got, got2, tasks, processes)
			}
		}
		r.putJSON(0, task.KindBeat, "front/0", task.Beat{Task: "front", Epoch: 2, Offset: 10})
		r.putJSON(0, task.KindBeat, "front/0", task.Beat{Task: "front", Epoch: 3, Offset: 5})
		r.putJSON(0, task.KindBeat, "front/0", task.Beat{Task: "front", Epoch: 2, Offset: 11}) // has lost it
		r.putJSON(0, task.KindBeat, "front/1", task.Beat{Task: "front", Partition: 1, Epoch: 1, Offset: 1})
		r.putJSON(1, task.KindProcess, "a/1", task.Process{ID: "a/1", At: time.Now().UnixNano()})
		r.putJSON(1, task.KindProcess, "b/1", task.Process{ID: "b/1", At: time.Now().Add(-2 * time.Minute).UnixNano()})
		check("at once", "[front0:3:5 front1:1:1]", "[a/1]")
		wait(30 * time.Second)
		r.putJSON(0, task.KindBeat, "front/0", task.Beat{Task: "front", Epoch: 3, Offset: 6})
		check("half a minute later", "[front0:3:6 front1:1:1]", "[a/1]")
		wait(35 * time.Second)
		check("a minute later", "[front0:3:6]", "[]")
		r.putJSON(0, task.KindBeat, "front/1", task.Beat{Task: "front", Partition: 1, Epoch: 1, Offset: 2})
		check("it is back", "[front0:3:6 front1:1:2]", "[]")
		if got := r.offsets(); got != "[6,2,0]" {
			t.Errorf("offsets %s: words are read again after each start", got)
		}
		r.end()
	})
}
