package window

// AgingKinds is how many things an Aging counts side by side.
const AgingKinds = 3

// Aging counts over a week in little room: cells of five minutes for the last two
// hours, of an hour for a day, of six hours before that; about 100 cells of 12 bytes at most. It is
// filled in order of time, as seconds close. Counts saturate at 65 535 a cell. The zero
// value is empty.
type Aging struct{ cells []agingCell }

type agingCell struct {
	at   uint32 // start, in units of agingUnit seconds
	wide uint8  // its width is agingWidths[wide]
	n    [AgingKinds]uint16
}

const (
	agingUnit = 300
	agingKeep = 8 * 24 * 3600 / agingUnit // cells that began longer ago are dropped
)

// agingWidths are widths of cells; cells are joined to one of the next width when that
// whole one is older than agingUntil; in units.
var (
	agingWidths = [...]uint32{1, 12, 72}
	agingUntil  = [...]uint32{24, 25 * 12}
)

// Add counts in a second, which is not before that of the last call.
func (a *Aging) Add(sec int64, n [AgingKinds]uint32) {
	at := uint32(sec / agingUnit)
	if k := len(a.cells); k > 0 && a.cells[k-1].at+agingWidths[a.cells[k-1].wide] > at {
		a.cells[k-1].add(n)
		return
	}
	a.age(at)
	a.cells = append(a.cells, agingCell{at: at})
	a.cells[len(a.cells)-1].add(n)
}

func (c *agingCell) add(n [AgingKinds]uint32) {
	for i := range n {
		c.n[i] = uint16(min(uint32(c.n[i])+n[i], 1<<16-1))
	}
}

// age makes old cells coarser and drops the oldest.
func (a *Aging) age(now uint32) {
	kept := 0
	for _, c := range a.cells {
		if now-c.at > agingKeep {
			continue
		}
		for int(c.wide) < len(agingUntil) {
			width := agingWidths[c.wide+1]
			at := c.at - c.at%width
			if at+width+agingUntil[c.wide] > now {
				break
			}
			c.at, c.wide = at, c.wide+1
		}
		if kept > 0 && a.cells[kept-1].at+agingWidths[a.cells[kept-1].wide] > c.at {
			a.cells[kept-1].join(c)
			continue
		}
		a.cells[kept] = c
		kept++
	}
	a.cells = a.cells[:kept]
}

func (c *agingCell) join(d agingCell) {
	for i := range d.n {
		c.n[i] = uint16(min(uint32(c.n[i])+uint32(d.n[i]), 1<<16-1))
	}
}

// Sum adds up the cells that end after a second. first is the start of the earliest in
// which the first two kinds were counted, 0 if there is none.
func (a *Aging) Sum(after int64) (n [AgingKinds]uint32, first int64) {
	for i := range a.cells {
		c := &a.cells[i]
		if int64(c.at+agingWidths[c.wide])*agingUnit <= after {
			continue
		}
		for k := range n {
			n[k] += uint32(c.n[k])
		}
		if first == 0 && c.n[0]+c.n[1] > 0 {
			first = int64(c.at) * agingUnit
		}
	}
	return n, first
}

// Hours is in how many hours after a second the first kind was counted; of those more
// than a day ago, in how many quarters of a day.
func (a *Aging) Hours(after int64) int {
	count, last := 0, uint32(0)
	for i := range a.cells {
		c := &a.cells[i]
		hour := c.at/agingWidths[1] + 1
		if int64(c.at+agingWidths[c.wide])*agingUnit <= after || c.n[0] == 0 || hour == last {
			continue
		}
		count++
		last = hour
	}
	return count
}

// Newest is the end of the latest cell in which the first two kinds were counted, 0 if
// there is none.
func (a *Aging) Newest() int64 {
	for i := len(a.cells) - 1; i >= 0; i-- {
		if c := &a.cells[i]; c.n[0] > 0 || c.n[1] > 0 {
			return int64(c.at+agingWidths[c.wide]) * agingUnit
		}
	}
	return 0
}

// Empty reports whether nothing is kept.
func (a *Aging) Empty() bool { return len(a.cells) == 0 }

// Code saves or restores.
func (a *Aging) Code(k *Codec) {
	n := k.Len(len(a.cells))
	if k.Reading() {
		a.cells = make([]agingCell, n)
	}
	for i := range a.cells {
		c := &a.cells[i]
		k.U32(&c.at)
		k.U8(&c.wide)
		if int(c.wide) >= len(agingWidths) {
			c.wide = 0
			k.Fail()
		}
		for j := range c.n {
			k.U16(&c.n[j])
		}
	}
}
