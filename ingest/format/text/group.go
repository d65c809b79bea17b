package text

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
)

// sealed returns the index in lit of the first byte that the values cannot hold,
// because the gateway escapes it, or -1.
func (p *Plan) sealed(lit string, values ...step) int {
	if p.dialect.Escaped == nil {
		return -1
	}
	for i := range values {
		if values[i].Kind == Text && values[i].Raw {
			return -1
		}
	}
	return strings.IndexFunc(lit, func(r rune) bool { return r < 256 && p.dialect.Escaped(byte(r)) })
}

// group gathers the steps that must be searched together into spans.
func (p *Plan) group(steps []step) {
	for i := 0; i < len(steps); {
		st := steps[i]
		i++
		switch {
		case st.Kind != Text:
			st.op = opTight
		case st.lit == "" && i == len(steps):
			st.op = opRest
		case p.sealed(st.lit, st) == 0:
			st.op = opText
		default:
			first := i - 1
			for i < len(steps) && p.sealed(steps[i-1].lit, steps[first:i]...) < 0 {
				i++
			}
			st = p.newSpan(slices.Clone(steps[first:i]))
		}
		p.steps = append(p.steps, st)
	}
}

func (p *Plan) newSpan(parts []step) step {
	last := &parts[len(parts)-1]
	sp := &span{parts: parts, tail: last.lit, seal: p.sealed(last.lit, parts...)}
	last.lit, last.stop, last.word, last.mask = "", 0, 0, 0
	for i := range parts {
		pt := &parts[i]
		if pt.Kind == Text {
			sp.texts++
			sp.names = append(sp.names, pt.name)
		}
		if i > 0 && sp.width >= 0 {
			if w := pt.fixedWidth(); w > 0 {
				sp.width += w
			} else {
				sp.width = -1
			}
		}
		if sp.width >= 0 {
			sp.width += len(pt.lit)
		}
		sp.peer = sp.peer || field.IsPeer(pt.Field)
		sp.time = sp.time || field.IsTime(pt.Field)
	}
	if sp.texts > 1 {
		p.forgeable = true
		p.warnings = append(p.warnings, fmt.Sprintf("nothing that the gateway escapes stands between %s: a client can make "+
			"their borders uncertain; lines where it does give neither these nor what is between them; %s",
			strings.Join(sp.names, " and "), p.dialect.Advice))
	}
	return step{op: opSpan, span: sp}
}

// runsInto tells whether a value could go on into the literal behind it, so that its
// own grammar does not end it.
func (s *step) runsInto(lit string) bool {
	if lit == "" {
		return false
	}
	c := lit[0]
	separator := strings.HasPrefix(lit, ", ") || strings.HasPrefix(lit, " : ")
	switch s.Kind {
	case Addr, AddrPort:
		return field.AddrBytes[c] || c == '%'
	case Int:
		return c-'0' <= 9 || c == '-'
	case Seconds:
		return c-'0' <= 9 || c == '-' || c == '.'
	case SecondsList:
		return c-'0' <= 9 || c == '-' || c == '.' || separator
	case Token:
		return field.ItemBytes[c]
	case Word:
		return field.WordBytes[c]
	case List:
		return field.ItemBytes[c] || separator
	case Custom:
		return s.Set == nil || s.Set[c]
	}
	return false
}

// fixedWidth returns how many bytes a value always has, or 0.
func (s *step) fixedWidth() int {
	switch s.Kind {
	case Local:
		return field.LocalWidth
	case ISO:
		return field.ISOWidth
	case Status:
		return 3
	}
	return 0
}
