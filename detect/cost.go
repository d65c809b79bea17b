package detect

import (
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
)

// Which batches are timed: one in costEvery, the first of them soon. A timed batch takes
// some tenths longer, so what all lines pay for it is less than a thousandth.
const (
	costEvery = 512
	costFirst = 8
)

// costMost is the most that one call counts for, in nanoseconds: a longer one was most
// likely put aside by the machine, and would be held against whichever detector it hit.
const costMost = 100_000

// Costs adds up what detectors take, in batches that are timed: what they do for events of
// clients, and, where level two is in the same process, for wider subjects. Other batches
// do not pay: while one is timed, the lists of detectors are exchanged for ones that take
// the time. It may serve several engines, and be read from any goroutine.
type Costs struct {
	clock func() int64

	mu    sync.Mutex
	rules map[string]*ruleCost

	seen  atomic.Int64 // lines, timed or not
	lines [2]atomic.Int64
}

// ruleCost is nanoseconds, at level one and two.
type ruleCost [2]atomic.Int64

// NewCosts makes one that reads a clock in nanoseconds, whose zero does not matter.
func NewCosts(clock func() int64) *Costs { return &Costs{clock: clock, rules: map[string]*ruleCost{}} }

// of is the cost of a rule.
func (c *Costs) of(rule string) *ruleCost {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rules[rule] == nil {
		c.rules[rule] = &ruleCost{}
	}
	return c.rules[rule]
}

// Lines is how many lines were timed.
func (c *Costs) Lines() int64 { return c.lines[0].Load() }

// PerLine is what each detector takes of a line, in nanoseconds on average over the lines
// that were timed; nil before the first.
func (c *Costs) PerLine() map[string]float64 {
	var lines [2]int64
	for i := range lines {
		lines[i] = c.lines[i].Load()
	}
	if lines[0] == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]float64, len(c.rules))
	for name, r := range c.rules {
		for i, n := range lines {
			if n > 0 {
				out[name] += float64(r[i].Load()) / float64(n)
			}
		}
	}
	return out
}

// pace is what reading the clock twice takes, which is no part of what lies between.
func (c *Costs) pace() int64 {
	const tries = 32
	start := c.clock()
	for range tries {
		c.clock()
	}
	return (c.clock() - start) / (tries + 1)
}

// meter times the detectors of one worker, or of one kind of subject at level two. It
// belongs to whoever the worker belongs to.
type meter struct {
	costs   *Costs
	tier    int
	worker  *worker
	level   *level // nil at level one
	wide    *wide  // level two, which is timed along by the first worker; nil for others
	batches int
	on      bool
	pace    int64
	watches []*stopwatch
	other   roster // what is in the worker's and the level's place, timed or not
}

// roster is all lists by which detectors are called.
type roster struct {
	live      []Rule
	digesters []Digester
	loaders   []Loader
	users     []User
	lapsers   []Lapser
	hitters   []Hitter
}

// newMeter makes a meter; nil where nothing is timed.
func newMeter(c *Costs, tier int, w *worker, l *level) *meter {
	if c == nil {
		return nil
	}
	return &meter{costs: c, tier: tier, worker: w, level: l}
}

// begin stands before a batch of a worker.
func (m *meter) begin() {
	if m == nil || m.worker.live == nil { // it has no client yet
		return
	}
	if m.batches++; m.batches%costEvery != costFirst {
		return
	}
	m.on = true
	m.turn()
	if m.wide != nil {
		m.wide.turn(m.costs)
	}
}

// end stands behind a batch with how many of its lines were the worker's.
func (m *meter) end(lines int) {
	if m == nil {
		return
	}
	m.costs.seen.Add(int64(lines))
	if !m.on {
		return
	}
	m.on = false
	m.turn()
	m.costs.lines[0].Add(int64(lines))
	if m.wide != nil {
		m.wide.turn(m.costs)
	}
}

// turn begins or ends the timing of level two.
func (w *wide) turn(c *Costs) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.levels[ByClient+1:] {
		l.meter.turn()
	}
	if w.timed = !w.timed; w.timed {
		w.since = c.seen.Load()
	} else {
		c.lines[1].Add(c.seen.Load() - w.since)
	}
}

// turn exchanges the lists; when that ends the timing it adds up what was taken.
func (m *meter) turn() {
	if m.watches == nil {
		m.arm()
	}
	w, o := m.worker, &m.other
	w.live, o.live = o.live, w.live
	w.digesters, o.digesters = o.digesters, w.digesters
	if l := m.level; l != nil {
		l.loaders, o.loaders = o.loaders, l.loaders
		l.users, o.users = o.users, l.users
		l.lapsers, o.lapsers = o.lapsers, l.lapsers
		l.hitters, o.hitters = o.hitters, l.hitters
	}
	if m.pace == 0 {
		m.pace = m.costs.pace()
	}
	for _, s := range m.watches {
		s.sum[m.tier].Add(max(0, s.nanos-s.calls*m.pace))
		s.nanos, s.calls = 0, 0
	}
}

// arm makes the lists that take the time, as newWorker and newLevel make the others.
func (m *meter) arm() {
	for i, r := range m.worker.live {
		s := &stopwatch{Rule: r, clock: m.costs.clock, sum: m.costs.of(m.worker.rules[i].Name)}
		m.watches, m.other.live = append(m.watches, s), append(m.other.live, s)
		if _, ok := r.(Digester); ok {
			m.other.digesters = append(m.other.digesters, s)
		}
		if _, ok := r.(Loader); ok {
			m.other.loaders = append(m.other.loaders, s)
		}
		if _, ok := r.(User); ok {
			m.other.users = append(m.other.users, s)
		}
		if _, ok := r.(Lapser); ok {
			m.other.lapsers = append(m.other.lapsers, s)
		}
		if _, ok := r.(Hitter); ok && m.worker.rules[i].Spec.Concern&Hits != 0 {
			m.other.hitters = append(m.other.hitters, s)
		}
	}
}

// stopwatch is a detector whose calls are timed. It stands in those lists only that the
// detector stands in, so it is asked for nothing that the detector has not.
type stopwatch struct {
	Rule
	clock        func() int64
	sum          *ruleCost
	nanos, calls int64
}

func (s *stopwatch) stop(start int64) {
	s.nanos += min(s.clock()-start, costMost)
	s.calls++
}

// Observe implements Rule.
func (s *stopwatch) Observe(ev *ingest.Event, slot Slot) {
	start := s.clock()
	s.Rule.Observe(ev, slot)
	s.stop(start)
}

// Close implements Rule.
func (s *stopwatch) Close(slot Slot, sec int64) {
	start := s.clock()
	s.Rule.Close(slot, sec)
	s.stop(start)
}

// Digest implements Digester.
func (s *stopwatch) Digest(list []Request, slot Slot, upto int64) bool {
	start := s.clock()
	near := s.Rule.(Digester).Digest(list, slot, upto)
	s.stop(start)
	return near
}

// Load implements Loader.
func (s *stopwatch) Load(l *Load, slot Slot) {
	start := s.clock()
	s.Rule.(Loader).Load(l, slot)
	s.stop(start)
}

// Use implements User.
func (s *stopwatch) Use(u *Use, slot Slot) {
	start := s.clock()
	s.Rule.(User).Use(u, slot)
	s.stop(start)
}

// Lapse implements Lapser.
func (s *stopwatch) Lapse(l *Lapse, slot Slot) {
	start := s.clock()
	s.Rule.(Lapser).Lapse(l, slot)
	s.stop(start)
}

// Hit implements Hitter.
func (s *stopwatch) Hit(h *Hit, slot Slot) {
	start := s.clock()
	s.Rule.(Hitter).Hit(h, slot)
	s.stop(start)
}
