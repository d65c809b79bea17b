// Package spool keeps what was pushed to us on the disk until the pipeline has
// taken it in, so that a receiver may acknowledge it at once. The pipeline reads
// the spool like a log file, with marks.
//
// What is promised: lines for which Append returned nil survive a kill at any
// instant; each is handed out once behind the mark, in the order in which it was
// taken, at a position that a restart does not change. A power cut may take what
// was appended within the last Config.Sync. Memory is bounded, and the disk by
// Config.MaxBytes: when that is reached Append says ErrFull, and the sender waits.
//
// On the disk the spool is a folder of segments, NUMBER.log (16 hex digits), plain
// text, one record per line. The one with the highest number grows. A segment is
// deleted as a whole once everything in it is saved. Numbers are never used twice.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull says that the spool has no room: the sender must wait and try again.
// It is also in the chain of the error of a full disk.
var ErrFull = errors.New("spool: full: what reads it does not keep up; it goes on by itself, max_bytes makes it larger")

// errClosed is what Append says after Close.
var errClosed = errors.New("spool: closed")

// Spool is an on-disk queue of lines. Any number of goroutines may append; one
// at a time reads (Run).
type Spool struct {
	cfg  Config
	lock *os.File

	// What a disk does to a file, so that tests can make it fail.
	pwrite func(f *os.File, b []byte, off int64) (int, error)
	fsync  func(f *os.File) error

	writing sync.Mutex // held while a group is written; taken before mu
	file    *os.File   // of the growing segment, nil before the first append; changed with both locks held
	ended   bool       // by Close; with writing

	mu       sync.Mutex
	segments []segment // oldest first; the last one grows while file is set
	next     uint64    // number of the next segment
	total    int64     // bytes of all segments
	reserved int64     // bytes that are being appended
	unread   int64     // bytes not handed out yet
	gather   *group    // takes what is appended while another group is written
	dead     []segment // to be deleted; those whose deletion failed stay
	unsynced []*os.File
	dirty    bool // the growing segment was written since it was forced to the disk
	fresh    bool // the folder holds names that were not forced to the disk
	full     bool // an append was refused, and little was freed since
	closed   bool

	wake    chan struct{} // one is pending when something was appended
	kick    chan struct{} // one is pending when a segment was finished
	quit    chan struct{}
	syncing sync.WaitGroup
	running atomic.Bool

	losses, lost atomic.Int64
	trouble      atomic.Pointer[string] // what the disk says now
	groups       sync.Pool              // of *group
	blocks       sync.Pool              // of *[]byte, each of blockSize
}

// Open opens the spool in cfg.Dir, which it creates where needed, and cuts off a
// half line that a crash left. No other process may have it open.
func Open(cfg Config) (*Spool, error) {
	if err := cfg.first(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := makeDir(cfg.Dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		cfg: cfg, lock: lock, next: 1, fresh: true,
		pwrite: func(f *os.File, b []byte, off int64) (int, error) { return f.WriteAt(b, off) },
		fsync:  func(f *os.File) error { return f.Sync() },
		wake:   make(chan struct{}, 1), kick: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	if err := s.load(); err != nil {
		lock.Close()
		return nil, err
	}
	if cfg.Sync > 0 {
		s.syncing.Go(s.syncLoop)
	}
	return s, nil
}

// Close forces everything to the disk and lets go of the folder. Appends that are
// not written yet, and later ones, fail. Run must have ended.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.syncing.Wait()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.ended = true
	err := s.flush()
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
		s.file = nil
	}
	return errors.Join(err, s.lock.Close())
}

// say reports what the disk refuses: once per message, not once per attempt.
func (s *Spool) say(err error) {
	text := err.Error()
	if old := s.trouble.Swap(&text); old == nil || *old != text {
		s.cfg.Log.Error("spool: the disk refuses", "source", s.cfg.Name, "dir", s.cfg.Dir, "error", text, "hint", hint(err))
	}
}

// well ends a trouble that was said.
func (s *Spool) well() {
	if s.trouble.Load() == nil {
		return
	}
	if s.trouble.Swap(nil) != nil {
		s.cfg.Log.Info("spool: the disk works again", "source", s.cfg.Name, "dir", s.cfg.Dir)
	}
}

// AppendLine appends a record as one line to dst: line ends within it become
// blanks, and '\n' is added. Line ends behind the record are dropped.
func AppendLine(dst, record []byte) []byte {
	for n := len(record); n > 0 && (record[n-1] == '\n' || record[n-1] == '\r'); n-- {
		record = record[:n-1]
	}
	from := len(dst)
	dst = append(dst, record...)
	for i, c := range dst[from:] {
		if c == '\n' || c == '\r' {
			dst[from+i] = ' '
		}
	}
	return append(dst, '\n')
}

// Config is the "spool" part of a source's settings.
type Config struct {
	MaxBytes int64         `yaml:"max_bytes" default:"1GiB" unit:"bytes" doc:"how much may wait on the disk; when it is reached senders are told to wait, and what cannot wait (UDP) is dropped and counted; at least twice the segment"`
	Segment  int64         `yaml:"segment" default:"16MiB" unit:"bytes" doc:"size of one file of the spool; a file is deleted as a whole once everything in it is saved"`
	MaxLine  int           `yaml:"max_line" default:"1MiB" unit:"bytes" doc:"longest line; a longer one is rejected as too_long"`
	Sync     time.Duration `yaml:"sync" default:"1s" doc:"how often to force the spool to the disk; a kill loses nothing anyway, a power cut what came since; 0 = before each acknowledgement"`

	Dir  string       `yaml:"-"` // the folder of the segments, of this spool alone
	Name string       `yaml:"-"` // of the source, in batches and marks
	Log  *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero, but Sync, whose zero has a meaning.
func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.Segment == 0 {
		c.Segment = 16 << 20
	}
	if c.MaxLine == 0 {
		c.MaxLine = 1 << 20
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key. Zero is the default.
func (c Config) Check(report func(key, message string)) {
	d := c.withDefaults()
	if d.Segment < 4<<10 || d.Segment > 1<<30 {
		report("segment", "must be from 4KiB to 1GiB")
	}
	if d.MaxBytes < 2*d.Segment {
		report("max_bytes", "must be at least twice the segment: the file that grows is never deleted")
	}
	if d.MaxLine < 1<<10 || d.MaxLine > 64<<20 {
		report("max_line", "must be from 1KiB to 64MiB: lines are held in memory whole")
	}
	if d.Sync < 0 || d.Sync > time.Hour {
		report("sync", "must be from 0 (before each acknowledgement) to 1h")
	}
}

// first is the first thing wrong with the settings.
func (c Config) first() error {
	var err error
	c.Check(func(key, message string) {
		if err == nil {
			err = fmt.Errorf("spool: %s: %s", key, message)
		}
	})
	if err == nil && (c.Dir == "" || c.Name == "") {
		err = errors.New("spool: a folder and a name of the source are needed")
	}
	return err
}
