package text

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// several reads values that stand together, "{a|b}" or "a" "b", or nothing where
// there are none. HAProxy then writes one blank and not two, so the blank before
// stands for the one behind, too.
func (p *parser) several(st *step, line []byte, i int, ev *ingest.Event) int {
	end := i
	switch {
	case i >= len(line):
	case st.Kind == Braced && line[i] == '{':
		n := bytes.IndexByte(line[i:], '}')
		if n < 0 {
			return len(line) // cut within
		}
		p.values(st, line[i+1:i+n], ev)
		return i + n + 1
	case st.Kind == Quoted && line[i] == '"':
		return p.quoted(st, line, i, ev)
	}
	if i > 0 && line[i-1] == ' ' && st.stop == ' ' {
		end--
	}
	return end
}

// values takes what stands between braces.
func (p *parser) values(st *step, v []byte, ev *ingest.Event) {
	marked := bytes.IndexByte(v, st.esc.Marker) >= 0
	for _, f := range st.v.Parts {
		one, end := v, 0
		if len(v) == 0 || v[0] != '|' { // many are empty
			end = bytes.IndexByte(v, '|')
		}
		if end >= 0 {
			one = v[:end]
		}
		if f != field.Skip && len(one) > 0 && !p.nothing(st, one) {
			if marked {
				one = p.undo(st, one)
			}
			p.sink.Text(f, one, ev)
		}
		if end < 0 {
			return
		}
		v = v[end+1:]
	}
}

func (p *parser) quoted(st *step, line []byte, i int, ev *ingest.Event) int {
	for n := 0; ; n++ {
		k := bytes.IndexByte(line[i+1:], '"')
		if k < 0 {
			return len(line)
		}
		if n < len(st.v.Parts) {
			p.part(st, st.v.Parts[n], line[i+1:i+1+k], ev)
		}
		i += k + 2
		if n+1 == len(st.v.Parts) || len(line)-i < 2 || line[i] != ' ' || line[i+1] != '"' {
			return i
		}
		i++
	}
}

func (p *parser) part(st *step, f field.Field, v []byte, ev *ingest.Event) {
	if f != field.Skip && len(v) > 0 && !p.nothing(st, v) {
		p.sink.Text(f, p.undo(st, v), ev)
	}
}
