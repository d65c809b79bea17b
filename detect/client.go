package detect

import (
	"math"
	"math/bits"

	"github.com/portcullis/portcullis/detect/window"
)

// client is what the engine itself keeps of one client: 120 bytes.
type client struct {
	key      key
	seen     uint32    // last second, relative to the engine's epoch of 1970 (wraps in 2106)
	since    uint32    // first second
	minute   [2]uint32 // the two minutes that may still grow, by number
	good     [2]uint32 // requests answered below 400 in them
	people   [2]uint64 // who made them: a bitmap of hashed consumers and agents
	day      uint32    // number of the half day that goodBy[day%3] counts
	goodBy   [3]uint32
	peopleBy [3]uint64
	packs    uint32 // number + 1 of the newest requests that wait
	due      uint32 // the latest ten seconds after which a look at them was asked for
	dues     uint32 // a bit for them and each before: whether it was
	fresh    uint32 // requests since
	newest   uint32 // the latest ten seconds of those
	suspects uint8  // how many detectors hold state for it
	heat     uint8  // odd requests, saturating; 255 with a finding
	flags    uint8
}

const (
	flagLive    = 1 << iota // the slot is in use
	flagWatched             // the enforcer wants to see its requests
	flagNear                // a Digester could soon make a finding
)

const halfDay = 12 * 60 // in minutes

// praise counts a request that was answered well. who is the place of its user or
// agent in the bitmap. granule is the width of a "minute", at least twice the late bound.
func (c *client) praise(sec int64, granule int64, who uint64) {
	m := uint32(sec / granule)
	bit := uint64(1) << (who & 63)
	for i := range c.minute {
		if c.minute[i] == m {
			c.good[i]++
			c.people[i] |= bit
			return
		}
	}
	i := 0
	if c.minute[1] < c.minute[0] {
		i = 1
	}
	if c.minute[i] > m { // older than both: the late bound was broken
		return
	}
	c.fold(i, granule)
	c.minute[i], c.good[i], c.people[i] = m, 1, bit
}

// fold moves a minute that can grow no more into its half day.
func (c *client) fold(i int, granule int64) {
	if c.good[i] == 0 {
		return
	}
	day := uint32(int64(c.minute[i]) * granule / 60 / halfDay)
	for c.day < day {
		if day-c.day > 3 {
			c.day = day - 3
		}
		c.day++
		c.goodBy[c.day%3], c.peopleBy[c.day%3] = 0, 0
	}
	if c.day-day < 3 {
		c.goodBy[day%3] += c.good[i]
		c.peopleBy[day%3] |= c.people[i]
	}
}

// weight says how much a client is worth keeping: those who churn addresses with
// an odd request each cannot push out one who made many.
func (c *client) weight() int { return int(c.heat) + int(c.suspects) }

// standing is what was known for good in the minutes that were complete when the
// first event of sec could come. Later minutes are left out even if some of
// their events are in, so that it does not depend on arrival order.
func (c *client) standing(sec, late, granule int64) Standing {
	now := uint32((sec - late) / granule)
	today := uint32(sec / 60 / halfDay)
	s := Standing{Since: int64(c.since) * 1e9}
	var people uint64
	for d := c.day; d+3 > c.day && d+2 >= today; d-- {
		s.Successes += int64(c.goodBy[d%3])
		people |= c.peopleBy[d%3]
		if d == 0 {
			break
		}
	}
	for i, m := range c.minute {
		if m < now && c.good[i] > 0 && int64(m)*granule/60/halfDay+2 >= int64(today) {
			s.Successes += int64(c.good[i])
			people |= c.people[i]
		}
	}
	s.People = estimate(people)
	return s
}

// The bitmap of people has agentBits places for agents, which a client writes as
// it likes, and the rest for users, whom the gateway has authenticated. Agents
// count for agentBits people at most: nobody can pretend to be a crowd.
const (
	agentBits = 8
	userBits  = 64 - agentBits
)

func agentBit(hash uint64) uint64 { return hash % agentBits }
func userBit(hash uint64) uint64  { return agentBits + hash%userBits }

// estimate turns the bitmap into a number of people by linear counting (Whang et
// al. 1990): users are good to about 100 and end at 225.
func estimate(bitmap uint64) int64 {
	agents := linear(bitmap&(1<<agentBits-1), agentBits)
	return min(agents, agentBits) + linear(bitmap>>agentBits, userBits)
}

func linear(bitmap uint64, places int) int64 {
	zeros := max(places-bits.OnesCount64(bitmap), 1)
	if zeros == places {
		return 0
	}
	return int64(math.Round(-float64(places) * math.Log(float64(zeros)/float64(places))))
}

func (c *client) code(k *window.Codec) {
	k.U64(&c.key.hi)
	k.U64(&c.key.lo)
	k.U32(&c.seen)
	k.U32(&c.since)
	for i := range c.minute {
		k.U32(&c.minute[i])
		k.U32(&c.good[i])
		k.U64(&c.people[i])
	}
	k.U32(&c.day)
	for i := range c.goodBy {
		k.U32(&c.goodBy[i])
		k.U64(&c.peopleBy[i])
	}
	k.U8(&c.flags)
	k.U8(&c.heat)
}
