package window

// Cells counts weights by second, exactly, for a subject that is concerned
// rarely: a short sorted list instead of a ring. The zero value is empty.
type Cells struct {
	cells []Cell
	total uint32
}

// Cell is what was counted in one second.
type Cell struct {
	Sec    int64
	Count  uint32 // events
	Weight uint32 // sum of their weights
}

// Add counts n events of the given weight in a second and reports whether that second is new here.
func (c *Cells) Add(sec int64, n, weight uint32) bool {
	c.total += weight
	i := len(c.cells)
	for i > 0 && c.cells[i-1].Sec > sec {
		i--
	}
	if i > 0 && c.cells[i-1].Sec == sec {
		c.cells[i-1].Count += n
		c.cells[i-1].Weight += weight
		return false
	}
	c.cells = append(c.cells, Cell{})
	copy(c.cells[i+1:], c.cells[i:])
	c.cells[i] = Cell{Sec: sec, Count: n, Weight: weight}
	return true
}

// Total is the weight of all that is still kept: an upper bound of any window.
func (c *Cells) Total() uint32 { return c.total }

// Empty reports whether nothing is kept.
func (c *Cells) Empty() bool { return len(c.cells) == 0 }

// Sum adds up the seconds of (from, to]; first is the earliest of them that counts.
func (c *Cells) Sum(from, to int64) (count, weight uint32, first int64) {
	for _, cell := range c.cells {
		if cell.Sec <= from || cell.Sec > to {
			continue
		}
		if first == 0 {
			first = cell.Sec
		}
		count += cell.Count
		weight += cell.Weight
	}
	return count, weight, first
}

// At returns the cell of one second.
func (c *Cells) At(sec int64) Cell {
	for i := len(c.cells) - 1; i >= 0; i-- {
		if c.cells[i].Sec == sec {
			return c.cells[i]
		}
	}
	return Cell{}
}

// Forget drops the seconds up to and including sec.
func (c *Cells) Forget(sec int64) {
	n := 0
	for n < len(c.cells) && c.cells[n].Sec <= sec {
		c.total -= c.cells[n].Weight
		n++
	}
	if n > 0 {
		c.cells = c.cells[:copy(c.cells, c.cells[n:])]
	}
	if len(c.cells) == 0 {
		c.cells = nil
	}
}

// Code saves or restores.
func (c *Cells) Code(k *Codec) {
	n := k.Len(len(c.cells))
	if k.Reading() {
		c.cells, c.total = make([]Cell, n), 0
	}
	for i := range c.cells {
		k.I64(&c.cells[i].Sec)
		k.U32(&c.cells[i].Count)
		k.U32(&c.cells[i].Weight)
		if k.Reading() {
			c.total += c.cells[i].Weight
		}
	}
}
