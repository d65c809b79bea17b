// Package outputtest is the contract suite of outputs: what each must do, whatever is on
// the other side, and whatever happens to it. Its messages say which rule is broken.
package outputtest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
)

// Subject is what the suite runs on.
type Subject struct {
	Kind string
	Far  func() Far
	// Section makes the settings of the kind for a far end.
	Section func(t *testing.T, address string) any
}

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// Await looks again and again until ok.
func Await(t *testing.T, what string, said func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s; %s", patience, what, said())
		}
	}
}

// Config is an output of a kind with the settings of a section, quick enough for tests.
func Config(kind string, section any) output.Config {
	c := output.Config{Type: kind, Name: "far", Events: output.EventsAll, Findings: true, Decisions: true, Audit: true,
		Batch: 32 << 10, Interval: 5 * time.Millisecond, Timeout: patience, Parallel: 2}
	c.Start()
	for i := range c.Kinds {
		if c.Kinds[i].Name == kind {
			c.Kinds[i].Value = section
		}
	}
	return c
}

// Running is an output at work.
type Running struct {
	*output.Output
	mu       sync.Mutex
	rejected []string
	kill     func()
}

// Launch starts an output, which Kill or the end of the test ends.
func Launch(t *testing.T, c output.Config, feeds ...output.Feed) *Running {
	t.Helper()
	r := &Running{}
	out, err := output.New(output.Options{Config: c, Common: output.Common{Version: "1.2.3", Host: "edge"}, Log: slog.New(slog.DiscardHandler),
		Rejected: func(_ context.Context, d elastic.Doc, reason string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if reason == "" {
				return errors.New("a document is rejected without a reason")
			}
			r.rejected = append(r.rejected, d.ID)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	r.Output = out
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); out.Run(ctx, feeds...) }()
	r.kill = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(r.kill)
	return r
}

// Kill ends the output; what it was about to note is lost.
func (r *Running) Kill() { r.kill() }

// Rejected are the ids that were handed over for good.
func (r *Running) Rejected() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rejected)
}

func (r *Running) said() string { return r.Stats().Error }

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("order", func(t *testing.T) { t.Parallel(); testOrder(t, s) })
	for _, fault := range s.Far().Faults() {
		t.Run(fault, func(t *testing.T) { t.Parallel(); testFault(t, s, fault) })
	}
	t.Run("restart of the far end", func(t *testing.T) { t.Parallel(); testRestart(t, s) })
	t.Run("kill of ours", func(t *testing.T) { t.Parallel(); testKill(t, s) })
	if s.Far().Poison("") {
		t.Run("poison", func(t *testing.T) { t.Parallel(); testPoison(t, s) })
	}
}

func (s *Subject) start(t *testing.T) (Far, output.Config) {
	far := s.Far()
	far.Start(t)
	t.Cleanup(far.Stop)
	return far, Config(s.Kind, s.Section(t, far.Address()))
}

// ids are those of documents, in order.
func ids(docs []elastic.Doc) []string {
	out := make([]string, len(docs))
	for i := range docs {
		out[i] = docs[i].ID
	}
	return out
}

// once drops repeated ids but the first.
func once(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(id string) bool { was := seen[id]; seen[id] = true; return was })
}

// all waits until the feed is noted as sent, and sees that each document came.
func all(t *testing.T, far Far, f *Feed, r *Running, but ...string) {
	t.Helper()
	Await(t, "all is sent", r.said, func() bool { return f.Noted() == len(f.Docs) })
	want := slices.DeleteFunc(ids(f.Docs), func(id string) bool { return slices.Contains(but, id) })
	if got := once(far.Got()); !slices.Equal(got, want) {
		t.Fatalf("%d of %d documents came, or not in the order of the feed", len(got), len(want))
	}
}

// testOrder: without faults each comes once, in order.
func testOrder(t *testing.T, s Subject) {
	far, c := s.start(t)
	f := &Feed{Docs: Docs(t, 60), Step: 7}
	r := Launch(t, c, f.Output())
	all(t, far, f, r)
	if got := far.Got(); len(got) != len(f.Docs) {
		t.Errorf("%d documents came, some of them twice, though nothing failed; there are %d", len(got), len(f.Docs))
	}
	st := r.Stats()
	if st.Error != "" || st.Retried != 0 || st.Rejected != 0 || st.Sent[elastic.Access] != 48 || st.Sent[elastic.Finding] != 12 {
		t.Errorf("the figures are %+v", st)
	}
}

// testFault: while it lasts nothing is noted that did not arrive, and why is told; then
// all arrives by itself.
func testFault(t *testing.T, s Subject, fault string) {
	far, c := s.start(t)
	if strings.HasPrefix(fault, "no") { // only our own patience ends it
		c.Timeout = time.Second
	}
	far.Break(fault)
	f := &Feed{Docs: Docs(t, 60), Step: 7}
	r := Launch(t, c, f.Output())
	Await(t, "it is told that documents wait", r.said, func() bool { st := r.Stats(); return st.Error != "" && st.Retried > 0 })
	if f.Noted() != 0 {
		t.Errorf("%d documents are noted as sent while the far end takes none", f.Noted())
	}
	far.Break("")
	all(t, far, f, r)
	if st := r.Stats(); st.Error != "" || st.Rejected != 0 {
		t.Errorf("afterwards the figures are %+v, rejected %q", st, r.Rejected())
	}
}

// testRestart: the far end goes away and comes back at the same address.
func testRestart(t *testing.T, s Subject) {
	far, c := s.start(t)
	f := &Feed{Docs: Docs(t, 400), Step: 7}
	r := Launch(t, c, f.Output())
	Await(t, "some is sent", r.said, func() bool { return f.Noted() > 0 })
	far.Stop()
	far.Start(t)
	all(t, far, f, r)
}

// testKill: we end between what came and what is noted, and behind that, and go on from
// what was noted.
func testKill(t *testing.T, s Subject) {
	far, c := s.start(t)
	f := &Feed{Docs: Docs(t, 400), Step: 7}
	for round := 0; f.Noted() < len(f.Docs); round++ {
		before, noted := len(far.Got()), f.Noted() // first: it may be quick
		r := Launch(t, c, f.Output())
		Await(t, "something came, and every other time is noted", r.said, func() bool {
			return f.Noted() > noted || round%2 == 0 && len(far.Got()) > before
		})
		r.Kill()
	}
	if got, want := once(far.Got()), ids(f.Docs); !slices.Equal(got, want) {
		t.Errorf("%d of %d documents came, or not in the order of the feed", len(got), len(want))
	}
}

// testPoison: what the far end refuses for good is handed over, alone, and the rest goes on.
func testPoison(t *testing.T, s Subject) {
	far, c := s.start(t)
	f := &Feed{Docs: Docs(t, 60), Step: 30}
	bad := f.Docs[17].ID
	far.Poison(bad)
	r := Launch(t, c, f.Output())
	all(t, far, f, r, bad)
	if got := r.Rejected(); !slices.Equal(got, []string{bad}) {
		t.Errorf("rejected are %q, want only %q", got, bad)
	}
	var told []string
	st := r.Stats()
	st.Trouble("far", func(_, why string) { told = append(told, why) })
	if st.Rejected != 1 || len(told) != 1 || !strings.Contains(told[0], "1 documents were refused") {
		t.Errorf("the figures are %+v, and it is told %q", st, told)
	}
}
