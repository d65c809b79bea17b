package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// How a live file is read, and what can be lost
//
// A file is known by device and inode while it is open, and by its beginning
// (up to 1 KiB) across copies, compression and restarts. The reader holds one
// generation open and goes on to the next one in order of age:
//
//   - renamed, deleted, symlink swapped: the open file is read on until its
//     successor has content and it was quiet for Grace; only then is a last line
//     without newline handed out. A writer that appends to the old file after
//     that is not heard any more: raise Grace where a gateway reopens slowly.
//   - truncated (shorter than what was read, or another beginning): the unread
//     rest is looked up in the rotated copy. Without one it is lost: counted,
//     said once. What is written between a copy and its truncation is lost by
//     copytruncate itself; no reader can see it.
//   - several rotations between two looks: the files in between are read whole.
//   - at a restart whose file is gone altogether, only the current log is read:
//     nothing tells which of the rotated files came after it. This is said, with
//     what to do.
//
// A block is handed out only if the beginning of the file was still the same
// after reading it: otherwise it may hold bytes of two generations.
//
// Two generations that begin with the same first line have the same identity in
// positions; access logs carry times, so this takes two rotations within the
// resolution of the log's clock.

// linger lets a busy log gather lines for a moment after each notification, so
// that it costs hundreds of wake-ups a second and not one per line.
const linger = 5 * time.Millisecond

// maxBackoff bounds the wait between attempts at what fails.
const maxBackoff = 5 * time.Second

// tail is the state of one Run. One goroutine uses it.
type tail struct {
	cfg    FileConfig
	health *health
	out    func(context.Context, *ingest.Batch) error

	cur    *gen            // what is being read, or what was read last
	split  *splitter       // its pending bytes
	seen   map[uint64]bool // rotated files that are older than cur, by identity
	behind int64           // bytes in younger generations

	grew    time.Time // when cur last gave bytes
	fresh   time.Time // since when the path names another file with content
	listed  time.Time // last listing that found nothing to go on to
	present time.Time // when the path last named anything
	checked stamp     // cur as of the last check of its beginning

	warned map[string]bool // said once, until reading works again
}

// Run implements ingest.Source. It returns the error of ctx or of out.
func (f *File) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	t := &tail{
		cfg: f.cfg, health: &f.health, out: out,
		split: newSplitter(f.cfg.Block, f.cfg.MaxLine), warned: map[string]bool{},
	}
	defer func() {
		if t.cur != nil {
			t.cur.close()
		}
	}()
	w := newWaker(&t.cfg)
	defer w.close()
	backoff := t.cfg.Poll
	for ctx.Err() == nil {
		wait := t.cfg.Poll
		more, err := t.step(ctx, from)
		var stop *outError
		switch {
		case errors.As(err, &stop):
			return stop.err
		case errors.Is(err, fs.ErrNotExist):
			t.say(err) // looked for at the usual pace
		case err != nil:
			t.say(err)
			wait = backoff
			backoff = min(2*backoff, maxBackoff)
		default:
			t.well()
			backoff = t.cfg.Poll
		}
		if !more {
			w.wait(ctx, t.untilSettled(wait))
		}
	}
	return ctx.Err()
}

// outError marks an error of the receiver, which ends Run.
type outError struct{ err error }

func (e *outError) Error() string { return e.err.Error() }

// step does one piece of work and says whether there may be more at once.
func (t *tail) step(ctx context.Context, from []ingest.Mark) (more bool, err error) {
	if t.cur == nil {
		if err := t.start(ctx, from); err != nil {
			return false, err
		}
	}
	if t.cur.f != nil && !t.cur.broken {
		n, err := t.read(ctx)
		if n > 0 || err != nil {
			return n > 0, err
		}
	}
	if t.cur.live {
		return t.atEnd()
	}
	return t.goOn(ctx)
}

// read takes in one block and hands out the whole lines in it.
func (t *tail) read(ctx context.Context) (int, error) {
	g := t.cur
	n, err := g.read(t.split.space(), t.split.next())
	if err != nil && g.sealed {
		g.broken = true
		t.lost(0, "a rotated file is damaged: what follows in it is passed over", "file", g.path, "error", err.Error())
		return 0, nil
	}
	if n == 0 || err != nil {
		return 0, err
	}
	if g.zr == nil {
		same, err := g.readHead()
		if err != nil {
			return 0, err
		}
		if !same {
			t.checked = stamp{}
			return 0, nil // truncated under us: the block is not trusted
		}
		now, err := g.stat()
		if err != nil {
			return 0, err
		}
		g.size = max(g.size, now.size)
	}
	t.split.fed(n)
	t.grew = time.Now()
	g.size = max(g.size, t.split.next())
	return n, t.deliver(ctx, false)
}

// deliver hands out what is whole.
func (t *tail) deliver(ctx context.Context, final bool) error {
	id := t.cur.id()
	if id == 0 {
		return nil // still in the header lines
	}
	for {
		r, ok := t.split.take(final)
		if !ok {
			return nil
		}
		for i := range r.rejects {
			r.rejects[i].Pos.Source, r.rejects[i].Pos.File = t.cfg.Name, id
		}
		lag := max(t.cur.size-t.split.resume(), 0) + t.behind
		t.health.lag.Store(lag)
		err := t.out(ctx, &ingest.Batch{
			Source: t.cfg.Name, File: id, Offset: r.off, Data: r.data, Rejects: r.rejects,
			Mark: t.cur.mark(&t.cfg, t.split.resume()), Lag: lag, Free: r.free,
		})
		if err != nil {
			return &outError{err}
		}
	}
}

// atEnd looks what became of the live file after its last byte was read.
func (t *tail) atEnd() (more bool, err error) {
	g := t.cur
	now, err := g.stat()
	if err != nil {
		return false, err
	}
	short := now.size < g.size
	if !short && now != t.checked {
		same, err := g.readHead()
		if err != nil {
			return false, err
		}
		short, t.checked = !same, now
	}
	if short {
		err := t.truncated()
		return err == nil, err
	}
	g.size = now.size
	t.health.lag.Store(max(g.size-t.split.resume(), 0))
	if fi, err := os.Stat(t.cfg.Path); err == nil {
		dev, ino := inode(fi)
		if ino == g.ino && dev == g.dev {
			return false, nil
		}
	}
	g.live, g.left, g.whole = false, true, true
	t.fresh, t.present = time.Time{}, time.Now()
	return true, nil
}
