package task_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// outcome is all that was found.
type outcome struct {
	findings map[string]detect.Finding
	rollups  map[string]detect.Rollup
	books    string
}

// rows takes figures of traffic in. newest says that figures that are less are older.
func (o *outcome) rows(list []detect.Rollup, newest bool) {
	for _, r := range list {
		if k := fmt.Sprint(r.Minute, " ", r.Route); !newest || r.Requests >= o.rollups[k].Requests {
			o.rollups[k] = r
		}
	}
}

func (o *outcome) diff(want outcome) string {
	if d := detecttest.Diff(want.findings, o.findings); d != "" {
		return d
	}
	for k, r := range want.rollups {
		if o.rollups[k] != r {
			return fmt.Sprintf("traffic of %s: %+v, want %+v", k, o.rollups[k], r)
		}
	}
	if len(o.rollups) != len(want.rollups) || o.books != want.books {
		return fmt.Sprintf("%d rows of traffic, want %d; books %s, want %s", len(o.rollups), len(want.rollups), o.books, want.books)
	}
	return ""
}

// end is a second at which all of a log is over.
func end(log detecttest.Log) int64 {
	last := int64(0)
	for i := range log {
		last = max(last, log[i].Time/1e9)
	}
	return last + 3*detect.FindingWindow
}

// undisturbed is what one engine finds that reads all.
func undisturbed(t testing.TB, log detecttest.Log, batches []ingest.Batch) outcome {
	e, err := detect.New(detecttest.Config(t, detecttest.Setup{Late: 30, Workers: 1}, detecttest.Numbered{Log: log}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range batches {
		b := batches[i]
		e.Feed(&b)
	}
	e.Advance(end(log))
	s := e.Snapshot()
	o := outcome{findings: detecttest.ByID(nil, s.Findings), rollups: map[string]detect.Rollup{}, books: booksOf(s.Ledger)}
	o.rows(s.Rollups, false)
	return o
}

// booksOf sums the books up.
func booksOf(rows []ingest.LedgerRow) string {
	var sum ingest.LedgerRow
	for _, r := range rows {
		sum.Read += r.Read
		sum.Processed += r.Processed
		sum.Rejected += r.Rejected
		sum.Late += r.Late
		sum.Future += r.Future
	}
	return fmt.Sprintf("%d = %d + %d, %d late, %d future", sum.Read, sum.Processed, sum.Rejected, sum.Late, sum.Future)
}

// found reads what the tasks put into the findings topic. newest says that of two
// states of a finding, or of a minute, the newer one counts, else the later one does.
func (w *world) found(newest bool) outcome {
	o := outcome{findings: map[string]detect.Finding{}, rollups: map[string]detect.Rollup{}}
	beats := map[string]task.Beat{}
	for p := range 3 {
		for _, m := range w.topic(task.TopicFindings, p).all() {
			switch string(m.Header(task.HeaderKind)) {
			case task.KindFinding:
				f, err := detect.DecodeFinding(m.Value)
				if err != nil {
					w.t.Error(err)
				}
				if was, known := o.findings[f.ID]; !newest || !known || was.Updated < f.Updated || was.Updated == f.Updated && was.LastSeen <= f.LastSeen {
					o.findings[f.ID] = f
				}
			case task.KindRollup:
				var rows []detect.Rollup
				if err := json.Unmarshal(m.Value, &rows); err != nil {
					w.t.Error(err)
				}
				o.rows(rows, newest)
			case task.KindBeat:
				var b task.Beat
				if err := json.Unmarshal(m.Value, &b); err != nil {
					w.t.Error(err)
				}
				if beats[string(m.Key)].Epoch <= b.Epoch {
					beats[string(m.Key)] = b
				}
			}
		}
	}
	var rows []ingest.LedgerRow
	for _, b := range beats {
		rows = append(rows, b.Rows...)
		if b.Waiting != 0 || b.Foreign != 0 || b.Lost != 0 {
			w.t.Errorf("beat %+v: something waits or was not taken in", b)
		}
	}
	o.books = booksOf(rows)
	return o
}

// published are the access messages of a log, by partition, in the order in which a
// collector sends them.
func published(t testing.TB, log detecttest.Log, batches []ingest.Batch, parts int) (list []bus.Message) {
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: parts, Seed: 7, LateSeconds: 30, Lines: detecttest.Numbered{Log: log}})
	if err != nil {
		t.Fatal(err)
	}
	put := func(partition int, b ingest.Batch, extra ...bus.Header) {
		m, err := bus.FromBatch(task.TopicAccess, &b)
		if err != nil {
			t.Fatal(err)
		}
		m.Partition, m.Headers = partition, append(m.Headers, extra...)
		list = append(list, m)
	}
	for i := range batches {
		split, _ := s.Split(&batches[i])
		for _, p := range split {
			put(p.Partition, p.Batch, bus.Header{Key: collect.HeaderIdentity, Value: []byte("ours")})
		}
		if i%5 == 0 {
			for p := range parts {
				put(p, ingest.Batch{Source: batches[i].Source, Newest: s.Newest()})
			}
		}
	}
	for p := range parts {
		put(p, ingest.Batch{}, bus.Header{Key: collect.HeaderIdle, Value: fmt.Append(nil, end(log))})
	}
	return list
}

// plan is how a run is disturbed.
type plan struct {
	seed    uint64
	parts   int
	wide    int
	zombies bool
}

// disturbed runs tasks over the messages while processes die, tasks move, the broker
// fails and the collector sends again what it sent.
func disturbed(t *testing.T, log detecttest.Log, list []bus.Message, p plan) outcome {
	w := newWorld(t, log, p.parts, p.wide)
	r := rand.New(rand.NewPCG(p.seed, 1))
	var dying sync.WaitGroup
	last := w.start(r.Uint64())
	w.assign(last, w.keys())
	sent := make([][]bus.Message, p.parts)
	for i := 0; i < len(list); i++ {
		m := list[i]
		w.topic(task.TopicAccess, m.Partition).add(m)
		sent[m.Partition] = append(sent[m.Partition], m)
		wait(time.Duration(r.IntN(60)) * time.Millisecond)
		switch r.IntN(25) {
		case 0: // a crash of the collector: it sends the last ones again
			for q, s := range sent {
				for _, m := range s[len(s)-min(len(s), r.IntN(4)):] {
					w.topic(task.TopicAccess, q).add(m)
				}
			}
		case 1: // a crash
			old := last
			last = w.start(r.Uint64())
			dying.Go(old.kill)
			w.assign(last, w.keys())
		case 2: // all moves to another process; the old one hears of it, at once or later
			old, late := last, time.Duration(r.IntN(4000))*time.Millisecond
			last = w.start(r.Uint64())
			if !p.zombies {
				old.fleet.Stop()
				old.mu.Lock()
				old.deliver(len(old.waiting))
				old.mu.Unlock()
				late = 0
			}
			w.assign(last, w.keys())
			dying.Go(func() { wait(late); old.fleet.Stop() })
		case 3: // some tasks are taken and come back
			w.assign(last, w.keys()[r.IntN(len(w.keys())):])
			w.assign(last, w.keys())
		}
	}
	dying.Wait()
	w.calm.set()
	wait(20 * time.Second)
	if trouble := last.fleet.Trouble(); len(trouble) > 0 || len(last.fleet.Keys()) != p.parts+p.wide {
		t.Errorf("trouble %q, tasks %v", trouble, last.fleet.Keys())
	}
	last.fleet.Stop()
	return w.found(p.zombies)
}

// checkDisturbed compares a disturbed run with what one engine finds.
func checkDisturbed(t *testing.T, zombies bool) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Stream(rt)
		if rapid.Bool().Draw(rt, "disturb") {
			log = detecttest.Disturb(rt, log)
		}
		batches := detecttest.Batches(rt, log)
		p := plan{rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(1, 3).Draw(rt, "parts"), rapid.IntRange(1, 2).Draw(rt, "wide"), zombies}
		want := undisturbed(t, log, batches)
		list := published(t, log, batches, p.parts)
		var got outcome
		synctest.Test(t, func(t *testing.T) { got = disturbed(t, log, list, p) })
		if d := got.diff(want); d != "" {
			rt.Fatalf("%d findings:\n%s", len(want.findings), d)
		}
	})
}

// TestCrashes: wherever processes crash and tasks move, what is found in the end is
// what one engine finds that nobody disturbs.
func TestCrashes(t *testing.T) { checkDisturbed(t, false) }

// TestZombies: so it is where an owner goes on for a while after the task was given to
// another, for whom takes of two states of a finding the newer one.
func TestZombies(t *testing.T) { checkDisturbed(t, true) }
