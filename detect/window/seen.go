package window

// Seen remembers hashes for a while in fixed room: two Bloom filters, of the present
// span of time and the one before. It never forgets what was added within a span, and
// takes a few for seen that were not: with one added for every 20 bits, one in a hundred.
// It is filled in order of time. The zero value is empty and takes no room.
type Seen struct {
	span int64 // number of the present span
	now  []uint64
	old  []uint64
}

// Add takes in a hash. bits is the size of each filter, a power of two from 64; width
// is the length of a span in seconds.
func (s *Seen) Add(sec int64, hash uint64, bits int, width int64) {
	s.turn(sec / width)
	if len(s.now) != bits/64 {
		s.now = make([]uint64, bits/64)
	}
	a, b := places(hash, bits)
	s.now[a>>6] |= 1 << (a & 63)
	s.now[b>>6] |= 1 << (b & 63)
}

func (s *Seen) turn(span int64) {
	switch {
	case span <= s.span:
		return
	case span == s.span+1:
		s.old, s.now = s.now, nil
	default:
		s.old, s.now = nil, nil
	}
	s.span = span
}

// Has reports whether a hash was added in the span that sec is in or the one before.
func (s *Seen) Has(sec int64, hash uint64, width int64) bool {
	switch sec / width {
	case s.span:
		return has(s.now, hash) || has(s.old, hash)
	case s.span + 1:
		return has(s.now, hash)
	}
	return false
}

func has(filter []uint64, hash uint64) bool {
	if len(filter) == 0 {
		return false
	}
	a, b := places(hash, len(filter)*64)
	return filter[a>>6]>>(a&63)&1 != 0 && filter[b>>6]>>(b&63)&1 != 0
}

func places(hash uint64, bits int) (a, b uint64) {
	hash *= 0x9e3779b97f4a7c15
	hash ^= hash >> 32
	return hash & uint64(bits-1), hash * 0xd6e8feb86659fd93 >> 32 & uint64(bits-1)
}

// Code saves or restores.
func (s *Seen) Code(k *Codec) {
	k.I64(&s.span)
	for _, f := range []*[]uint64{&s.now, &s.old} {
		n := k.Len(len(*f))
		if k.Reading() {
			*f = make([]uint64, n)
			if n&(n-1) != 0 {
				*f = nil
				k.Fail()
				return
			}
		}
		for i := range *f {
			k.U64(&(*f)[i])
		}
	}
}
