package ingesttest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// rotations are the scripts that a live file source must survive. Each word is a
// step, see world.do. Every script ends with a check that each line was handed
// out once, in order, with its offset and the identity of its generation.
var rotations = []struct{ name, script string }{
	{"plain", "start write=3 read write=2 read half read write=1 read"},
	{"absent at first", "noinit start read create write=2 read"},
	{"many lines", "write=20000 start read write=20000 read"},
	{"restart", "start write=10 read kill write=5 start read kill start write=1 read"},
	{"restart from an earlier mark", "start write=3 read write=3 read write=3 read kill=2 start read"},
	{"restart within a half line", "start write=3 half read kill start read write=1 read"},
	{"rename", "start write=5 read move create write=5 read"},
	{"rename, the writer goes on for a while", "start write=5 read move write=4 read create write=5 read"},
	{"rename, new file created before the writer reopens", "start write=5 read move touch write=4 read write=2 create write=5 read"},
	{"rename with a half line that is finished", "start write=5 half read move read write=2 create write=5 read"},
	{"rename with a half line that is never finished", "start write=5 half move create write=5 read"},
	{"rename of a file with one half line", "start half read move create write=5 read"},
	{"rename while down", "start write=5 read kill write=5 move create write=5 start read"},
	{"rename while down, gzip", "start write=5 read kill write=5 move create gzip write=5 start read"},
	{"rename while down, gzip in progress", "start write=5 read kill write=5 move create gzpart write=5 start read gzip read"},
	{"restart in the middle of a rename", "start write=5 read move kill write=2 start read write=2 create write=2 read"},
	{"several renames while down", "start write=5 read kill write=5 move create write=300 move create gzip write=4 move create write=3 start read"},
	{"several renames, dated", "dated start write=5 read kill write=5 move create write=300 gzip move create write=4 move create write=3 start read"},
	{"more than nine renames", "start write=2 read kill " + strings.Repeat("write=2 move create ", 12) + "write=1 start read"},
	{"several renames between two looks", "start write=5 read write=1 move create write=5 move create write=5 move create write=5 read"},
	{"rename of an empty file", "start write=5 read move create move create write=5 read"},
	{"renamed away and back", "start write=5 read away read back write=5 read"},
	{"copytruncate", "start write=5 read copy cut write=5 read"},
	{"copytruncate with unread lines", "start write=5 read write=7 copy cut read write=5 read"},
	{"copytruncate seen late, longer than before", "start write=5 read write=2 copy cut write=50 read"},
	{"copytruncate twice between two looks", "start write=5 read write=2 copy cut write=50 copy cut write=90 read"},
	{"copytruncate of a file never read", "start write=5 read copy cut read write=9 copy cut write=3 read"},
	{"copytruncate with a half line", "start write=5 half copy cut write=5 read"},
	{"copytruncate, dated, gzip at once", "dated start write=5 read write=9 copy gzip cut write=50 read"},
	{"copytruncate while down", "start write=5 read kill write=5 copy cut write=90 start read"},
	{"copytruncate while down, gzip", "start write=5 read kill write=5 copy cut gzip write=2 start read"},
	{"several copytruncates while down", "start write=5 read kill write=5 copy cut write=7 copy cut gzip write=40 copy cut write=3 start read"},
	{"restart between copy and truncate", "start write=5 read write=5 copy kill start read cut write=5 read"},
	{"killed from an earlier mark after copy", "start write=5 read write=5 read copy kill=1 start read cut write=50 read"},
	{"read to the end between copy and truncate", "start write=5 copy read cut read write=5 read"},
	{"partial copy is not another generation", "start write=5 read kill write=5 copy cut write=300 copypart start read"},
	{"truncate", "start write=5 read cut write=3 read"},
	{"truncate, longer than before", "start write=5 read cut write=30 read"},
	{"delete and recreate", "start write=5 read remove create write=3 read"},
	{"delete, the writer goes on", "start write=5 read remove write=4 read create write=3 read"},
	{"delete and recreate beside rotated files", "start write=5 move create write=5 read remove create write=3 move create write=3 read"},
	{"symlink swap", "link start write=5 read create write=4 read create write=3 read"},
	{"symlink swaps while down", "link start write=5 read kill write=3 create write=4 create write=3 start read"},
	{"rename, then copytruncate", "start write=5 move create write=5 copy cut write=5 move create write=2 read"},
}

// Source checks that a live file source keeps every line through rotations and
// restarts. Time is that of a synctest bubble: the source must poll (no
// notifications from the kernel) and must not need anything but timers to wake.
func Source(t *testing.T, open OpenSource) {
	for _, c := range rotations {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { playScript(t, dir, open, c.script) })
		})
	}
	t.Run("random scripts", func(t *testing.T) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) { randomScripts(t, dir, open) })
	})
}

func playScript(t fatalf, dir string, open OpenSource, script string) {
	w := newWorld(t, dir, open)
	defer w.close()
	for word := range strings.FieldsSeq(script) {
		verb, arg, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(arg)
		if w.f == nil && verb != "noinit" && verb != "link" && verb != "dated" && verb != "start" {
			w.create()
		}
		w.do(verb, n)
	}
	w.check()
}

// do is one step of a script.
func (w *world) do(verb string, n int) {
	switch verb {
	case "noinit":
	case "dated":
		w.dated = true
	case "link":
		w.link = true
	case "start":
		w.start()
		synctest.Wait() // it has looked once; what races it is for the soak
	case "kill":
		w.stop(n)
	case "read":
		w.read()
	case "write":
		w.write(n)
	case "half":
		w.writeHalf()
	case "create":
		w.create()
	case "touch":
		w.must(os.WriteFile(w.path, nil, 0o644))
	case "move":
		w.move()
	case "away":
		w.must(os.Rename(w.path, w.path+"-aside"))
	case "back":
		w.must(os.Rename(w.path+"-aside", w.path))
	case "copy":
		w.copyAway()
	case "copypart": // a rotation that has begun to copy
		data, err := os.ReadFile(w.path)
		w.must(err)
		w.must(os.WriteFile(w.rotated(), data[:len(data)/2], 0o644))
	case "cut":
		w.cut()
	case "remove":
		w.remove()
	case "gzip":
		w.compress(false)
	case "gzpart":
		w.compress(true)
	default:
		w.t.Fatalf("no such step: %q", verb)
	}
}

// read waits until the source has nothing left to do: longer than its poll, its
// grace and its longest backoff. The time is the bubble's.
func (w *world) read() {
	for before := -1; ; {
		time.Sleep(20 * time.Second)
		synctest.Wait()
		w.mu.Lock()
		now := len(w.got)
		w.mu.Unlock()
		if now == before {
			return
		}
		before = now
	}
}

// randomScripts composes rotations at random, with kills that resume from any
// earlier mark.
func randomScripts(t *testing.T, dir string, open OpenSource) {
	run := 0
	rapid.Check(bubbled{t}, func(t *rapid.T) {
		run++
		at := fmt.Sprintf("%s/%d", dir, run)
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatalf("%v", err)
		}
		w := newWorld(t, at, open)
		defer w.close()
		w.dated = rapid.Bool().Draw(t, "dated")
		w.create()
		w.start()
		w.write(1)
		w.read() // a first mark; without one a restart begins with the current log
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			w.random(t)
		}
		if w.cancel == nil {
			w.start()
		}
		w.write(1) // a half line of a renamed file waits for what comes behind it
		w.read()
		w.check()
	})
}

func (w *world) random(t *rapid.T) {
	step := rapid.SampledFrom([]string{
		"write", "write", "write", "half", "read", "rename", "copytruncate",
		"slow rename", "slow copytruncate", "kill", "start", "gzip", "gzpart", "vanish",
	}).Draw(t, "step")
	maybe := func() { // a restart or a look in the middle
		switch rapid.IntRange(0, 3).Draw(t, "middle") {
		case 0:
			w.read()
		case 1:
			if w.cancel != nil {
				w.stop(rapid.IntRange(0, 4).Draw(t, "back"))
				w.start()
			}
		}
	}
	switch step {
	case "write":
		w.write(rapid.IntRange(1, 60).Draw(t, "lines"))
	case "half":
		w.writeHalf()
	case "read":
		w.read()
	case "rename":
		w.move()
		w.create()
	case "slow rename":
		w.move()
		maybe()
		w.write(1)
		maybe()
		w.create()
	case "copytruncate":
		w.copyAway()
		w.cut()
	case "slow copytruncate":
		w.copyAway()
		maybe()
		w.cut()
	case "kill":
		if w.cancel != nil {
			w.stop(rapid.IntRange(0, 6).Draw(t, "back"))
		}
	case "start":
		if w.cancel == nil {
			w.start()
		}
	case "gzip", "gzpart":
		w.compress(step == "gzpart")
	case "vanish":
		w.vanish(rapid.Bool().Draw(t, "delete"))
	}
}

// vanish destroys the log after all of it was read, and waits for a mark in its
// successor: before that, nothing tells a restarted source which rotated files
// are older.
func (w *world) vanish(remove bool) {
	if w.cancel == nil || w.half != "" {
		return
	}
	w.read()
	if remove {
		w.remove()
		w.create()
	} else {
		w.cut()
	}
	w.write(1)
	w.read()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.saves); n > 0 {
		w.saves = w.saves[n-1:]
	}
}

// bubbled hides Deadline, which a test in a bubble may not ask for.
type bubbled struct{ rapid.TB }
