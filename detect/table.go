package detect

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// key is what clients are told apart by: an IPv4 address, or the /64 of an
// IPv6 address, since one subscriber has a whole /64 to rotate through.
type key struct{ hi, lo uint64 }

const v4Mark = 0xffff << 32

func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{lo: v4Mark | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if hi == 0 && lo>>32 == 0xffff { // IPv4-mapped
		return key{lo: lo}
	}
	return key{hi: hi}
}

func (k key) prefix() netip.Prefix {
	if k.lo>>32 == 0xffff {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.lo))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

func (k key) subject() Subject {
	p := k.prefix()
	if p.Addr().Is4() {
		return Subject{Kind: "ip", Value: p.Addr().String()}
	}
	return Subject{Kind: "cidr", Value: p.String()}
}

// ClientOf is the address that stands for the client of an address: itself, or the first
// of its IPv6 /64.
func ClientOf(a netip.Addr) netip.Addr { return keyOf(a).prefix().Addr() }

// ClientSubject is the client of an address as a subject.
func ClientSubject(a netip.Addr) Subject { return keyOf(a).subject() }

// hash mixes a key with the installation's secret, so that a client cannot
// choose addresses that collide.
func (k key) hash(seed uint64) uint64 {
	hi, lo := bits.Mul64(k.hi^seed^0x9e3779b97f4a7c15, k.lo^bits.RotateLeft64(seed, 32)^0xd6e8feb86659fd93)
	h := hi ^ lo ^ k.hi
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

// table finds the slot of a key: open addressing with linear probing, eight
// bytes an entry (slot + 1 and the upper half of the hash).
type table struct {
	entries []uint64
	mask    uint64
	used    int // entries that are not empty, tombstones included
	live    int
}

const tombstone = 1 << 32 // slot part 0, tag part 1

func newTable(size int) table {
	n := 64
	for n < size {
		n *= 2
	}
	return table{entries: make([]uint64, n), mask: uint64(n - 1)}
}

func tag(h uint64) uint64 { return h &^ (1<<32 - 1) }

// find returns the slot of k, given the clients that hold the keys.
func (t *table) find(h uint64, k key, clients []client) (Slot, bool) {
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		e := t.entries[i]
		if e == 0 {
			return 0, false
		}
		if e>>32 == h>>32 && uint32(e) != 0 {
			if s := Slot(uint32(e) - 1); clients[s].key == k {
				return s, true
			}
		}
	}
}

// insert adds a key that is not there.
func (t *table) insert(h uint64, s Slot, clients []client, seed uint64) {
	if (t.used+1)*4 > len(t.entries)*3 {
		t.rebuild(clients, seed)
	}
	i := h & t.mask
	for t.entries[i] != 0 {
		i = (i + 1) & t.mask
	}
	t.entries[i] = tag(h) | uint64(s+1)
	t.used++
	t.live++
}

// remove leaves a tombstone; rebuild clears them away.
func (t *table) remove(h uint64, s Slot) {
	for i := h & t.mask; t.entries[i] != 0; i = (i + 1) & t.mask {
		if uint32(t.entries[i]) == uint32(s+1) {
			t.entries[i] = tombstone
			t.live--
			return
		}
	}
}

func (t *table) rebuild(clients []client, seed uint64) {
	size := len(t.entries)
	if t.live*2 >= size {
		size *= 2
	}
	old := t.entries
	t.entries, t.mask, t.used = make([]uint64, size), uint64(size-1), 0
	for _, e := range old {
		if uint32(e) == 0 {
			continue
		}
		h := clients[uint32(e)-1].key.hash(seed)
		i := h & t.mask
		for t.entries[i] != 0 {
			i = (i + 1) & t.mask
		}
		t.entries[i] = e
		t.used++
	}
}
