package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// gen is one generation of the log: the content between two rotations, wherever
// it lies now.
type gen struct {
	f     *os.File  // nil: gone, only remembered
	pack  *packing  // how f is compressed; nil: not
	zr    io.Reader // not nil: f is compressed
	zpos  int64     // offset in the uncompressed stream
	path  string    // where it was opened
	dev   uint64
	ino   uint64
	size  int64 // largest known; of a compressed file what packedSize says
	mtime time.Time
	head  []byte // the first bytes, up to headBytes

	live   bool // the path of the source names it
	left   bool // it was live, then renamed, deleted or swapped
	whole  bool // no copy that is still being made
	sealed bool // nobody writes to it any more
	broken bool // the rest cannot be read
}

// errNotRegular explains what a path must not be.
var errNotRegular = errors.New("not a regular file: name the log file itself; pipes and terminals are read by the stdin source")

// openGen opens a file and reads its beginning. Only rotated files are looked
// at for compression.
func openGen(path string, rotated bool) (*gen, error) {
	fi, err := os.Stat(path) // before the open, which would hang on a FIFO
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	g := &gen{f: f, path: path}
	if err := g.load(rotated); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func (g *gen) load(rotated bool) error {
	now, err := g.stat()
	if err != nil {
		return err
	}
	g.size = now.size
	if _, err := g.readHead(); err != nil {
		return err
	}
	if g.pack = packingOf(g.head); !rotated || g.pack == nil {
		return nil
	}
	g.sealed = true
	g.size = g.pack.size(g.f, g.size)
	if err := g.rewind(); err != nil {
		return err
	}
	head := make([]byte, headBytes)
	n, err := io.ReadFull(g.zr, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	g.head = head[:n]
	return g.rewind()
}

func (g *gen) rewind() (err error) {
	if _, err = g.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	g.zr, err = g.pack.reader(bufio.NewReaderSize(g.f, headBytes*64))
	g.zpos = 0
	return err
}

// stamp tells a file that nobody touched.
type stamp struct {
	size  int64
	mtime time.Time
}

// stat looks at the open file. It leaves size alone: that remembers the largest,
// against which a truncation shows.
func (g *gen) stat() (stamp, error) {
	fi, err := g.f.Stat()
	if err != nil {
		return stamp{}, err
	}
	g.dev, g.ino = inode(fi)
	g.mtime = fi.ModTime()
	return stamp{fi.Size(), g.mtime}, nil
}

// readHead takes in the beginning, which may have grown, and says whether it is
// still the one that was known.
func (g *gen) readHead() (same bool, err error) {
	var buf [headBytes]byte
	n, err := g.f.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	if !bytes.HasPrefix(buf[:n], g.head) {
		return false, nil
	}
	if n > len(g.head) {
		g.head = bytes.Clone(buf[:n])
	}
	return true, nil
}

// read fills buf from the offset; n 0 is the end for now.
func (g *gen) read(buf []byte, off int64) (int, error) {
	if g.zr == nil {
		n, err := g.f.ReadAt(buf, off)
		if n > 0 || err == io.EOF {
			err = nil
		}
		return n, err
	}
	if g.zpos < off {
		skipped, err := io.CopyN(io.Discard, g.zr, off-g.zpos)
		g.zpos += skipped
		if err != nil {
			return 0, gzEnd(err)
		}
	}
	n, err := g.zr.Read(buf)
	g.zpos += int64(n)
	if n > 0 {
		return n, nil // the error comes again
	}
	return 0, gzEnd(err)
}

// id is the file identity of positions, 0 while the first line is unfinished.
func (g *gen) id() uint64 { return fileID(g.head, g.sealed) }

// is says whether o holds the same content, as far as both are known.
func (g *gen) is(o *gen) bool {
	if len(g.head) == 0 || len(o.head) == 0 {
		return false
	}
	id := fileID(g.head, false)
	if id == 0 { // not even one line: then every byte of it counts
		return bytes.HasPrefix(o.head, g.head)
	}
	return id == fileID(o.head, false) && agree(g.head, o.head)
}

// sameInode says whether o is the same file for the kernel.
func (g *gen) sameInode(o *gen) bool {
	return g.ino != 0 && g.ino == o.ino && g.dev == o.dev
}

// clamp keeps an offset within the file, where its size is certain.
func (g *gen) clamp(off int64) int64 {
	if g.zr != nil {
		return off
	}
	return min(off, g.size)
}

// mark is where to resume behind off.
func (g *gen) mark(cfg *FileConfig, off int64) ingest.Mark {
	taken := g.head[:min(int64(len(g.head)), off)]
	m := ingest.Mark{
		Source: cfg.Name, Path: cfg.Path, File: g.id(), Offset: off,
		Device: g.dev, Inode: g.ino, PrintLen: int64(len(taken)),
	}
	if len(taken) > 0 {
		m.Print = digest(taken)
	}
	return m
}

func (g *gen) close() {
	if g.f != nil {
		g.f.Close() // read only: nothing to lose
		g.f, g.zr = nil, nil
	}
}
