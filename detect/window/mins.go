package window

import "slices"

// MinsLimit bounds the hashes kept in Mins.
const MinsLimit = 64

// Mins counts distinct hashed values: exactly up to MinsLimit, and beyond it by the
// smallest of them (k minimum values, Bar-Yossef et al. 2002), to 13 % (one standard
// error). It takes four bytes for each value that it keeps. Adding commutes. The zero
// value is empty.
type Mins struct {
	list []uint32 // sorted, distinct
}

// Add takes in the hash of a value and reports whether something changed.
func (m *Mins) Add(hash uint64) bool {
	h := mix32(hash)
	n := len(m.list)
	if n == MinsLimit && h >= m.list[n-1] {
		return false
	}
	i, known := slices.BinarySearch(m.list, h)
	if known {
		return false
	}
	if n == MinsLimit {
		copy(m.list[i+1:], m.list[i:n-1])
		m.list[i] = h
		return true
	}
	m.list = slices.Insert(m.list, i, h)
	return true
}

// mix32 spreads a hash whose low bits may be poor.
func mix32(h uint64) uint32 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}

// Merge takes in all of another.
func (m *Mins) Merge(o *Mins) {
	all := append(slices.Clone(m.list), o.list...)
	slices.Sort(all)
	all = slices.Compact(all)
	m.list = slices.Clip(all[:min(len(all), MinsLimit)])
	if len(m.list) == 0 {
		m.list = nil
	}
}

// Exact reports whether Count is exact.
func (m *Mins) Exact() bool { return len(m.list) < MinsLimit }

// Count is how many distinct values there were.
func (m *Mins) Count() int64 {
	n := len(m.list)
	if n < MinsLimit {
		return int64(n)
	}
	return int64(float64(n-1) * (1 << 32) / (float64(m.list[n-1]) + 1))
}

// Code saves or restores.
func (m *Mins) Code(k *Codec) {
	n := k.Len(len(m.list))
	if k.Reading() {
		if n > MinsLimit {
			k.Fail()
			return
		}
		m.list = make([]uint32, n)
	}
	for i := range m.list {
		k.U32(&m.list[i])
	}
	if k.Reading() && !slices.IsSorted(m.list) {
		k.Fail()
	}
}
