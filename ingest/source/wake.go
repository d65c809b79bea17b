package source

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The kernel's notifications only shorten the wait for the next look: every
// decision is made on what the file looks like, so a lost one costs Poll.
//
// fsnotify is used directly and not through the watch package of nxadm/tail,
// which wraps it: that package ends the process (os.Exit) when a stat is refused
// or no inotify instance is left, keeps one goroutine for the process that
// nobody can join, shares a channel between watchers of one name, and compares
// sizes only, so that it misses a truncation that was written over.

// waker waits until the log may have changed.
type waker struct {
	cfg    *FileConfig
	events *fsnotify.Watcher // nil: poll only
	signal chan struct{}
	done   sync.WaitGroup

	mu     sync.Mutex
	dirs   map[string]bool // watched
	target string          // what the path leads to
}

// newWaker starts a goroutine that close joins.
func newWaker(cfg *FileConfig) *waker {
	w := &waker{cfg: cfg, signal: make(chan struct{}, 1), dirs: map[string]bool{}}
	if cfg.PollOnly {
		return w
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		cfg.Log.Warn("source: no change notifications, looking at the file instead", "path", cfg.Path,
			"every", cfg.Poll, "error", err, "hint", "raise fs.inotify.max_user_instances")
		return w
	}
	w.events = events
	w.done.Go(w.forward)
	return w
}

// watch sees to it that the directories of the path and of what it leads to are
// watched, also after they were replaced. Directories, because a file that is
// renamed takes its own watch with it. What happened before a directory was
// watched nobody told: then watch says that another look is due.
func (w *waker) watch() (look bool) {
	target, err := filepath.EvalSymlinks(w.cfg.Path)
	if err != nil {
		target = w.cfg.Path
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
	for _, dir := range []string{filepath.Dir(w.cfg.Path), filepath.Dir(target)} {
		if !w.dirs[dir] && w.events.Add(dir) == nil { // missing: tried again at the next look
			w.dirs[dir], look = true, true
		}
	}
	return look
}

// forward turns events into one pending signal. It ends when events is closed.
func (w *waker) forward() {
	for {
		select {
		case ev, ok := <-w.events.Events:
			if !ok {
				return
			}
			if w.concerns(ev) {
				select {
				case w.signal <- struct{}{}:
				default: // one is pending already
				}
			}
		case _, ok := <-w.events.Errors: // an overflow: the poll catches it
			if !ok {
				return
			}
		}
	}
}

func (w *waker) concerns(ev fsnotify.Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := filepath.Clean(ev.Name)
	if w.dirs[name] && (ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)) {
		delete(w.dirs, name)
		return true
	}
	return name == w.cfg.Path || name == w.target
}

// wait returns when the log may have changed, at the latest after d.
func (w *waker) wait(ctx context.Context, d time.Duration) {
	if w.events != nil && w.watch() {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.signal:
		timer.Reset(min(linger, d))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

func (w *waker) close() {
	if w.events != nil {
		w.events.Close() // ends forward; an error here has nobody to act on it
	}
	w.done.Wait()
}
