// Package decode joins what a line goes through before it is detected on:
// the format's parser, the client's identity and the route. It keeps the order
// of lines and turns each into exactly one event or one reject.
package decode

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// Plan is what all decoders of a process share. It is safe for concurrent use.
type Plan struct {
	routes  enrich.RoutesConfig
	ident   identity.Config
	enrich  *enrich.Enricher
	noTime  func() int64
	say     func(source, format, why string)
	mu      sync.Mutex
	formats map[string]format.Format
	ids     map[string]uint32
	unsure  map[string]bool // whose format could not be found yet
	guessed map[string]bool // whose format was found by looking at lines
}

// MaxRouteIDs bounds the route numbers of a process; routes beyond share number 0.
const MaxRouteIDs = 1 << 15

// Options are the parts of a Plan that may be left out.
type Options struct {
	Routes enrich.RoutesConfig
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
	p := &Plan{routes: o.Routes, ident: ident, enrich: o.Enrich, noTime: o.NoTime, say: o.Say,
		formats: map[string]format.Format{}, ids: map[string]uint32{}, unsure: map[string]bool{}, guessed: map[string]bool{}}
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
	parsers map[string]*lines
	ev      ingest.Event
}

type lines struct {
	parser ingest.Parser
	format string // its name
	last   int64  // time of the last event that had one
	doubt  format.Doubt
}

// New makes a Decoder for one goroutine.
func (p *Plan) New() (*Decoder, error) {
	r, err := identity.New(p.ident)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	d := &Decoder{plan: p, ident: r, routes: enrich.NewRoutes(p.routes), parsers: map[string]*lines{}}
	if p.enrich != nil {
		d.more = p.enrich.Worker()
	}
	return d, nil
}

// Decode hands every line of a batch to each as an event, or to reject. The
// event is reused: its strings stay valid until the batch is released. Positions and
// lengths are those in the file, also where redaction changed a line (b.Sizes).
func (d *Decoder) Decode(b *ingest.Batch, each func(*ingest.Event), reject func(ingest.Reject)) {
	if len(b.Data) == 0 {
		return
	}
	s := d.linesOf(b)
	pos := ingest.Position{Source: b.Source, File: b.File, Offset: b.Offset}
	if s != nil {
		s.parser.Reset()
	}
	for n, data := 0, b.Data; len(data) > 0; n++ {
		line, size := data, len(data)
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, size = data[:i], i+1
		}
		data = data[size:]
		grown := 0 // by redaction: what the file does not have
		if n < len(b.Sizes) {
			grown = size - int(b.Sizes[n])
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		d.ev = ingest.Event{}
		reason := ingest.BadShape
		if s != nil {
			reason = s.parser.Parse(line, &d.ev)
			if sus := s.doubt.See(line, reason); sus != nil {
				s = d.doubted(b.Source, s, sus)
			}
		}
		if reason == ingest.OK {
			d.ev.Pos = pos
			reason = d.finish(s, line)
		}
		if reason == ingest.OK {
			each(&d.ev)
		} else {
			reject(ingest.Reject{Pos: pos, Reason: reason, Length: int64(len(line) - grown), Sample: string(line[:min(len(line), ingest.SampleBytes)])})
		}
		pos.Offset += int64(size - grown)
	}
}

// finish adds what the line itself does not say.
func (d *Decoder) finish(s *lines, line []byte) ingest.Reason {
	ev := &d.ev
	ev.Line = unsafe.String(unsafe.SliceData(line), len(line))
	switch {
	case ev.Time != 0:
		s.last = ev.Time
	case s.last != 0:
		ev.Time = s.last
	case d.plan.noTime != nil:
		ev.Time = d.plan.noTime()
	default:
		return ingest.BadTime
	}
	d.ident.Resolve(ev)
	if !ev.Client.IsValid() {
		return ingest.BadAddress
	}
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
	return ingest.OK
}
