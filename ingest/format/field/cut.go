package field

import (
	"encoding/binary"
	"math/bits"
)

// Cuts puts where in b a byte stands into out, until that is full, and returns how many
// it put there. Columns are mostly so short that a search for the end of each costs more.
func Cuts(b []byte, sep byte, out []int) int {
	n, i := 0, 0
	for what := uint64(sep) * ones; i <= len(b)-8; i += 8 {
		for h := zeros(binary.LittleEndian.Uint64(b[i:]) ^ what); h != 0; h &= h - 1 {
			if n == len(out) {
				return n
			}
			out[n] = i + bits.TrailingZeros64(h)>>3
			n++
		}
	}
	for ; i < len(b) && n < len(out); i++ {
		if b[i] == sep {
			out[n] = i
			n++
		}
	}
	return n
}

// zeros sets the top bit of each byte that is zero, and no other.
func zeros(x uint64) uint64 { return ^((x&^tops + ^uint64(tops)) | x | ^uint64(tops)) }
