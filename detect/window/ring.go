package window

// RingCells is the number of buckets in a Ring.
const RingCells = 20

// Ring counts by bucket for a subject that every event concerns: fixed size,
// one cache line. Counts saturate at 65 535 a bucket, which keeps them
// commutative. The zero value is empty. Bucket numbers start at 1.
type Ring struct {
	newest uint32
	sum    uint32
	n      [RingCells]uint16
}

// Add counts one event in a bucket and returns its new count. Buckets older
// than the ring are ignored and return 0.
func (r *Ring) Add(bucket uint32) uint16 {
	if bucket > r.newest {
		r.advance(bucket)
	} else if r.newest-bucket >= RingCells {
		return 0
	}
	p := &r.n[bucket%RingCells]
	if *p == 1<<16-1 {
		return *p
	}
	*p++
	r.sum++
	return *p
}

func (r *Ring) advance(bucket uint32) {
	if bucket-r.newest >= RingCells {
		r.n = [RingCells]uint16{}
		r.sum, r.newest = 0, bucket
		return
	}
	for b := r.newest + 1; b <= bucket; b++ {
		r.sum -= uint32(r.n[b%RingCells])
		r.n[b%RingCells] = 0
	}
	r.newest = bucket
}

// Total is the sum of all buckets kept: an upper bound of any window.
func (r *Ring) Total() uint32 { return r.sum }

// At returns the count of one bucket.
func (r *Ring) At(bucket uint32) uint16 {
	if bucket > r.newest || r.newest-bucket >= RingCells {
		return 0
	}
	return r.n[bucket%RingCells]
}

// Sum adds up width buckets ending with bucket; first is the earliest that counts.
func (r *Ring) Sum(bucket, width uint32) (sum, first uint32) {
	for i := width; i > 0; i-- {
		if bucket+1 < i {
			continue
		}
		if n := r.At(bucket + 1 - i); n > 0 {
			if first == 0 {
				first = bucket + 1 - i
			}
			sum += uint32(n)
		}
	}
	return sum, first
}

// Oldest and Newest bound the buckets kept.
func (r *Ring) Oldest() uint32 {
	if r.newest < RingCells {
		return 1
	}
	return r.newest - RingCells + 1
}

// Newest is the latest bucket counted in.
func (r *Ring) Newest() uint32 { return r.newest }

// Code saves or restores.
func (r *Ring) Code(k *Codec) {
	k.U32(&r.newest)
	for i := range r.n {
		k.U16(&r.n[i])
	}
	r.sum = 0
	for _, n := range r.n {
		r.sum += uint32(n)
	}
}
