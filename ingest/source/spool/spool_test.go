package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func openIn(t testing.TB, cfg Config) *Spool {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	cfg.Name = "gw"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// kill lets go of everything as the kernel does with a dead process: nothing is
// finished, flushed or said.
func (s *Spool) kill() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.syncing.Wait()
	for _, f := range append(s.unsynced, s.file, s.lock) {
		if f != nil {
			f.Close()
		}
	}
}

// taken is what a reader got.
type taken struct {
	pos  ingest.Position
	text string
}

// fatalf is a *testing.T or a *rapid.T.
type fatalf interface {
	Helper()
	Fatalf(format string, args ...any)
}

// take reads n lines or rejects behind the marks and returns the batches.
func take(t fatalf, run func(context.Context, []ingest.Mark, outFunc) error, n int, from ...ingest.Mark) (lines []taken, batches []*ingest.Batch) {
	t.Helper()
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := run(ctx, from, func(_ context.Context, b *ingest.Batch) error {
		off := b.Offset
		for line := range bytes.Lines(b.Data) {
			lines = append(lines, taken{ingest.Position{Source: b.Source, File: b.File, Offset: off}, string(line)})
			off += int64(len(line))
		}
		n -= len(b.Rejects)
		b.Release()
		batches = append(batches, b)
		if len(lines) >= n {
			return enough
		}
		return nil
	})
	if err != enough {
		t.Fatalf("Run = %v after %d lines, wanted %d", err, len(lines), n)
	}
	return lines, batches
}

func text(lines []taken) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text)
	}
	return b.String()
}

func mustAppend(t testing.TB, s *Spool, lines string) {
	t.Helper()
	if err := s.Append([]byte(lines)); err != nil {
		t.Fatal(err)
	}
}

func last(batches []*ingest.Batch) ingest.Mark { return batches[len(batches)-1].Mark }

func TestOrderMarksAndRestart(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir, Segment: 4 << 10, MaxBytes: 1 << 20})
	mustAppend(t, s, "one\ntwo\n")
	lines, got := take(t, s.Run, 2)
	if text(lines) != "one\ntwo\n" || lines[1].pos != (ingest.Position{Source: "gw", File: 1, Offset: 4}) {
		t.Fatalf("%v", lines)
	}
	if want := (ingest.Mark{Source: "gw", File: 1, Offset: 8}); last(got) != want {
		t.Fatalf("mark %+v, want %+v", last(got), want)
	}
	mustAppend(t, s, "three\n")
	s.kill()
	again := openIn(t, Config{Dir: dir, Segment: 4 << 10, MaxBytes: 1 << 20})
	mustAppend(t, again, "four\n")
	lines, got = take(t, again.Run, 2, last(got))
	if text(lines) != "three\nfour\n" || lines[0].pos.Offset != 8 || lines[1].pos.File != 2 {
		t.Fatalf("behind the mark came %v", lines)
	}
	if got[0].Lag != 5 || got[1].Lag != 0 {
		t.Errorf("lags %d and %d, want 5 (four is waiting) and 0", got[0].Lag, got[1].Lag)
	}
}

func TestFollowIsWoken(t *testing.T) {
	s := openIn(t, Config{Sync: time.Hour})
	got := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, nil, func(ctx context.Context, b *ingest.Batch) error {
			select {
			case got <- string(b.Data):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	for i := range 100 {
		line := fmt.Sprintf("line %d\n", i)
		mustAppend(t, s, line)
		select {
		case text := <-got:
			if text != line {
				t.Fatalf("got %q, want %q", text, line)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("line %d was appended, but the reader was not woken", i)
		}
	}
	if err := s.Run(ctx, nil, nil); err == nil {
		t.Error("two Runs at once must be refused")
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
}

func TestConcurrentAppends(t *testing.T) {
	s := openIn(t, Config{Segment: 16 << 10, MaxBytes: 64 << 20})
	const writers, each = 16, 200
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				// Some are larger than what is gathered into one write.
				pad := strings.Repeat("x", map[bool]int{true: loneSize, false: i}[i%100 == 99])
				if err := s.Append(fmt.Appendf(nil, "%d %d a %s\n%d %d b\n", w, i, pad, w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	lines, _ := take(t, s.Run, 2*writers*each)
	if len(lines) != 2*writers*each {
		t.Fatalf("%d lines, want %d", len(lines), 2*writers*each)
	}
	next := map[int]int{}
	for i := 0; i < len(lines); i += 2 {
		var w, n int
		if _, err := fmt.Sscanf(lines[i].text, "%d %d a", &w, &n); err != nil || next[w] != n {
			t.Fatalf("line %d is %.40q, want number %d of its writer: order was lost", i, lines[i].text, next[w])
		}
		if want := fmt.Sprintf("%d %d b\n", w, n); lines[i+1].text != want {
			t.Fatalf("line %d is %.40q, want %q: what is appended at once stands together", i+1, lines[i+1].text, want)
		}
		next[w]++
	}
}

func TestFullAndSaved(t *testing.T) {
	log := &records{}
	s := openIn(t, Config{Segment: 4 << 10, MaxBytes: 16 << 10, Log: log.logger()})
	line := strings.Repeat("y", 1023) + "\n"
	n := 0
	for ; s.Append([]byte(line)) == nil; n++ {
	}
	if n != 16 {
		t.Fatalf("%d KiB went into a spool of 16 KiB", n)
	}
	if err := s.Append([]byte(line)); !errors.Is(err, ErrFull) {
		t.Fatalf("a full spool said %v", err)
	}
	if log.count("senders must wait") != 1 || s.Health().Error == "" {
		t.Errorf("a full spool is said once, and in Health: %s", log.buf.String())
	}
	_, got := take(t, s.Run, n)
	s.Saved(ingest.Mark{Source: "other", File: 99})
	s.Saved(ingest.Mark{Source: "gw", File: 2, Offset: 4095})
	if files := segmentFiles(t, s); len(files) != 3 {
		t.Fatalf("after a mark one byte before the end of segment 2: %v, want 2, 3 and 4", files)
	}
	s.Saved(last(got))
	s.Saved(last(got))
	if files := segmentFiles(t, s); len(files) != 1 || !strings.HasSuffix(files[0], "04.log") {
		t.Fatalf("after the last mark: %v, want the segment that grows", files)
	}
	if err := s.Append([]byte(line)); err != nil || s.Health().Error != "" || log.count("room again") != 1 {
		t.Errorf("with room again Append says %v, Health %q", err, s.Health().Error)
	}
	if err := s.Append(make([]byte, 13<<10)); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("what has no line end must be refused, got %v", err)
	}
	if err := s.Append([]byte(strings.Repeat(line, 13))); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("what can never fit must not be told to wait, got %v", err)
	}
}

func segmentFiles(t testing.TB, s *Spool) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOverlongLineIsRejected(t *testing.T) {
	for _, length := range []int{1025, 5000, blockSize + 1, 3 * blockSize} {
		s := openIn(t, Config{MaxLine: 1024})
		long := strings.Repeat("z", length)
		mustAppend(t, s, "before\n"+strings.Repeat("m", 1024)+"\n"+long+"\nafter\n")
		lines, batches := take(t, s.Run, 4)
		if len(lines) != 3 || lines[0].text != "before\n" || lines[2].text != "after\n" || lines[2].pos.Offset != int64(7+1025+length+1) {
			t.Fatalf("length %d: %d lines", length, len(lines))
		}
		var rejects []ingest.Reject
		for _, b := range batches {
			rejects = append(rejects, b.Rejects...)
		}
		want := ingest.Reject{
			Pos:    ingest.Position{Source: "gw", File: 1, Offset: 7 + 1025},
			Reason: ingest.TooLong, Length: int64(length), Sample: long[:ingest.SampleBytes],
		}
		if len(rejects) != 1 || rejects[0] != want {
			t.Fatalf("length %d: rejects %+v", length, rejects)
		}
	}
}

func TestLineLongerThanABlock(t *testing.T) {
	s := openIn(t, Config{})
	long := strings.Repeat("w", 900<<10) + "\n"
	mustAppend(t, s, "a\n"+long+"b\n")
	lines, _ := take(t, s.Run, 3)
	if text(lines) != "a\n"+long+"b\n" {
		t.Fatalf("%d lines of %d bytes", len(lines), len(text(lines)))
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	s := openIn(t, Config{Sync: time.Hour})
	line := []byte("a line\n")
	if n := testing.AllocsPerRun(1000, func() {
		if err := s.Append(line); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendLine(t *testing.T) {
	for _, c := range [][2]string{
		{"", "\n"}, {"a", "a\n"}, {"a\r\n", "a\n"}, {"a\nb\r\nc\n\n", "a b  c\n"}, {"\n", "\n"},
	} {
		if got := string(AppendLine([]byte("x|"), []byte(c[0]))); got != "x|"+c[1] {
			t.Errorf("AppendLine(%q) = %q, want %q", c[0], got, "x|"+c[1])
		}
	}
}

func TestPermissionsAndLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool", "gw")
	s := openIn(t, Config{Dir: dir})
	mustAppend(t, s, "secret\n")
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, segmentFiles(t, s)[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
	}
	_, err := Open(Config{Dir: dir, Name: "gw"})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %q", fmt.Sprint(os.Getpid()))) {
		t.Errorf("a second process was let in: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for key, cfg := range map[string]Config{
		"segment":   {Segment: 1},
		"max_bytes": {MaxBytes: 1 << 20, Segment: 1 << 20},
		"max_line":  {MaxLine: 5},
		"sync":      {Sync: -1},
	} {
		cfg.Dir, cfg.Name = "never made", "gw"
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: Open said %v", key, err)
		}
	}
	if _, err := Open(Config{Name: "gw"}); err == nil {
		t.Error("a spool without a folder was opened")
	}
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
