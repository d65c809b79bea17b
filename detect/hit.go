package detect

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

// Hit is what a client that asks for hardly anything but one route did there, told for the
// ten seconds that end with At. A Rule by client finds such clients (Env.Hit); the route and
// the whole learn who makes up their traffic, exactly, without a count for every client.
type Hit struct {
	At     int64      // last second of the ten
	Client netip.Addr // of an IPv6 client its /64
	Route  uint32     // as in Request
	N      int64      // its requests for the route since the clock hour began
	Tick   int64      // of them, those of the ten seconds
	Since  int64      // second of the first request of it that is known
}

// Hitter is a Rule by route or of all traffic that wants hits. Hit adds to commutative
// state and is called before the second At closes; the same hit may come twice.
type Hitter interface {
	Hit(h *Hit, slot Slot)
}

// Hit tells wider subjects of the client in slot, when the second h.At is being closed.
func (e *Env) Hit(slot Slot, h Hit) {
	if e.w.counted.hits == nil {
		return
	}
	c := &e.w.sh.clients[slot]
	h.Client, h.Since = c.key.prefix().Addr(), int64(c.since)
	e.w.counted.hits.add(&h)
}

// hits are those of one hand-over. A client is of one worker, so that each is one worker's.
type hits map[hitKey]Hit

type hitKey struct {
	at     int64
	client netip.Addr
	route  uint32
}

func (k *hitKey) compare(o *hitKey) int {
	return cmp.Or(cmp.Compare(k.at, o.at), k.client.Compare(o.client), cmp.Compare(k.route, o.route))
}

func (m hits) add(h *Hit) { m[hitKey{h.At, h.Client, h.Route}] = *h }

// each hands all on, in an order that does not depend on the map's.
func (m hits) each(use func(*Hit)) {
	keys := make([]hitKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b hitKey) int { return a.compare(&b) })
	for _, k := range keys {
		h := m[k]
		use(&h)
	}
}

// code saves them, or adds those that were saved.
func (m hits) code(k *window.Codec) {
	n := k.Len(len(m))
	if !k.Reading() {
		m.each(func(h *Hit) { h.Code(k) })
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var h Hit
		h.Code(k)
		m.add(&h)
	}
}

// Code saves or restores it.
func (h *Hit) Code(k *window.Codec) {
	k.I64(&h.At)
	codeAddr(k, &h.Client)
	k.U32(&h.Route)
	k.I64(&h.N)
	k.I64(&h.Tick)
	k.I64(&h.Since)
}

// hit tells the rules by route, and of all traffic. What is of a route that is not known
// here any more is left out.
func (w *wide) hit(h *Hit) {
	if l := w.levels[ByRoute]; len(l.hitters) > 0 {
		if s, known := l.routed(h.Route); known {
			for _, r := range l.hitters {
				r.Hit(h, s)
			}
		}
	}
	if l := w.levels[ByGlobal]; len(l.hitters) > 0 {
		k := loadKey{by: ByGlobal}
		p := k.party()
		s := l.slot(&p, h.At)
		for _, r := range l.hitters {
			r.Hit(h, s)
		}
	}
}

// routed finds the slot of a route by its hash. The index is made of the names, and made
// again where it does not know a route: after a restart, or when one came or went.
func (l *level) routed(hash uint32) (Slot, bool) {
	if s, known := l.routes[hash]; known && int(s) < len(l.sh.clients) && l.sh.clients[s].flags&flagLive != 0 && routeHash(l.sh.subject(s).Value) == hash {
		return s, true
	}
	l.routes = map[uint32]Slot{}
	l.sh.names.Each(func(s Slot, n *Subject) { l.routes[routeHash(n.Value)] = s })
	s, known := l.routes[hash]
	return s, known
}

// routeHash is that of Request.
func routeHash(route string) uint32 { return uint32(stableHash(route) >> 16) }
