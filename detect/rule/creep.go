package rule

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// creep finds a fleet that comes to a route so slowly that what is learned by the hour
// follows it. It keeps the lonely newcomers of the last hours, and holds how many there are
// against what the time before those hours explains: by their share of all newcomers of
// the route, and by the clock.
type creep struct {
	minute  int64       // the last that was taken in
	first   int64       // tick, the first of those that are kept
	list    []arriver   // lonely, by second
	company []tickCount // of the others, how many in a tick
	usual   []arrivals  // of earlier ticks: lonely ones by key, a sum that fades
	sums    [creepSums]float64
	taught  int64 // earlier ticks, ever
	judged  int64 // tick in which it was judged last
	alarm   int64 // minute up to which a verdict of medium holds
}

// arriver is a lonely newcomer.
type arriver struct {
	who  who
	sec  uint32
	n    uint32
	keys [swarmKeys - 1]uint64
}

// tickCount is a count of a tick.
type tickCount struct{ tick, n int64 }

// The sums that fade, over creepFade ticks.
const (
	creepTicks  = iota // how many ticks they are of
	creepLonely        // lonely newcomers in them
	creepOthers        // the others
	creepSums
)

const (
	creepTick  = 600  // seconds
	creepLag   = 36   // ticks that are too new to teach what is usual: who grows slowly must not
	creepFade  = 144  // a day
	creepKnown = 12   // ticks from which it is known what is usual: two hours, eight after the route's first
	creepOwn   = 144  // the same for a route that most ask for alone: only the clock tells what is usual there
	creepMost  = 2048 // lonely ones that are kept of a route; beyond them the oldest tick makes room
	creepLeast = 40   // lonely ones that may be a fleet
	creepSpan  = 9    // ticks that must have too many: no advertisement lasts for an hour and a half
	creepStill = 6    // latest ticks, in which too many must still come
)

// take takes in the newcomers of the minutes up to one, of whom it shows by now who is
// lonely. alarm says that what is going on must not become usual.
func (c *creep) take(all map[netip.Addr]newcomer, minute int64, alarm bool) {
	var now []newcomer
	for _, x := range all {
		if m := x.sec / 60; m > c.minute && m <= minute {
			now = append(now, x)
		}
	}
	c.minute = minute
	c.pass(minute/(creepTick/60), alarm)
	if len(now) == 0 {
		return
	}
	slices.SortFunc(now, func(a, b newcomer) int { return cmp.Or(cmp.Compare(a.sec, b.sec), a.client.Compare(b.client)) })
	if c.first == 0 {
		c.first = now[0].sec / creepTick
	}
	for i := range now {
		c.add(&now[i], alarm)
	}
}

func (c *creep) add(x *newcomer, alarm bool) {
	tick := x.sec / creepTick
	if x.more || x.in {
		if n := len(c.company); n == 0 || c.company[n-1].tick < tick {
			c.company = append(c.company, tickCount{tick: tick})
		}
		c.company[len(c.company)-1].n++
		return
	}
	for len(c.list) >= creepMost && c.first < tick {
		c.retire(alarm)
	}
	if len(c.list) < creepMost {
		a := arriver{who: whoOf(x.client), sec: uint32(x.sec), n: uint32(x.n)}
		copy(a.keys[:], x.keys[1:])
		c.list = append(c.list, a)
	}
}

// pass lets ticks that are old enough teach what is usual.
func (c *creep) pass(tick int64, alarm bool) {
	if tick-c.first > 8*creepFade { // nobody came for a week: none of it is usual any more
		*c = creep{minute: c.minute, judged: c.judged}
	}
	for c.first != 0 && c.first < tick-creepLag {
		c.retire(alarm)
	}
}

// retire lets the first tick teach what is usual: during an alarm hardly more than that.
func (c *creep) retire(alarm bool) {
	n, others, seen := 0, int64(0), map[uint64]float64{}
	for n < len(c.list) && int64(c.list[n].sec)/creepTick <= c.first {
		for _, k := range c.list[n].keys {
			seen[k]++
		}
		n++
	}
	if len(c.company) > 0 && c.company[0].tick <= c.first {
		others = c.company[0].n
		c.company = c.company[:copy(c.company, c.company[1:])]
	}
	part := 1.0
	if most := 1.02 * c.expected(c.sums[creepLonely]+0.5, others, 1); alarm && float64(n) > most {
		part = most / float64(n)
	}
	c.list = c.list[:copy(c.list, c.list[n:])]
	c.fade()
	c.sums[creepTicks]++
	c.sums[creepLonely] += part * float64(n)
	c.sums[creepOthers] += float64(others)
	c.learn(seen, part)
	c.first++
	c.taught++
}

func (c *creep) fade() {
	const keep = 1 - 1.0/creepFade
	for i := range c.sums {
		c.sums[i] *= keep
	}
	for i := range c.usual {
		c.usual[i].rate *= keep
	}
}

func (c *creep) learn(seen map[uint64]float64, part float64) {
	if len(seen) == 0 {
		return
	}
	for i := range c.usual {
		c.usual[i].rate += part * seen[c.usual[i].key]
		delete(seen, c.usual[i].key)
	}
	for k, n := range seen {
		c.usual = append(c.usual, arrivals{k, part * n})
	}
	c.usual = mostUsual(c.usual)
}

// sum is what faded of the lonely ones with a key.
func (c *creep) sum(key uint64) float64 { return rateOf(c.usual, key) }

// expected is how many come in so many ticks, of those of whom sum came before, while
// others come in company.
func (c *creep) expected(sum float64, others, ticks int64) float64 {
	return max(sum/(c.sums[creepOthers]+1)*float64(others), sum/max(c.sums[creepTicks], 1)*float64(ticks))
}

// judge weighs what is kept when the tick begins.
func (c *creep) judge(tick int64, cfg *crowdedLimits) (v verdict) {
	n := float64(len(c.list))
	if n < creepLeast || c.taught < creepKnown || c.sums[creepLonely] > 2*c.sums[creepOthers] && c.taught < creepOwn {
		return v
	}
	_, usual := c.since(c.first, tick)
	lately, then := c.since(tick-creepStill, tick)
	if n < cfg.Factor*usual || n < usual+6*math.Sqrt(usual) || c.span(cfg.Factor*usual/float64(tick-c.first)) < creepSpan || lately < max(creepStill, cfg.Factor*then) {
		return v
	}
	v = verdict{fires: true, severity: detect.Low, confidence: surer(0.5, 0.6, n/usual, 20)}
	v.why = fmt.Sprintf("%d clients came within %d minutes, a few at a time, and asked for nothing else in their first minute: %.1f times what is usual",
		len(c.list), (tick-c.first)*creepTick/60, n/usual)
	if n >= cfg.Extreme*usual {
		v.severity, v.confidence = detect.Medium, surer(0.7, 0.9, n/usual/cfg.Extreme, 4)
	}
	return v
}

// since counts the lonely ones who came from a tick to another, and how many would anyway.
func (c *creep) since(from, to int64) (n, usual float64) {
	for i := len(c.list) - 1; i >= 0 && int64(c.list[i].sec)/creepTick >= from; i-- {
		n++
	}
	return n, c.expected(c.sums[creepLonely]+0.5, c.others(from), to-from)
}

// others counts those who came in company from a tick on.
func (c *creep) others(from int64) (n int64) {
	for _, t := range c.company {
		if t.tick >= from {
			n += t.n
		}
	}
	return n
}

// span counts the ticks that have more than so many.
func (c *creep) span(more float64) (ticks int) {
	for i := 0; i < len(c.list); {
		n, tick := i, int64(c.list[i].sec)/creepTick
		for n < len(c.list) && int64(c.list[n].sec)/creepTick == tick {
			n++
		}
		if float64(n-i) >= more {
			ticks++
		}
		i = n
	}
	return ticks
}

// members ranks those who are kept, as swarm.members does.
func (c *creep) members(tick int64) []detect.Member {
	n, seen, agents := float64(len(c.list)), map[uint64]float64{}, map[uint64]bool{}
	for i := range c.list {
		agents[c.list[i].keys[0]] = true
		for _, k := range c.list[i].keys {
			seen[k]++
		}
	}
	others := c.others(c.first)
	_, usual := c.since(c.first, tick)
	rest, restUsual := n, usual
	for _, k := range slices.Sorted(maps.Keys(agents)) { // in order: the sum is rounded
		if x := seen[k]; x >= swarmGroup {
			rest, restUsual = rest-x, restUsual-c.expected(c.sum(k)+0.5*x/n, others, tick-c.first)
		}
	}
	alone := 1 - max(0.5, restUsual)/max(rest, 1)
	list := make([]detect.Member, 0, len(c.list))
	for i := range c.list {
		a := &c.list[i]
		m := detect.Member{Subject: a.who.subject(), Score: alone, Count: int64(a.n)}
		for j, k := range a.keys {
			x := seen[k]
			if x < swarmGroup {
				continue
			}
			score := 1 - c.expected(c.sum(k)+0.5*x/n, others, tick-c.first)/x
			if j == 0 { // the agent alone may speak against it, too
				m.Score = score
			}
			m.Score = max(m.Score, score)
		}
		m.Score = max(0, m.Score)
		list = append(list, m)
	}
	return pure(list, swarmPurity)
}

// creeps takes the minute before the one that ends with sec in, and looks at the route once
// in a tick.
func (r *crowded) creeps(s *crowd, slot detect.Slot, sec int64) {
	c := &s.creep
	minute := sec/60 - 1
	c.take(s.who, minute, c.alarm >= minute)
	tick := minute / (creepTick / 60)
	if c.judged == tick {
		return
	}
	c.judged = tick
	v := c.judge(tick, &r.cfg)
	if !v.fires {
		return
	}
	if v.severity >= detect.Medium {
		c.alarm = minute + 2*creepTick/60
	}
	n := int64(0)
	for i := range c.list {
		n += int64(c.list[i].n)
	}
	s.total = max(s.total, n)
	r.report(s, slot, sec, v, max(c.first*creepTick, sec-detect.FindingWindow), nil)
}

func (c *creep) code(k *window.Codec) {
	for _, p := range []*int64{&c.minute, &c.first, &c.taught, &c.judged, &c.alarm} {
		k.I64(p)
	}
	n := k.Len(len(c.list))
	if k.Reading() {
		c.list = make([]arriver, n)
	}
	for i := range c.list {
		a := &c.list[i]
		a.who.code(k)
		k.U32(&a.sec)
		k.U32(&a.n)
		for j := range a.keys {
			k.U64(&a.keys[j])
		}
	}
	if n = k.Len(len(c.company)); k.Reading() {
		c.company = make([]tickCount, n)
	}
	for i := range c.company {
		k.I64(&c.company[i].tick)
		k.I64(&c.company[i].n)
	}
	codeArrivals(k, &c.usual)
	for i := range c.sums {
		k.F64(&c.sums[i])
	}
}
