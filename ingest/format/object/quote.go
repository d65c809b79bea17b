package object

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// closing returns the index of the quote that ends the string at line[i], or -1. It may
// only be called with the opening quote at line[i-1]. Without marks it is field.Closing
// for the short strings that logs mostly hold: it looks at the first sixteen bytes by
// itself, and asks for a search only where the quote is behind them.
func (r *Reader) closing(line []byte, i int) int {
	if r.blocks != nil {
		k := i >> 6
		if q := r.blocks[k].Quotes >> (uint(i) & 63); q != 0 {
			return i + bits.TrailingZeros64(q)
		}
		if k, q := later(r.blocks, k); q != 0 {
			return k<<6 + bits.TrailingZeros64(q)
		}
		return -1
	}
	j := i
	if i+16 <= len(line) {
		if z := quotes(binary.LittleEndian.Uint64(line[i:])); z != 0 {
			j = i + bits.TrailingZeros64(z)>>3
		} else if z = quotes(binary.LittleEndian.Uint64(line[i+8:])); z != 0 {
			j = i + 8 + bits.TrailingZeros64(z)>>3
		} else {
			return far(line, i, i+16)
		}
		if line[j-1] != '\\' {
			return j
		}
	}
	return far(line, i, j)
}

// quotes sets the top bit of bytes that are quotes; of those it sets, the lowest is
// one for certain.
func quotes(w uint64) uint64 {
	const ones, tops, all = 0x0101010101010101, 0x8080808080808080, 0x2222222222222222
	w ^= all
	return (w - ones) &^ w & tops
}

// far looks from line[j] on for the quote that closes the string at line[i].
func far(line []byte, i, j int) int {
	for {
		k := bytes.IndexByte(line[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		n := 0
		for j-n > i && line[j-n-1] == '\\' {
			n++
		}
		if n%2 == 0 {
			return j
		}
		j++
	}
}
