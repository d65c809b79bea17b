package text

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// cut takes what is left of a line that ends within a text, if all that is vital
// stands before it.
func (p *parser) cut(st *step, v []byte, ev *ingest.Event) ingest.Reason {
	if !st.cut {
		return ingest.BadShape
	}
	ev.Flags |= ingest.FlagTruncated
	switch {
	case field.IsRequest(st.Field) && p.plan.dialect.Cuts:
		p.sink.CutRequest(p.undo(st, v), ev)
	case st.Field != field.Skip:
		p.text(st, v, ev)
	}
	return ingest.OK
}

// ends takes a line that ends in or behind a value at a place where the gateway may
// have cut it; elsewhere the literal behind the value is missing.
func (p *parser) ends(st *step, line []byte, end int, ev *ingest.Event) ingest.Reason {
	rest := line[end:]
	if st.trim && string(rest) == st.lit[:len(st.lit)-1] {
		return ingest.OK // somebody trimmed the line
	}
	if !st.cut || !p.plan.dialect.Cuts || len(rest) >= len(st.lit) || string(rest) != st.lit[:len(rest)] {
		return ingest.BadShape
	}
	ev.Flags |= ingest.FlagTruncated
	if len(rest) == 0 && st.Field != field.Skip {
		p.wipe(st, ev) // perhaps half a value
	}
	return ingest.OK
}

// pass passes over several numbers and returns the index behind the last, or -1.
func (s *step) pass(line []byte, i int) int {
	for k := 0; ; k++ {
		if k < len(s.seps) && i+1 < len(line) && line[i]-'0' <= 9 && line[i+1] == s.seps[k] {
			i += 2 // one digit
			continue
		}
		start := i
		if i < len(line) && (line[i] == '-' || line[i] == '+') {
			i++
		}
		for i < len(line) && line[i]-'0' <= 9 {
			i++
		}
		if i == start {
			return -1
		}
		if k == len(s.seps) {
			return i
		}
		if i >= len(line) || line[i] != s.seps[k] {
			return -1
		}
		i++
	}
}

// unread says why a value could not be read: the line may end before it.
func (p *parser) unread(st *step, line []byte, i int, ev *ingest.Event, reason ingest.Reason) ingest.Reason {
	if st.cut && i == len(line) {
		return p.ends(st, line, i, ev)
	}
	return shape(line[i:], st.lit, reason)
}

// endsWithin takes a line that was cut within several numbers.
func (p *parser) endsWithin(st *step, line []byte, i int, ev *ingest.Event) ingest.Reason {
	if !st.cut {
		return ingest.BadNumber
	}
	for _, c := range line[i:] {
		if c-'0' > 9 && c != '-' && c != '+' && strings.IndexByte(st.seps, c) < 0 {
			return ingest.BadNumber
		}
	}
	ev.Flags |= ingest.FlagTruncated
	return ingest.OK
}

// noAddress says why there is no address at line[i].
func (s *step) noAddress(line []byte, i int) ingest.Reason {
	if !s.v.Named {
		return ingest.BadAddress
	}
	end := i
	for end < len(line) && (field.WordBytes[line[end]] || line[end] == '.') {
		end++
	}
	name := line[i:end]
	last := name[bytes.LastIndexByte(name, '.')+1:]
	if len(last) == 0 || last[0]-'0' <= 9 || !s.literalAt(line, end) {
		return ingest.BadAddress
	}
	return ingest.NoClient
}

// wipe takes a value back.
func (p *parser) wipe(st *step, ev *ingest.Event) {
	switch st.Kind {
	case Addr:
		ev.Peer = netip.Addr{}
	case Token, Word, Text:
		p.sink.Text(st.Field, nil, ev)
	default:
		field.Store(st.Field, 0, ev)
	}
}
