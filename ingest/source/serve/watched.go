package serve

import (
	"log/slog"
	"sync"
	"time"
)

// lookEvery bounds how often files are looked at: a flood of handshakes costs one
// look a second.
const lookEvery = time.Second

// watched is a value made of files and made anew when they change. A new version
// that cannot be used is said once, and the old one stays.
type watched[T any] struct {
	files []string
	build func() (T, error)
	log   *slog.Logger
	every time.Duration

	mu     sync.Mutex
	looked time.Time
	stamp  string
	value  T
}

// watch builds the first value, whose failure is an error.
func watch[T any](log *slog.Logger, build func() (T, error), files ...string) (*watched[T], error) {
	w := &watched[T]{files: files, build: build, log: log, every: lookEvery, stamp: stampOf(files), looked: time.Now()}
	var err error
	w.value, err = build()
	return w, err
}

// current returns the newest usable value, and whether it is newer than the last.
func (w *watched[T]) current() (value T, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.looked) < w.every {
		return w.value, false
	}
	w.looked = now
	stamp := stampOf(w.files)
	if stamp == w.stamp {
		return w.value, false
	}
	// The stamp was taken before the files are read: what is written meanwhile is
	// seen at the next look.
	w.stamp = stamp
	fresh, err := w.build()
	if err != nil {
		w.log.Error("serve: changed files cannot be used, the old content stays in force", "files", w.files, "error", err.Error())
		return w.value, false
	}
	w.value = fresh
	w.log.Info("serve: changed files are in force", "files", w.files)
	return w.value, true
}
