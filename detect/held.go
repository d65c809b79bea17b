package detect

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

// Digester is a Rule that looks at many requests of a client at once, so that its state is
// fetched once for all of them. It declares the Concern Held.
type Digester interface {
	Rule
	// Digest takes in requests of one client, ordered by second and then by route. All up to the second upto
	// are in, and those of earlier calls were before these. It reports whether the client is
	// near to a finding: whether HeldMost more requests could make one. Of a client that is
	// near, Close is called for the last second of each ten in which it sent any; of
	// another it need not be. Requests up to a second are always digested when Close is
	// called for it.
	Digest(list []Request, slot Slot, upto int64) (near bool)
}

// HeldMost is how many requests of a client that is not near to a finding bring about a
// look at them: fewer wait, of those whose seconds are closed.
const HeldMost = 8

// HeldTick is how many seconds of requests are digested at once: the ten above.
const HeldTick = 10

// pack holds a few requests of one client, 80 bytes.
type pack struct {
	list [3]Request
	n    uint32
	next uint32 // number + 1 of the one before
}

// packs is the memory for the requests that wait in one shard.
type packs struct {
	all  []pack
	free uint32 // number + 1 of the first that is free
}

// push adds a request to the packs of a client, and returns the first of them.
func (p *packs) push(first uint32, r *Request) uint32 {
	if first != 0 {
		if x := &p.all[first-1]; int(x.n) < len(x.list) {
			x.list[x.n] = *r
			x.n++
			return first
		}
	}
	i := p.free
	if i != 0 {
		p.free = p.all[i-1].next
	} else {
		p.all = append(p.all, pack{})
		i = uint32(len(p.all))
	}
	x := &p.all[i-1]
	x.list[0], x.n, x.next = *r, 1, first
	return i
}

// list appends the requests of a client to an empty list, in the order in which they came.
func (p *packs) list(first uint32, list []Request) []Request {
	for first != 0 {
		x := &p.all[first-1]
		for i := int(x.n) - 1; i >= 0; i-- {
			list = append(list, x.list[i])
		}
		first = x.next
	}
	slices.Reverse(list)
	return list
}

// release frees the packs of a client.
func (p *packs) release(first uint32) {
	for first != 0 {
		x := &p.all[first-1]
		first, x.next, p.free = x.next, p.free, first
	}
}

// hold keeps a request of a client for its Digesters. A look is asked for when HeldMost
// of them came after the last that is looked at; whoever is near, or comes out of order
// before it, is looked at when its own ten seconds are over.
func (sh *shard) hold(s Slot, r *Request) {
	c := &sh.clients[s]
	c.packs = sh.packs.push(c.packs, r)
	tick := r.Sec / HeldTick
	if c.flags&flagNear != 0 || tick < c.due {
		sh.attend(s, tick)
		return
	}
	if tick == c.due {
		return
	}
	c.fresh++
	c.newest = max(c.newest, tick)
	if c.fresh >= HeldMost {
		sh.attend(s, c.newest)
	}
}

// attend asks for a look when ten seconds are over.
func (sh *shard) attend(s Slot, tick uint32) {
	c := &sh.clients[s]
	if tick >= c.newest {
		c.fresh = 0
	}
	if !c.asks(tick) {
		sh.wake(int64(tick+1)*HeldTick-1, wake{s, wakeHeld})
	}
}

// asks notes that a look was asked for, and reports whether it had been, as far as 32
// ticks are remembered.
func (c *client) asks(tick uint32) bool {
	switch ago := int64(c.due) - int64(tick); {
	case ago < 0:
		c.dues = c.dues<<min(-ago, 32) | 1 // a shift by 32 leaves nothing
		c.due = tick
	case ago >= 32:
	case c.dues>>ago&1 != 0:
		return true
	default:
		c.dues |= 1 << ago
	}
	return false
}

// digest hands what is held of a client up to a second to the Digesters. Of a client
// that is near then, what is left is looked at when its seconds are over.
func (sh *shard) digest(s Slot, upto int64) {
	c := &sh.clients[s]
	if c.packs == 0 {
		return
	}
	list := sh.packs.list(c.packs, sh.w.held[:0])
	sh.packs.release(c.packs)
	bySecond(list)
	n := len(list)
	for n > 0 && int64(list[n-1].Sec) > upto {
		n--
	}
	c.packs = 0
	for i := range list[n:] {
		c.packs = sh.packs.push(c.packs, &list[n+i])
	}
	sh.w.held = list[:0]
	if n == 0 {
		return
	}
	near := false
	for _, d := range sh.w.digesters {
		near = d.Digest(list[:n], s, upto) || near
	}
	c = &sh.clients[s]
	c.flags &^= flagNear
	if near {
		c.flags |= flagNear
		for _, r := range list[n:] {
			sh.attend(s, r.Sec/HeldTick)
		}
	}
}

// bySecond sorts requests by second and route. Nearly all come in that order.
func bySecond(list []Request) {
	moves := 8 * len(list) // more, and sorting anew is cheaper
	for i := 1; i < len(list); i++ {
		x := list[i]
		j, order := i, x.order()
		for ; j > 0 && order < list[j-1].order(); j-- {
			list[j] = list[j-1]
		}
		list[j] = x
		if moves -= i - j; moves < 0 {
			slices.SortFunc(list, func(a, b Request) int { return cmp.Compare(a.order(), b.order()) })
			return
		}
	}
}

// order is by second, then by route, so that who counts routes in a bounded table makes
// the same of a second however its requests came.
func (r *Request) order() uint64 { return uint64(r.Sec)<<32 | uint64(r.Route) }

// look digests what is held of a client up to a second, and closes it for the Digesters.
func (sh *shard) look(s Slot, sec int64) {
	sh.digest(s, sec)
	for _, d := range sh.w.digesters {
		d.Close(s, sec)
	}
}

// codeHeld saves or restores what is held of a client.
func (sh *shard) codeHeld(k *window.Codec, c *client) {
	for _, p := range []*uint32{&c.due, &c.dues, &c.fresh, &c.newest} {
		k.U32(p)
	}
	if !k.Reading() {
		list := sh.packs.list(c.packs, sh.w.held[:0])
		k.Len(len(list))
		for i := range list {
			codeRequest(k, &list[i])
		}
		sh.w.held = list[:0]
		return
	}
	c.packs = 0
	for n := k.Len(0); n > 0 && k.Err() == nil; n-- {
		var r Request
		codeRequest(k, &r)
		c.packs = sh.packs.push(c.packs, &r)
	}
}

func codeRequest(k *window.Codec, r *Request) {
	k.U64(&r.Object)
	k.U32(&r.Sec)
	k.U32(&r.Route)
	k.U32(&r.Agent)
	k.U16(&r.Status)
	k.U16(&r.Flags)
}
