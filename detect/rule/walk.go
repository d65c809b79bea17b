package rule

import (
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

const (
	walkHalf   = 12 * 3600 // seconds of a half day
	walkRoutes = 8         // routes kept of a client in each
	walkMost   = 1.3       // requests for each
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
	near  nearness // whether ids may soon be too many; not saved
}

// nearness is what is known of whether a few more requests could make a finding.
type nearness uint8

const (
	unknown nearness = iota
	far
	soon
)

// strolls are the walks and the finding of a client.
type strolls struct {
	cells []walk // sorted by half day, then route
	now   episode
	worst uint8 // severity of the finding
}

// cell is the sum of a route, nil where a client has too many routes: those with the
// smallest hashes are kept, whatever order they come in.
func (s *strolls) cell(half, route uint32) *walk {
	i := 0 // there are few
	for ; i < len(s.cells); i++ {
		if c := &s.cells[i]; c.half == half && c.route == route {
			return c
		} else if c.half > half || c.half == half && c.route > route {
			break
		}
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

// forget drops what is of no half day that may still grow.
func (s *strolls) forget(half uint32) {
	s.cells = slices.DeleteFunc(s.cells, func(c walk) bool { return c.half+1 < half })
}

func (c *walk) add(x *detect.Request) {
	if c.first == 0 || x.Sec < c.first {
		c.first = x.Sec
	}
	c.last = max(c.last, x.Sec)
	c.n++
	if x.Status >= 400 && x.Status < 500 {
		c.bad++
	}
	if x.Flags&detect.RequestCrawler != 0 {
		c.crawl++
	}
	c.ids.Add(x.Object)
	c.near = unknown
}

// near tells whether a walk of a half day could be of so many ids, always the same number,
// after a few more requests.
func (s *strolls) near(half uint32, ids int64) bool {
	for i := range s.cells {
		c := &s.cells[i]
		if c.half != half {
			continue
		}
		if c.near == unknown {
			if c.near = far; c.ids.Reaches(ids, walkMost, detect.HeldMost) {
				c.near = soon
			}
		}
		if c.near == soon {
			return true
		}
	}
	return false
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
