package window

import (
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
	i, known := slices.BinarySearchFunc(b.list, h, func(x block, h uint32) int {
		switch {
		case x.hash < h:
			return -1
		case x.hash > h:
			return 1
		}
		return 0
	})
	if !known {
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

// Walked is about how many ids lie in blocks that were walked through: at least least of a
// block's ids were seen, each not more often than most times on average. It is exact up
// to BlocksLimit blocks.
func (b *Blocks) Walked(least int, most float64) int64 {
	ids := 0
	for _, x := range b.list {
		if n := bits.OnesCount16(x.seen); n >= least && float64(x.hits) <= most*float64(n) {
			ids += n
		}
	}
	return b.scale(ids)
}

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
