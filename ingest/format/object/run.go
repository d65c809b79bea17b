package object

import (
	"math/bits"

	"github.com/portcullis/portcullis/ingest/format/object/marks"
)

// run passes over members, from line[i] on, behind the key at, until one that is asked
// for: it returns its slot, line[from:end], which is the value, and the index behind it.
// It is the quick way through what most lines are made of: keys that are expected,
// strings and numbers, a comma behind them and no blanks. From what is not of that make
// it stays away: it also returns the member that no comma follows, asked for or not; a
// value that is neither string nor number with its index as from and 0 as end; and where
// a key is not expected the last slot it has passed, 0 and 0, and the index of that key.
func run(blocks []marks.Block, at *slot, line []byte, i int) (s *slot, from, end, next int) {
	for i <= len(line)-32 {
		b := (*[32]byte)(line[i:])
		s := at.next[0]
		if !s.leads(b) {
			if s = at.next[1]; !s.leads(b) {
				break
			}
		}
		from := i + s.n
		if s.n > 32 && !s.ends(line, i) || from >= len(line) {
			break
		}
		c := line[from]
		if c == '"' {
			from++
			k := from >> 6
			if k >= len(blocks) {
				break
			}
			q := blocks[k].Quotes >> (uint(from) & 63)
			if end = from; q == 0 {
				if k, q = later(blocks, k); q == 0 {
					break
				}
				end = k << 6
			}
			end += bits.TrailingZeros64(q)
			next = end + 1
		} else if c-'0' <= 9 {
			for end = from + 1; end < len(line) && !ends[line[end]]; end++ {
			}
			next = end
		} else if c > ' ' {
			return s, from, 0, from
		} else {
			break
		}
		if s.leaf != nil || next >= len(line) || line[next] != ',' {
			return s, from, end, next
		}
		at, i = s, next+1
	}
	return at, 0, 0, i
}

// later returns the next block behind one that has quotes, and them.
func later(blocks []marks.Block, k int) (int, uint64) {
	for k++; k < len(blocks); k++ {
		if q := blocks[k].Quotes; q != 0 {
			return k, q
		}
	}
	return 0, 0
}
