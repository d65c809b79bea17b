package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// TestRandomLife appends, kills, tears the end off, reads, saves and restarts at
// random: nothing that was acknowledged is lost, nothing before the mark comes
// again, and the order is kept.
func TestRandomLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w := &life{rt: rt, t: t, cfg: Config{
			Dir: dir, Name: "gw", Log: quiet, Segment: 4 << 10, MaxBytes: 1 << 30, MaxLine: 1 << 10,
			Sync: rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Hour}).Draw(rt, "sync"),
		}}
		w.open()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			w.step(rapid.SampledFrom([]string{"append", "append", "append", "read", "save", "kill", "tear", "close"}).Draw(rt, "step"))
		}
		w.read(len(w.sent) - len(w.got))
		w.s.kill()
	})
}

// life is a spool with a sender and a reader whose marks survive.
type life struct {
	rt    *rapid.T
	t     *testing.T
	cfg   Config
	s     *Spool
	sent  []string
	got   []taken
	marks []ingest.Mark // of what was got, oldest first
	upTo  []int         // how much was got at each mark
	saved int           // marks before this one may be gone
}

func (w *life) open() {
	s, err := Open(w.cfg)
	if err != nil {
		w.rt.Fatal(err)
	}
	w.s = s
}

func (w *life) step(what string) {
	switch what {
	case "append":
		var lines strings.Builder
		for range rapid.IntRange(1, 20).Draw(w.rt, "lines") {
			line := fmt.Sprintf("%d %s\n", len(w.sent), strings.Repeat("x", rapid.IntRange(0, 900).Draw(w.rt, "length")))
			w.sent = append(w.sent, line)
			lines.WriteString(line)
		}
		if err := w.s.Append([]byte(lines.String())); err != nil {
			w.rt.Fatal(err)
		}
	case "read":
		w.read(rapid.IntRange(0, len(w.sent)-len(w.got)).Draw(w.rt, "read"))
	case "save":
		if n := len(w.marks); n > 0 {
			w.saved = rapid.IntRange(w.saved, n-1).Draw(w.rt, "saved")
			w.s.Saved(w.marks[w.saved])
		}
	case "close":
		if err := w.s.Close(); err != nil {
			w.rt.Fatal(err)
		}
		w.restart()
	case "kill", "tear":
		w.s.kill()
		if what == "tear" {
			w.tear()
		}
		w.restart()
	}
}

// tear leaves a write that was under way when the process died.
func (w *life) tear() {
	if files := segmentFiles(w.t, w.s); len(files) > 0 {
		add(w.t, files[len(files)-1], strings.Repeat("half a line ", rapid.IntRange(1, 9000).Draw(w.rt, "half")))
	}
}

// restart goes on behind any mark that was saved, or a later one.
func (w *life) restart() {
	w.open()
	if n := len(w.marks); n > 0 {
		at := rapid.IntRange(w.saved, n-1).Draw(w.rt, "back to")
		w.got, w.marks, w.upTo = w.got[:w.upTo[at]], w.marks[:at+1], w.upTo[:at+1]
	}
}

// read goes on behind the last mark, and compares.
func (w *life) read(n int) {
	if n == 0 {
		return
	}
	var from []ingest.Mark
	if len(w.marks) > 0 {
		w.saved = len(w.marks) - 1 // to start behind a mark says that it was saved
		from = w.marks[w.saved:]
	}
	lines, batches := take(w.rt, w.s.Run, n, from...)
	for _, l := range lines {
		if want := w.sent[len(w.got)]; l.text != want {
			w.rt.Fatalf("line %d is %.20q, want %.20q", len(w.got), l.text, want)
		}
		w.got = append(w.got, l)
		if k := len(w.got); k > 1 && !w.got[k-2].pos.Less(l.pos) {
			w.rt.Fatalf("positions go back: %v, then %v", w.got[k-2].pos, l.pos)
		}
	}
	for _, b := range batches {
		n := 0
		for n < len(w.got) && (w.got[n].pos.File < b.Mark.File || w.got[n].pos.File == b.Mark.File && w.got[n].pos.Offset < b.Mark.Offset) {
			n++
		}
		w.marks, w.upTo = append(w.marks, b.Mark), append(w.upTo, n)
	}
}

func add(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// TestTornWrite: a write that fails in the middle is taken back, also where the
// file cannot be cut, and what is appended later is read whole.
func TestTornWrite(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		t.Run(fmt.Sprintf("stuck=%v", stuck), func(t *testing.T) {
			dir, log := t.TempDir(), &records{}
			s := openIn(t, Config{Dir: dir, Log: log.logger()})
			mustAppend(t, s, "kept\n")
			write := s.pwrite
			s.pwrite = func(f *os.File, b []byte, off int64) (int, error) {
				n, _ := f.WriteAt(b[:len(b)/2], off)
				if stuck {
					s.file.Close() // Truncate then fails as well
				}
				return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.EIO}
			}
			for range 3 {
				if err := s.Append([]byte("torn, torn, torn\n")); err == nil || errors.Is(err, ErrFull) {
					t.Fatalf("a broken disk said %v", err)
				}
			}
			if h := s.Health(); !strings.Contains(h.Error, "input/output error") {
				t.Errorf("Health says %q", h.Error)
			}
			s.pwrite = write
			mustAppend(t, s, "later\n")
			if h := s.Health(); h.Error != "" || log.count("works again") != 1 {
				t.Errorf("the disk works again, but Health says %q", h.Error)
			}
			if lines, _ := take(t, s.Run, 2); text(lines) != "kept\nlater\n" {
				t.Fatalf("read %q", text(lines))
			}
			s.unsynced = nil // closed twice above
			s.kill()
			if lines, _ := take(t, openIn(t, Config{Dir: dir}).Run, 2); text(lines) != "kept\nlater\n" {
				t.Fatalf("after a restart: %q", text(lines))
			}
		})
	}
}

// TestFailedSync: with sync 0 nothing is acknowledged that is not on the disk;
// otherwise it is said.
func TestFailedSync(t *testing.T) {
	s := openIn(t, Config{Sync: 0})
	mustAppend(t, s, "kept\n")
	good := s.fsync
	s.fsync = func(*os.File) error { return syscall.EIO }
	if err := s.Append([]byte("lost\n")); err == nil {
		t.Fatal("acknowledged what the disk refused")
	}
	s.fsync = good
	mustAppend(t, s, "later\n")
	if lines, _ := take(t, s.Run, 2); text(lines) != "kept\nlater\n" {
		t.Fatalf("read %q", text(lines))
	}
}

// TestPowerCut: the saved state is younger than what the disk kept of the spool.
// New lines must not come to stand at positions that were already taken in.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir})
	mustAppend(t, s, "one\ntwo\nthree\n")
	_, got := take(t, s.Run, 3)
	s.kill()
	if err := os.Truncate(segmentFiles(t, s)[0], 6); err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		s := openIn(t, Config{Dir: dir})
		stop, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(stop, []ingest.Mark{last(got)}, nil); err != context.Canceled {
			t.Fatal(err)
		}
		mustAppend(t, s, what)
		lines, b := take(t, s.Run, 1, last(got))
		if text(lines) != what || !(ingest.Position{Source: "gw", File: last(got).File, Offset: last(got).Offset}).Less(lines[0].pos) {
			t.Fatalf("got %v behind %+v", lines, last(got))
		}
		got = b
		s.kill()
	}
	check("four\n")
	for _, name := range segmentFiles(t, s) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	check("five\n") // the folder was emptied: numbers go on all the same
}

// TestStolenSegment: what somebody deletes or cuts is counted, and the rest read.
func TestStolenSegment(t *testing.T) {
	s := openIn(t, Config{Segment: 4 << 10, MaxBytes: 1 << 20})
	line := strings.Repeat("s", 3000) + "\n"
	for range 4 {
		mustAppend(t, s, line)
	}
	files := segmentFiles(t, s)
	if err := errors.Join(os.Remove(files[1]), os.Truncate(files[2], 10)); err != nil {
		t.Fatal(err)
	}
	lines, got := take(t, s.Run, 2)
	if len(lines) != 2 || lines[1].pos.File != 4 || last(got).File != 4 || got[1].Lag != 0 {
		t.Fatalf("%d lines, mark %+v", len(lines), last(got))
	}
	if h := s.Health(); h.Losses != 2 || h.LostBytes != 2*3001 {
		t.Errorf("Health: %d losses, %d bytes", h.Losses, h.LostBytes)
	}
}
