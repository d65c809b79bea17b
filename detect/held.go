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
	// Digest takes in requests of one client, ordered by second. All up to the second upto
	// are in, and those of earlier calls were before these. It reports whether the client is
	// near to a finding: whether HeldMost more requests could make one. Of a client that is
	// near, and of one that has sent so many, Close is called for the last second of each
	// ten in which it sent any; of another it need not be. Requests up to a second are
	// always digested when Close is called for it.
	Digest(list []Request, slot Slot, upto int64) (near bool)
}

// HeldMost is how many requests of a client wait at most while it is not near to a
// finding; requests of seconds that are not closed wait in any case.
const HeldMost = 8

// heldTick is how many seconds of requests are digested at once.
const heldTick = 10

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

// take appends the requests of a client to a list, and frees its packs.
func (p *packs) take(first uint32, list []Request) []Request {
	for first != 0 {
		x := &p.all[first-1]
		list = append(list, x.list[:x.n]...)
		first, x.next, p.free = x.next, p.free, first
	}
	return list
}

// hold keeps a request of a client for its Digesters.
func (sh *shard) hold(s Slot, r *Request) {
	c := &sh.clients[s]
	c.packs = sh.packs.push(c.packs, r)
	c.held++
	switch {
	case c.flags&flagNear != 0 || c.held > HeldMost:
		sh.attend(s, r)
	case c.held == HeldMost:
		sh.digest(s, sh.w.closed)
	}
}

// attend asks for a look when the ten seconds of a request are over.
func (sh *shard) attend(s Slot, r *Request) {
	if tick := r.Sec / heldTick; !sh.clients[s].asks(tick) {
		sh.wake(int64(tick+1)*heldTick-1, wake{s, wakeHeld})
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

// digest hands what is held of a client up to a second to the Digesters. What is left
// is looked at when its seconds are over, if there is much of it or the client is near.
func (sh *shard) digest(s Slot, upto int64) {
	c := &sh.clients[s]
	if c.held == 0 {
		return
	}
	list := sh.packs.take(c.packs, sh.w.held[:0])
	slices.SortFunc(list, func(a, b Request) int { return cmp.Compare(a.Sec, b.Sec) })
	n := len(list)
	for n > 0 && int64(list[n-1].Sec) > upto {
		n--
	}
	c.packs, c.held = 0, uint32(len(list)-n)
	for i := range list[n:] {
		c.packs = sh.packs.push(c.packs, &list[n+i])
	}
	sh.w.held = list[:0]
	if n > 0 {
		near := false
		for _, d := range sh.digesters {
			near = d.Digest(list[:n], s, upto) || near
		}
		c = &sh.clients[s]
		c.flags &^= flagNear
		if near {
			c.flags |= flagNear
		}
	}
	if c.flags&flagNear != 0 || c.held >= HeldMost {
		for i := range list[n:] {
			sh.attend(s, &list[n+i])
		}
	}
}

// look digests what is held of a client up to a second, and closes it for the Digesters.
func (sh *shard) look(s Slot, sec int64) {
	sh.digest(s, sec)
	for _, d := range sh.digesters {
		d.Close(s, sec)
	}
}

// codeHeld saves or restores what is held of a client.
func (sh *shard) codeHeld(k *window.Codec, c *client) {
	k.U32(&c.due)
	k.U32(&c.dues)
	if !k.Reading() {
		list := sh.packs.list(c.packs, sh.w.held[:0])
		k.Len(len(list))
		for i := range list {
			codeRequest(k, &list[i])
		}
		sh.w.held = list[:0]
		return
	}
	c.packs, c.held = 0, 0
	for n := k.Len(0); n > 0 && k.Err() == nil; n-- {
		var r Request
		codeRequest(k, &r)
		c.packs = sh.packs.push(c.packs, &r)
		c.held++
	}
}

// list appends the requests of a client to a list.
func (p *packs) list(first uint32, list []Request) []Request {
	for first != 0 {
		x := &p.all[first-1]
		list = append(list, x.list[:x.n]...)
		first = x.next
	}
	return list
}

func codeRequest(k *window.Codec, r *Request) {
	k.U64(&r.Object)
	k.U32(&r.Sec)
	k.U32(&r.Route)
	k.U32(&r.Agent)
	k.U16(&r.Status)
	k.U16(&r.Flags)
}
