package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// sink gathers what a source hands out.
type sink struct {
	mu      sync.Mutex
	text    strings.Builder
	rejects []ingest.Reject
	last    ingest.Mark
	lags    []int64
	batches int
	grew    chan struct{}
	hook    func(*ingest.Batch) // called within out
}

func newSink() *sink { return &sink{grew: make(chan struct{}, 1)} }

func (s *sink) out(_ context.Context, b *ingest.Batch) error {
	if s.hook != nil {
		s.hook(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b.Data)
	s.rejects = append(s.rejects, b.Rejects...)
	s.last, s.lags, s.batches = b.Mark, append(s.lags, b.Lag), s.batches+1
	b.Release()
	select {
	case s.grew <- struct{}{}:
	default:
	}
	return nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await polls, with a deadline, for text that real time must bring.
func (s *sink) await(t *testing.T, want string) {
	t.Helper()
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	for s.String() != want {
		select {
		case <-s.grew:
		case <-timer.C:
			t.Fatalf("read %q, want %q", s, want)
		}
	}
}

// follow runs a file source in a bubble and stops it with the test.
func follow(t *testing.T, cfg source.FileConfig, s *sink, from ...ingest.Mark) (f *source.File, stop func()) {
	t.Helper()
	cfg.Name = "gw"
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	f, err := source.NewFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, from, s.out) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != context.Canceled {
				t.Errorf("Run = %v, want context.Canceled", err)
			}
		})
	}
	t.Cleanup(stop)
	return f, stop
}

// records counts log messages.
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

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func zip(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func logPath(t testing.TB) string { return filepath.Join(t.TempDir(), "access.log") }
