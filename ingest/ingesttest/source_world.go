package ingesttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// OpenSource makes the source under test for the log at path. It is called
// again for every restart; the name of the source must not change.
type OpenSource func(path string) (ingest.Source, error)

// line is what the writer wrote, or what the source handed out.
type line struct {
	text string
	gen  int    // written: which generation of the log
	file uint64 // read: its identity
	off  int64
}

// saved is a mark with what had been read up to it.
type saved struct {
	mark ingest.Mark
	got  int
}

// fatalf lets a *testing.T and a *rapid.T stop a script.
type fatalf interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a log, the writer and the rotation that work on it, and the source
// that reads it. One goroutine drives it; only out runs in the source's.
type world struct {
	t     fatalf
	open  OpenSource
	dir   string
	path  string
	dated bool // rotated files carry a date and not a number
	link  bool // the path is a symlink that rotation swaps
	count int  // names given to rotated files

	f      *os.File // the writer's handle
	size   int64    // of what f names
	gen    int
	serial int
	half   string // begun line
	lines  []line

	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	epoch int // of the running source; an older one is dead and not heard
	got   []line
	saves []saved
	grew  chan struct{} // signalled when got grew
}

func newWorld(t fatalf, dir string, open OpenSource) *world {
	return &world{t: t, open: open, dir: dir, path: filepath.Join(dir, "access.log"), grew: make(chan struct{}, 1)}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("the script itself failed: %v", err)
	}
}

// create opens the path for writing, as a gateway does.
func (w *world) create() {
	name := w.path
	if w.link {
		name = filepath.Join(w.dir, fmt.Sprintf("access-202601%02d.log", w.gen+1))
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	w.must(err)
	if w.link {
		tmp := w.path + ".tmp"
		w.must(os.Symlink(name, tmp))
		w.must(os.Rename(tmp, w.path))
	}
	if w.f != nil {
		w.f.Close()
	}
	w.endHalf()
	w.f, w.size = f, 0
	w.gen++
}

// endHalf makes a begun line that nobody will finish a line of its file.
func (w *world) endHalf() {
	if w.half != "" {
		w.lines = append(w.lines, line{text: w.half, gen: w.gen, off: w.size - int64(len(w.half))})
		w.half = ""
	}
}

func (w *world) append(s string) {
	_, err := w.f.WriteString(s)
	w.must(err)
	w.size += int64(len(s))
}

func (w *world) write(n int) {
	var b strings.Builder
	for range n {
		w.serial++
		rest := fmt.Sprintf("line %06d of the log, %s", w.serial, strings.Repeat("x", w.serial%90))
		full := w.half + rest
		w.lines = append(w.lines, line{text: full, gen: w.gen, off: w.size + int64(b.Len()) - int64(len(w.half))})
		w.half = ""
		b.WriteString(rest + "\n")
	}
	w.append(b.String())
}

func (w *world) writeHalf() {
	w.serial++
	s := fmt.Sprintf("begun %06d ", w.serial)
	w.half += s
	w.append(s)
}

// rotated gives the name for the file that is rotated away now, and shifts the
// older ones.
func (w *world) rotated() string {
	w.count++
	if w.dated {
		return fmt.Sprintf("%s-2026%04d", w.path, w.count)
	}
	for n := w.count; n >= 1; n-- {
		for _, ext := range []string{"", ".gz", ".gz.part"} {
			old := fmt.Sprintf("%s.%d%s", w.path, n, ext)
			if _, err := os.Stat(old); err == nil {
				w.must(os.Rename(old, fmt.Sprintf("%s.%d%s", w.path, n+1, ext)))
			}
		}
	}
	return w.path + ".1"
}

func (w *world) move() { w.must(os.Rename(w.path, w.rotated())) }

// copyAway copies the log, as copytruncate does first.
func (w *world) copyAway() {
	data, err := os.ReadFile(w.path)
	w.must(err)
	w.must(os.WriteFile(w.rotated(), data, 0o644))
}

// cut empties the log in place.
func (w *world) cut() {
	w.must(os.Truncate(w.path, 0))
	w.endHalf()
	w.size = 0
	w.gen++
}

// remove deletes the log; the writer goes on with its handle until reopened.
func (w *world) remove() { w.must(os.Remove(w.path)) }

// youngest is the newest rotated file that is not compressed.
func (w *world) youngest() string {
	names, err := filepath.Glob(w.path + "?*")
	w.must(err)
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".gz") })
	if len(names) == 0 {
		return ""
	}
	if w.dated {
		return slices.Max(names)
	}
	return slices.Min(names)
}

// compress replaces the youngest rotated file by a .gz of two members; with part
// it stops in the middle, both files being there.
func (w *world) compress(part bool) {
	name := w.youngest()
	if name == "" {
		return
	}
	data, err := os.ReadFile(name)
	w.must(err)
	var b bytes.Buffer
	for _, half := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		z := gzip.NewWriter(&b)
		_, err = z.Write(half)
		w.must(errors.Join(err, z.Close()))
	}
	if part {
		w.must(os.WriteFile(name+".gz", b.Bytes()[:b.Len()/2], 0o644))
		return
	}
	w.must(os.WriteFile(name+".gz", b.Bytes(), 0o644))
	w.must(os.Remove(name))
}

// start runs the source from the last save.
func (w *world) start() {
	src, err := w.open(w.path)
	if err != nil {
		w.t.Fatalf("the source does not open: %v", err)
	}
	var from []ingest.Mark
	w.mu.Lock()
	w.epoch++
	mine := w.epoch
	if n := len(w.saves); n > 0 {
		from = append(from, w.saves[n-1].mark)
	}
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan error, 1)
	done := w.done
	go func() {
		done <- src.Run(ctx, from, func(ctx context.Context, b *ingest.Batch) error { return w.out(ctx, b, mine) })
	}()
}

// stop ends the source without a farewell and forgets what it read behind the
// save that lies back saves before the last one.
func (w *world) stop(back int) {
	w.mu.Lock()
	w.epoch++
	keep := max(len(w.saves)-back, min(len(w.saves), 1))
	w.saves = w.saves[:keep]
	w.got = w.got[:w.savedGot()]
	w.mu.Unlock()
	w.cancel()
	if err := <-w.done; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errDead) {
		w.t.Fatalf("Run returned %v while its context was alive: a live source ends only with its context", err)
	}
	w.cancel = nil
}

func (w *world) savedGot() int {
	if len(w.saves) == 0 {
		return 0
	}
	return w.saves[len(w.saves)-1].got
}

var errDead = errors.New("killed")

func (w *world) out(ctx context.Context, b *ingest.Batch, mine int) error {
	defer b.Release()
	w.mu.Lock()
	defer w.mu.Unlock()
	if mine != w.epoch {
		return errDead
	}
	off := b.Offset
	for rest := b.Data; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			w.got = append(w.got, line{text: "(BATCH WITHOUT A FINAL NEWLINE) " + string(rest)})
			break
		}
		w.got = append(w.got, line{text: string(rest[:end]), file: b.File, off: off})
		off += int64(end) + 1
		rest = rest[end+1:]
	}
	w.saves = append(w.saves, saved{b.Mark, len(w.got)})
	select {
	case w.grew <- struct{}{}:
	default:
	}
	return nil
}

// check compares all that was read with all that was written.
func (w *world) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	files, gens := map[int]uint64{}, map[uint64]int{}
	for i := range min(len(w.got), len(w.lines)) {
		g, l := w.got[i], w.lines[i]
		if g.text != l.text {
			w.t.Fatalf("line %d of the log:\n got %.60q\nwant %.60q\n%s", i, g.text, l.text, w.explain(g.text, i))
		}
		if g.off != l.off {
			w.t.Fatalf("line %d (%.40q) has offset %d, want %d: an offset counts the bytes of its own file, wherever that lies now", i, g.text, g.off, l.off)
		}
		if f, known := files[l.gen]; known && f != g.file {
			w.t.Fatalf("line %d: the identity of generation %d changed from %x to %x: it must survive rename, copy, gzip and restart", i, l.gen, f, g.file)
		}
		if n, known := gens[g.file]; known && n != l.gen {
			w.t.Fatalf("line %d: generations %d and %d share the identity %x: positions would be ambiguous", i, n, l.gen, g.file)
		}
		files[l.gen], gens[g.file] = g.file, l.gen
	}
	if len(w.got) != len(w.lines) {
		w.t.Fatalf("%d lines read, %d written: %s", len(w.got), len(w.lines), w.explain("", min(len(w.got), len(w.lines))))
	}
}

// explain names the rule that a wrong line breaks.
func (w *world) explain(text string, at int) string {
	if i := slices.IndexFunc(w.lines, func(l line) bool { return l.text == text }); i >= 0 && i < at {
		return "a line came twice: after a restart nothing before the mark may be repeated, and no rotated copy read again"
	} else if i > at {
		return fmt.Sprintf("%d lines were skipped: a rotated file that holds unread lines comes before the new one", i-at)
	}
	if text == "" {
		return "the rest never came, or came twice"
	}
	return "no such line was written: a half line waits for its newline, and a block may not mix two generations"
}

// close ends what still runs.
func (w *world) close() {
	if w.cancel != nil {
		w.stop(0)
	}
	if w.f != nil {
		w.f.Close()
	}
}

var (
	_ fatalf    = (testing.TB)(nil)
	_ io.Closer = (*os.File)(nil)
)
