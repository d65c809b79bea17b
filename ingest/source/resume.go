package source

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/portcullis/portcullis/ingest"
)

// start finds where to begin: behind the saved marks, or where From says.
func (t *tail) start(ctx context.Context, from []ingest.Mark) error {
	path, err := openGen(t.cfg.Path, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := t.siblings(path)
	if err != nil {
		if path != nil {
			path.close()
		}
		return err
	}
	mine := 0
	best, bestAt := ingest.Mark{}, -1
	for _, m := range from {
		if m.Source != t.cfg.Name {
			continue
		}
		mine++
		at := t.find(m, path, list)
		if at > bestAt || at == bestAt && m.Offset > best.Offset {
			best, bestAt = m, at
		}
	}
	switch {
	case mine == 0:
		return t.first(ctx, path, list)
	case bestAt < 0:
		t.gone(best, path, list)
		return nil
	case bestAt == len(list):
		path.live = true
		t.remember(list)
		t.become(path, best.Offset)
		return nil
	}
	if path != nil {
		path.close()
	}
	g, err := openGen(list[bestAt].path, true)
	if err != nil {
		return err
	}
	if !g.sameInode(list[bestAt].gen) {
		g.close()
		return errMoved
	}
	g.whole = true // a copy is only looked for once the log is not our file any more
	if g.ino != best.Inode || g.dev != best.Device {
		g.sealed = true
	}
	t.remember(list[:bestAt])
	t.become(g, g.clamp(best.Offset))
	return nil
}

// find returns the index of the mark's file among the rotated ones, len(list)
// for the log itself, or -1. The same inode wins; then the log; then the
// youngest copy; last, a copy that ends before the mark, behind which nothing is
// left to read.
func (t *tail) find(m ingest.Mark, path *gen, list []sibling) int {
	all := make([]*gen, 0, len(list)+1)
	for _, s := range list {
		all = append(all, s.gen)
	}
	if path != nil {
		all = append(all, path)
	}
	own := func(g *gen) bool { return g.ino == m.Inode && g.dev == m.Device }
	holds := func(g *gen) bool {
		return int64(len(g.head)) >= m.PrintLen && digest(g.head[:m.PrintLen]) == m.Print
	}
	for _, match := range []func(g *gen) bool{
		func(g *gen) bool {
			return own(g) && g.size >= m.Offset && (m.PrintLen == 0 && m.Inode != 0 || m.PrintLen > 0 && holds(g))
		},
		func(g *gen) bool { return m.PrintLen > 0 && holds(g) && (g.size >= m.Offset || g.zr != nil) },
		func(g *gen) bool { return g != path && m.File != 0 && fileID(g.head, true) == m.File },
	} {
		for i := len(all) - 1; i >= 0; i-- {
			if match(all[i]) {
				return i
			}
		}
	}
	return -1
}

// first begins a source that has no saved position.
func (t *tail) first(ctx context.Context, path *gen, list []sibling) error {
	t.remember(list)
	if t.cfg.From == "end" {
		return t.fromEnd(ctx, path)
	}
	if path == nil || len(path.head) == 0 {
		if path != nil {
			path.close()
		}
		t.become(&gen{sealed: true}, 0)
		return nil
	}
	path.live = true
	t.become(path, 0)
	return nil
}

// fromEnd begins behind the last whole line, and hands out an empty batch so
// that this position is saved: what is written from now on is not skipped by a
// restart.
func (t *tail) fromEnd(ctx context.Context, path *gen) error {
	mark := ingest.Mark{Source: t.cfg.Name, Path: t.cfg.Path}
	if path == nil || len(path.head) == 0 {
		if path != nil {
			mark.Device, mark.Inode = path.dev, path.ino
			path.close()
		}
		t.become(&gen{sealed: true}, 0)
	} else {
		off, err := lastLine(path, int64(t.cfg.MaxLine))
		if err != nil {
			path.close()
			return err
		}
		path.live = true
		t.become(path, off)
		mark = path.mark(&t.cfg, off)
	}
	if err := t.out(ctx, &ingest.Batch{Source: t.cfg.Name, File: mark.File, Offset: mark.Offset, Mark: mark}); err != nil {
		return &outError{err}
	}
	return nil
}

// lastLine returns the offset behind the last newline, looking back at most max
// bytes: a longer line would be refused anyway.
func lastLine(g *gen, longest int64) (int64, error) {
	from := max(g.size-longest, 0)
	buf := make([]byte, g.size-from)
	n, err := g.f.ReadAt(buf, from)
	if n < len(buf) {
		return 0, errors.Join(err, errMoved)
	}
	return from + int64(bytes.LastIndexByte(buf, '\n')) + 1, nil
}

// gone goes on without the file of the mark: with the log as it is now.
func (t *tail) gone(m ingest.Mark, path *gen, list []sibling) {
	if path != nil {
		path.close()
	}
	t.remember(list)
	t.become(&gen{sealed: true}, 0)
	if m.PrintLen == 0 {
		return // nothing had been read
	}
	names := make([]string, 0, len(list))
	for _, s := range list {
		names = append(names, s.path)
	}
	t.lost(0, "the file of the saved position is neither the log nor one of its rotated files: its unread rest, if any, is lost",
		"path", t.cfg.Path, "offset", m.Offset, "rotated", names,
		"hint", "reading goes on with the current log; if rotated files hold lines that were never read, give them to \"portcullis replay\"; keep more of them with logrotate's rotate")
}
