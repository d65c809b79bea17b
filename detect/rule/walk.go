package rule

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

const (
	walkHalf    = 12 * 3600 // seconds of a half day
	walkTick    = 10        // seconds
	walkRoutes  = 8         // routes kept of a client in each
	walkMost    = 1.3       // requests for each
	walkPending = 12        // requests kept as they are before they are added up; less than half the least limit
)

// walker is what is kept of one client: requests as they came, and what earlier ones of
// complete seconds add up to.
type walker struct {
	steps []step
	next  uint32    // so many steps are added up
	woke  uint32    // second that was asked for last
	hot   [2]uint32 // half days in which there may be a walk
	more  *strolls
}

// step is one request for an object by number.
type step struct {
	id    uint64
	sec   uint32
	route uint32 // hash
	flags uint8
}

// The flags of a step.
const (
	stepBad   = 1 << iota // answered 4xx
	stepCrawl             // by what says it is a crawler
)

// walk is what a client asked of one route in one half day.
type walk struct {
	half  uint32
	route uint32
	first uint32 // second
	last  uint32
	n     uint32
	bad   uint32
	crawl uint32
	ids   window.Blocks
}

// strolls are the walks and the finding of a client that made more than a few requests.
type strolls struct {
	cells []walk // sorted by half day, then route
	now   episode
	worst uint8 // severity of the finding
}

// cell is the sum of a route, nil where a client has too many routes: those with the
// smallest hashes are kept, whatever order they come in.
func (s *strolls) cell(half, route uint32) *walk {
	i, known := slices.BinarySearchFunc(s.cells, walk{half: half, route: route}, func(a, b walk) int {
		return cmp.Or(cmp.Compare(a.half, b.half), cmp.Compare(a.route, b.route))
	})
	if known {
		return &s.cells[i]
	}
	n, last := 0, 0
	for j := range s.cells {
		if s.cells[j].half == half {
			n, last = n+1, j
		}
	}
	if n == walkRoutes {
		if i > last {
			return nil
		}
		s.cells = slices.Delete(s.cells, last, last+1)
	}
	s.cells = slices.Insert(s.cells, i, walk{half: half, route: route})
	return &s.cells[i]
}

// fold adds up the steps of complete seconds, all of which are in.
func (w *walker) fold(closed int64) {
	if w.more == nil {
		w.more = &strolls{}
	}
	kept := w.steps[:0]
	for _, x := range w.steps {
		if int64(x.sec) > closed {
			kept = append(kept, x)
			continue
		}
		if c := w.more.cell(x.sec/walkHalf, x.route); c != nil {
			c.add(&x)
		}
	}
	if w.steps = kept; len(kept) == 0 && cap(kept) > 4*walkPending {
		w.steps = nil
	}
	w.next = max(walkPending, 2*uint32(len(kept)))
	half := uint32(closed / walkHalf)
	w.more.cells = slices.DeleteFunc(w.more.cells, func(c walk) bool { return c.half+1 < half })
}

func (c *walk) add(x *step) {
	if c.first == 0 || x.sec < c.first {
		c.first = x.sec
	}
	c.last = max(c.last, x.sec)
	c.n++
	if x.flags&stepBad != 0 {
		c.bad++
	}
	if x.flags&stepCrawl != 0 {
		c.crawl++
	}
	c.ids.Add(x.id)
}

// asked is at most so many different objects of a half day, pending ones too.
func (w *walker) asked(half uint32) (n int) {
	for i := range w.steps {
		if w.steps[i].sec/walkHalf == half {
			n++
		}
	}
	for i := range w.more.cells {
		if c := &w.more.cells[i]; c.half == half {
			n += int(max(c.ids.Distinct(), c.ids.Kept()))
		}
	}
	return n
}

// end is the last second of the ten in which a step falls: walks are looked at then.
func (x *step) end() uint32 { return x.sec - x.sec%walkTick + walkTick - 1 }

func (w *walker) isHot(half uint32) bool { return w.hot[half%2] == half }

func (w *walker) code(k *window.Codec) {
	n := k.Len(len(w.steps))
	if k.Reading() {
		w.steps = make([]step, n)
	}
	for i := range w.steps {
		x := &w.steps[i]
		k.U64(&x.id)
		k.U32(&x.sec)
		k.U32(&x.route)
		k.U8(&x.flags)
	}
	k.U32(&w.next)
	k.U32(&w.woke)
	k.U32(&w.hot[0])
	k.U32(&w.hot[1])
	more := w.more != nil
	if k.Bool(&more); !more {
		return
	}
	if w.more == nil {
		w.more = &strolls{}
	}
	w.more.code(k)
}

func (s *strolls) code(k *window.Codec) {
	n := k.Len(len(s.cells))
	if k.Reading() {
		s.cells = make([]walk, n)
	}
	for i := range s.cells {
		c := &s.cells[i]
		for _, p := range []*uint32{&c.half, &c.route, &c.first, &c.last, &c.n, &c.bad, &c.crawl} {
			k.U32(p)
		}
		c.ids.Code(k)
	}
	s.now.code(k)
	k.U8(&s.worst)
}
