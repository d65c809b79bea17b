package object

import (
	"math/bits"

	"github.com/portcullis/portcullis/ingest/format/object/marks"
)

// skip returns the index behind the value at line[i], or -1.
func (r *Reader) skip(line []byte, i int) int {
	switch line[i] {
	case '"':
		if end := r.closing(line, i+1); end >= 0 {
			return end + 1
		}
		return -1
	case '{', '[':
		if r.blocks == nil {
			return r.nested(line, i)
		}
		if i = leave(r.blocks, i); i > len(line) { // behind an array that holds the object
			return -1
		}
		return i
	}
	return scalar(line, i)
}

// scalar returns the index behind a number or a word. An unquoted variable that was
// empty leaves nothing.
func scalar(line []byte, i int) int {
	for i < len(line) && !ends[line[i]] {
		i++
	}
	return i
}

// ends marks the bytes that no number or word holds; brackets mark those that nested
// stops at.
var ends, brackets = func() (e, b [256]bool) {
	for c := range 33 {
		e[c] = true
	}
	for _, c := range []byte(`,}]"{[`) {
		e[c] = c != '{' && c != '['
		b[c] = c != ','
	}
	return e, b
}()

// nested returns the index behind the object or array at line[i], or -1.
func (r *Reader) nested(line []byte, i int) int {
	depth := 0
	for i < len(line) {
		c := line[i]
		switch {
		case !brackets[c]:
		case c == '"':
			if i = r.closing(line, i+1); i < 0 {
				return -1
			}
		case c == '{' || c == '[':
			depth++
		default:
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// leave is nested for a line whose brackets are marked. It counts those of 64 bytes at a
// time, and looks at each only where the last may be among them.
func leave(blocks []marks.Block, i int) int {
	depth, at := 1, (i+1)>>6
	from := ^uint64(0) << (uint(i+1) & 63)
	for _, b := range blocks[at:] {
		opens, closes := b.Opens&from, b.Closes&from
		if n := bits.OnesCount64(closes); n < depth {
			depth += bits.OnesCount64(opens) - n
		} else {
			for n = 1; closes != 0; n++ {
				low := closes & -closes
				if depth+bits.OnesCount64(opens&(low-1)) == n {
					return at<<6 + bits.TrailingZeros64(low) + 1
				}
				closes ^= low
			}
			depth += bits.OnesCount64(opens) - n + 1
		}
		from = ^uint64(0)
		at++
	}
	return -1
}
