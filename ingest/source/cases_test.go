package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// inBubble runs f with the time of a bubble; the files are made outside.
func inBubble(t *testing.T, f func(t *testing.T, path string)) {
	t.Helper()
	path := logPath(t)
	synctest.Test(t, func(t *testing.T) { f(t, path) })
}

// pass lets the source do all that it would do within a minute.
func pass() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%05d a line of some forty bytes in all\n", i)
	}
	return b.String()
}

func TestLongLine(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		long := strings.Repeat("x", 300_000)
		write(t, path, "a\n"+long+"\nb\n"+long)
		s := newSink()
		follow(t, source.FileConfig{Path: path, MaxLine: 10_000, Block: 4096, PollOnly: true}, s)
		pass()
		if s.String() != "a\nb\n" || len(s.rejects) != 1 {
			t.Fatalf("read %q and %d rejects, want a, b and 1: the second long line is not over yet", s, len(s.rejects))
		}
		r := s.rejects[0]
		if r.Pos.Offset != 2 || r.Pos.Source != "gw" || r.Pos.File == 0 || r.Length != 300_000 || r.Reason != ingest.TooLong || r.Sample != long[:256] {
			t.Errorf("reject = %+v", r)
		}
		add(t, path, "\nc\n")
		pass()
		if s.String() != "a\nb\nc\n" || len(s.rejects) != 2 {
			t.Errorf("read %q and %d rejects, want c and a second one", s, len(s.rejects))
		}
	})
}

func TestTruncatedUnderBackPressure(t *testing.T) {
	old := numbered(0, 1000)
	for _, c := range []struct {
		name     string
		copy     bool
		fresh    string
		lossless bool
	}{
		{"copied, shorter", true, numbered(5000, 5010), true},
		{"copied, longer", true, numbered(5000, 7000), true},
		{"not copied, shorter", false, numbered(5000, 5010), false},
		{"not copied, longer", false, numbered(5000, 7000), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, path string) {
				write(t, path, old)
				s := newSink()
				unread := 0
				s.hook = func(b *ingest.Batch) { // the rotation comes while the first block is being worked on
					s.hook = nil
					unread = len(old) - int(b.Mark.Offset)
					if c.copy {
						write(t, path+".1", old)
					}
					write(t, path, c.fresh)
				}
				f, stop := follow(t, source.FileConfig{Path: path, Block: 4096, PollOnly: true}, s)
				pass()
				stop()
				want, losses, lost := old+c.fresh, int64(0), int64(0)
				if !c.lossless {
					want, losses, lost = old[:len(old)-unread]+c.fresh, 1, int64(unread)
				}
				if s.String() != want {
					t.Errorf("read %d bytes, want %d", len(s.String()), len(want))
				}
				if h := f.Health(); h.Losses != losses || h.LostBytes != lost {
					t.Errorf("health %+v, want %d losses of %d bytes", h, losses, lost)
				}
			})
		})
	}
}

func TestFromEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		write(t, path, "old\nhalf")
		cfg := source.FileConfig{Path: path, From: "end", PollOnly: true}
		s := newSink()
		_, stop := follow(t, cfg, s)
		pass()
		if s.batches != 1 || s.String() != "" || s.last.Offset != 4 {
			t.Fatalf("%d batches %q, mark %+v: want one empty batch that saves the position", s.batches, s, s.last)
		}
		stop()
		add(t, path, " done\nnew\n")
		_, stop = follow(t, cfg, s, s.last)
		pass()
		stop()
		if s.String() != "half done\nnew\n" {
			t.Errorf("read %q", s)
		}
	})
	inBubble(t, func(t *testing.T, path string) {
		cfg := source.FileConfig{Path: path, From: "end", PollOnly: true}
		s := newSink()
		_, stop := follow(t, cfg, s)
		pass()
		stop()
		write(t, path, "written while down\n")
		follow(t, cfg, s, s.last)
		pass()
		if s.String() != "written while down\n" {
			t.Errorf("read %q: a log that was absent at the first start is new as a whole", s)
		}
	})
}

func TestTroubleIsSaidOnce(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"missing":   {func(string) error { return nil }, "does the gateway write to this path"},
		"directory": {func(p string) error { return os.Mkdir(p, 0o755) }, "not a regular file"},
		"pipe":      {func(p string) error { return syscall.Mkfifo(p, 0o644) }, "stdin source"},
		"loop":      {func(p string) error { return os.Symlink(p, p) }, "too many levels"},
		"no parent": {func(p string) error { return os.Remove(filepath.Dir(p)) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, path string) {
				if err := c.make(path); err != nil {
					t.Fatal(err)
				}
				var said records
				s := newSink()
				f, _ := follow(t, source.FileConfig{Path: path, PollOnly: true, Log: said.logger()}, s)
				pass()
				if said.count("level=WARN") != 1 || said.count(c.says) == 0 || f.Health().Error == "" {
					t.Errorf("said %q, health %+v; want one warning with %q", said.buf.String(), f.Health(), c.says)
				}
				if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
					t.Fatal(err)
				}
				write(t, path, "a\n")
				pass()
				if s.String() != "a\n" || f.Health().Error != "" || said.count("read again") != 1 {
					t.Errorf("read %q, health %+v, said %q after the trouble was over", s, f.Health(), said.buf.String())
				}
			})
		})
	}
}

func TestFileOfTheMarkIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		write(t, path, "new\n")
		write(t, path+".1", "older\n")
		var said records
		s := newSink()
		f, _ := follow(t, source.FileConfig{Path: path, PollOnly: true, Log: said.logger()}, s,
			ingest.Mark{Source: "gw", File: 1, Offset: 10, Print: 2, PrintLen: 10})
		pass()
		if s.String() != "new\n" || f.Health().Losses != 1 || said.count("portcullis replay") != 1 {
			t.Errorf("read %q, health %+v, said %q", s, f.Health(), said.buf.String())
		}
	})
}

func TestDamagedArchiveInBetween(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		write(t, path, numbered(0, 10))
		s := newSink()
		_, stop := follow(t, source.FileConfig{Path: path, PollOnly: true}, s)
		pass()
		stop()
		middle := zip(t, numbered(10, 2000))
		write(t, path+".2", numbered(0, 10))
		write(t, path+".1.gz", middle[:len(middle)-100])
		write(t, path, numbered(3000, 3010))
		var said records
		f, _ := follow(t, source.FileConfig{Path: path, PollOnly: true, Log: said.logger()}, s, s.last)
		pass()
		got := s.String()
		if !strings.HasPrefix(got, numbered(0, 500)) || !strings.HasSuffix(got, numbered(3000, 3010)) {
			t.Errorf("read %d bytes: want what the archive still gave, then the log", len(got))
		}
		if h := f.Health(); h.Losses != 1 || said.count("cut off") != 1 {
			t.Errorf("health %+v, said %q: want one loss", h, said.buf.String())
		}
	})
}

func TestLag(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		s := newSink()
		write(t, path, numbered(0, 1000))
		_, stop := follow(t, source.FileConfig{Path: path, Block: 4096, PollOnly: true}, s)
		pass()
		stop()
		first, size := s.lags[0], int64(len(numbered(0, 1000)))
		if last := s.lags[len(s.lags)-1]; first < size-4096 || first >= size || last != 0 {
			t.Errorf("lag went from %d to %d, want from what the first block left of %d to 0", first, last, size)
		}
		if err := os.Rename(path, path+".2"); err != nil {
			t.Fatal(err)
		}
		write(t, path+".1", numbered(1000, 2000))
		write(t, path, numbered(2000, 3000))
		s.lags = nil
		follow(t, source.FileConfig{Path: path, PollOnly: true}, s, s.last)
		pass()
		if s.lags[0] != size {
			t.Errorf("lag behind the middle file is %d, want the %d bytes of the log", s.lags[0], size)
		}
	})
}

func TestLateWriterAfterRename(t *testing.T) {
	inBubble(t, func(t *testing.T, path string) {
		write(t, path, "a\n")
		s := newSink()
		follow(t, source.FileConfig{Path: path, PollOnly: true}, s)
		pass()
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		write(t, path, "new\n")            // one worker of the gateway has reopened
		time.Sleep(300 * time.Millisecond) // the reader has seen both, its grace is not over
		add(t, path+".1", "late\n")        // another worker has not
		pass()
		if s.String() != "a\nlate\nnew\n" {
			t.Errorf("read %q", s)
		}
	})
}

func TestReceiverErrorEndsRun(t *testing.T) {
	path, boom := logPath(t), errors.New("boom")
	write(t, path, "a\n")
	f, err := source.NewFile(source.FileConfig{Path: path, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	leak := goleak.IgnoreCurrent()
	if err := f.Run(t.Context(), nil, func(context.Context, *ingest.Batch) error { return boom }); err != boom {
		t.Errorf("Run = %v, want the error of out", err)
	}
	goleak.VerifyNone(t, leak)
}

// TestNotifications polls so rarely that only the kernel can have told.
func TestNotifications(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	path := logPath(t)
	write(t, path, "a\n")
	s := newSink()
	_, stop := follow(t, source.FileConfig{Path: path, Poll: time.Minute, Grace: time.Millisecond}, s)
	s.await(t, "a\n")
	add(t, path, "b\n")
	s.await(t, "a\nb\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add(t, path, "c\n")
	s.await(t, "a\nb\nc\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	add(t, path, "d\n")
	s.await(t, "a\nb\nc\nd\n")
	stop()
	goleak.VerifyNone(t, leak)
}

func TestNewFileChecks(t *testing.T) {
	for key, cfg := range map[string]source.FileConfig{
		"path":     {},
		"from":     {Path: "a", From: "middle"},
		"archives": {Path: "a", Archives: "[a"},
		"max_line": {Path: "a", MaxLine: 10},
		"block":    {Path: "a", Block: 1},
		"poll":     {Path: "a", Poll: -1},
		"grace":    {Path: "a", Grace: time.Hour},
	} {
		if _, err := source.NewFile(cfg); err == nil || !strings.Contains(err.Error(), key+":") {
			t.Errorf("NewFile(%+v) = %v, want an error that names %s", cfg, err, key)
		}
	}
}
