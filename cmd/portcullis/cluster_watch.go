package main

import (
	"slices"
	"sync"

	"github.com/portcullis/portcullis/detect"
)

// watchers tell the engines of this process whom the enforcer follows.
type watchers struct {
	mu   sync.Mutex
	list []detect.Watch
	to   map[int]func([]detect.Watch)
	next int
}

func newWatchers() *watchers { return &watchers{to: map[int]func([]detect.Watch){}} }

// join tells the list now and whenever it changes, until stop is called.
func (w *watchers) join(watch func([]detect.Watch)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.next
	w.next++
	w.to[n] = watch
	watch(slices.Clone(w.list))
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.to, n)
	}
}

// set replaces the list.
func (w *watchers) set(list []detect.Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Equal(w.list, list) {
		return
	}
	w.list = slices.Clone(list)
	for _, watch := range w.to {
		watch(slices.Clone(list))
	}
}
