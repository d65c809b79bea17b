package text

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// parser runs a plan over lines. It is the ingest.Parser of all text formats.
type parser struct {
	plan    *Plan
	sink    field.Sink
	object  *object.Reader // of lines in another order; nil if there can be none
	escapes bool           // the line holds the dialect's marker
	trash   ingest.Event   // what is matched only to find a border
	ways    []uint8        // of span.split
}

// Reset implements ingest.Parser.
func (p *parser) Reset() {
	p.sink.Reset()
	p.trash = ingest.Event{}
}

// Parse implements ingest.Parser.
func (p *parser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, escapes, high := field.Look(line)
	if nul {
		return ingest.HasNUL
	}
	if len(line) > 0 && line[0] == '<' && p.plan.prefix == "" {
		line = field.StripSyslog(line)
	}
	switch p.plan.dialect.Marker {
	case '\\':
		p.escapes = escapes
	case 0:
		p.escapes = false
	default:
		p.escapes = bytes.IndexByte(line, p.plan.dialect.Marker) >= 0
	}
	p.sink.Begin()
	if reason := p.run(line, ev); reason != ingest.OK {
		return p.refuse(line, ev, reason)
	}
	if p.plan.forgeable {
		ev.Flags |= ingest.FlagForgeable
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// refuse is the way of lines that the plan does not fit: perhaps the same JSON
// object in another order, or no access-log line at all.
func (p *parser) refuse(line []byte, ev *ingest.Event, reason ingest.Reason) ingest.Reason {
	other := p.plan.dialect.Other
	switch {
	case field.IsBlankLine(line):
		return ingest.EmptyLine
	case field.IsErrorLog(line) || other != nil && other(line):
		return ingest.NotARequest
	case p.object == nil:
		return reason
	}
	*ev = ingest.Event{}
	p.sink.Begin()
	if second := p.object.Read(line, ev); second != ingest.OK {
		return second
	}
	if p.plan.forgeable {
		ev.Flags |= ingest.FlagForgeable
	}
	p.sink.Finish(line, true, ev)
	return ingest.OK
}

// run takes the line's values in order.
func (p *parser) run(line []byte, ev *ingest.Event) ingest.Reason {
	steps := p.plan.steps
	i := len(p.plan.prefix)
	if len(line) < i || string(line[:i]) != p.plan.prefix {
		return ingest.BadShape
	}
	if p.plan.head && !p.escapes {
		if next := p.combinedHead(line, ev); next > 0 {
			i, steps = next, steps[headSteps:]
		}
	}
	for k := range steps {
		st := &steps[k]
		var end int
		switch st.op {
		case opText:
			if p.escapes {
				end = p.closing(line, i, st.stop)
			} else if end = bytes.IndexByte(line[i:], st.stop); end >= 0 {
				end += i
			}
			if end < 0 {
				return p.cut(st, line[i:], ev)
			}
			if st.Field != field.Skip {
				p.text(st, line[i:end], ev)
			}
		case opTight:
			var reason ingest.Reason
			if end, reason = p.tight(st, line, i, ev); reason != ingest.OK {
				return shape(line[i:], st.lit, reason)
			}
		case opSpan:
			var reason ingest.Reason
			if i, reason = p.spanAt(st.span, line, i, ev); reason != ingest.OK {
				return reason
			}
			continue
		case opRest:
			end = len(line)
			p.text(st, line[i:], ev)
		}
		if !st.literalAt(line, end) {
			return ingest.BadShape
		}
		i = end + len(st.lit)
	}
	if i != len(line) {
		return ingest.BadShape
	}
	return ingest.OK
}

// literalAt tells whether the literal behind the step's value stands at i.
func (s *step) literalAt(line []byte, i int) bool {
	if len(line)-i >= 8 && len(s.lit) <= 8 {
		return binary.LittleEndian.Uint64(line[i:])&s.mask == s.word
	}
	return len(line)-i >= len(s.lit) && string(line[i:i+len(s.lit)]) == s.lit
}

// closing finds the end of a value that is closed by a byte no value holds.
func (p *parser) closing(line []byte, i int, stop byte) int {
	if stop == '"' && p.plan.dialect.Marker == '\\' {
		return field.Closing(line, i)
	}
	if k := bytes.IndexByte(line[i:], stop); k >= 0 {
		return i + k
	}
	return -1
}

// cut takes what is left of a line that ends within a quoted value, if all that is
// vital stands before it.
func (p *parser) cut(st *step, v []byte, ev *ingest.Event) ingest.Reason {
	if !st.cut {
		return ingest.BadShape
	}
	ev.Flags |= ingest.FlagTruncated
	if st.Field != field.Skip {
		p.text(st, v, ev)
	}
	return ingest.OK
}

// shape tells a bad value within the right shape from a line of another shape.
func shape(rest []byte, lit string, reason ingest.Reason) ingest.Reason {
	if bytes.Contains(rest, []byte(lit)) {
		return reason
	}
	return ingest.BadShape
}

// tight reads a value that ends by its own grammar.
func (p *parser) tight(st *step, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	var n int64
	var end int
	switch st.Kind {
	case Addr:
		a, end := field.Address(line, i, st.stop == ':')
		if end < 0 {
			return 0, ingest.BadAddress
		}
		if st.Field != field.Skip {
			ev.Peer = a
		}
		return end, ingest.OK
	case AddrPort:
		a, end := field.AddressPort(line, i)
		if end < 0 {
			return 0, ingest.BadAddress
		}
		if st.Field != field.Skip {
			ev.Peer = a
		}
		return end, ingest.OK
	case Local, ISO:
		return p.time(st, line, i, ev)
	case Status:
		code, end := field.Status(line, i)
		if end < 0 {
			return 0, ingest.BadStatus
		}
		ev.Status = code
		return end, ingest.OK
	case Int:
		n, end = field.Integer(line, i)
		if st.Unit != 0 {
			n *= st.Unit
		}
	case Seconds:
		n, end = field.Seconds(line, i)
		if st.Field == field.Msec && end >= 0 && n == 0 {
			return 0, ingest.BadTime
		}
	case SecondsList:
		n, end = field.SecondsList(line, i)
	case Custom:
		n, end = st.Read(&p.sink.Clock, line, i)
	case List:
		return field.List(line, i), ingest.OK
	default:
		return p.word(st, line, i, ev), ingest.OK
	}
	if end < 0 {
		return 0, badNumber(st.Field)
	}
	field.Store(st.Field, n, ev)
	return end, ingest.OK
}

// badNumber says what it is that could not be read.
func badNumber(f field.Field) ingest.Reason {
	switch {
	case field.IsTime(f):
		return ingest.BadTime
	case f == field.StatusCode:
		return ingest.BadStatus
	}
	return ingest.BadNumber
}

// word takes a word that the gateway wrote.
func (p *parser) word(st *step, line []byte, i int, ev *ingest.Event) int {
	set := &field.ItemBytes
	if st.Kind == Word {
		set = &field.WordBytes
	}
	end := field.Run(line, i, set)
	if st.Field != field.Skip {
		p.text(st, line[i:end], ev)
	}
	return end
}

func (p *parser) time(st *step, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	var ns int64
	var ok bool
	width := field.LocalWidth
	if st.Kind == ISO {
		ns, ok = p.sink.Clock.ReadISO(line, i)
		width = field.ISOWidth
	} else {
		ns, ok = p.sink.Clock.ReadLocal(line, i)
	}
	if !ok {
		return 0, ingest.BadTime
	}
	if st.Field != field.Skip {
		ev.Time = ns
	}
	return i + width, ingest.OK
}

// text stores a value, its escapes undone.
func (p *parser) text(st *step, v []byte, ev *ingest.Event) {
	d := &p.plan.dialect
	if len(v) == len(d.Nil) && len(v) > 0 && string(v) == d.Nil {
		if field.IsTarget(st.Field) {
			p.sink.SeeTarget()
		}
		if st.Field != field.Request {
			return // the gateway's sign for "nothing"
		}
		v = nil
	}
	if p.escapes && !st.Raw {
		v = p.undo(v)
	}
	p.sink.Text(st.Field, v, ev)
}

// undo undoes the escapes of the dialect, once.
func (p *parser) undo(v []byte) []byte {
	out, ok := p.plan.dialect.Undo(&p.sink.Mem, v)
	if !ok {
		p.sink.Bad = true
		return v
	}
	if len(out) != len(v) && !utf8.Valid(out) {
		p.sink.Bad = true
	}
	return out
}
