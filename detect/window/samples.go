package window

import "github.com/portcullis/portcullis/ingest"

// SamplesPerBucket lines are kept of every bucket of a subject's evidence.
const SamplesPerBucket = 2

// Sample is one kept line, owned.
type Sample struct {
	Time  int64 // Unix nanoseconds
	Pos   ingest.Position
	Line  string
	Agent string
	Note  string
}

// Code saves or restores.
func (s *Sample) Code(k *Codec) {
	k.I64(&s.Time)
	k.String(&s.Pos.Source)
	k.U64(&s.Pos.File)
	k.I64(&s.Pos.Offset)
	k.String(&s.Line)
	k.String(&s.Agent)
	k.String(&s.Note)
}

func (s *Sample) before(t int64, p ingest.Position) bool {
	if s.Time != t {
		return s.Time < t
	}
	return s.Pos.Less(p)
}

// Samples keeps the earliest lines of every bucket of time, whatever order they
// come in. The zero value is empty.
type Samples struct {
	list []Sample // sorted by time, then position
}

// Wants reports whether Add would keep a line of that time and position. It is
// the cheap question before a line is copied and redacted.
func (s *Samples) Wants(t int64, p ingest.Position, bucket int64) bool {
	lo, hi := bounds(t, bucket)
	n := 0
	for i := range s.list {
		if s.list[i].Time < lo || s.list[i].Time >= hi {
			continue
		}
		if s.list[i].before(t, p) {
			n++
		} else if s.list[i].Time == t && s.list[i].Pos == p {
			return false
		}
	}
	return n < SamplesPerBucket
}

// Add keeps a line, and drops the latest of its bucket where there are too many.
func (s *Samples) Add(x Sample, bucket int64) {
	i := len(s.list)
	for i > 0 && !s.list[i-1].before(x.Time, x.Pos) {
		i--
	}
	s.list = append(s.list, Sample{})
	copy(s.list[i+1:], s.list[i:])
	s.list[i] = x
	lo, hi := bounds(x.Time, bucket)
	n, last := 0, -1
	for j := range s.list {
		if s.list[j].Time >= lo && s.list[j].Time < hi {
			n, last = n+1, j
		}
	}
	if n > SamplesPerBucket {
		s.list = append(s.list[:last], s.list[last+1:]...)
	}
}

// Between calls use for every kept line of [from, to), in order, until it returns false.
func (s *Samples) Between(from, to int64, use func(*Sample) bool) {
	for i := range s.list {
		if s.list[i].Time >= from && s.list[i].Time < to && !use(&s.list[i]) {
			return
		}
	}
}

// Rewrite replaces the text of every kept line.
func (s *Samples) Rewrite(change func(string) string) {
	for i := range s.list {
		s.list[i].Line = change(s.list[i].Line)
	}
}

// Forget drops the lines of buckets that ended at or before t.
func (s *Samples) Forget(t int64, bucket int64) {
	n := 0
	for n < len(s.list) {
		if _, hi := bounds(s.list[n].Time, bucket); hi > t {
			break
		}
		n++
	}
	if n > 0 {
		kept := copy(s.list, s.list[n:])
		clear(s.list[kept:])
		s.list = s.list[:kept]
	}
	if len(s.list) == 0 {
		s.list = nil
	}
}

// First is the time of the earliest line, 0 if there is none.
func (s *Samples) First() int64 {
	if len(s.list) == 0 {
		return 0
	}
	return s.list[0].Time
}

// Empty reports whether nothing is kept.
func (s *Samples) Empty() bool { return len(s.list) == 0 }

// Code saves or restores.
func (s *Samples) Code(k *Codec) {
	n := k.Len(len(s.list))
	if k.Reading() {
		s.list = make([]Sample, n)
	}
	for i := range s.list {
		s.list[i].Code(k)
	}
}

func bounds(t, bucket int64) (lo, hi int64) {
	lo = t - t%bucket
	return lo, lo + bucket
}
