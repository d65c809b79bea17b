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
	p.escapes = escapes
	p.sink.Begin()
	reason := p.run(line, ev)
	if reason == ingest.BadShape && p.plan.rare != nil {
		reason = p.again(line, ev)
	}
	if reason != ingest.OK {
		return p.refuse(line, ev, reason)
	}
	if p.plan.zone != nil {
		ev.Time = p.sink.Clock.Wall(ev.Time, p.plan.zone)
	}
	if p.plan.forgeable {
		ev.Flags |= ingest.FlagForgeable
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// again reads a line in which something stands that usually does not.
func (p *parser) again(line []byte, ev *ingest.Event) ingest.Reason {
	usual := p.plan
	p.plan = usual.rare
	*ev = ingest.Event{}
	p.sink.Begin()
	reason := p.run(line, ev)
	if reason == ingest.OK && p.plan.forgeable {
		ev.Flags |= ingest.FlagForgeable
	}
	p.plan = usual
	return reason
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
	i := len(p.plan.prefix)
	if len(line) < i || string(line[:i]) != p.plan.prefix {
		return ingest.BadShape
	}
	steps := p.plan.steps
	for k := 0; k < len(steps); k++ {
		st := &steps[k]
		end, reason := 0, ingest.OK
		switch st.op {
		case opText:
			if end = p.endOfText(st, line, i); end < 0 {
				return p.cut(st, line[i:], ev)
			}
			if st.Field != field.Skip {
				p.text(st, line[i:end], ev)
			}
		case opInt:
			if end = st.count(line, i, ev); end > 0 {
				break
			}
			fallthrough
		case opTight:
			if end, reason = p.tight(st, line, i, ev); reason != ingest.OK {
				return p.unread(st, line, i, ev, reason)
			}
		case opWord:
			end = p.word(st, line, i, ev)
		case opNumbers:
			if end = st.pass(line, i); end < 0 {
				return p.endsWithin(st, line, i, ev)
			}
		case opSeveral:
			end = p.several(st, line, i, ev)
		case opSpan:
			if i, reason = p.spanAt(st.span, line, i, ev); reason != ingest.OK {
				return reason
			}
			continue
		case opHead:
			if next := p.combinedHead(line, i, steps[k+headSteps].lit, ev); next > 0 {
				i, k = next, k+headSteps
			}
			continue
		case opRest:
			end = len(line)
			p.text(st, line[i:], ev)
		}
		if !st.shortAt(line, end) && !st.literalAt(line, end) {
			return p.ends(st, line, end, ev)
		}
		i = end + len(st.lit)
	}
	if i != len(line) {
		return ingest.BadShape
	}
	return ingest.OK
}

// endOfText finds the end of a value that is closed by a byte no value holds, or -1.
func (p *parser) endOfText(st *step, line []byte, i int) int {
	if p.escapes || st.odd {
		return p.closing(line, i+st.emptyAt(line, i), st.stop, st.marker)
	}
	if k := bytes.IndexByte(line[i:], st.stop); k >= 0 {
		return i + k
	}
	return -1
}

// shortAt is literalAt for literals of one to eight bytes that are not at the line's end.
func (s *step) shortAt(line []byte, i int) bool {
	return s.mask != 0 && len(line)-i >= 8 && binary.LittleEndian.Uint64(line[i:])&s.mask == s.word
}

// literalAt tells whether the literal behind the step's value stands at i.
func (s *step) literalAt(line []byte, i int) bool {
	if n := len(s.lit); n <= 8 && len(line)-i >= 8 {
		return binary.LittleEndian.Uint64(line[i:])&s.mask == s.word
	} else if n <= 16 && len(line)-i >= n && n > 8 {
		return binary.LittleEndian.Uint64(line[i:]) == s.word && binary.LittleEndian.Uint64(line[i+n-8:]) == s.tail
	}
	return len(line)-i >= len(s.lit) && string(line[i:i+len(s.lit)]) == s.lit
}

// emptyAt returns the length of what stands for an empty text, if it stands at i.
func (s *step) emptyAt(line []byte, i int) int {
	if n := len(s.v.Empty); n > 0 && len(line)-i >= n && string(line[i:i+n]) == s.v.Empty {
		return n
	}
	return 0
}

// closing finds the end of a value that is closed by a byte no value holds.
func (p *parser) closing(line []byte, i int, stop, marker byte) int {
	if p.escapes && stop == '"' && marker == '\\' {
		return field.Closing(line, i)
	}
	if k := bytes.IndexByte(line[i:], stop); k >= 0 {
		return i + k
	}
	return -1
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
	case Addr, AddrPort:
		return st.address(line, i, ev)
	case Local, ISO:
		return p.time(st, line, i, ev)
	case Status:
		code, end := field.Status(line, i)
		if end < 0 {
			return 0, ingest.BadStatus
		}
		if st.Field != field.Skip {
			ev.Status = code
		}
		return end, ingest.OK
	case Int:
		n, end = field.Integer(line, i)
		n, end = st.v.scaled(n, end)
	case Signed:
		n, end = field.Signed(line, i)
		n, end = st.v.scaled(n, end)
	case Seconds:
		n, end = field.Seconds(line, i)
		if st.Field == field.Msec && end >= 0 && n == 0 {
			return 0, ingest.BadTime
		}
	case SecondsList:
		n, end = field.SecondsList(line, i)
	case Custom:
		n, end = st.v.Read(&p.sink.Clock, line, i)
	case List:
		return field.List(line, i), ingest.OK
	case Braced, Quoted:
		return p.several(st, line, i, ev), ingest.OK
	default:
		return p.word(st, line, i, ev), ingest.OK
	}
	if end < 0 {
		return 0, badNumber(st.Field)
	}
	if st.Field != field.Skip {
		field.Store(st.Field, n, ev)
	}
	return end, ingest.OK
}

// address reads who connected.
func (s *step) address(line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	if s.Kind == AddrPort {
		a, end := field.AddressPort(line, i)
		if end < 0 {
			return 0, ingest.BadAddress
		}
		if s.Field != field.Skip {
			ev.Peer = a
		}
		return end, ingest.OK
	}
	a, end := field.Address(line, i, s.stop == ':')
	if end < 0 && s.Field == field.Skip && s.v.Named {
		end = field.Run(line, i, &field.ItemBytes)
	} else if end < 0 {
		return 0, s.noAddress(line, i)
	}
	if s.Field != field.Skip {
		ev.Peer = a
	}
	return end, ingest.OK
}

// word takes a word that the gateway wrote.
func (p *parser) word(st *step, line []byte, i int, ev *ingest.Event) int {
	end := field.Run(line, i, st.set)
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
	if n := len(v); n < 16 && st.signs>>n&1 != 0 && p.nothing(st, v) {
		if field.IsTarget(st.Field) {
			p.sink.SeeTarget()
		}
		if !field.IsRequest(st.Field) {
			return // the gateway's sign for "nothing"
		}
		v = nil
	}
	if (st.marker != '\\' || p.escapes) && st.marker != 0 {
		v = p.undo(st, v)
	}
	p.sink.Text(st.Field, v, ev)
}

// nothing tells the gateway's signs for a value that is not there.
func (p *parser) nothing(st *step, v []byte) bool {
	d := &p.plan.dialect
	switch len(v) {
	case 0:
		return false
	case len(d.Nil):
		return string(v) == d.Nil
	case len(d.Bad), len(st.v.Empty):
		return string(v) == d.Bad || string(v) == st.v.Empty
	}
	return false
}

// undo undoes the escapes of a value, once.
func (p *parser) undo(st *step, v []byte) []byte {
	if st.esc.Undo == nil {
		return v
	}
	out, ok := st.esc.Undo(&p.sink.Mem, v)
	if !ok {
		p.sink.Bad = true
		return v
	}
	if len(out) != len(v) && !utf8.Valid(out) {
		p.sink.Bad = true
	}
	return out
}
