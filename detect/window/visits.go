package window

import "slices"

// Visits counts distinct hashed values as Mins does, and how often they came: of the
// values that it keeps it counts every visit, so that the mean is of a fair sample. It takes
// eight bytes for each of them. Adding commutes. The zero value is empty.
type Visits struct {
	list []visit // sorted by hash
}

type visit struct{ hash, n uint32 }

// Add takes in a visit to the value with that hash.
func (v *Visits) Add(hash uint64) { v.add(mix32(hash), 1) }

func (v *Visits) add(h, n uint32) {
	if len(v.list) == MinsLimit && h > v.list[MinsLimit-1].hash {
		return
	}
	i := v.place(h)
	switch {
	case i < len(v.list) && v.list[i].hash == h:
		v.list[i].n += n
	case i < MinsLimit:
		v.list = slices.Insert(v.list[:min(len(v.list), MinsLimit-1)], i, visit{h, n})
	}
}

// place is where a hash is, or would be; see Blocks.
func (v *Visits) place(h uint32) int {
	at, n := 0, len(v.list)
	for n > 1 {
		half := n / 2
		if v.list[at+half-1].hash < h {
			at += half
		}
		n -= half
	}
	if n == 1 && v.list[at].hash < h {
		at++
	}
	return at
}

// Merge takes in all of another.
func (v *Visits) Merge(o *Visits) {
	for _, x := range o.list {
		v.add(x.hash, x.n)
	}
}

// Count is how many distinct values there were, exactly below MinsLimit.
func (v *Visits) Count() int64 {
	n := len(v.list)
	if n < MinsLimit {
		return int64(n)
	}
	return int64(float64(n-1) * (1 << 32) / (float64(v.list[n-1].hash) + 1))
}

// Mean is how often a value came, on average.
func (v *Visits) Mean() float64 {
	if len(v.list) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range v.list {
		sum += float64(x.n)
	}
	return sum / float64(len(v.list))
}

// Code saves or restores.
func (v *Visits) Code(k *Codec) {
	n := k.Len(len(v.list))
	if k.Reading() {
		if n > MinsLimit {
			k.Fail()
			return
		}
		v.list = make([]visit, n)
	}
	for i := range v.list {
		k.U32(&v.list[i].hash)
		k.U32(&v.list[i].n)
	}
}
