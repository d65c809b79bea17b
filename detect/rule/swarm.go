package rule

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// swarm are the clients that are new at a route. Most people ask for more than one thing
// within their first minute; who does not is lonely. A swarm knows how many lonely ones
// come in a usual minute, with which agents and for what, and who came lately or since
// there are more than usual.
type swarm struct {
	hits   []newcomer // of seconds that are not closed
	who    map[netip.Addr]newcomer
	usual  []arrivals // sorted by key
	names  agentNames // of who came
	latest int64      // minute that usual knows, its number
	taught int64      // minutes that it knows
}

// newcomer is a client in its first minute.
type newcomer struct {
	client netip.Addr
	sec    int64 // first seen here
	n      int64
	more   bool // was seen at another route too
	in     bool // its password was right, so that it is a customer
	agent  uint64
	name   string // that agent until the second is closed, if it could make a class
	keys   [swarmKeys]uint64
}

// arrivals is how many new clients with one key come in a minute, a moving average.
type arrivals struct {
	key  uint64
	rate float64
}

// The keys by which newcomers are compared with the usual ones: all of them, those with
// the same agent, with the same agent and path, with the same network operator and agent.
const (
	swarmKeys   = 4
	swarmMost   = detect.MaxMembers
	swarmUsual  = 512
	swarmGroup  = 5     // fewer with the same key say nothing
	swarmPurity = 0.995 // of those who are listed, on average
)

// anybody marks the keys of all newcomers, lonely or not.
const anybody = 0x5bd1e995 << 20

// see takes in a request of a new client; redact is what findings do to its agent.
func (s *swarm) see(ev *ingest.Event, redact func(string) string) {
	full := hashText(ev.Agent)
	agent := full ^ hashText(ev.Print)*31
	s.hits = append(s.hits, newcomer{agent: full, name: s.names.named(full, ev.Agent, redact), client: detect.ClientOf(ev.Client), sec: ev.Time / 1e9, n: 1, in: ev.Kind == ingest.RouteLogin && ev.Status < 400, keys: [swarmKeys]uint64{
		1, agent, agent ^ hashTarget(ev.Target)*7, agent ^ uint64(ev.ASN+1)*0x9e3779b97f4a7c15}})
}

// fold takes in the hits up to sec, in an order that does not depend on how they came.
// Who came before from is forgotten.
func (s *swarm) fold(sec, from int64) {
	var now []newcomer
	kept := s.hits[:0]
	for _, h := range s.hits {
		if h.sec > sec {
			kept = append(kept, h)
			continue
		}
		now = append(now, h)
	}
	s.hits = kept
	slices.SortFunc(now, func(a, b newcomer) int {
		return cmp.Or(cmp.Compare(a.sec, b.sec), a.client.Compare(b.client), slices.Compare(a.keys[:], b.keys[:]))
	})
	if s.who == nil {
		s.who = map[netip.Addr]newcomer{}
	}
	gone := false
	for c, x := range s.who {
		if x.sec < from {
			delete(s.who, c)
			gone = true
		}
	}
	if gone {
		s.prune()
	}
	for _, h := range now {
		x, known := s.who[h.client]
		switch {
		case known:
			x.n++
			x.in = x.in || h.in
			s.who[h.client] = x
		case len(s.who) < swarmMost && h.sec >= from:
			s.names.keep(h.agent, h.name, namesPerRoute)
			h.name = ""
			s.who[h.client] = h
		}
	}
}

// meets notes that a newcomer was seen elsewhere.
func (s *swarm) meets(client netip.Addr) {
	if x := s.who[client]; !x.more {
		x.more = true
		s.who[client] = x
	}
}

// learn takes the lonely newcomers of the minute that ended a minute before sec for usual
// ones: by then it shows who is lonely.
func (s *swarm) learn(sec int64) {
	minute := sec/60 - 1
	gap := float64(min(60, max(1, minute-s.latest)))
	s.latest = minute
	s.taught++
	weight := gap / min(60, float64(s.taught)+gap-1)
	seen := map[uint64]float64{}
	for _, x := range s.who {
		if x.sec/60 != minute {
			continue
		}
		seen[1^anybody]++
		seen[x.keys[1]^anybody]++
		if !x.more {
			for _, k := range x.keys {
				seen[k]++
			}
		}
	}
	for i := range s.usual {
		a := &s.usual[i]
		a.rate += (seen[a.key]/gap - a.rate) * min(1, weight)
		delete(seen, a.key)
	}
	for k, n := range seen {
		s.usual = append(s.usual, arrivals{k, n / gap * min(1, weight)})
	}
	s.usual = mostUsual(s.usual)
}

// mostUsual keeps those that come most, by key.
func mostUsual(list []arrivals) []arrivals {
	slices.SortFunc(list, func(a, b arrivals) int { return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(a.key, b.key)) })
	list = list[:min(len(list), swarmUsual)]
	slices.SortFunc(list, func(a, b arrivals) int { return cmp.Compare(a.key, b.key) })
	return list
}

// rateOf is the rate of a key in a list by key; 0 where it is not known.
func rateOf(list []arrivals, key uint64) float64 {
	i, known := slices.BinarySearchFunc(list, key, func(a arrivals, k uint64) int { return cmp.Compare(a.key, k) })
	if !known {
		return 0
	}
	return list[i].rate
}

// expected is how many newcomers with a key come in so many seconds. Who is not known at
// all may still come: half of one.
func (s *swarm) expected(key uint64, secs int64) float64 {
	return rateOf(s.usual, key)*float64(secs)/60 + 0.5
}

// lonely counts the newcomers who came between from and to and were seen nowhere else.
func (s *swarm) lonely(from, to int64) (n, all int) {
	for _, x := range s.who {
		if x.sec < from || x.sec > to {
			continue
		}
		if all++; !x.more {
			n++
		}
	}
	return n, all
}

// excess is, by key, the share of those who came between from and to that is beyond the
// usual. What it is under the key of all is of those whose agent hardly anybody has: a fleet
// with agents of its own tells nothing against them.
func (s *swarm) excess(from, to int64) map[uint64]float64 {
	observed, agents := map[uint64]float64{}, map[uint64]bool{}
	for _, x := range s.who {
		if x.sec >= from && x.sec <= to && !x.more {
			agents[x.keys[1]] = true
			for _, k := range x.keys {
				observed[k]++
			}
		}
	}
	excess := map[uint64]float64{}
	for k, n := range observed {
		if n >= swarmGroup {
			excess[k] = max(0, 1-s.expected(k, to-from+1)/n)
		}
	}
	rest, usual := observed[1], s.expected(1, to-from+1)
	for _, k := range slices.Sorted(maps.Keys(agents)) { // in order: the sum is rounded
		if n := observed[k]; n >= swarmGroup {
			rest, usual = rest-n, usual-s.expected(k, to-from+1)+0.5
		}
	}
	excess[1] = max(0, 1-max(0.5, usual)/max(rest, 1))
	return excess
}

// members ranks the lonely ones who came between from and to, and lists them as far as they are
// pure. One's score is the share beyond the usual among those with the
// same agent and path, or the same agent and operator, whichever is surer, or else agent,
// or else all. Who came in the last half minute may still ask for more, and is not listed
// yet, nor is who logged in. odd is how many have an agent that is five times more frequent among them than among
// usual newcomers.
func (s *swarm) members(from, to int64) (list []detect.Member, odd int) {
	n := 0
	excess := s.excess(from, to)
	all, agents := excess[1], map[uint64]int{}
	for _, x := range s.who {
		if x.sec < from || x.sec > to || x.more {
			continue
		}
		m := detect.Member{Subject: detect.ClientSubject(x.client), Count: x.n, Score: all}
		agent, known := excess[x.keys[1]]
		if known {
			m.Score = max(agent, excess[x.keys[2]], excess[x.keys[3]])
		}
		agents[x.keys[1]]++
		if n++; x.sec <= to-30 && !x.in {
			list = append(list, m)
		}
	}
	for agent, same := range agents {
		usual := (s.expected(agent^anybody, 600) - 0.5) / max(s.expected(1^anybody, 600)-0.5, 1)
		if float64(same)/float64(n) >= 5*max(usual, 0.01) {
			odd += same
		}
	}
	return pure(list, swarmPurity), odd
}

// ranked puts the surest first, each once with its best score.
func ranked(list []detect.Member) []detect.Member {
	slices.SortFunc(list, func(a, b detect.Member) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Subject.Value, b.Subject.Value))
	})
	seen := make(map[detect.Subject]bool, len(list))
	list = slices.DeleteFunc(list, func(m detect.Member) bool {
		again := seen[m.Subject]
		seen[m.Subject] = true
		return again
	})
	return list
}

// pure ranks members, and leaves those out with whom they would be less pure on average.
func pure(list []detect.Member, purity float64) []detect.Member {
	list = ranked(list)
	impure := 0.0
	for i, m := range list {
		if impure += 1 - m.Score; impure > (1-purity)*float64(i+1)+0.5 {
			return list[:i]
		}
	}
	return list
}

func (s *swarm) code(k *window.Codec) {
	codeNewcomers(k, &s.hits)
	var who []newcomer
	if !k.Reading() {
		for _, x := range s.who {
			who = append(who, x)
		}
		slices.SortFunc(who, func(a, b newcomer) int { return a.client.Compare(b.client) })
	}
	codeNewcomers(k, &who)
	if k.Reading() {
		s.who = make(map[netip.Addr]newcomer, len(who))
		for _, x := range who {
			s.who[x.client] = x
		}
	}
	s.names.code(k)
	codeArrivals(k, &s.usual)
	k.I64(&s.latest)
	k.I64(&s.taught)
}

func codeArrivals(k *window.Codec, list *[]arrivals) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]arrivals, n)
	}
	for i := range *list {
		k.U64(&(*list)[i].key)
		k.F64(&(*list)[i].rate)
	}
}

func codeNewcomers(k *window.Codec, list *[]newcomer) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]newcomer, n)
	}
	for i := range *list {
		x := &(*list)[i]
		b := x.client.As16()
		text := string(b[:])
		if !x.client.IsValid() {
			text = ""
		}
		k.String(&text)
		if k.Reading() {
			x.client, _ = netip.AddrFromSlice([]byte(text))
			x.client = x.client.Unmap()
		}
		k.I64(&x.sec)
		k.I64(&x.n)
		k.U64(&x.agent)
		k.String(&x.name)
		k.Bool(&x.more)
		k.Bool(&x.in)
		for j := range x.keys {
			k.U64(&x.keys[j])
		}
	}
}
