package detect

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// Request is what is kept of a request for detectors that look at many of a client at
// once: see Digester. Hashes are the same in every process.
type Request struct {
	Object uint64 // the id of the object it names: the number, or a hash; see RequestObject
	Sec    uint32
	Route  uint32 // hash of the route
	Agent  uint32 // hash of the user agent
	Status uint16
	Flags  uint16
}

// The flags of a Request. Above them is the number of a cell into which what was asked
// for falls by a hash of its path, see Cell.
const (
	RequestObject  = 1 << iota // it names an object, Env.Object
	RequestNumber              // by a decimal number
	RequestWrites              // neither GET nor HEAD
	RequestBrowser             // the agent says it is a browser
	RequestCrawler             // the agent says it is a crawler
	RequestProven              // a crawler, and its address bears it out
	RequestNamed               // by a consumer whom the gateway knows
	RequestHealth              // on a health route

	requestCell = 8 // bits of the flags
)

// RequestCells is the number of cells.
const RequestCells = 8

// Cell is the number of the cell.
func (r *Request) Cell() int { return int(r.Flags >> requestCell) }

// shape is what is known of a route by number.
type shape struct {
	known  bool
	depth  uint8 // 1 no object, else 2 + the segments before its id
	single bool  // one place may hold anything, so its object tells all of the path
	hash   uint64
}

// shape returns what is known of the event's route, nil if it has no number.
func (p *prober) shape(ev *ingest.Event) *shape {
	if ev.RouteID == 0 || ev.RouteID >= maxRouteProbes {
		return nil
	}
	for int(ev.RouteID) >= len(p.shapes) {
		p.shapes = append(p.shapes, make([]shape, 64)...)
	}
	s := &p.shapes[ev.RouteID]
	if !s.known {
		*s = shape{known: true, depth: 1, single: strings.Count(ev.Route, "{") < 2, hash: stableHash(ev.Route)}
		if i := strings.LastIndexByte(ev.Route, '{'); i >= 0 {
			s.depth = uint8(min(2+strings.Count(ev.Route[:i], "/"), 255))
		}
	}
	return s
}

// object is the part of the target that stands for the last place of the route's
// template that may hold anything: the 4711 of /orders/4711. "" if there is none, or the
// route has no number.
func (p *prober) object(ev *ingest.Event) string { return p.shape(ev).object(ev.Target) }

func (s *shape) object(target string) string {
	if s == nil || s.depth == 1 {
		return ""
	}
	for n := s.depth - 2; n > 0; n-- {
		i := strings.IndexByte(target, '/')
		if i < 0 {
			return ""
		}
		target = target[i+1:]
	}
	for i := range len(target) {
		if c := target[i]; c == '/' || c == '?' {
			return target[:i]
		}
	}
	return target
}

// request notes a request.
func (p *prober) request(ev *ingest.Event, agent uint64) Request {
	r := Request{Sec: uint32(ev.Time / 1e9), Agent: uint32(agent ^ agent>>32), Status: ev.Status}
	s := p.shape(ev)
	if s != nil {
		r.Route = uint32(s.hash >> 16)
	}
	var thing uint64
	if s != nil && s.single {
		thing = s.hash
	} else {
		path, _, _ := strings.Cut(ev.Target, "?")
		thing = stableHash(path)
	}
	if id := s.object(ev.Target); id != "" {
		r.Flags |= RequestObject
		if n, ok := decimal(id); ok {
			r.Object = n
			r.Flags |= RequestNumber
		} else {
			r.Object = stableHash(id)
		}
		thing ^= r.Object * 0xd6e8feb86659fd93
	}
	r.Flags |= uint16(thing*0x9e3779b97f4a7c15>>61) << requestCell // the upper bits depend on all of it
	if ev.Method != "GET" && ev.Method != "HEAD" {
		r.Flags |= RequestWrites
	}
	switch ev.Class {
	case ingest.AgentBrowser:
		r.Flags |= RequestBrowser
	case ingest.AgentCrawler:
		r.Flags |= RequestCrawler
	}
	if ev.Crawler == ingest.CrawlerVerified {
		r.Flags |= RequestProven
	}
	if ev.Consumer != "" && ev.Flags&ingest.FlagClaimed == 0 {
		r.Flags |= RequestNamed
	}
	if ev.Kind == ingest.RouteHealth {
		r.Flags |= RequestHealth
	}
	return r
}

// decimal reads a decimal number of up to 18 digits.
func decimal(s string) (uint64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	n := uint64(0)
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}
