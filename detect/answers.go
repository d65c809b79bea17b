package detect

import (
	"math/bits"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// AnswerCells is the number of cells by which Answers sorts. Cell c has what is below 2 to
// the c and in no cell before; the last has all the rest.
const AnswerCells = 32

// AnswerTick is the unit of times in Answers, in nanoseconds: 66 µs, so that 1 ms and 30
// hours both have a cell.
const AnswerTick = 1 << 16

// Answers are how many answers were how large, and took how long. Several add up.
type Answers struct {
	Sizes [AnswerCells]uint32 // in bytes, of those that are no error
	Times [AnswerCells]uint32 // in AnswerTicks, of those whose time was logged
}

// AnswerCell is the cell of a size in bytes or a time in AnswerTicks.
func AnswerCell(n int64) int { return min(AnswerCells-1, bits.Len64(uint64(max(0, n)))) }

// see takes in an answer.
func (a *Answers) see(ev *ingest.Event) {
	if ev.Status < 400 {
		a.Sizes[AnswerCell(ev.BytesOut)]++
	}
	if ev.Duration > 0 {
		a.Times[AnswerCell(ev.Duration/AnswerTick)]++
	}
}

// Merge adds others.
func (a *Answers) Merge(from *Answers) {
	for c := range AnswerCells {
		a.Sizes[c] += from.Sizes[c]
		a.Times[c] += from.Times[c]
	}
}

// Code saves or restores them: the cells that are not empty.
func (a *Answers) Code(k *window.Codec) {
	codeCells(k, &a.Sizes)
	codeCells(k, &a.Times)
}

func codeCells(k *window.Codec, cells *[AnswerCells]uint32) {
	var full uint32
	for c, n := range cells {
		if n != 0 {
			full |= 1 << c
		}
	}
	k.U32(&full)
	for c := range cells {
		if full>>c&1 != 0 {
			k.U32(&cells[c])
		}
	}
}
