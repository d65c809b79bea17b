package text

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// marks are the bytes that a span's mark can be: those that nothing but a text holds.
const marks = "\"|\t{}[]()<>;'"

// mostTexts is how many texts a span can have that is read without count's tables.
const mostTexts = 8

// chooseMark looks for a byte that is in every literal behind a text and in no value
// that is not a text. A line in which it stands as often as in the literals can be
// read in one way only: each of them must be a literal's.
func (sp *span) chooseMark() {
	for k := range len(marks) {
		if sp.canMark(marks[k]) && sp.texts <= mostTexts {
			sp.mark = marks[k]
			return
		}
	}
}

func (sp *span) canMark(c byte) bool {
	for k := range sp.parts {
		st := &sp.parts[k]
		switch st.Kind {
		case Text:
			n := bytes.IndexByte([]byte(st.lit), c)
			if k < len(sp.parts)-1 && (n < 0 || n > 100) {
				return false
			}
			st.mark = int8(n)
		case Token, Word:
			if st.set[c] {
				return false
			}
		case List, Braced, Quoted, Custom:
			return false
		}
		if st.Field == field.Date || st.Field == field.TimeOfDay {
			return false // what is added up cannot be taken back
		}
	}
	return true
}

// marked reads a span whose mark stands where literals have it and nowhere else. It
// reports false, with ev as it was, for another one.
func (p *parser) marked(sp *span, body []byte, ev *ingest.Event) bool {
	var to, from [mostTexts]int
	at, g := 0, 0
	for k := range sp.parts {
		st := &sp.parts[k]
		end := -1
		switch n := 0; {
		case st.Kind != Text:
			if e, reason := p.tight(st, body, at, ev); reason == ingest.OK {
				end = e
			}
		case k == len(sp.parts)-1:
			if bytes.IndexByte(body[at:], sp.mark) < 0 {
				end = len(body)
			}
		default:
			if n = bytes.IndexByte(body[at:], sp.mark); n >= int(st.mark) {
				end = at + n - int(st.mark)
			}
		}
		if end < 0 || !st.literalAt(body, end) {
			p.takeBack(sp.parts[:k+1], ev)
			return false
		}
		if st.Kind == Text {
			from[g], to[g] = at, end
			g++
		}
		at = end + len(st.lit)
	}
	if at != len(body) {
		p.takeBack(sp.parts, ev)
		return false
	}
	g = 0
	for k := range sp.parts {
		if st := &sp.parts[k]; st.Kind == Text {
			if st.Field != field.Skip {
				p.text(st, body[from[g]:to[g]], ev)
			}
			g++
		}
	}
	return true
}

// takeBack empties the fields of values that were read too early.
func (p *parser) takeBack(parts []step, ev *ingest.Event) {
	for k := range parts {
		if st := &parts[k]; st.Kind != Text && st.Field != field.Skip {
			p.wipe(st, ev)
		}
	}
}
