package source

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// relist is how often rotated files are listed while the log itself is missing
// or empty: a new one may only be found there.
const relist = time.Second

// rotationTime is how long a log may be absent before that is a trouble.
const rotationTime = 5 * time.Second

// truncated goes on in the copy that holds the unread rest of the live file, or
// counts the rest as lost.
func (t *tail) truncated() error {
	g := t.cur
	off := t.split.resume()
	t.checked = stamp{} // where this fails, the next look finds the same again
	list, err := t.siblings(g)
	for err == nil {
		i := locate(list, g)
		if i < 0 {
			break
		}
		rest, openErr := openGen(list[i].path, true)
		if openErr == nil && rest.sameInode(list[i].gen) {
			rest.sealed, rest.whole = true, true
			t.remember(list[:i])
			t.become(rest, rest.clamp(off))
			return nil
		}
		if openErr == nil {
			rest.close()
		} else if !errors.Is(openErr, fs.ErrNotExist) {
			break // there, but not to be read
		}
		list, err = t.siblings(g) // renamed or compressed meanwhile
	}
	if err != nil {
		return err
	}
	if left := g.size - off; left > 0 {
		t.lost(left, "the log was truncated and no rotated copy holds the unread rest",
			"path", t.cfg.Path, "bytes", left, "hint", "let logrotate copy before it truncates, or raise the reading speed")
	}
	t.remember(list)
	g.close()
	g.live, g.sealed = false, true
	t.split.reset(0)
	return nil
}

// remember notes which rotated files are not ahead of us.
func (t *tail) remember(older []sibling) {
	t.seen = make(map[uint64]bool, len(older))
	for _, s := range older {
		t.seen[fileID(s.head, true)] = true
	}
}

// become makes g what is read, from off.
func (t *tail) become(g *gen, off int64) {
	if t.cur != nil {
		t.cur.close()
		t.health.rotations.Add(1)
	}
	t.cur = g
	t.split.reset(off)
	t.grew, t.fresh, t.listed = time.Now(), time.Time{}, time.Time{}
	t.checked = stamp{}
}

// goOn finishes a file that the path does not name any more, and goes on to the
// next one.
func (t *tail) goOn(ctx context.Context) (more bool, err error) {
	fi, err := os.Stat(t.cfg.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil && t.cur.f != nil && t.cur.zr == nil {
		dev, ino := inode(fi)
		if dev == t.cur.dev && ino == t.cur.ino { // renamed back
			if same, err := t.cur.readHead(); err != nil || same {
				t.cur.live = same
				return same, err
			}
		}
	}
	if t.cur.f != nil && t.cur.sealed && t.cur.whole && t.split.pending() {
		if err := t.deliver(ctx, true); err != nil {
			return false, err
		}
	}
	missing := t.missing(err)
	if err == nil && t.cur.left {
		t.behind = fi.Size()
	}
	if err != nil || fi.Size() == 0 {
		t.fresh = time.Time{}
		if time.Since(t.listed) < relist {
			return false, missing
		}
		t.listed = time.Now()
	} else if t.fresh.IsZero() {
		t.fresh = time.Now()
	}
	if t.settleIn() > 0 {
		return false, nil
	}
	g, list, err := t.successor()
	if g == nil {
		if err == nil {
			err = missing
		}
		return false, err
	}
	return true, t.advance(ctx, g, list)
}

// missing is the error to report while the path names nothing: none during the
// moment that a rotation takes.
func (t *tail) missing(err error) error {
	if err == nil {
		t.present = time.Now()
	} else if time.Since(t.present) < rotationTime {
		return nil
	}
	return err
}

// settleIn says how long the file that was rotated away must still be quiet.
func (t *tail) settleIn() time.Duration {
	g := t.cur
	if g.f == nil || g.sealed {
		return 0
	}
	if age := time.Since(g.mtime); !g.left && age > t.cfg.Grace {
		return 0 // at rest since before we came
	}
	since := t.grew
	if t.fresh.After(since) {
		since = t.fresh
	}
	return t.cfg.Grace - time.Since(since)
}

// untilSettled shortens a wait to the moment at which goOn may go on.
func (t *tail) untilSettled(wait time.Duration) time.Duration {
	if t.cur != nil && !t.cur.live && !t.fresh.IsZero() {
		if d := t.settleIn(); d > 0 {
			return min(wait, d)
		}
	}
	return wait
}

// successor opens the generation behind cur: the next younger rotated file that
// holds something, otherwise the log itself; nil where there is none yet.
func (t *tail) successor() (*gen, []sibling, error) {
	for range 8 {
		path, err := openGen(t.cfg.Path, false)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		// Listed after the log was opened: a rotation that completed before left
		// its file in the list, so the log is what it was when it was opened.
		list, err := t.siblings(path)
		if err != nil {
			if path != nil {
				path.close()
			}
			return nil, nil, err
		}
		i := t.behindCur(list)
		if i == len(list) {
			if path == nil || len(path.head) == 0 {
				if path != nil {
					path.close()
				}
				return nil, nil, nil
			}
			path.live = true
			t.behind = 0
			return path, list, nil
		}
		behind := int64(0)
		if path != nil {
			behind = path.size
			path.close()
		}
		for _, s := range list[i+1:] {
			behind += s.size
		}
		g, err := openGen(list[i].path, true)
		if err == nil && g.sameInode(list[i].gen) {
			t.behind = behind
			return g, list[:i], nil
		}
		if err == nil {
			g.close() // renamed between listing and opening: look again
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// behindCur is the index of the first rotated file that is younger than cur.
func (t *tail) behindCur(list []sibling) int {
	if i := locate(list, t.cur); i >= 0 {
		return i + 1
	}
	for i, s := range list {
		if !t.seen[fileID(s.head, true)] {
			return i
		}
	}
	return len(list)
}

// advance leaves cur for g. A copy that was still being made while we read it
// goes on in the log that it was made from.
func (t *tail) advance(ctx context.Context, g *gen, older []sibling) error {
	off := t.split.resume()
	if !t.cur.whole && g.live && len(t.cur.head) > 0 && bytes.HasPrefix(g.head, t.cur.head) && g.size >= off {
		t.remember(older)
		t.become(g, off)
		return nil
	}
	t.cur.sealed = true
	if t.cur.f != nil {
		if err := t.deliver(ctx, true); err != nil {
			g.close()
			return err
		}
		if left := t.cur.size - t.split.resume(); left > 0 && t.cur.zr == nil && !t.cur.broken {
			t.lost(left, "a rotated file was cut before it was read", "file", t.cur.path, "bytes", left)
		}
	}
	t.remember(older)
	if t.cur.ino != 0 || len(t.cur.head) > 0 {
		t.seen[fileID(t.cur.head, true)] = true
	}
	t.become(g, 0)
	return nil
}
