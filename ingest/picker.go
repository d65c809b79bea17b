package ingest

import (
	"math"
	"sync"
)

// Picker makes a batch of some of the lines of a file, in file order. It copies
// them. The zero value is ready.
type Picker struct {
	// Spare, where it is not nil, is where the memory of batches comes from, and where
	// it goes when they are released: one by one they would be grown from nothing.
	Spare *Spare

	b     Batch
	end   int64 // in the file, of the last line
	sized bool  // some line's size in the file is not that in Data
	gaps  bool  // something was left out
}

// Add appends a line of a batch. It reports false, and adds nothing, where the line
// cannot stand behind those that are there: Take these first.
func (p *Picker) Add(b *Batch, c *Cursor) bool {
	gap := c.At - p.end
	if p.Empty() {
		m := p.Spare.get()
		p.b = Batch{Source: b.Source, File: b.File, Offset: c.At, Data: m.data[:0], Sizes: m.sizes[:0], Gaps: m.gaps[:0]}
		gap = 0
	}
	if p.b.Source != b.Source || p.b.File != b.File || gap < 0 || gap > math.MaxInt32 || c.Size > math.MaxInt32 || p.open() {
		return false
	}
	p.b.Data = append(p.b.Data, b.Data[c.Start:c.End]...)
	p.b.Sizes = append(p.b.Sizes, int32(c.Size))
	p.b.Gaps = append(p.b.Gaps, int32(gap))
	p.sized = p.sized || c.Size != int64(c.End-c.Start)
	p.gaps = p.gaps || gap > 0
	p.end = c.At + c.Size
	return true
}

// open reports whether the last line has no end: none can follow it.
func (p *Picker) open() bool {
	n := len(p.b.Data)
	return n > 0 && p.b.Data[n-1] != '\n'
}

// Remark says something of the line that was added last.
func (p *Picker) Remark(what RemarkKind, value int64) {
	p.b.Remarks = append(p.b.Remarks, Remark{p.end - int64(p.b.Sizes[len(p.b.Sizes)-1]), what, value})
}

// Empty reports whether nothing was added.
func (p *Picker) Empty() bool { return len(p.b.Data) == 0 }

// Take returns what was added, and starts anew.
func (p *Picker) Take() Batch {
	b, spare := p.b, p.Spare
	if spare != nil {
		m := memory{b.Data, b.Sizes, b.Gaps}
		b.Free = func() { spare.put(m) }
	}
	if !p.sized {
		b.Sizes = nil
	}
	if !p.gaps {
		b.Gaps = nil
	}
	*p = Picker{Spare: spare}
	return b
}

// Spare keeps the memory of batches that were released, as long as the garbage
// collector lets it. The zero value is ready; it is safe for concurrent use.
type Spare struct{ pool sync.Pool }

// memory is what a batch that a Picker makes is built in.
type memory struct {
	data        []byte
	sizes, gaps []int32
}

// mostSpare bounds what is kept: one huge batch must not make all later ones huge.
const mostSpare = 8 << 20

func (s *Spare) get() memory {
	if s != nil {
		if m, ok := s.pool.Get().(*memory); ok {
			return *m
		}
	}
	return memory{}
}

func (s *Spare) put(m memory) {
	if cap(m.data) <= mostSpare {
		s.pool.Put(&m)
	}
}
