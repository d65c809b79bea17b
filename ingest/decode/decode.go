// Package decode joins what a line goes through before it is detected on:
// the format's parser, the client's identity and the route. It keeps the order
// of lines and turns each into exactly one event or one reject.
package decode

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// Plan is what all decoders of a process share. It is safe for concurrent use.
type Plan struct {
	routes  enrich.RoutesConfig
	api     *openapi.API
	ident   identity.Config
	enrich  *enrich.Enricher
	noTime  func() int64
	say     func(source, format, why string)
	mu      sync.Mutex
	formats map[string]format.Format
	ids     map[string]uint32
	unsure  map[string]bool   // whose format could not be found yet
	guessed map[string]bool   // whose format was found by looking at lines
	opened  map[string]opened // formats that batches name
}

// MaxRouteIDs bounds the route numbers of a process; routes beyond share number 0.
const MaxRouteIDs = 1 << 15

// Options are the parts of a Plan that may be left out.
type Options struct {
	Routes enrich.RoutesConfig
	// API is what documents say of the API; nil where there are none.
	API *openapi.API
	// NoTime gives the time, in Unix nanoseconds, of lines whose format has none
	// and that follow no line with one.
	NoTime func() int64
	// Enrich adds where clients are and what programs they are; nil adds nothing.
	Enrich *enrich.Enricher
	// Say hears which format was found for a source with the format "auto", and why.
	// Without a format it hears what is wrong with the one that a source has.
	Say func(source, format, why string)
}

// NewPlan makes a Plan. formats maps the name of every source to its format.
func NewPlan(formats map[string]format.Format, ident identity.Config, o Options) *Plan {
	p := &Plan{routes: o.Routes, api: o.API, ident: ident, enrich: o.Enrich, noTime: o.NoTime, say: o.Say,
		formats: map[string]format.Format{}, ids: map[string]uint32{}, unsure: map[string]bool{}, guessed: map[string]bool{}, opened: map[string]opened{}}
	for name, f := range formats {
		p.formats[name] = f
	}
	return p
}

// routeID numbers a route template densely, the same for all decoders.
func (p *Plan) routeID(route string) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, known := p.ids[route]
	if !known && len(p.ids) < MaxRouteIDs {
		id = uint32(len(p.ids) + 1)
		p.ids[strings.Clone(route)] = id
	}
	return id
}

// Decoder decodes for one goroutine.
type Decoder struct {
	plan    *Plan
	ident   *identity.Resolver
	routes  *enrich.Routes
	more    *enrich.Worker // nil: nothing more is known of clients
	ids     []uint32       // by the number that routes gives
	parsers map[stock]*lines
	ev      ingest.Event
	untimed bool        // its line does not say its time
	line    ingest.Line // of Clients, reused
}

// stock is what lines are read alike.
type stock struct {
	source string
	format string // that the batch names; empty: the source's own
}

type lines struct {
	parser ingest.Parser
	format string // its name
	spec   string // with which it can be opened elsewhere
	given  bool   // by the batch: it is not doubted
	last   int64  // time of the last event that had one
	doubt  format.Doubt
}

// New makes a Decoder for one goroutine.
func (p *Plan) New() (*Decoder, error) {
	r, err := identity.New(p.ident)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	d := &Decoder{plan: p, ident: r, routes: enrich.NewRoutes(p.routes).Describe(p.api), parsers: map[stock]*lines{}}
	if p.enrich != nil {
		d.more = p.enrich.Worker()
	}
	return d, nil
}

// Decode hands every line of a batch to each as an event, or to reject. The
// event is reused: its strings stay valid until the batch is released. Positions and
// lengths are those in the file, also where redaction changed a line (b.Sizes) or
// the batch is a selection (b.Gaps).
func (d *Decoder) Decode(b *ingest.Batch, each func(*ingest.Event), reject func(ingest.Reject)) {
	s := d.linesOf(b)
	remarks := b.Remarks
	for c := b.Begin(); b.Next(&c); {
		line, grown := text(b, &c)
		var reason ingest.Reason
		if s, reason = d.read(b, s, line, c.At, &remarks, (*identity.Resolver).Resolve); reason == ingest.OK {
			d.place()
			each(&d.ev)
		} else {
			pos := ingest.Position{Source: b.Source, File: b.File, Offset: c.At}
			reject(ingest.Reject{Pos: pos, Reason: reason, Length: int64(len(line)) - grown, Sample: string(line[:min(len(line), ingest.SampleBytes)])})
		}
	}
}

// Clients hands every line of a batch to each as far as its sender must know it:
// its client, its time, or why it is no event. That is what Decode finds, without
// routes, consumers, pseudonyms and all that is looked up for an event. The Line is
// reused.
func (d *Decoder) Clients(b *ingest.Batch, each func(*ingest.Line)) {
	s := d.linesOf(b)
	remarks := b.Remarks
	l := &d.line
	for c := b.Begin(); b.Next(&c); {
		line, _ := text(b, &c)
		*l = ingest.Line{Cursor: c, Format: b.Format}
		switch {
		case s != nil:
			l.Format = s.spec
		case b.Format == "":
			l.Format = format.Auto
		}
		s, l.Reason = d.read(b, s, line, c.At, &remarks, (*identity.Resolver).ResolveClient)
		if l.Reason == ingest.OK {
			l.Client, l.Time, l.Untimed = d.ev.Client, d.ev.Time, d.untimed
		}
		each(l)
	}
}

// text is a line without its end, and by how much redaction has made it longer.
func text(b *ingest.Batch, c *ingest.Cursor) (line []byte, grown int64) {
	line = b.Data[c.Start:c.End]
	if n := len(line); line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, int64(c.End-c.Start) - c.Size
}

// read parses a line into d.ev, finds its time, and resolves its client. It returns how
// to go on reading.
func (d *Decoder) read(b *ingest.Batch, s *lines, line []byte, at int64, remarks *[]ingest.Remark, resolve func(*identity.Resolver, *ingest.Event)) (*lines, ingest.Reason) {
	d.ev = ingest.Event{}
	if s == nil {
		return nil, ingest.BadShape
	}
	reason := s.parser.Parse(line, &d.ev)
	if !s.given {
		if sus := s.doubt.See(line, reason); sus != nil {
			s = d.doubted(b.Source, s, sus)
		}
	}
	if reason != ingest.OK {
		return s, reason
	}
	ev := &d.ev
	ev.Pos = ingest.Position{Source: b.Source, File: b.File, Offset: at}
	ev.Line = unsafe.String(unsafe.SliceData(line), len(line))
	if d.untimed = ev.Time == 0; d.untimed {
		if ev.Time = d.timeOf(s, at, remarks); ev.Time == 0 {
			return s, ingest.BadTime
		}
	} else {
		s.last = ev.Time
	}
	resolve(d.ident, ev)
	if !ev.Client.IsValid() {
		return s, ingest.BadAddress
	}
	return s, ingest.OK
}

// timeOf is the time of a line that does not say it: what the sender says, or that
// of the line before, or the clock's; 0 if there is none.
func (d *Decoder) timeOf(s *lines, at int64, remarks *[]ingest.Remark) int64 {
	if r, ok := ingest.Remarked(remarks, at, func(k ingest.RemarkKind) bool { return k == ingest.RemarkTime }); ok {
		return r.Value
	}
	if s.last == 0 && d.plan.noTime != nil {
		return d.plan.noTime()
	}
	return s.last
}

// place adds the route, and what is known of the client.
func (d *Decoder) place() {
	ev := &d.ev
	d.routes.Resolve(ev)
	if local := ev.RouteID; local == enrich.Other {
		ev.RouteID = 0
	} else if local != 0 {
		for int(local) >= len(d.ids) {
			d.ids = append(d.ids, 0)
		}
		if d.ids[local] == 0 {
			d.ids[local] = d.plan.routeID(ev.Route) + 1
		}
		ev.RouteID = d.ids[local] - 1
	}
	if d.more != nil {
		d.more.Resolve(ev)
	}
}
