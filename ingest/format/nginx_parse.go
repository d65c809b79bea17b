package format

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
)

// lineParser runs a plan over lines. It is the ingest.Parser of all nginx formats.
type lineParser struct {
	plan    *plan
	mem     scratch
	clock   clock
	escapes bool // the line holds a backslash
	bad     bool // a value was not UTF-8, or held a broken escape
	req     requestParts
	keyed   keyedState
	trash   ingest.Event // what is matched only to find a border
	ways    []uint8      // of span.split
}

// requestParts are what the target is put together from.
type requestParts struct {
	line, uri, args []byte
	raw             bool // uri is $request_uri, as sent
	seen            bool // the line has a place for a target, be it empty
}

func newLineParser(p *plan) *lineParser { return &lineParser{plan: p} }

// Reset implements ingest.Parser.
func (p *lineParser) Reset() {
	p.mem.abandon()
	p.trash, p.req = ingest.Event{}, requestParts{}
}

// Parse implements ingest.Parser.
func (p *lineParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, escapes, high := look(line)
	if nul {
		return ingest.HasNUL
	}
	if len(line) > 0 && line[0] == '<' && p.plan.prefix == "" {
		line = stripSyslog(line)
	}
	p.escapes, p.bad = escapes, false
	if p.plan.multi {
		p.req = requestParts{}
	}
	reason := ingest.BadShape
	if !p.plan.byKey {
		reason = p.run(line, ev)
	} else {
		reason = p.object(line, ev)
	}
	if reason != ingest.OK {
		return p.refuse(line, ev, reason)
	}
	return p.finish(line, high, ev)
}

// finish sets what depends on the whole line.
func (p *lineParser) finish(line []byte, high bool, ev *ingest.Event) ingest.Reason {
	if p.plan.multi {
		p.setTarget(ev)
	}
	if p.plan.forgeable {
		ev.Flags |= ingest.FlagForgeable
	}
	if p.bad || high && !utf8.Valid(line) {
		ev.Flags |= ingest.FlagInvalidUTF8
	}
	return ingest.OK
}

// refuse is the way of lines that the plan does not fit: perhaps the same JSON
// object in another order, or no access-log line at all.
func (p *lineParser) refuse(line []byte, ev *ingest.Event, reason ingest.Reason) ingest.Reason {
	switch {
	case isBlankLine(line):
		return ingest.EmptyLine
	case isErrorLog(line):
		return ingest.NotARequest
	case p.plan.lookup == nil || p.plan.byKey:
		return reason
	}
	*ev = ingest.Event{}
	p.req = requestParts{}
	p.bad = false
	if second := p.object(line, ev); second != ingest.OK {
		return second
	}
	return p.finish(line, true, ev)
}

// run takes the line's values in order.
func (p *lineParser) run(line []byte, ev *ingest.Event) ingest.Reason {
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
				end = closingByte(line, i, st.stop)
			} else if end = bytes.IndexByte(line[i:], st.stop); end >= 0 {
				end += i
			}
			if end < 0 {
				return p.cut(st, line[i:], ev)
			}
			if st.field != fSkip {
				p.text(st.field, line[i:end], ev)
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
			p.text(st.field, line[i:], ev)
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

// closingByte finds the end of a value that is closed by a byte no value holds.
func closingByte(line []byte, i int, stop byte) int {
	if stop == '"' {
		return closing(line, i)
	}
	if k := bytes.IndexByte(line[i:], stop); k >= 0 {
		return i + k
	}
	return -1
}

// cut takes what is left of a line that ends within a quoted value, if all that is
// vital stands before it.
func (p *lineParser) cut(st *step, v []byte, ev *ingest.Event) ingest.Reason {
	if !st.cut {
		return ingest.BadShape
	}
	ev.Flags |= ingest.FlagTruncated
	if st.field != fSkip {
		p.text(st.field, v, ev)
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
func (p *lineParser) tight(st *step, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	switch st.kind {
	case kAddr:
		a, end := address(line, i, st.stop == ':')
		if end < 0 {
			return 0, ingest.BadAddress
		}
		if st.field != fSkip {
			ev.Peer = a
		}
		return end, ingest.OK
	case kLocal, kISO:
		return p.time(st, line, i, ev)
	case kStatus:
		n, end := status(line, i)
		if end < 0 {
			return 0, ingest.BadStatus
		}
		ev.Status = n
		return end, ingest.OK
	case kInt:
		n, end := integer(line, i)
		return end, number(st.field, n, end, ev)
	case kDur:
		n, end := seconds(line, i)
		if st.field == fMsec && end >= 0 && n == 0 {
			return 0, ingest.BadTime
		}
		return end, number(st.field, n, end, ev)
	case kDurs:
		n, end := secondsList(line, i)
		return end, number(st.field, n, end, ev)
	case kList:
		return list(line, i), ingest.OK
	default:
		set := &isItem
		if st.kind == kWord {
			set = &isWord
		}
		end := run(line, i, set)
		if st.field != fSkip {
			p.text(st.field, line[i:end], ev)
		}
		return end, ingest.OK
	}
}

func (p *lineParser) time(st *step, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	read, width := (*clock).readLocal, localWidth
	if st.kind == kISO {
		read, width = (*clock).readISO, isoWidth
	}
	ns, ok := read(&p.clock, line, i)
	if !ok {
		return 0, ingest.BadTime
	}
	if st.field != fSkip {
		ev.Time = ns
	}
	return i + width, ingest.OK
}

// number stores a number; end is that of the reader, -1 if it was none.
func number(f field, n int64, end int, ev *ingest.Event) ingest.Reason {
	if end < 0 {
		return ingest.BadNumber
	}
	switch f {
	case fBytesBody, fBytesAll:
		ev.BytesOut = n
	case fBytesIn:
		ev.BytesIn = n
	case fDuration:
		ev.Duration = n
	case fUpstream:
		ev.Upstream = n
	case fMsec:
		ev.Time = n
	}
	return ingest.OK
}
