package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// The W3C Extended Log File Format (https://www.w3.org/TR/WD-logfile.html): columns that
// a "#Fields:" line names, which can come again and say something else.

// extColumn is what a column holds.
type extColumn struct {
	field field.Field
	kind  extKind
}

type extKind uint8

const (
	extText   extKind = iota // bytes that a client chooses
	extAddr                  // an address
	extDay                   // 2026-11-23
	extClock                 // 13:03:36
	extEpoch                 // milliseconds since 1970
	extStatus                // three digits
	extInt                   // digits
	extMillis                // milliseconds
	extSecs                  // seconds with a fraction
	extStem                  // the path
	extQuery                 // the query
)

// extDialect is how a gateway writes its extended log.
type extDialect struct {
	sep     byte
	mark    byte                 // without it in a line, undo has nothing to do
	columns map[string]extColumn // by name in lower case
	undo    func(*field.Scratch, field.Field, []byte) []byte
	hint    string // names of the columns that a log must have
}

// extLayout is the columns of one "#Fields:" line. It is read by many parsers.
type extLayout struct {
	names   string
	columns []extColumn
	asked   []int // those of them that say something
	least   int   // columns that a line must have
	more    bool
}

// layout reads names apart by blanks.
func (d *extDialect) layout(names string) (*extLayout, error) {
	l := &extLayout{names: strings.Join(strings.Fields(names), " ")}
	has, taken := map[string]bool{}, map[extColumn]bool{}
	for _, name := range strings.Fields(strings.ToLower(names)) {
		has[name] = true
		c := d.columns[name]
		if taken[c] {
			c = extColumn{} // the same a second time
		}
		taken[c] = c.field != field.Skip
		l.columns = append(l.columns, c)
	}
	l.preferHost()
	l.ask()
	l.least = len(l.columns)
	if len(l.columns) > maxExtColumns {
		return nil, fmt.Errorf("%d columns: more than %d are not read", len(l.columns), maxExtColumns)
	}
	if !has["c-ip"] {
		return l, errors.New("there is no column c-ip, which is the client's address: add it; a log needs " + d.hint)
	}
	return l, nil
}

// maxExtColumns bounds what a "#Fields:" line can ask for.
const maxExtColumns = 256

// preferHost keeps one of several columns with the name that was asked for.
func (l *extLayout) preferHost() {
	best := field.Skip
	for _, f := range []field.Field{field.Host, field.HTTPHost, field.ServerName} {
		for _, c := range l.columns {
			if best == field.Skip && c.field == f {
				best = f
			}
		}
	}
	for i, c := range l.columns {
		if (c.field == field.Host || c.field == field.HTTPHost || c.field == field.ServerName) && c.field != best {
			l.columns[i] = extColumn{}
		}
	}
}

// ask notes which columns say something.
func (l *extLayout) ask() {
	l.asked = nil
	for i, c := range l.columns {
		if c.field != field.Skip {
			l.asked = append(l.asked, i)
		}
	}
}

// origins say which columns the fields come from.
func (l *extLayout) origins() []text.Origin {
	var out []text.Origin
	for i, name := range strings.Fields(l.names) {
		if f := l.columns[i].field; f != field.Skip {
			out = append(out, text.Origin{Field: f, Name: name})
		}
	}
	return out
}

// extParser reads an extended log.
type extParser struct {
	dialect *extDialect
	known   *extHeaders
	own     *extLayout // of a "#Fields:" line in this batch; nil if there was none
	sink    field.Sink
	wall    field.Wall
	escapes bool // the line holds the dialect's mark

	day, clock, stem, query []byte             // of the line
	ends                    [maxExtColumns]int // of its columns
}

func newExtParser(d *extDialect, h *extHeaders) ingest.Parser {
	return &extParser{dialect: d, known: h, wall: field.NewWall(time.UTC)}
}

// Reset implements ingest.Parser. The next batch can be from elsewhere in the source,
// so what this one's "#Fields:" line said is no longer certain.
func (p *extParser) Reset() {
	p.sink.Reset()
	p.own, p.day, p.clock, p.stem, p.query = nil, nil, nil, nil, nil
}

// Parse implements ingest.Parser.
func (p *extParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, _, high := field.Look(line)
	switch {
	case nul:
		return ingest.HasNUL
	case len(line) > 0 && line[0] == '#':
		p.directive(line)
		return ingest.NotARequest
	}
	l := p.own
	if l == nil {
		l = p.known.layoutOf(line, p.dialect.sep)
	}
	p.sink.Begin()
	reason := ingest.BadShape
	if l != nil {
		reason = p.read(l, line, ev)
	}
	if reason != ingest.OK {
		if field.IsBlankLine(line) {
			return ingest.EmptyLine
		}
		return reason
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// directive heeds "#Fields:". What has no client is remembered too: its lines are then
// refused for the true reason.
func (p *extParser) directive(line []byte) {
	names, ok := bytes.CutPrefix(line, []byte("#Fields:"))
	if !ok {
		return
	}
	p.own = p.known.see(p.dialect, string(bytes.TrimSpace(names)))
}

// read takes the columns of a line.
func (p *extParser) read(l *extLayout, line []byte, ev *ingest.Event) ingest.Reason {
	p.day, p.clock, p.stem, p.query = nil, nil, nil, nil
	first := ingest.OK
	p.escapes = bytes.IndexByte(line, p.dialect.mark) >= 0
	ends := p.ends[:len(l.columns)]
	n := field.Cuts(line, p.dialect.sep, ends)
	if n < len(ends) {
		ends[n] = len(line)
		n++
	}
	// CloudFront's own example has a line with a separator at its end.
	if n < l.least || n > 0 && ends[n-1]+1 < len(line) && !l.more {
		return ingest.BadShape
	}
	for _, k := range l.asked {
		if k >= n {
			break
		}
		i, end := 0, ends[k]
		if k > 0 {
			i = ends[k-1] + 1
		}
		if end > i && (end > i+1 || line[i] != '-') {
			if r := p.value(l.columns[k], line[i:end], ev); r != ingest.OK && first == ingest.OK {
				first = r
			}
		}
	}
	if first != ingest.OK {
		return first
	}
	return p.finish(ev)
}

// finish puts together what comes from two columns.
func (p *extParser) finish(ev *ingest.Event) ingest.Reason {
	if !ev.Peer.IsValid() {
		return ingest.NoClient
	}
	if ev.Time == 0 && p.day != nil && p.clock != nil {
		ns, ok := p.wall.Read(p.day, p.clock)
		if !ok {
			return ingest.BadTime
		}
		ev.Time = ns
	}
	if p.stem != nil {
		stem, query := p.undo(field.URI, p.stem), p.query
		if query == nil {
			ev.Target = field.Str(stem)
		} else {
			ev.Target = p.sink.Mem.Join(stem, "?", p.undo(field.Args, query))
		}
	}
	return ingest.OK
}

// value takes a column that is not empty.
func (p *extParser) value(c extColumn, v []byte, ev *ingest.Event) ingest.Reason {
	var n int64
	var end int
	switch c.kind {
	case extText:
		p.sink.Text(c.field, p.undo(c.field, v), ev)
		return ingest.OK
	case extDay:
		p.day = v
		return ingest.OK
	case extClock:
		p.clock = v
		return ingest.OK
	case extStem:
		p.stem = v
		return ingest.OK
	case extQuery:
		p.query = v
		return ingest.OK
	case extAddr:
		return extPeer(v, ev)
	case extStatus:
		code, end := field.Status(v, 0)
		if end != len(v) {
			return ingest.BadStatus
		}
		ev.Status = code
		return ingest.OK
	case extSecs:
		n, end = field.Seconds(v, 0)
	default:
		if n, end = field.Integer(v, 0); c.kind != extInt {
			if n > 1<<43 { // 278 years
				end = -1
			}
			n *= 1e6
		}
	}
	if end != len(v) {
		if c.kind == extEpoch {
			return ingest.BadTime
		}
		return ingest.BadNumber
	}
	field.Store(c.field, n, ev)
	return ingest.OK
}

// extPeer reads an address; IPv6 of the local link has the interface behind it.
func extPeer(v []byte, ev *ingest.Event) ingest.Reason {
	a, end := field.Address(v, 0, false)
	if end != len(v) {
		if k := bytes.IndexByte(v, '%'); k > 0 {
			v = v[:k]
			a, end = field.Address(v, 0, false)
		}
		if end != len(v) {
			return ingest.BadAddress
		}
	}
	ev.Peer = a
	return ingest.OK
}

func (p *extParser) undo(f field.Field, v []byte) []byte {
	if !p.escapes {
		return v
	}
	out := p.dialect.undo(&p.sink.Mem, f, v)
	if len(out) != len(v) {
		p.sink.CheckUTF8(out)
	}
	return out
}
