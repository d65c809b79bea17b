package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/ingest"
)

// segment is one file of the spool.
type segment struct {
	num  uint64
	size int64 // what of it counts; a torn write may have left more in the file
}

const suffix = ".log"

func (s *Spool) path(num uint64) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%016x%s", num, suffix))
}

// makeDir makes a folder that only its owner may enter: a log holds secrets.
func makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("spool: %w; let the user of this process create and own the folder", err)
	}
	return nil
}

// takeLock makes this process the only one that uses the folder. The kernel lets
// go of the lock when the process ends, however it ends.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		return nil, fmt.Errorf("spool: %s is in use by process %.20q: give each process and each source its own folder",
			dir, bytes.TrimSpace(holder[:n]))
	}
	pid := fmt.Sprintf("%d\n", os.Getpid())
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(pid), 0) // only for the message above: the lock holds without it
	}
	return f, nil
}

// load finds the segments and mends them. Later appends go to a new one, so that
// a position before a power cut is never given to another line. An empty segment
// stays until a mark is behind it: its number must not come again.
func (s *Spool) load() error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	for _, e := range entries {
		hex, ok := cutSuffix(e.Name())
		num, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || len(hex) != 16 || num == 0 || !e.Type().IsRegular() {
			continue
		}
		s.next = max(s.next, num+1)
		size, err := s.mend(num)
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		s.segments = append(s.segments, segment{num, size})
		s.total += size
	}
	slices.SortFunc(s.segments, func(a, b segment) int {
		if a.num < b.num {
			return -1
		}
		return 1
	})
	s.unread = s.total
	return nil
}

func cutSuffix(name string) (string, bool) {
	n := len(name) - len(suffix)
	if n < 0 || name[n:] != suffix {
		return "", false
	}
	return name[:n], true
}

// mend cuts off what stands behind the last line end and returns the size. The
// sender of a half line was never told that it arrived.
func (s *Spool) mend(num uint64) (int64, error) {
	f, err := os.OpenFile(s.path(num), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	whole, buf := info.Size(), make([]byte, 64<<10)
	for whole > 0 {
		part := buf[:min(whole, int64(len(buf)))]
		if _, err := f.ReadAt(part, whole-int64(len(part))); err != nil {
			return 0, err
		}
		at := bytes.LastIndexByte(part, '\n')
		if at >= 0 {
			whole -= int64(len(part) - at - 1)
			break
		}
		whole -= int64(len(part))
	}
	if whole == info.Size() {
		return whole, nil
	}
	s.cfg.Log.Info("spool: the end of a segment that was being written is cut off; its sender was not told that it arrived",
		"source", s.cfg.Name, "file", s.path(num), "bytes", info.Size()-whole)
	return whole, f.Truncate(whole)
}

// Saved implements ingest.Saver: it deletes the segments that lie wholly before
// m, and so makes room.
func (s *Spool) Saved(m ingest.Mark) {
	if m.Source != s.cfg.Name {
		return
	}
	s.mu.Lock()
	n := 0
	for n < len(s.segments)-1 { // the last one grows, or keeps the number for the next start
		seg := s.segments[n]
		if seg.num > m.File || seg.num == m.File && seg.size > m.Offset {
			break
		}
		n++
	}
	s.dead = append(s.dead, s.segments[:n]...)
	s.segments = slices.Delete(s.segments, 0, n)
	dead := s.dead
	s.dead = nil
	s.mu.Unlock()
	if len(dead) > 0 {
		s.bury(dead)
	}
}

// bury deletes segments and counts the room. What cannot be deleted keeps
// counting, and is tried again with the next save.
func (s *Spool) bury(dead []segment) {
	var kept []segment
	var room int64
	for _, seg := range dead {
		if err := os.Remove(s.path(seg.num)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.say(diskError(err))
			kept = append(kept, seg)
			continue
		}
		room += seg.size
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = append(s.dead, kept...)
	s.total -= room
	if s.full && s.total+s.reserved <= s.cfg.MaxBytes-max(s.cfg.Segment, s.cfg.MaxBytes/8) { // else it would be said for each segment
		s.full = false
		s.cfg.Log.Info("spool: there is room again", "source", s.cfg.Name, "dir", s.cfg.Dir)
	}
}

// syncLoop forces to the disk what was appended, every Sync.
func (s *Spool) syncLoop() {
	tick := time.NewTicker(s.cfg.Sync)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.kick:
		case <-s.quit:
			return
		}
		if err := s.flush(); err != nil {
			s.say(diskError(err))
		}
	}
}

// flush forces finished segments, the growing one and the folder to the disk. It
// is called by one goroutine at a time, which alone closes finished segments.
func (s *Spool) flush() error {
	s.mu.Lock()
	done, f, fresh := s.unsynced, s.file, s.fresh
	if !s.dirty {
		f = nil
	}
	s.unsynced, s.dirty, s.fresh = nil, false, false
	s.mu.Unlock()
	var err error
	for _, old := range done {
		err = errors.Join(err, s.fsync(old), old.Close())
	}
	if f != nil {
		err = errors.Join(err, s.fsync(f))
	}
	if fresh {
		err = errors.Join(err, s.syncDir())
	}
	return err
}

// syncDir forces the names in the folder to the disk.
func (s *Spool) syncDir() error {
	d, err := os.Open(s.cfg.Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return s.fsync(d)
}
