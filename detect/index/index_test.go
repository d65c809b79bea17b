package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect/index"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/ingest/bus"
)

// rig is an Indexer between topics and a pump that are in memory.
type rig struct {
	t       *testing.T
	x       *index.Indexer
	log     bytes.Buffer
	topics  map[index.Place][]string // a message is its document's id; "bad" cannot be converted
	gapped  int64                    // messages before it are gone
	refuse  error                    // of what takes foreign messages
	pump    func(ctx context.Context, in <-chan elastic.Piece) error
	taken   chan elastic.Piece // what the pump that settle drives has taken
	ended   chan error
	mu      sync.Mutex
	foreign []string
	noted   map[index.Place]int64
	commit  error // what a commit fails with
	tries   int
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, topics: map[index.Place][]string{}, noted: map[index.Place]int64{}, taken: make(chan elastic.Piece), ended: make(chan error, 1)}
	r.pump = r.byHand
	r.x = index.New(index.Config{
		Pump: func(ctx context.Context, in <-chan elastic.Piece) error { return r.pump(ctx, in) },
		New:  r.converter, Read: r.read, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Foreign: func(_ context.Context, m *bus.Message, why error) error {
			if r.refuse != nil {
				wait(2 * time.Second) // what came before it is settled by then
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.foreign = append(r.foreign, fmt.Sprint(m.Offset, ": ", why))
			return r.refuse
		},
	})
	return r
}

func (r *rig) converter(topic string) (index.Convert, error) {
	if topic == "unknown" {
		return nil, errors.New("topic unknown is not indexed")
	}
	return func(m *bus.Message) ([]elastic.Doc, error) {
		switch id := string(m.Value); id {
		case "bad":
			return []elastic.Doc{{}}, errors.New("none of ours")
		case "none":
			return nil, nil
		default:
			return []elastic.Doc{{ID: id}}, nil
		}
	}, nil
}

func (r *rig) read(ctx context.Context, p index.Place, from int64, each func(*bus.Message, int64) error, gap func(from, to int64)) error {
	if from < r.gapped {
		gap(from, r.gapped)
		from = r.gapped
	}
	list := r.topics[p]
	for i := from; i < int64(len(list)); i++ {
		if list[i] == "broken" {
			wait(2 * time.Second) // what came before it is settled by then
			return errors.New("the log is damaged")
		}
		if err := each(&bus.Message{Topic: p.Topic, Partition: p.Partition, Offset: i, Value: []byte(list[i])}, int64(len(list))); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// byHand is a pump whose pieces a test settles.
func (r *rig) byHand(ctx context.Context, in <-chan elastic.Piece) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p, open := <-in:
			if !open {
				return nil
			}
			select {
			case r.taken <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// run starts the Indexer on all topics, from their beginnings.
func (r *rig) run(ctx context.Context) {
	from := map[index.Place]int64{}
	for p := range r.topics {
		from[p] = r.noted[p]
	}
	go func() {
		r.ended <- r.x.Run(ctx, from, func(_ context.Context, topic string, offsets map[int]int64) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.tries++
			if r.commit != nil {
				return r.commit
			}
			for p, next := range offsets {
				r.noted[index.Place{Topic: topic, Partition: p}] = next
			}
			return nil
		})
	}()
}

func (r *rig) want(what string, noted map[index.Place]int64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !maps.Equal(r.noted, noted) {
		r.t.Errorf("%s: noted %v, want %v", what, r.noted, noted)
	}
}

var findings, access = index.Place{Topic: "findings", Partition: 1}, index.Place{Topic: "access", Partition: 0}

func wait(d time.Duration) { <-time.After(d) }

// TestOnlyWhatIsSettledIsCommitted: an offset is noted once the documents of all
// messages before it are settled, each second and at the end.
func TestOnlyWhatIsSettledIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.topics[findings] = []string{"a", "none", "b", "c"}
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		wait(3 * time.Second)
		r.want("before anything is settled", map[index.Place]int64{})
		if s := r.x.Stats(); s.Documents != 0 {
			t.Errorf("%+v", s)
		}
		for i, ids := range []string{"a", "", "b"} {
			p := <-r.taken
			if len(p.Docs) > 0 != (ids != "") || ids != "" && p.Docs[0].ID != ids {
				t.Errorf("piece %d: %+v, want %q", i, p.Docs, ids)
			}
			p.Done()
		}
		wait(2 * time.Second)
		r.want("three of four", map[index.Place]int64{findings: 3})
		if s := r.x.Stats(); s != (index.Stats{Documents: 2, Waiting: 1}) {
			t.Errorf("%+v", s)
		}
		last := <-r.taken
		cancel()
		if err := <-r.ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		r.want("the last was not settled", map[index.Place]int64{findings: 3})
		if len(last.Docs) != 1 || r.x.Stats().Waiting != 0 {
			t.Errorf("%+v; what others have now waits here: %+v", last, r.x.Stats())
		}
	})
}

// TestSettledAtTheEnd is committed though no second has passed.
func TestSettledAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.topics[findings], r.topics[access] = []string{"a", "b"}, []string{"c"}
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		for range 3 {
			(<-r.taken).Done()
		}
		cancel()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.want("at the end", map[index.Place]int64{findings: 2, access: 1})
	})
}

// TestForeignMessages are handed on whole, and what was made of them is left out; the
// rest goes on.
func TestForeignMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.topics[findings] = []string{"bad", "a", "bad"}
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		for i := range 3 {
			p := <-r.taken
			if want := i % 2; len(p.Docs) != want {
				t.Errorf("message %d: %d documents, want %d", i, len(p.Docs), want)
			}
			p.Done()
		}
		cancel()
		<-r.ended
		r.want("all", map[index.Place]int64{findings: 3})
		if want := []string{"0: none of ours", "2: none of ours"}; !slices.Equal(r.foreign, want) {
			t.Errorf("foreign %q, want %q", r.foreign, want)
		}
		if s := r.x.Stats(); s.Foreign != 2 || s.Documents != 1 || strings.Count(r.log.String(), "cannot be indexed") != 1 {
			t.Errorf("%+v, log:\n%s", s, &r.log)
		}
	})
}

// TestFailures end the run with their reason, and nothing is committed that was not
// settled: a pump, a reader, a topic that nobody knows, a rejected topic that takes
// nothing.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(r *rig)
		want string
	}{
		"pump": {func(r *rig) {
			r.topics[findings] = []string{"a", "b", "c"}
			r.pump = func(ctx context.Context, in <-chan elastic.Piece) error {
				(<-in).Done()
				<-in
				return errors.New("no such node")
			}
		}, "index: no such node"},
		"reader":   {func(r *rig) { r.topics[findings] = []string{"a", "broken"} }, "index: findings/1: the log is damaged"},
		"topic":    {func(r *rig) { r.topics[index.Place{Topic: "unknown"}] = nil }, "index: unknown/0: topic unknown is not indexed"},
		"rejected": {func(r *rig) { r.topics[findings], r.refuse = []string{"a", "bad"}, errors.New("full") }, "index: findings/1: full"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				c.set(r)
				r.run(t.Context())
				if name == "reader" || name == "rejected" {
					(<-r.taken).Done()
				}
				if err := <-r.ended; err == nil || err.Error() != c.want {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if name == "topic" {
					r.want(name, map[index.Place]int64{})
				} else {
					r.want(name, map[index.Place]int64{findings: 1})
				}
			})
		})
	}
}

// TestASlowPump holds the readers back: what waits is bounded.
func TestASlowPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for p := range 4 {
			r.topics[index.Place{Topic: "access", Partition: p}] = slices.Repeat([]string{"x"}, 1000)
		}
		converted := 0
		convert, _ := r.converter("access")
		r.x = index.New(index.Config{Pump: r.byHand, Read: r.read, Log: slog.New(slog.DiscardHandler), New: func(string) (index.Convert, error) {
			return func(m *bus.Message) ([]elastic.Doc, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				converted++
				return convert(m)
			}, nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		synctest.Wait()
		if converted > 64+1+4 || converted < 64 {
			t.Errorf("%d messages are in memory, want 64 and one a reader", converted)
		}
		cancel()
		if err := <-r.ended; err != nil || len(r.noted) != 0 {
			t.Errorf("error %v, noted %v", err, r.noted)
		}
	})
}

// TestCommitsThatFail are said once, tried again, and never go back.
func TestCommitsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.topics[findings], r.commit = []string{"a", "b"}, errors.New("the coordinator moved")
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		(<-r.taken).Done()
		wait(5 * time.Second)
		synctest.Wait()
		if n := strings.Count(r.log.String(), "the coordinator moved"); n != 1 || r.tries < 4 {
			t.Errorf("said %d times in %d tries", n, r.tries)
		}
		(<-r.taken).Done()
		r.mu.Lock()
		r.commit = nil
		r.mu.Unlock()
		wait(2 * time.Second)
		r.want("once it works", map[index.Place]int64{findings: 2})
		cancel()
		<-r.ended
	})
}

// TestGapsAreSaid: messages that were deleted before they were indexed.
func TestGapsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.topics[findings], r.gapped = []string{"a", "b", "c"}, 2
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		p := <-r.taken
		p.Done()
		cancel()
		<-r.ended
		if p.Docs[0].ID != "c" || !strings.Contains(r.log.String(), "deleted") || !strings.Contains(r.log.String(), "to=2") {
			t.Errorf("first document %q, log:\n%s", p.Docs[0].ID, &r.log)
		}
	})
}

// TestNothingToDo: without partitions it waits for the end.
func TestNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.run(ctx)
		wait(5 * time.Second)
		if len(r.ended) != 0 {
			t.Error("it ended by itself")
		}
		cancel()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	})
}
