package window

import (
	"math"
	"math/bits"
)

// Crowd estimates how many distinct clients, or anything that has a hash, were seen: a
// HyperLogLog (Flajolet et al. 2007) of 128 registers, good to 9 % (one standard error).
// Merging and adding commute. The zero value is empty; it is comparable.
type Crowd struct{ reg [crowdRegisters]uint8 }

const (
	crowdBits      = 7
	crowdRegisters = 1 << crowdBits
)

// Add takes in the hash of one of them.
func (c *Crowd) Add(hash uint64) {
	hash *= 0x9e3779b97f4a7c15 // the upper bits of a hash decide shards: those here are others
	hash ^= hash >> 29
	hash *= 0xbf58476d1ce4e5b9
	rank := uint8(bits.LeadingZeros64(hash<<crowdBits|1<<(crowdBits-1))) + 1
	if r := &c.reg[hash>>(64-crowdBits)]; *r < rank {
		*r = rank
	}
}

// Merge takes in another.
func (c *Crowd) Merge(d *Crowd) {
	for i, r := range d.reg {
		c.reg[i] = max(c.reg[i], r)
	}
}

// Estimate is the number of distinct ones. Few are counted by the registers that are
// still empty, which is exact to about one in a hundred below 40.
func (c *Crowd) Estimate() int64 {
	sum, empty := 0.0, 0
	for _, r := range c.reg {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	const m = crowdRegisters
	raw := 0.7213 / (1 + 1.079/m) * m * m / sum
	if raw <= 2.5*m && empty > 0 {
		raw = m * math.Log(m/float64(empty))
	}
	return int64(math.Round(raw))
}

// Code saves or restores it; an empty one takes one byte, and one that holds few
// only what they set.
func (c *Crowd) Code(k *Codec) {
	n := 0
	for _, r := range c.reg {
		if r != 0 {
			n++
		}
	}
	n = k.Len(n)
	if k.Reading() {
		*c = Crowd{}
		for ; n > 0 && k.Err() == nil; n-- {
			var at, r uint8
			k.U8(&at)
			k.U8(&r)
			if at >= crowdRegisters || r == 0 || r > 64-crowdBits+1 || c.reg[at] != 0 {
				k.Fail()
				return
			}
			c.reg[at] = r
		}
		return
	}
	for i, r := range c.reg {
		if r != 0 {
			at := uint8(i)
			k.U8(&at)
			k.U8(&r)
		}
	}
}
