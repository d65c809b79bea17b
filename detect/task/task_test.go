package task_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

const start = 1_700_000_000

// guesses is a log of refused logins of one client, one a second.
func guesses(n int) (log detecttest.Log) {
	for i := range n {
		log = append(log, ingest.Event{Time: (start + int64(i)) * 1e9, Client: ip("192.0.2.1"), Method: "POST", Target: "/login", Route: "/login", RouteID: 2,
			Kind: ingest.RouteLogin, Status: 401, User: "ann", Line: fmt.Sprint("line ", i)})
	}
	return log
}

// calmWorld is a world of one partition of each level in which nothing fails, with n
// lines in the access topic, one a message.
func calmWorld(t *testing.T, n int) *world {
	w := newWorld(t, guesses(n), 1, 1)
	w.calm.set()
	for i := range n {
		w.access(lines(i, i+1))
	}
	return w
}

// lines are a batch of numbered lines.
func lines(from, to int) ingest.Batch {
	b := ingest.Batch{Source: "s", File: 1, Offset: int64(from) * detecttest.NumberedBytes}
	for i := from; i < to; i++ {
		b.Data = fmt.Appendf(b.Data, "%06x\n", i)
	}
	return b
}

func (w *world) access(b ingest.Batch, extra ...bus.Header) {
	w.t.Helper()
	m, err := bus.FromBatch(task.TopicAccess, &b)
	if err != nil {
		w.t.Fatal(err)
	}
	m.Headers = append(m.Headers, extra...)
	w.topic(task.TopicAccess, 0).add(m)
}

// beat is the latest word of a task.
func (w *world) beat(key string) (b task.Beat) {
	w.t.Helper()
	for p := range 3 {
		for _, m := range w.topic(task.TopicFindings, p).all() {
			if string(m.Header(task.HeaderKind)) == task.KindBeat && string(m.Key) == key {
				b = task.Beat{}
				if err := json.Unmarshal(m.Value, &b); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	return b
}

// TestForeignMessages go to the rejected topic with the reason, are counted, and the
// others are taken in; also after a restart.
func TestForeignMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := calmWorld(t, 2)
		w.logged = slog.NewTextHandler(&log, nil)
		w.topic(task.TopicAccess, 0).add(bus.Message{Value: []byte("\x00\xff<script>"), Headers: []bus.Header{{Key: "who", Value: []byte("me")}}})
		w.access(ingest.Batch{}, bus.Header{Key: collect.HeaderIdle, Value: []byte("noon")})
		w.access(lines(0, 2))
		good := (&detect.Partials{Closed: 5}).Append(nil)
		for _, m := range []bus.Message{
			{Value: good, Headers: []bus.Header{{Key: task.HeaderFrom, Value: []byte("zero")}, {Key: task.HeaderUpto, Value: []byte("1")}}},
			{Value: good, Headers: []bus.Header{{Key: task.HeaderFrom, Value: []byte("0")}}},
			{Value: good, Headers: []bus.Header{{Key: task.HeaderFrom, Value: []byte("7")}, {Key: task.HeaderUpto, Value: []byte("1")}}},
			{Value: good[:1], Headers: []bus.Header{{Key: task.HeaderFrom, Value: []byte("0")}, {Key: task.HeaderUpto, Value: []byte("1")}}},
		} {
			w.topic(task.TopicPartials, 0).add(m)
		}
		p := w.start(1)
		w.assign(p, w.keys())
		wait(3 * time.Second)
		front, wide := w.beat("front/0"), w.beat("wide/0")
		if front.Foreign != 2 || front.Offset != 4 || front.Rows[0].Read != 2 || !strings.Contains(front.Trouble, "message 3 of partition 0") {
			t.Errorf("front: %+v", front)
		}
		if wide.Foreign != 4 || wide.Waiting != 0 || !strings.Contains(wide.Trouble, "another program") {
			t.Errorf("wide: %+v", wide)
		}
		list := w.topic(task.TopicRejected, 0).all()
		if len(list) != 6 {
			t.Fatalf("%d rejected messages, want 6", len(list))
		}
		for _, m := range list {
			reason := string(m.Header(task.HeaderReason))
			if strings.HasSuffix(reason, "offset 2: bus: message /0/2: header file: strconv.ParseUint: parsing \"\": invalid syntax (was it written by another program?)") &&
				(string(m.Value) != "\x00\xff<script>" || string(m.Header("who")) != "me") || !strings.Contains(reason, "offset ") {
				t.Errorf("%q with reason %q", m.Value, reason)
			}
		}
		if n := strings.Count(log.String(), "foreign message"); n != 2 {
			t.Errorf("foreign messages are said %d times, want once for each task:\n%s", n, &log)
		}
		p.fleet.Stop()
		again := w.start(2)
		w.assign(again, w.keys())
		wait(3 * time.Second)
		if b := w.beat("front/0"); b.Foreign != 2 || len(w.topic(task.TopicRejected, 0).all()) != 6 {
			t.Errorf("after a restart: %+v", b)
		}
		again.fleet.Stop()
	})
}

// TestNewerWaits: a message of a newer version waits in its topic, and what came before
// it is done once, however often the task starts anew and however old its snapshot is.
func TestNewerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 2)
		w.every = time.Hour
		p := w.start(1)
		w.assign(p, w.keys())
		wait(3 * time.Second)
		partials, whole := w.topic(task.TopicPartials, 0), (&detect.Partials{Closed: 5}).Append(nil)
		newer := slices.Clone(whole)
		newer[0]++
		partials.add(bus.Message{Value: []byte("hello")})
		from := []bus.Header{{Key: task.HeaderFrom, Value: []byte("0")}, {Key: task.HeaderUpto, Value: []byte("9000000000")}}
		partials.add(bus.Message{Value: newer, Headers: from})
		wait(time.Minute)
		if n := len(w.topic(task.TopicRejected, 0).all()); n != 1 {
			t.Errorf("%d messages are in the rejected topic, want the one that is none of ours", n)
		}
		if said := strings.Join(p.fleet.Trouble(), "\n"); !strings.Contains(said, "task wide/0: ") || !strings.Contains(said, "update level two first") {
			t.Errorf("trouble: %q", said)
		}
		p.fleet.Stop()
	})
}

// TestGap: messages that were deleted before they were read are counted once, also
// where the task starts anew, and said.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := calmWorld(t, 10)
		w.logged = slog.NewTextHandler(&log, nil)
		w.topic(task.TopicAccess, 0).first = 4
		for run := range uint64(3) {
			p := w.start(run)
			w.assign(p, w.keys())
			wait(3 * time.Second)
			if b := w.beat("front/0"); b.Lost != 4 || b.Offset != 9 || b.Rows[0].Read != 6 {
				t.Errorf("start %d: %+v", run, b)
			}
			p.fleet.Stop()
		}
		if n := strings.Count(log.String(), "deleted before they were read"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &log)
		}
		// All that is left is deleted, and nothing comes: that counts too.
		w.topic(task.TopicAccess, 0).first = 15
		p := w.start(9)
		w.assign(p, w.keys())
		wait(3 * time.Second)
		p.kill()
		p = w.start(10)
		w.assign(p, w.keys())
		wait(3 * time.Second)
		if b := w.beat("front/0"); b.Lost != 9 || b.Offset != 14 {
			t.Errorf("at the end: %+v", b)
		}
		p.fleet.Stop()
	})
}

// TestIdentity: a collector that tells clients in another way is said, until it does
// as we do.
func TestIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 3)
		p := w.start(1)
		w.assign(p, w.keys())
		for _, c := range []struct{ source, identity, want string }{
			{"s", "ours", ""}, {"s", "", ""}, {"b", "theirs", `source "b" has other identity settings`},
			{"s", "ours", `source "b"`}, {"b", "ours", ""},
		} {
			b := lines(0, 1)
			b.Source = c.source
			w.access(b, bus.Header{Key: collect.HeaderIdentity, Value: []byte(c.identity)})
			wait(2 * time.Second)
			if got := w.beat("front/0").Trouble; (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("source %s with identity %q: trouble %q, want %q", c.source, c.identity, got, c.want)
			}
		}
		p.fleet.Stop()
	})
}

// TestSnapshotsWaitForFlush: nothing is saved before what was found is durable, nor
// where that fails; findings are in the topic before the snapshot is.
func TestSnapshotsWaitForFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 40)
		p := w.start(1)
		g := &gate{Topics: p.topics, answer: make(chan error)}
		p.out = g
		w.assign(p, []task.Key{{Name: task.Front}})
		wait(30 * time.Second)
		if n := w.shelf(task.Front, 0).saves; n != 0 {
			t.Fatalf("%d snapshots before the first flush came back", n)
		}
		g.answer <- errFlaky
		wait(500 * time.Millisecond)
		if trouble := fmt.Sprint(p.fleet.Trouble()); !strings.Contains(trouble, "task front/0") || !strings.Contains(trouble, errFlaky.Error()) {
			t.Errorf("trouble %s", trouble)
		}
		wait(30 * time.Second) // it has started anew
		if n := w.shelf(task.Front, 0).saves; n != 0 || len(p.fleet.Trouble()) != 0 {
			t.Fatalf("%d snapshots after a flush that failed, trouble %q", n, p.fleet.Trouble())
		}
		g.answer <- nil
		wait(time.Second)
		if n := w.shelf(task.Front, 0).saves; n != 1 {
			t.Errorf("%d snapshots after a flush, want 1", n)
		}
		close(g.answer)
		p.fleet.Stop()
	})
}

// gate lets a flush through when it is told to; once answer is closed, all.
type gate struct {
	*task.Topics
	answer chan error
}

func (g *gate) Flush(ctx context.Context) error {
	select {
	case err := <-g.answer:
		return errors.Join(err, g.Topics.Flush(ctx))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestStopIsBounded: a stop waits for a snapshot that is being saved, but not for good.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := calmWorld(t, 40)
		w.logged = slog.NewTextHandler(&log, nil)
		p := w.start(1)
		g := &gate{Topics: p.topics, answer: make(chan error)}
		p.out = g
		w.assign(p, []task.Key{{Name: task.Front}})
		wait(10 * time.Second)
		from := time.Now()
		go func() { wait(2 * time.Second); g.answer <- nil; g.answer <- nil }()
		p.fleet.Stop()
		if took := time.Since(from); took < 2*time.Second || took > 3*time.Second || w.shelf(task.Front, 0).saves != 2 {
			t.Errorf("stopped after %v with %d snapshots; want 2s, the one that was being saved and the last", took, w.shelf(task.Front, 0).saves)
		}
		w.assign(p, []task.Key{{Name: task.Front}})
		w.access(lines(39, 40))
		wait(10 * time.Second)
		from = time.Now()
		p.fleet.Stop()
		if took := time.Since(from); took < 5*time.Second || took > 6*time.Second || !strings.Contains(log.String(), "could not be saved") {
			t.Errorf("stopped after %v, want 5s; log:\n%s", took, &log)
		}
	})
}

// TestSnapshotOfANewerVersion is refused, and the part that was made for it ended.
func TestSnapshotOfANewerVersion(t *testing.T) {
	for meta, want := range map[string]string{`{"version":2}`: "version 2, this program reads 1", `{"version":1,"next":4,"part":"e30="}`: "restore", `[]`: "delete the state topic"} {
		synctest.Test(t, func(t *testing.T) {
			w := calmWorld(t, 1)
			w.shelf(task.Front, 0).saved = task.Saved{Epoch: 1, Found: true, Meta: []byte(meta), Blobs: map[string][]byte{"engine": []byte("none")}}
			p := w.start(1)
			w.assign(p, []task.Key{{Name: task.Front}})
			wait(5 * time.Second)
			if trouble := fmt.Sprint(p.fleet.Trouble()); !strings.Contains(trouble, want) {
				t.Errorf("meta %s: trouble %s, want %q", meta, trouble, want)
			}
			p.fleet.Stop()
			if p.watching != 0 {
				t.Errorf("meta %s: %d parts still hear of the watch list", meta, p.watching)
			}
		})
	}
}
