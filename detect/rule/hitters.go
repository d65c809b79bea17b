package rule

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// hitters are the clients that ask for hardly anything but one route, with what they ask
// for: exact counts of few, where counts of all would be too many. It tells who makes up a
// surge, be they new or here for long.
type hitters struct {
	open   inbox[[]detect.Hit] // by the last second of ten
	who    map[netip.Addr]hitter
	rate   float64 // how many new ones come in a usual minute, a moving average over six hours
	taught int64   // minutes that it knows
	fresh  int64   // that came since the last of them
}

// hitter is one of them.
type hitter struct {
	since      int64 // second of its first request
	told, last int64 // seconds in which it was told of
	hour       int64 // the clock hour of n
	n          int64 // its requests then
	usual      int64 // the most of an hour before
	recent     [hitTicks]hitTick
}

// hitTick are the requests of ten seconds.
type hitTick struct{ at, n int64 }

const (
	hitTicks  = 6        // a minute
	hitPurity = 0.99     // of those who are listed, on average
	hitMost   = 4096     // of a route; those told of longest ago make room, at most an hour's
	hitMemory = 3 * 3600 // seconds after which one is new again
	hitFleet  = 10       // fewer are strangers to each other
	hitPause  = 10       // minutes after an alarm in which it is no pause: who reads slowly is told of late
	hitStart  = 10       // first minutes, in which all are new
	hitNew    = 600      // seconds after its first request in which one who is told of counts as new
	hitSurge  = 4        // times its usual hour from which one who is known takes part
)

// hit takes in what is told, in any order.
func (h *hitters) hit(x *detect.Hit) (fresh bool) {
	list, fresh := h.open.at(x.At)
	i, known := slices.BinarySearchFunc(*list, x, func(a detect.Hit, b *detect.Hit) int { return a.Client.Compare(b.Client) })
	switch {
	case !known:
		*list = slices.Insert(*list, i, *x)
	case x.N > (*list)[i].N: // of all traffic: the route it asks for most
		(*list)[i] = *x
	}
	return fresh
}

// fold takes in what was told up to sec.
func (h *hitters) fold(sec int64) {
	h.open.take(sec, func(at int64, list *[]detect.Hit) {
		for i := range *list {
			h.take(at, &(*list)[i])
		}
	})
}

func (h *hitters) take(at int64, x *detect.Hit) {
	c, known := h.who[x.Client]
	if !known || c.last+hitMemory <= at {
		if len(h.who) >= hitMost && !h.shrink(at) {
			return
		}
		if h.who == nil {
			h.who = map[netip.Addr]hitter{}
		}
		c = hitter{since: x.Since, told: at}
		if at-x.Since <= hitNew {
			h.fresh++
		}
	}
	if hour := at - at%3600; c.hour != hour {
		c.usual = max(c.n, c.usual*3/4)
		c.hour, c.n = hour, 0
	}
	c.last, c.n = at, max(c.n, x.N)
	copy(c.recent[1:], c.recent[:])
	c.recent[0] = hitTick{at, x.Tick}
	h.who[x.Client] = c
}

// shrink makes room, if anybody was last told of an hour ago.
func (h *hitters) shrink(at int64) bool {
	before := len(h.who)
	for a, c := range h.who {
		if c.last+hour <= at {
			delete(h.who, a)
		}
	}
	return len(h.who) < before
}

// learn takes the minute that ends with sec into what is usual, unless there is an alarm.
func (h *hitters) learn(sec int64, alarm bool) {
	if h.taught++; !alarm && h.taught > hitStart {
		h.rate += (float64(h.fresh) - h.rate) / float64(min(window.NormMinutes, h.taught-hitStart))
	}
	h.fresh = 0
	for a, c := range h.who {
		if c.last+hitMemory <= sec {
			delete(h.who, a)
		}
	}
}

// minute is what a client sent in the minute that ends with sec.
func (c *hitter) minute(sec int64) (n int64) {
	for _, t := range c.recent {
		if t.at > sec-60 && t.at <= sec {
			n += t.n
		}
	}
	return n
}

// surges reports whether a client that was here before asks for far more than it did.
func (c *hitter) surges(from int64) bool {
	return c.since < from && c.last >= from && c.usual > 0 && c.n >= hitSurge*c.usual
}

// expected is how many new ones would come anyway. Before anything is known it is as if half
// of one had come in ten minutes.
func (h *hitters) expected(from, sec int64) float64 {
	known := float64(min(window.NormMinutes, max(0, h.taught-hitStart)))
	return (h.rate*known + 0.5) / (known + hitStart) * float64(sec-from+1) / 60
}

// members are those who make a surge that began at from: who is new, as far as more are than
// usual, and who asks for many times what he did. sent is what they sent in the minute that
// ends with sec.
func (h *hitters) members(from, sec int64) (list []detect.Member, sent int64) {
	if h.taught <= hitStart {
		return nil, 0
	}
	fresh, upto := 0, from
	for _, c := range h.who {
		if c.since >= from {
			fresh, upto = fresh+1, max(upto, c.told)
		}
	}
	score := max(0, 1-h.expected(from, upto)/float64(max(1, fresh)))
	for a, c := range h.who {
		m := detect.Member{Subject: detect.ClientSubject(a), Count: c.n, Score: score}
		switch {
		case c.surges(from):
			m.Score = 1 - float64(c.usual)/float64(c.n)
		case c.since < from || score < 0.5:
			continue
		}
		list = append(list, m)
		sent += c.minute(sec)
	}
	return pure(list, hitPurity), sent
}

// few is the verdict on a surge that is no crowd's: it is told who makes more than half of
// what is beyond the usual. A job that began looks the same, so that it is never above low;
// what one client does is for other detectors.
func (r *crowded) few(s *crowd, sec int64, times float64) verdict {
	from := sec - 150 // it takes a while until one is told of
	if s.alarming(sec) {
		from = s.began - 90
	}
	list, sent := s.regular.members(from, sec)
	n, _ := s.load.minute(sec)
	usual, _ := s.norm.Expected(sec / 60)
	if len(list) < 2 || float64(2*sent) < float64(n)-usual {
		return verdict{}
	}
	return verdict{fires: true, severity: detect.Low, confidence: surer(0.5, 0.7, times, 20),
		why: fmt.Sprintf("%.1f times the requests that are usual here and now, %d %% of them by %d clients that ask for hardly anything else", times, 100*sent/max(1, n), len(list))}
}

// lasts keeps an alarm up while hitters that came with it are still at it: strangers are only
// so many while they come, and a fleet that reads on slowly is no surge in volume.
func (r *crowded) lasts(s *crowd, sec int64) verdict {
	if s.alarm == 0 || sec/60-s.alarm > hitPause || s.worst.why == "" || s.regular.active(s.began-90, sec) < hitFleet {
		return verdict{}
	}
	s.alarm = sec / 60 // so that it goes on
	v := s.worst
	v.fires = true
	return v
}

// active counts those who came since and sent something in the minute that ends with sec.
func (h *hitters) active(from, sec int64) (n int) {
	for _, c := range h.who {
		if c.since >= from && c.minute(sec) > 0 {
			n++
		}
	}
	if float64(n) < 10*h.expected(from, sec) {
		return 0
	}
	return n
}

func (h *hitters) code(k *window.Codec) {
	h.open.code(k, func(list *[]detect.Hit, k *window.Codec) {
		n := k.Len(len(*list))
		if k.Reading() {
			*list = make([]detect.Hit, n)
		}
		for i := range *list {
			(*list)[i].Code(k)
		}
	})
	who := make([]netip.Addr, 0, len(h.who))
	for a := range h.who {
		who = append(who, a)
	}
	slices.SortFunc(who, netip.Addr.Compare)
	n := k.Len(len(who))
	if k.Reading() {
		who, h.who = make([]netip.Addr, n), make(map[netip.Addr]hitter, n)
	}
	for _, a := range who {
		c := h.who[a]
		x := detect.Hit{Client: a, Since: c.since}
		x.Code(k)
		c.since = x.Since
		for _, p := range []*int64{&c.told, &c.last, &c.hour, &c.n, &c.usual} {
			k.I64(p)
		}
		for i := range c.recent {
			k.I64(&c.recent[i].at)
			k.I64(&c.recent[i].n)
		}
		h.who[x.Client] = c
	}
	k.F64(&h.rate)
	k.I64(&h.taught)
	k.I64(&h.fresh)
}
