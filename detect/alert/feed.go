package alert

import (
	"sync"

	"github.com/portcullis/portcullis/detect"
)

// feedMost bounds the findings that wait. When it is full the rest is left to the store:
// Stats counts how often that was, and the next step reads them there.
const feedMost = 100_000

// feed is where findings wait for the next step, the newest state of each.
type feed struct {
	mu     sync.Mutex
	wait   map[string]detect.Finding
	missed int64 // event time from which on findings were left to the store; 0 = none
	times  int64 // how often
}

func (f *feed) add(list []detect.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		f.put(&list[i])
	}
}

func (f *feed) put(x *detect.Finding) {
	if f.wait == nil {
		f.wait = map[string]detect.Finding{}
	}
	_, known := f.wait[x.ID]
	switch {
	case known || len(f.wait) < feedMost:
		f.wait[x.ID] = *x
	case f.missed == 0 || x.LastSeen < f.missed:
		if f.missed == 0 {
			f.times++
		}
		f.missed = x.LastSeen
	}
}

// take empties it.
func (f *feed) take() (list map[string]detect.Finding, missed int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, missed = f.wait, f.missed
	f.wait, f.missed = nil, 0
	return list, missed
}
