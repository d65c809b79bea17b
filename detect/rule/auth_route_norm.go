package rule

import (
	"math"

	"github.com/portcullis/portcullis/detect/window"
)

// norm is what is ordinary at a route: how many clients are refused, and how many of
// those never get in, for each login that works. Measured by the logins that work it
// follows the hours of the day, weekends and crowds that a campaign brings, without
// having seen a week.
type norm struct {
	accepted float64          // logins that worked, fading
	refused  float64          // clients that were refused
	luckless [classes]float64 // of those, who never got in, by class
	agents   agentShares      // of logins that worked
	clients  window.Seen      // who got in within a week or two
	networks window.Seen      // where from, within a day or two
	done     int64            // learned up to this second
}

const (
	normSpan  = 600   // seconds that are learned at once
	normFade  = 0.999 // each: half is forgotten in five days
	normPrior = 200   // logins that the prior weighs as much as

	priorRefused  = 0.15 // clients refused for each login that works, before anything is learned
	priorLuckless = 0.02 // of unknown clients that never get in
	mostRefused   = 0.5  // what is learned never exceeds these: an attack from the first day must not become the norm
	mostLuckless  = 0.15

	clientBits  = 1 << 20
	networkBits = 1 << 18
)

// classes sort unknown, luckless clients by what they did: 1, 2, up to 5 and more
// refusals, with an agent that people here log in with or another, from a network that
// people here log in from or another, served anything before or not: people come through
// pages, many a tool goes straight for the door.
const (
	tryClasses = 4
	classes    = 8 * tryClasses
)

// classPrior is how those of them that are people divide by their refusals, four in five
// with a familiar agent, three in five from a familiar network, three in four served before.
var classPrior = [tryClasses]float64{0.6, 0.25, 0.12, 0.03}

func priorOf(class int) float64 {
	p := classPrior[class%tryClasses] * priorLuckless
	if class/tryClasses&1 == 0 {
		p *= 0.8
	} else {
		p *= 0.2
	}
	if class/tryClasses&2 == 0 {
		p *= 0.6
	} else {
		p *= 0.4
	}
	if class/tryClasses&4 == 0 {
		return p * 0.25
	}
	return p * 0.75
}

func (b *norm) class(m *member) int {
	c := 0
	switch {
	case m.refused >= 6:
		c = 3
	case m.refused >= 3:
		c = 2
	case m.refused == 2:
		c = 1
	}
	if !b.agents.familiar(m.agent) {
		c += tryClasses
	}
	if !b.networks.Has(int64(m.last), m.who.network(), day) {
		c += 2 * tryClasses
	}
	if m.good > 0 {
		c += 4 * tryClasses
	}
	return c
}

// welcome takes in who got in. Who asked for an account that exists did not: that makes
// nobody known.
func (b *norm) welcome(sec int64, a *attempt) {
	if !a.asks {
		b.clients.Add(sec, a.who.hash(), clientBits, week)
	}
	b.networks.Add(sec, a.who.network(), networkBits, day)
	b.agents.add(a.agent, float64(a.accepted))
}

// learn takes in the clients that were refused last in (from, to], and how many logins
// worked then.
func (b *norm) learn(list []member, from, to int64, accepted float64) {
	b.accepted = b.accepted*normFade + accepted
	b.refused *= normFade
	for i := range b.luckless {
		b.luckless[i] *= normFade
	}
	b.agents.fade(normFade)
	for i := range list {
		m := &list[i]
		if last := int64(m.last); last <= from || last > to || m.known {
			continue
		}
		b.refused++
		if m.luckless() {
			b.luckless[b.class(m)]++
		}
	}
}

// refusedFor is how many clients are refused, ordinarily, while so many logins work.
func (b *norm) refusedFor(accepted float64) float64 {
	return accepted * min(mostRefused, (b.refused+priorRefused*normPrior)/(b.accepted+normPrior))
}

// lucklessFor is how many of a class never get in.
func (b *norm) lucklessFor(class int, accepted float64) float64 {
	return accepted * min(mostLuckless, (b.luckless[class]+priorOf(class)*normPrior)/(b.accepted+normPrior))
}

func (b *norm) allLucklessFor(accepted float64) float64 {
	sum := 0.0
	for c := range classes {
		sum += b.lucklessFor(c, accepted)
	}
	return min(sum, mostLuckless*accepted)
}

// beyond is how many clients are more than chance makes of an expected number. Clients
// come in crowds: the spread is taken as twice that of a Poisson distribution.
func beyond(expected, factor, sigmas float64) float64 {
	return max(factor*expected, expected+2*sigmas*math.Sqrt(expected+1))
}

func (b *norm) code(k *window.Codec) {
	k.F64(&b.accepted)
	k.F64(&b.refused)
	for i := range b.luckless {
		k.F64(&b.luckless[i])
	}
	b.agents.code(k)
	b.clients.Code(k)
	b.networks.Code(k)
	k.I64(&b.done)
}
