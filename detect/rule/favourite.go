package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// favourite finds the route that makes up most of what one client asks for in a clock hour:
// the space-saving sketch of Metwally et al. 2005 with three counters, so that a route with
// more than a third of the requests is surely among them, and is counted from below.
// Requests come by second and route, which makes it the same in any order of arrival.
type favourite struct {
	list [3]counted
	tick int64 // first of the latest ten seconds with a request
}

// counted is a route's count. A counter that passes to another route keeps its number,
// and over says how much of it may be the one's before.
type counted struct{ route, n, over, tick uint32 }

// A client is told of to the route and the whole from so many requests of an hour on, if
// they are that share of all it sends: people who use an application ask for several things.
const (
	hitLeast = 16
	hitShare = 0.75
)

func (f *favourite) add(x *detect.Request) {
	if at := int64(x.Sec) - int64(x.Sec)%detect.HeldTick; f.tick != at {
		f.tick = at
		for i := range f.list {
			f.list[i].tick = 0
		}
	}
	if x.Flags&detect.RequestProven != 0 || x.Route == 0 {
		return // a real crawler, or what is no route of the API
	}
	least := 0
	for i := range f.list {
		c := &f.list[i]
		if c.route == x.Route {
			c.n++
			c.tick++
			return
		}
		if c.n < f.list[least].n {
			least = i
		}
	}
	c := &f.list[least]
	*c = counted{route: x.Route, n: c.n + 1, over: c.n, tick: 1}
}

// top is the route with the most requests, counted from below.
func (f *favourite) top() *counted {
	best := &f.list[0]
	for i := range f.list {
		if c := &f.list[i]; c.n-c.over > best.n-best.over {
			best = c
		}
	}
	return best
}

// near reports whether detect.HeldMost requests more could be worth telling, where all of
// the hour are given.
func (f *favourite) near(all int64) bool {
	c := f.top()
	n := int64(c.n-c.over) + detect.HeldMost
	return n >= hitLeast && float64(n) >= hitShare*float64(all+detect.HeldMost)
}

// hit is what there is to tell of the ten seconds that end with sec.
func (f *favourite) hit(all, sec int64) (detect.Hit, bool) {
	c := f.top()
	n := int64(c.n - c.over)
	if f.tick+detect.HeldTick-1 != sec || c.tick == 0 || n < hitLeast || float64(n) < hitShare*float64(all) {
		return detect.Hit{}, false
	}
	return detect.Hit{At: sec, Route: c.route, N: n, Tick: int64(c.tick)}, true
}

func (f *favourite) code(k *window.Codec) {
	for i := range f.list {
		c := &f.list[i]
		for _, p := range []*uint32{&c.route, &c.n, &c.over, &c.tick} {
			k.U32(p)
		}
	}
	k.I64(&f.tick)
}
