package detect

import "github.com/portcullis/portcullis/detect/window"

// Shards is the number of virtual shards. A client belongs to one for good, so
// workers, partitions and processes can change without losing a count.
const Shards = 256

// shard is the state of the clients of one virtual shard.
type shard struct {
	w        *worker
	number   int
	table    table
	clients  []client
	free     []Slot
	hand     int // where the eviction last looked
	agenda   agenda
	findings findings
	touched  bool             // since the last snapshot
	now      int64            // the second that is being closed
	names    *Sparse[Subject] // of what is wider; nil where slots are clients
	packs    packs
	dozing   []bool // by slot: an idle wake is on the agenda, perhaps from an earlier client
}

func newShard(w *worker, number int) *shard {
	return &shard{w: w, number: number, table: newTable(64), agenda: newAgenda(), findings: newFindings(w.emit, w.id)}
}

// slot finds or makes the slot of a client and notes when it was seen.
func (sh *shard) slot(k key, h uint64, sec int64) Slot {
	s, known := sh.table.find(h, k, sh.clients)
	if known {
		if c := &sh.clients[s]; uint32(sec) > c.seen {
			c.seen = uint32(sec)
		} else if uint32(sec) < c.since {
			c.since = uint32(sec)
		}
		return s
	}
	if len(sh.clients)-len(sh.free) >= sh.w.perShard {
		sh.evict()
	}
	if n := len(sh.free); n > 0 {
		s, sh.free = sh.free[n-1], sh.free[:n-1]
	} else {
		s = Slot(len(sh.clients))
		sh.clients = append(sh.clients, client{})
	}
	sh.clients[s] = client{key: k, seen: uint32(sec), since: uint32(sec), flags: flagLive}
	sh.table.insert(h, s, sh.clients, sh.w.cfg.Seed)
	sh.doze(s, sec+sh.w.cfg.IdleSeconds)
	if sh.w.watch.covers(k) {
		sh.clients[s].flags |= flagWatched
	}
	return s
}

// drop forgets a client in all containers.
func (sh *shard) drop(s Slot) {
	c := &sh.clients[s]
	for h := int64(-2); h <= 1; h++ {
		sh.settle(s, WindowOf(int64(c.seen)+h*FindingWindow))
	}
	sh.table.remove(c.key.hash(sh.w.cfg.Seed), s)
	for _, e := range sh.w.envs {
		for _, st := range e.state {
			st.drop(s)
		}
	}
	if sh.names != nil {
		sh.names.drop(s)
	}
	sh.packs.release(c.packs)
	*c = client{}
	sh.free = append(sh.free, s)
}

// evict forgets the least suspicious of the next few clients in turn, the one
// seen longest ago among equals: churning addresses cannot push out a suspect.
func (sh *shard) evict() {
	best := -1
	for i := 0; i < 32; i++ {
		sh.hand = (sh.hand + 1) % len(sh.clients)
		c := &sh.clients[sh.hand]
		if c.flags&flagLive == 0 {
			continue
		}
		if best < 0 {
			best = sh.hand
			continue
		}
		b := &sh.clients[best]
		if c.weight() < b.weight() || c.weight() == b.weight() && c.seen < b.seen {
			best = sh.hand
		}
	}
	if best >= 0 {
		sh.w.evicted++
		sh.drop(Slot(best))
	}
}

func (sh *shard) wake(sec int64, w wake) {
	sh.agenda.add(sec, w)
	if n := &sh.w.next[sh.number]; sec < *n {
		*n = sec
	}
}

// close evaluates every second up to and including sec that has something due.
func (sh *shard) close(sec int64) {
	sh.w.sh = sh
	for sh.agenda.next() <= sec {
		at, list := sh.agenda.take()
		sh.touched, sh.now = true, at
		for i, w := range list {
			if i%aheadMost == 0 {
				sh.foresee(list[i:min(i+aheadMost, len(list))])
			}
			switch w.rule {
			case wakeIdle:
				sh.idle(w.slot, at)
			case wakeSettle:
				sh.settle(w.slot, WindowOf(at-FindingWindow-sh.w.cfg.LateSeconds))
			case wakeHeld:
				sh.look(w.slot, at)
			default:
				if sh.w.digester[w.rule] {
					sh.digest(w.slot, at)
				}
				sh.w.live[w.rule].Close(w.slot, at)
			}
		}
		sh.agenda.done(list)
	}
}

// settle closes the findings of a slot whose window starts at start.
func (sh *shard) settle(s Slot, start int64) {
	for i := range sh.w.envs {
		sh.findings.settle(windowKey{uint8(i), s, start})
	}
}

// doze asks once for a look at whether the client of a slot is still there. The
// wake outlives the client, so that churn cannot fill the agenda.
func (sh *shard) doze(s Slot, at int64) {
	for int(s) >= len(sh.dozing) {
		sh.dozing = append(sh.dozing, false)
	}
	if !sh.dozing[s] {
		sh.dozing[s] = true
		sh.wake(at, wake{s, wakeIdle})
	}
}

func (sh *shard) idle(s Slot, at int64) {
	sh.dozing[s] = false
	c := &sh.clients[s]
	if c.flags&flagLive == 0 {
		return
	}
	due := int64(c.seen) + sh.w.cfg.IdleSeconds
	if due <= at && sh.heldBy(c) > 0 {
		due = at + FindingWindow
	}
	if due > at {
		sh.doze(s, due)
		return
	}
	sh.drop(s)
}

// heldBy is how many detectors hold state for a subject. They let go of it themselves:
// when it was last seen depends, at level two, on how far one worker is ahead of another.
func (sh *shard) heldBy(c *client) int {
	if sh.names != nil {
		return int(c.suspects) - 1 // its name is kept like a detector's state
	}
	return int(c.suspects)
}

// FindingWindow is the width of a finding's window in seconds: a rule that goes
// on firing for a subject gives one finding an hour.
const FindingWindow = 3600

// WindowOf returns the start of the window of a second, in Unix nanoseconds.
func WindowOf(sec int64) int64 { return (sec - sec%FindingWindow) * 1e9 }

func (sh *shard) report(e *Env, slot Slot, f Finding, early bool) {
	f.Rule, f.Version, f.Family = e.name, e.spec.Version, e.spec.Family
	f.Subject = sh.subject(slot)
	f.Updated = sh.now * 1e9
	k := windowKey{e.rule, slot, f.Window}
	if _, known := sh.findings.open[k]; !known {
		sh.wake(f.Window/1e9+FindingWindow+sh.w.cfg.LateSeconds, wake{slot, wakeSettle})
	}
	sh.touched = true
	sh.clients[slot].heat = 255
	sh.findings.put(k, f, early)
}

func (sh *shard) subject(slot Slot) Subject {
	if sh.names == nil {
		return sh.clients[slot].key.subject()
	}
	return *sh.names.At(slot)
}

// code saves or restores the shard. names are the rules in the order in which
// they were saved.
func (sh *shard) code(k *window.Codec, names []string) {
	sh.w.sh = sh
	rename := renamer(names, sh.w.envs)
	n := k.Len(len(sh.clients))
	if k.Reading() {
		sh.clients = make([]client, n)
		sh.table = newTable(n * 2)
		sh.free = sh.free[:0]
	}
	for i := range sh.clients {
		c := &sh.clients[i]
		c.code(k)
		sh.codeHeld(k, c)
		if !k.Reading() {
			continue
		}
		if c.flags &^= flagWatched; c.flags&flagLive == 0 {
			sh.free = append(sh.free, Slot(i))
			continue
		}
		sh.table.insert(c.key.hash(sh.w.cfg.Seed), Slot(i), sh.clients, sh.w.cfg.Seed)
	}
	if sh.names != nil {
		sh.names.code(k, len(sh.clients))
	}
	for i, name := range names {
		k.Block(func(k *window.Codec) { sh.codeRule(k, i) }, func(k *window.Codec) {
			for j, e := range sh.w.envs {
				if e.name == name {
					sh.codeRule(k, j)
				}
			}
		})
	}
	sh.agenda.code(k, len(sh.clients), rename)
	if k.Reading() {
		sh.dozing = make([]bool, len(sh.clients))
		sh.agenda.each(func(_ int64, list []wake) {
			for _, w := range list {
				sh.dozing[w.slot] = sh.dozing[w.slot] || w.rule == wakeIdle
			}
		})
	}
	sh.findings.code(k, rename)
}

// codeRule saves or restores the containers of one rule, unless their shape changed.
func (sh *shard) codeRule(k *window.Codec, i int) {
	e := sh.w.envs[i]
	shape := e.shape
	saved := shape
	k.String(&saved)
	if saved != shape {
		return
	}
	for _, st := range e.state {
		st.code(k, len(sh.clients))
	}
	k.Done()
}

func renamer(names []string, envs []*Env) func(uint8) (uint8, bool) {
	return func(r uint8) (uint8, bool) {
		if r >= wakeHeld {
			return r, true
		}
		if int(r) < len(names) {
			for i, e := range envs {
				if e.name == names[r] {
					return uint8(i), true
				}
			}
		}
		return 0, false
	}
}
