package window

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// BlocksLimit bounds the blocks kept in Blocks.
const BlocksLimit = 32

// BlockIDs is how many neighbouring ids share a block.
const BlockIDs = 16

// Blocks tells a walk through neighbouring numbers from visits here and there. Ids fall
// into blocks of BlockIDs; the blocks with the smallest hashes are kept, each with the
// ids that were seen and how often. A block that is kept in the end was kept all the
// time, so adding commutes. The zero value is empty; a block takes eight bytes.
type Blocks struct {
	list []block // sorted by hash
}

type block struct {
	hash uint32
	seen uint16 // a bit for each id
	hits uint16 // saturates
}

// Add takes in one request for an id and reports whether that id is new here.
func (b *Blocks) Add(id uint64) bool {
	h := mix32(id / BlockIDs)
	i := b.place(h)
	if i == len(b.list) || b.list[i].hash != h {
		if len(b.list) == BlocksLimit {
			if i == BlocksLimit {
				return false
			}
			b.list = b.list[:BlocksLimit-1]
		}
		b.list = slices.Insert(b.list, i, block{hash: h})
	}
	x := &b.list[i]
	bit := uint16(1) << (id % BlockIDs)
	fresh := x.seen&bit == 0
	x.seen |= bit
	if x.hits < 1<<16-1 {
		x.hits++
	}
	return fresh
}

// place is where a hash is, or would be. The halves are chosen without a jump, which would
// be guessed wrong every other time.
func (b *Blocks) place(h uint32) int {
	at, n := 0, len(b.list)
	for n > 1 {
		half := n / 2
		if b.list[at+half-1].hash < h {
			at += half
		}
		n -= half
	}
	if n == 1 && b.list[at].hash < h {
		at++
	}
	return at
}

// Walked is about how many ids lie in blocks that were walked through: nearly all of a
// block's ids were seen, or every second or third and no other, each not more often than
// most times on average. It is exact up to BlocksLimit blocks.
func (b *Blocks) Walked(most float64) int64 {
	ids := 0
	for _, x := range b.list {
		if n := bits.OnesCount16(x.seen); float64(x.hits) <= most*float64(n) && walked(x.seen, n) {
			ids += n
		}
	}
	return b.scale(ids)
}

// walked reports whether the n ids of a block are those of a walk.
func walked(seen uint16, n int) bool {
	if n >= blockFull {
		return true
	}
	if n < 4 {
		return false
	}
	first := bits.TrailingZeros16(seen)
	step := bits.TrailingZeros16(seen>>(first+1)) + 1
	if step < 2 || step > 3 || n < BlockIDs/step-1 {
		return false
	}
	var even uint16
	for i := range n {
		even |= 1 << (first + i*step)
	}
	return seen == even
}

// blockFull is how many ids of a block are nearly all: chance visits that are so dense
// have asked for each more than twice.
const blockFull = 13

// Could is what Walked could be at most after so many more requests: those that complete
// blocks count, and with them what the blocks have. It is doubled where the blocks that
// are kept may change.
func (b *Blocks) Could(most float64, more int) int64 {
	var room [BlocksLimit]gain
	ids, list, _ := b.gains(most, more, room[:0])
	slices.SortFunc(list, func(a, b gain) int { return cmp.Compare(b.ids*a.cost, a.ids*b.cost) })
	left := float64(more)
	for _, g := range list {
		share := min(1, left/g.cost)
		ids += int(math.Ceil(g.ids * share))
		left -= g.cost * share
	}
	return b.doubled(ids, more)
}

// Reaches tells whether Could is so many at least, mostly without sorting what may be
// gained: no request gains more than at the best rate of all.
func (b *Blocks) Reaches(want int64, most float64, more int) bool {
	var room [BlocksLimit]gain
	ids, _, best := b.gains(most, more, room[:0])
	if b.doubled(ids+int(best*float64(more))+2, more) < want { // a share is rounded up, and so is a product
		return false
	}
	return b.Could(most, more) >= want
}

// gain is a block that more requests may complete: the ids that it has, and how many
// requests that takes.
type gain struct{ ids, cost float64 }

// gains appends the blocks that so many more requests may complete. It returns them, the
// ids of those requests and of what is complete, and the most ids that a request gains.
func (b *Blocks) gains(most float64, more int, list []gain) (ids int, _ []gain, best float64) {
	ids = more
	for _, x := range b.list {
		n := bits.OnesCount16(x.seen)
		fair := math.Ceil((float64(x.hits) - most*float64(n)) / (most - 1)) // new ids until the mean is
		if fair > float64(more) {
			continue
		}
		if fair <= 0 && walked(x.seen, n) {
			ids += n
			continue
		}
		cost := float64(blockFull - n)
		for step := 2; step <= 3; step++ {
			if on := strides[step-2] << (bits.TrailingZeros16(x.seen) % step); x.seen&^on == 0 {
				cost = min(cost, float64(BlockIDs/step-1-n))
			}
		}
		if cost = max(cost, fair, 1); cost <= float64(more) {
			list = append(list, gain{float64(n), cost})
			best = max(best, float64(n)/cost)
		}
	}
	return ids, list, best
}

// doubled is a number of ids as that of all blocks, and twice that where more requests
// may change which are kept.
func (b *Blocks) doubled(ids, more int) int64 {
	if len(b.list)+more >= BlocksLimit {
		return 2 * b.scale(ids)
	}
	return int64(ids)
}

// strides are every second and every third id of a block.
var strides = [...]uint16{0x5555, 0x9249}

// Distinct is about how many different ids were seen.
func (b *Blocks) Distinct() int64 {
	ids := 0
	for _, x := range b.list {
		ids += bits.OnesCount16(x.seen)
	}
	return b.scale(ids)
}

// Hits is about how many requests there were.
func (b *Blocks) Hits() int64 {
	n := 0
	for _, x := range b.list {
		n += int(x.hits)
	}
	return b.scale(n)
}

// scale goes from the blocks that are kept to all of them.
func (b *Blocks) scale(n int) int64 {
	if len(b.list) < BlocksLimit {
		return int64(n)
	}
	blocks := float64(BlocksLimit-1) * (1 << 32) / (float64(b.list[BlocksLimit-1].hash) + 1)
	return int64(float64(n) * blocks / BlocksLimit)
}

// Code saves or restores.
func (b *Blocks) Code(k *Codec) {
	n := k.Len(len(b.list))
	if k.Reading() {
		if n > BlocksLimit {
			k.Fail()
			return
		}
		b.list = make([]block, n)
	}
	for i := range b.list {
		x := &b.list[i]
		k.U32(&x.hash)
		k.U16(&x.seen)
		k.U16(&x.hits)
	}
}
