package rule

import (
	"math"
	"slices"

	"github.com/portcullis/portcullis/detect"
)

// What a crowd needs to name a class: so many requests of ordinary times must be known, one of
// each bucket, and nine in ten of the newcomers who have the agent must be lonely and beyond
// the usual. People who use an application ask for several things.
const (
	kindsLeast  = 100
	kindsMost   = 4096 // from there on, old ones fade
	kindsLonely = 0.9
)

// kind is by what agents of ordinary requests are counted: as much as lines of evidence keep.
func kind(agent string) uint64 { return hashOf(agent[:min(len(agent), detect.AgentBytes)]) }

// acquaint learns with which agents ordinary requests come, from the lines that were picked.
// A bucket counts when it is about to be forgotten, two minutes later, so that one in which a
// flood began is known as that.
func (s *crowd) acquaint(sec int64) {
	for i := range s.buckets {
		b := &s.buckets[i]
		switch {
		case b.at+detect.LoadSeconds-1 == sec && b.pick.Time != 0:
			b.agent = kind(b.pick.Agent)
		case b.at < sec-loadKept*detect.LoadSeconds && b.agent != 0 && (s.alarm == 0 || sec/60-s.alarm > hitPause):
			s.kinds.add(b.agent, 1)
		}
	}
	if s.kinds.all > kindsMost {
		s.kinds.fade(0.5)
	}
}

// suspects are the classes of those who came between from and to and asked for nothing else:
// agents that hardly any ordinary request had. Who else has such an agent is counted by the
// ordinary requests of a day, one more than were seen, and each of those that were seen as
// another person's.
func (s *crowd) suspects(route string, from, to int64) []detect.Suspects {
	if s.kinds.all < kindsLeast {
		return nil
	}
	clients, others, all := map[uint64]int64{}, map[uint64]int64{}, 0
	keys := map[uint64][]uint64{} // of an agent, which comes with several fingerprints
	for _, x := range s.who {
		if x.sec < from || x.sec > to {
			continue
		}
		if x.more || x.in {
			others[x.agent]++
			continue
		}
		clients[x.agent]++
		all++
		keys[x.agent] = append(keys[x.agent], x.keys[1]^anybody)
	}
	median, _ := s.norm.Expected(to / 60)
	requests := median * float64(day) / 60
	var list []detect.Suspects
	for _, n := range s.names {
		c, k := clients[n.hash], kind(n.name)
		if c < suspectClients || float64(c) < suspectShare*float64(all) || s.kinds.familiar(k) ||
			float64(c)-s.comes(keys[n.hash], to-from+1) < kindsLonely*float64(c+others[n.hash]) {
			continue
		}
		most := s.kinds.most(k)
		list = append(list, detect.Suspects{Class: detect.Class{Route: route, Agent: n.name}, Clients: c, Standing: detect.Standing{
			Successes: int64(math.Ceil(requests * (most + 1) / (s.kinds.all + 1))),
			People:    others[n.hash] + int64(math.Ceil(requests*most/s.kinds.all)),
		}})
	}
	return list
}

// comes is how many newcomers with any of the keys, which may repeat, come in so many seconds.
// Sums are the same in one order only.
func (s *swarm) comes(keys []uint64, secs int64) (n float64) {
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		n += s.expected(k, secs)
	}
	return n
}

// prune forgets the agents that nobody has who is remembered.
func (s *swarm) prune() {
	if len(s.names) == 0 {
		return
	}
	used := make(map[uint64]bool, len(s.who))
	for _, x := range s.who {
		used[x.agent] = true
	}
	s.names = s.names.only(used)
}
