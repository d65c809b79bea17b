package rule

import (
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// load is the traffic of one route, network or the whole: the last minutes by buckets of
// detect.LoadSeconds, and the norm of its minutes.
type load struct {
	buckets []bucket // sorted by time
	folded  int64    // the last minute that the norm knows, its number
	norm    window.Norm
	mixed   window.Norm // of its share of all traffic, in parts of a million
	fails   float64     // usual share of server errors, moving average over an hour
	heads   float64     // usual clients in a minute, moving average over six hours
	alarm   int64       // the last minute with an alarm
	began   int64       // second in which the alarms began
}

// bucket is a Load without what nobody here needs.
type bucket struct {
	at      int64 // first second
	n       int64
	s5xx    int64
	clients window.Crowd
	pick    detect.Pick // of the newest buckets
	agent   uint64      // of a line of it, see kind; 0: none was picked
}

// loadShown seconds before an alarm is what lines of evidence are from at first.
const loadShown = 20

// loadKept buckets are kept: two minutes, and on top what is open.
const loadKept = 12

// add takes in a load and reports whether its bucket is new.
func (l *load) add(x *detect.Load) bool {
	i := len(l.buckets)
	for i > 0 && l.buckets[i-1].at > x.Bucket {
		i--
	}
	fresh := i == 0 || l.buckets[i-1].at != x.Bucket
	if fresh {
		l.buckets = slices.Insert(l.buckets, i, bucket{at: x.Bucket})
		i++
	}
	b := &l.buckets[i-1]
	b.n += x.Requests
	b.s5xx += x.S5xx
	b.clients.Merge(&x.Clients)
	b.pick.Merge(&x.Pick)
	return fresh
}

// minute adds up the buckets of the minute that ends with sec.
func (l *load) minute(sec int64) (n, s5xx int64) {
	for i := len(l.buckets) - 1; i >= 0; i-- {
		if b := &l.buckets[i]; b.at+detect.LoadSeconds-1 <= sec && b.at > sec-60 {
			n += b.n
			s5xx += b.s5xx
		}
	}
	return n, s5xx
}

// crowd estimates the distinct clients of the minute that ends with sec.
func (l *load) crowd(sec int64) int64 {
	var c window.Crowd
	for i := range l.buckets {
		if b := &l.buckets[i]; b.at+detect.LoadSeconds-1 <= sec && b.at > sec-60 {
			c.Merge(&b.clients)
		}
	}
	return c.Estimate()
}

// forget drops what no later second needs.
func (l *load) forget(sec int64) {
	n := 0
	for n < len(l.buckets) && l.buckets[n].at < sec-loadKept*detect.LoadSeconds {
		n++
	}
	if n > 0 {
		l.buckets = slices.Delete(l.buckets, 0, n)
	}
	for i := 0; i < len(l.buckets) && l.buckets[i].at <= sec-loadShown; i++ {
		l.buckets[i].pick = detect.Pick{}
	}
}

// learn takes the minute that ends with sec into the norm. all is all traffic in it; alarm
// says that it must not teach more, though its own alarm does not.
func (l *load) learn(sec, all int64, risk float64, alarm bool) {
	minute := sec / 60
	if minute <= l.folded {
		return
	}
	n, s5xx := l.minute(sec)
	count, share := float64(n), portion(n, all)
	if alarm || l.alarm == minute {
		count, share = l.norm.Cap(minute, count), l.mixed.Cap(minute, share)
	} else {
		l.heads += (float64(l.crowd(sec)) - l.heads) / min(window.NormMinutes, float64(l.norm.Minutes+1))
		if n > 0 {
			l.fails += (float64(s5xx)/float64(n) - l.fails) / min(60, float64(l.norm.Minutes+1))
		}
	}
	l.norm.Learn(minute, count, risk)
	l.mixed.Learn(minute, share, risk)
	l.folded = minute
}

// portion is the odds of a route against all others, in parts of a million: it stays the
// same when traffic as a whole rises.
func portion(n, all int64) float64 {
	return float64(n) * 1e6 / float64(max(1, all-n))
}

func (l *load) code(k *window.Codec) {
	n := k.Len(len(l.buckets))
	if k.Reading() {
		l.buckets = make([]bucket, n)
	}
	for i := range l.buckets {
		b := &l.buckets[i]
		k.I64(&b.at)
		k.I64(&b.n)
		k.I64(&b.s5xx)
		b.clients.Code(k)
		b.pick.Code(k)
		k.U64(&b.agent)
	}
	for _, p := range []*int64{&l.folded, &l.alarm, &l.began} {
		k.I64(p)
	}
	l.norm.Code(k)
	l.mixed.Code(k)
	k.F64(&l.fails)
	k.F64(&l.heads)
}
