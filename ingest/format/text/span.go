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
		k := p.closing(line, i, sp.tail[sp.seal])
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
	if p.single(sp, body, ev) {
		return next, ingest.OK
	}
	switch n := p.count(sp, body); n {
	case 0:
		return 0, ingest.BadShape
	case 1:
		p.take(sp, body, ev)
		return next, ingest.OK
	}
	// More than one reading: what the span holds is not known. An event without its
	// client would be worse than none.
	switch {
	case sp.peer:
		return 0, ingest.BadAddress
	case sp.time:
		return 0, ingest.BadTime
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
			for at := range mine {
				mine[at] = 1 // the last text takes all that is left
			}
			continue
		}
		var sum uint8
		first := sp.parts[k].stop
		for at := len(body); at >= 0; at-- {
			if sum < 2 && at < len(body) && body[at] == first {
				if end, _, ok := p.chain(sp, k, body, at, &p.trash); ok {
					sum = min(sum+after[end], 2)
				}
			}
			mine[at] = sum
		}
	}
	return rows[0]
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
		for {
			j := bytes.IndexByte(body[end:], st.stop)
			if j < 0 {
				return
			}
			end += j
			if e, next, ok := p.chain(sp, k, body, end, &p.trash); ok && p.ways[g*row+e] == 1 {
				p.chain(sp, k, body, end, ev)
				p.text(st, body[at:end], ev)
				at, k = e, next
				break
			}
			end++
		}
	}
}
