package lapi

import (
	"crypto/sha256"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxReaders bounds the bouncers that are told apart; the one that was away for longest is
// forgotten first, and gets the whole list when it comes again.
const maxReaders = 4096

// readerID tells bouncers apart: several may share a key, and stand at one address.
type readerID [sha256.Size]byte

func idOf(key, address, agent string) readerID {
	return sha256.Sum256([]byte(key + "\x00" + address + "\x00" + agent))
}

// reader is what a bouncer was told.
type reader struct {
	key, address, agent string
	seq                 uint64 // changes up to this one; 0 = none
	seen                time.Time
	version, kind       string // as its usage metrics say
	dropped             int64  // the sum of what it says it dropped
}

// readers are the bouncers that came lately.
type readers struct {
	mu   sync.Mutex
	list *lru.Cache[readerID, *reader]
}

func newReaders() (*readers, error) {
	list, err := lru.New[readerID, *reader](maxReaders)
	return &readers{list: list}, err
}

// come notes that a bouncer is there, and returns up to which change it was told.
func (r *readers) come(id readerID, key, address, agent string, now time.Time) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	x, ok := r.list.Get(id)
	if !ok {
		x = &reader{key: key, address: address, agent: agent[:min(len(agent), 200)]}
		r.list.Add(id, x)
	}
	x.seen = now
	return x.seq
}

// told notes that a whole answer was written.
func (r *readers) told(id readerID, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x, ok := r.list.Get(id); ok {
		x.seq = max(x.seq, seq)
	}
}

// used adds what a bouncer says of itself.
func (r *readers) used(id readerID, u usage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x, ok := r.list.Get(id); ok {
		x.version, x.kind = u.version, u.kind
		x.dropped += u.dropped
	}
}

// Bouncer is one that came lately.
type Bouncer struct {
	Key, Address, Agent string
	Version, Kind       string
	Dropped             int64 // requests or packets that it says it dropped, since the start
	Seen                time.Time
}

// all returns the bouncers, the one that came last at the end.
func (r *readers) all() []Bouncer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Bouncer
	for _, x := range r.list.Values() {
		out = append(out, Bouncer{x.key, x.address, x.agent, x.version, x.kind, x.dropped, x.seen})
	}
	return out
}
