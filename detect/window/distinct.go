package window

// DistinctLimit bounds the values kept of one bucket.
const DistinctLimit = 64

// Distinct keeps the distinct values of every bucket of time with the second in
// which each was first seen: the DistinctLimit earliest of a bucket, whatever
// order they come in. The zero value is empty.
type Distinct struct {
	list []Value
}

// Value is one distinct value, by its hash.
type Value struct {
	Bucket int64 // number of the bucket
	Sec    int64 // first seen
	Hash   uint64
	Weight uint32
}

func (v *Value) less(w *Value) bool {
	if v.Sec != w.Sec {
		return v.Sec < w.Sec
	}
	return v.Hash < w.Hash
}

// Add takes a value in. width is the bucket's width in seconds. It reports
// whether something changed.
func (d *Distinct) Add(sec int64, hash uint64, weight uint32, width int64) bool {
	v := Value{Bucket: sec / width, Sec: sec, Hash: hash, Weight: weight}
	n, last := 0, -1
	for i := range d.list {
		if d.list[i].Bucket != v.Bucket {
			continue
		}
		if d.list[i].Hash == hash {
			if sec >= d.list[i].Sec {
				return false
			}
			d.list[i].Sec = sec
			return true
		}
		if n++; last < 0 || d.list[last].less(&d.list[i]) {
			last = i
		}
	}
	if n < DistinctLimit {
		d.list = append(d.list, v)
		return true
	}
	if !v.less(&d.list[last]) {
		return false
	}
	d.list[last] = v
	return true
}

// Sum counts the distinct values first seen in (from, to] and adds up their weights.
func (d *Distinct) Sum(from, to int64) (count, weight uint32) {
	var seen hashSet
	for i := range d.list {
		v := &d.list[i]
		if v.Sec <= from || v.Sec > to || !seen.add(v.Hash) {
			continue
		}
		count++
		weight += v.Weight
	}
	return count, weight
}

// hashSet is a set on the stack, with room for the values of several buckets;
// beyond that it takes all for new.
type hashSet struct {
	slots [512]uint64
	used  int
	zero  bool // 0 is in; in slots it means empty
}

// add reports whether h is new.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		was := s.zero
		s.zero = true
		return !was
	}
	for i := h * 0x9e3779b97f4a7c15 >> 55; ; i = (i + 1) % uint64(len(s.slots)) {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			if s.used < len(s.slots)*3/4 {
				s.slots[i] = h
				s.used++
			}
			return true
		}
	}
}

// Forget drops the buckets that ended at or before sec.
func (d *Distinct) Forget(sec, width int64) {
	n := 0
	for _, v := range d.list {
		if (v.Bucket+1)*width-1 > sec {
			d.list[n] = v
			n++
		}
	}
	if d.list = d.list[:n]; n == 0 {
		d.list = nil
	}
}

// Empty reports whether nothing is kept.
func (d *Distinct) Empty() bool { return len(d.list) == 0 }

// Code saves or restores.
func (d *Distinct) Code(k *Codec) {
	n := k.Len(len(d.list))
	if k.Reading() {
		d.list = make([]Value, n)
	}
	for i := range d.list {
		v := &d.list[i]
		k.I64(&v.Bucket)
		k.I64(&v.Sec)
		k.U64(&v.Hash)
		k.U32(&v.Weight)
	}
}

// Max is the greatest weight of a value first seen in (from, to].
func (d *Distinct) Max(from, to int64) uint32 {
	var w uint32
	for i := range d.list {
		if v := &d.list[i]; v.Sec > from && v.Sec <= to {
			w = max(w, v.Weight)
		}
	}
	return w
}

// First is the earliest second in which a value of (from, to] was first seen, or 0.
func (d *Distinct) First(from, to int64) int64 {
	var first int64
	for i := range d.list {
		if sec := d.list[i].Sec; sec > from && sec <= to && (first == 0 || sec < first) {
			first = sec
		}
	}
	return first
}
