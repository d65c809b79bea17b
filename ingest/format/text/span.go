package text

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// spanAt reads the span that begins at line[i] and returns the index behind it.
func (p *parser) spanAt(sp *span, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	end := len(line) - len(sp.tail)
	if sp.seal >= 0 {
		first := &sp.parts[0]
		k := p.closing(line, i+first.emptyAt(line, i), sp.tail[sp.seal], sp.marker)
		if k < 0 {
			return 0, ingest.BadShape
		}
		end = k - sp.seal
	}
	next := end + len(sp.tail)
	if end < i || next > len(line) || string(line[end:next]) != sp.tail {
		return 0, ingest.BadShape
	}
	body := line[i:end]
	if sp.width >= 0 {
		return next, p.rigid(sp, body, ev)
	}
	if sp.mark != 0 && p.marked(sp, body, ev) || p.single(sp, body, ev) {
		return next, ingest.OK
	}
	switch n := p.count(sp, body); n {
	case 0:
		return 0, ingest.BadShape
	case 1:
		p.take(sp, body, ev)
		return next, ingest.OK
	}
	// More than one reading: of what the span holds, only what stands at its end and
	// has a fixed width is known. An event without its client would be worse than none.
	switch {
	case sp.peer:
		return 0, ingest.BadAddress
	case sp.time:
		return 0, ingest.BadTime
	}
	at := len(body) - sp.suffixWidth
	for k := len(sp.parts) - sp.suffix; k < len(sp.parts); k++ {
		st := &sp.parts[k]
		e, reason := p.tight(st, body, at, ev)
		if reason != ingest.OK {
			return 0, reason
		}
		at = e + len(st.lit)
	}
	return next, ingest.OK
}

// rigid reads a span of which only the first value's length can vary.
func (p *parser) rigid(sp *span, body []byte, ev *ingest.Event) ingest.Reason {
	at := len(body) - sp.width
	if at < 0 {
		return ingest.BadShape
	}
	first := &sp.parts[0]
	if !first.literalAt(body, at) {
		return ingest.BadShape
	}
	if first.Field != field.Skip {
		p.text(first, body[:at], ev)
	}
	at += len(first.lit)
	for k := 1; k < len(sp.parts); k++ {
		st := &sp.parts[k]
		end, reason := p.tight(st, body, at, ev)
		if reason != ingest.OK {
			return reason
		}
		if !st.literalAt(body, end) {
			return ingest.BadShape
		}
		at = end + len(st.lit)
	}
	return ingest.OK
}

// chain matches what follows a text value at body[at]: its literal, and the values
// of fixed grammar behind it up to the next text (index next) or the end. into
// receives the values.
func (p *parser) chain(sp *span, k int, body []byte, at int, into *ingest.Event) (end, next int, ok bool) {
	st := &sp.parts[k]
	if !st.literalAt(body, at) {
		return 0, 0, false
	}
	at += len(st.lit)
	for k++; k < len(sp.parts) && sp.parts[k].Kind != Text; k++ {
		st = &sp.parts[k]
		e, reason := p.tight(st, body, at, into)
		if reason != ingest.OK || !st.literalAt(body, e) {
			return 0, 0, false
		}
		at = e + len(st.lit)
	}
	return at, k, true
}

// single reads a span of which every border can stand in one place only: the usual
// case, without count's tables. It reports false, with ev as it was, if a border
// has several places or none.
func (p *parser) single(sp *span, body []byte, ev *ingest.Event) bool {
	const most = 8
	var from, to [most + 1]int
	if sp.texts > most {
		return false
	}
	g := 0
	for k := range sp.parts {
		if sp.parts[k].Kind != Text {
			continue
		}
		if k == len(sp.parts)-1 {
			to[g] = len(body)
			g++
			break
		}
		at, end := p.border(sp, k, body, 0)
		if at < from[g] {
			return false
		}
		if again, _ := p.border(sp, k, body, at+1); again >= 0 {
			return false
		}
		to[g], from[g+1] = at, end
		g++
	}
	if sp.parts[len(sp.parts)-1].Kind != Text && from[g] != len(body) {
		return false
	}
	p.fill(sp, body, from[:g], to[:g], ev)
	return true
}

// border finds the first place from at on where the text k can end, and the end of
// what must follow it.
func (p *parser) border(sp *span, k int, body []byte, at int) (start, end int) {
	lit := sp.parts[k].lit
	for at <= len(body) {
		j := bytes.Index(body[at:], []byte(lit))
		if j < 0 {
			break
		}
		at += j
		if e, _, ok := p.chain(sp, k, body, at, &p.trash); ok {
			return at, e
		}
		at++
	}
	return -1, -1
}

// fill stores the values of a span once the borders of its texts are known.
func (p *parser) fill(sp *span, body []byte, from, to []int, ev *ingest.Event) {
	g := 0
	for k := range sp.parts {
		st := &sp.parts[k]
		if st.Kind != Text {
			continue
		}
		if k < len(sp.parts)-1 {
			p.chain(sp, k, body, to[g], ev)
		}
		if st.Field != field.Skip {
			p.text(st, body[from[g]:to[g]], ev)
		}
		g++
	}
}

// count returns in how many ways the span can be read: 0, 1, or 2 for more.
// Row k of p.ways holds, for each position, the ways to read the parts from the
// k-th text on if it begins there.
func (p *parser) count(sp *span, body []byte) uint8 {
	row := len(body) + 1
	if need := row * (sp.texts + 1); cap(p.ways) < need {
		p.ways = make([]uint8, need)
	}
	p.ways = p.ways[:row*(sp.texts+1)]
	rows := p.ways
	last := rows[sp.texts*row:]
	clear(last)
	last[len(body)] = 1
	g := sp.texts
	for k := len(sp.parts) - 1; k >= 0; k-- {
		if sp.parts[k].Kind != Text {
			continue
		}
		after, mine := rows[g*row:(g+1)*row], rows[(g-1)*row:g*row]
		g--
		if k == len(sp.parts)-1 {
			p.lastText(&sp.parts[k], body, mine)
			continue
		}
		st := &sp.parts[k]
		for at := len(body); at >= 0; at-- {
			var sum uint8
			if at < len(body) {
				if n := st.unit(body[at:]); n > 0 {
					sum = mine[at+n]
				}
				if sum < 2 && body[at] == st.stop {
					if end, _, ok := p.chain(sp, k, body, at, &p.trash); ok {
						sum = min(sum+after[end], 2)
					}
				}
			}
			mine[at] = sum
		}
	}
	return rows[0]
}

// lastText counts the ways to read a text that must take all that is left: one, if
// it can hold it.
func (p *parser) lastText(st *step, body []byte, mine []uint8) {
	mine[len(body)] = 1
	for at := len(body) - 1; at >= 0; at-- {
		mine[at] = 0
		if n := st.unit(body[at:]); n > 0 {
			mine[at] = mine[at+n]
		}
	}
}

// unit returns the length of the byte or escape that a text can go on with, or 0 if
// it can hold neither.
func (s *step) unit(b []byte) int {
	switch c := b[0]; {
	case s.limit != nil:
		if !s.limit[c] {
			return 0
		}
	case s.esc.Escaped == nil:
	case c == s.esc.Marker:
		return s.esc.width(b)
	case s.esc.Escaped(c) && c < 0x80: // bytes beyond ASCII are escaped by some versions only
		return 0
	}
	return 1
}

// take stores the values of a span that can be read in one way only.
func (p *parser) take(sp *span, body []byte, ev *ingest.Event) {
	row := len(body) + 1
	at, k := 0, 0
	for g := 1; k < len(sp.parts); g++ {
		st := &sp.parts[k]
		if k == len(sp.parts)-1 {
			p.text(st, body[at:], ev)
			return
		}
		end := at
		for { // to the only border behind which all can be read
			if end == len(body) {
				return
			}
			if body[end] == st.stop {
				if e, next, ok := p.chain(sp, k, body, end, &p.trash); ok && p.ways[g*row+e] == 1 {
					p.chain(sp, k, body, end, ev)
					p.text(st, body[at:end], ev)
					at, k = e, next
					break
				}
			}
			n := st.unit(body[end:])
			if n == 0 {
				return
			}
			end += n
		}
	}
}
