package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source/kafka"
)

// sink gathers what a source hands out, by partition (file).
type sink struct {
	mu      sync.Mutex
	lines   map[uint64][]string
	at      map[uint64]map[int64]string // line by position
	rejects []ingest.Reject
	marks   []ingest.Mark
	twice   []string
	count   int // lines and rejects
	hook    func(n int) error
}

func newSink() *sink {
	return &sink{lines: map[uint64][]string{}, at: map[uint64]map[int64]string{}}
}

func (s *sink) out(_ context.Context, b *ingest.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	off := b.Offset
	for line := range bytes.Lines(b.Data) {
		if s.at[b.File] == nil {
			s.at[b.File] = map[int64]string{}
		}
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		if old, had := s.at[b.File][off]; had {
			s.twice = append(s.twice, fmt.Sprintf("%d: %q, %q", off, old, text))
		}
		s.at[b.File][off] = text
		s.lines[b.File] = append(s.lines[b.File], text)
		off += int64(len(line))
		s.count++
	}
	s.rejects = append(s.rejects, b.Rejects...)
	s.count += len(b.Rejects)
	s.marks = append(s.marks, b.Mark)
	b.Release()
	if s.hook != nil {
		return s.hook(s.count)
	}
	return nil
}

func (s *sink) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *sink) last() []ingest.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[max(len(s.marks)-1, 0):]
}

// check compares with what was written to each partition: all of it, once, in
// order.
func (s *sink) check(t *testing.T, want ...[]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.twice) > 0 {
		t.Errorf("%d lines came twice, such as %s", len(s.twice), s.twice[0])
	}
	left := map[string]bool{}
	for _, lines := range s.lines {
		left[strings.Join(lines, "\n")] = true
	}
	for i, lines := range want {
		if text := strings.Join(lines, "\n"); !left[text] {
			t.Errorf("partition %d: what was written (%d lines) is not what was read: %d lines in %d files", i, len(lines), s.count, len(s.lines))
		}
	}
}

// await polls for what another goroutine brings about.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// records keeps what is logged.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *records) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.buf.String(), what)
}

// reading is a source at work.
type reading struct {
	*kafka.Source
	*sink
	log  *records
	stop func() error
}

// settings are those of a reader of the test's broker.
func settings(b *broker, topic string) kafka.Config {
	return kafka.Config{Brokers: []string{b.Plain()}, Topic: topic, MaxWait: 100 * time.Millisecond, Refresh: time.Second}
}

// read runs a source until stop, and sees to it that nothing is left running.
func read(t testing.TB, cfg kafka.Config, s *sink, from ...ingest.Mark) *reading {
	t.Helper()
	leak := goleak.IgnoreCurrent()
	log := &records{}
	cfg.Log = log.logger()
	src, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, from, s.out) }()
	var once sync.Once
	var ended error
	stop := func() error {
		once.Do(func() {
			cancel()
			ended = <-done
			if err := goleak.Find(leak); err != nil {
				t.Errorf("left running: %v", err)
			}
			if t.Failed() {
				t.Logf("log: %s", log.buf.String())
			}
		})
		return ended
	}
	t.Cleanup(func() { stop() })
	return &reading{src, s, log, stop}
}

// numbered makes records of one line.
func numbered(prefix string, from, to int) (values [][]byte, lines []string) {
	for i := from; i < to; i++ {
		line := fmt.Sprintf("%s-%06d", prefix, i)
		values, lines = append(values, []byte(line)), append(lines, line)
	}
	return values, lines
}
