package detect

import "github.com/portcullis/portcullis/ingest"

// aheadMost is how many requests are taken in together: what their clients' state waits
// for is then fetched from memory for all of them at once, not for one after the other.
// More would keep no more fetches in flight, and push what is at work out of the caches.
const aheadMost = 8

// ahead gathers requests whose turn comes together. That changes nothing but the
// order in which memory is read: each is observed in its turn, and a second is closed before the
// next is.
type ahead struct {
	items [aheadMost]item
	list  [aheadMost]*item
	n     int
}

// add takes in an event, before which the seconds up to closed are closed, and observes
// all when there are enough.
func (a *ahead) add(w *worker, ev *ingest.Event, t timing, closed int64) {
	it := &a.items[a.n]
	k := keyOf(ev.Client)
	*it = item{ev: *ev, k: k, h: k.hash(w.cfg.Seed), timing: t, closed: closed}
	a.list[a.n] = it
	if a.n++; a.n == aheadMost {
		a.flush(w)
	}
}

// flush observes what was gathered.
func (a *ahead) flush(w *worker) {
	w.together(a.list[:a.n])
	a.n = 0
}

// together observes requests, at most aheadMost of them.
func (w *worker) together(list []*item) {
	w.fetch(list)
	for _, it := range list {
		if it.closed > w.closed {
			w.closeTo(it.closed)
		}
		w.observe(&it.ev, it.k, it.h, it.timing)
	}
}

// toucher is a container of clients' items.
type toucher interface {
	// touch reads a client's item if it has one, and returns anything.
	touch(shard int, slot Slot) byte
}

// fetch reads what observing the requests is going to read, in three rounds: in each, no
// read waits for another of it, so that the processor has them under way together.
func (w *worker) fetch(list []*item) {
	read := uint64(0)
	for _, it := range list {
		if sh := w.shards[it.h>>56]; sh != nil {
			read += sh.table.entries[it.h&sh.table.mask]
		}
	}
	var slots [aheadMost]Slot
	var known [aheadMost]bool
	for i, it := range list {
		if sh := w.shards[it.h>>56]; sh != nil {
			if slots[i], known[i] = sh.table.find(it.h, it.k, sh.clients); known[i] {
				read += uint64(sh.clients[slots[i]].packs)
			}
		}
	}
	for i, it := range list {
		if !known[i] {
			continue
		}
		sh := w.shards[it.h>>56]
		if p := sh.clients[slots[i]].packs; p != 0 {
			x := &sh.packs.all[p-1]
			read += uint64(x.n) + uint64(x.list[0].Sec)
		}
		for _, t := range w.touch {
			read += uint64(t.touch(sh.number, slots[i]))
		}
	}
	w.read = read
}

// foresee reads what the looks among the wakes are going to read, as fetch does for
// requests.
func (sh *shard) foresee(list []wake) {
	var first [aheadMost]uint32
	read := uint64(0)
	for i, w := range list {
		if w.rule == wakeHeld {
			first[i] = sh.clients[w.slot].packs
		}
	}
	for range packsAhead {
		for i, p := range first[:len(list)] {
			if p != 0 {
				x := &sh.packs.all[p-1]
				read += x.list[0].Object
				first[i] = x.next
			}
		}
	}
	for _, t := range sh.w.digested {
		for _, w := range list {
			if w.rule == wakeHeld {
				read += uint64(t.touch(sh.number, w.slot))
			}
		}
	}
	sh.w.read = read
}

// packsAhead is how many packs of a client foresee reads: HeldMost requests fill them.
const packsAhead = (HeldMost + 2) / 3
