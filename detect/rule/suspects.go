package rule

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// agentNames are the user agents of those who were refused, by hash: members keep the hash
// only. Those that would not make a class are left out, and at most limit are kept, by their
// hash, so that the order in which they come changes nothing. What is left out costs a
// class, not a member.
type agentNames []agentName

type agentName struct {
	hash uint64
	name string
}

const (
	namesPerSecond = 32
	namesPerRoute  = 256
)

// add takes an agent in; redact is what findings do to it.
func (l *agentNames) add(agent string, limit int, redact func(string) string) {
	h := hashOf(agent)
	i, known := l.find(h)
	if known || i >= limit || !detect.ClassAgent(agent) || redact(agent) != agent {
		return
	}
	l.insert(i, agentName{h, strings.Clone(agent)}, limit)
}

// named is an agent to be kept with its hash, or "" where it would make no class.
func (l *agentNames) named(hash uint64, agent string, redact func(string) string) string {
	if i, known := l.find(hash); known {
		return (*l)[i].name
	}
	if !detect.ClassAgent(agent) || redact(agent) != agent {
		return ""
	}
	return strings.Clone(agent)
}

// keep takes in what named gave.
func (l *agentNames) keep(hash uint64, name string, limit int) {
	if i, known := l.find(hash); !known && name != "" && i < limit {
		l.insert(i, agentName{hash, name}, limit)
	}
}

func (l *agentNames) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(*l, hash, func(n agentName, h uint64) int { return cmp.Compare(n.hash, h) })
}

func (l *agentNames) insert(i int, n agentName, limit int) {
	*l = slices.Insert(*l, i, n)
	*l = (*l)[:min(len(*l), limit)]
}

func (l *agentNames) merge(o agentNames, limit int) {
	for _, n := range o {
		l.keep(n.hash, n.name, limit)
	}
}

func (l *agentNames) code(k *window.Codec) {
	n := k.Len(len(*l))
	if k.Reading() {
		*l = make(agentNames, n)
	}
	for i := range *l {
		k.U64(&(*l)[i].hash)
		k.String(&(*l)[i].name)
	}
}

const (
	suspectClients = 10   // of a fleet, that a class holds at least
	suspectShare   = 0.05 // of the fleet, at least
	suspectLogins  = 50   // that must have worked before it can be said what ordinary clients lack
)

// suspects are the classes of the fleet that came since: agents which hardly any login that
// worked had. Who else has such an agent is counted by those logins of the days before, each
// as if it were another person's: more than there are, rather than fewer.
func (f *fleet) suspects(route string, from int64) []detect.Suspects {
	if f.norm.agents.all < suspectLogins {
		return nil
	}
	clients, all := map[uint64]int64{}, 0
	for i := range f.clients.list {
		if m := &f.clients.list[i]; int64(m.last) >= from && m.luckless() && !m.known {
			clients[m.agent]++
			all++
		}
	}
	var list []detect.Suspects
	for _, n := range f.names {
		if c := clients[n.hash]; c >= suspectClients && float64(c) >= suspectShare*float64(all) && !f.norm.agents.familiar(n.hash) {
			ordinary := f.norm.ordinary(n.hash)
			list = append(list, detect.Suspects{Class: detect.Class{Route: route, Agent: n.name}, Clients: c,
				Standing: detect.Standing{Successes: ordinary, People: ordinary}})
		}
	}
	return list
}

// ordinary is how many logins with an agent worked within a day, at most: those of five
// days, faded, and as many as the rarest one kept where the agents are too many to tell.
func (b *norm) ordinary(agent uint64) int64 {
	return int64(math.Ceil(b.agents.most(agent) / dayFaded))
}

// dayFaded is what is left of a login after a day: normFade to the power of the spans in it.
var dayFaded = math.Pow(normFade, float64(day/normSpan))

// prune forgets the agents that no client who is remembered has.
func (f *fleet) prune() {
	if len(f.names) == 0 {
		return
	}
	used := make(map[uint64]bool, len(f.names))
	for i := range f.clients.list {
		used[f.clients.list[i].agent] = true
	}
	f.names = f.names.only(used)
}

// only leaves those that are used.
func (l agentNames) only(used map[uint64]bool) agentNames {
	return slices.DeleteFunc(l, func(n agentName) bool { return !used[n.hash] })
}
