package text

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
)

// sealed returns the index in lit of the first byte that the texts among the values
// cannot hold, because the gateway escapes it, and all in the same way; or -1.
func sealed(lit string, values ...step) int {
	marker := -1
	for i := range values {
		if values[i].Kind != Text {
			continue
		}
		m := int(values[i].esc.Marker)
		if values[i].esc.Escaped == nil || marker >= 0 && m != marker {
			return -1
		}
		marker = m
	}
	for k := range len(lit) {
		if !slices.ContainsFunc(values, func(s step) bool { return s.Kind == Text && !s.esc.Escaped(lit[k]) }) {
			return k
		}
	}
	return -1
}

// group gathers the steps that must be searched together into spans.
func (p *Plan) group(steps []step) {
	head := p.findHead(steps)
	for i := 0; i < len(steps); {
		if i == head {
			p.steps = append(p.steps, step{op: opHead})
		}
		st := steps[i]
		i++
		switch {
		case st.Kind != Text:
			st.op = opTight
			if st.Kind == Token || st.Kind == Word {
				st.op = opWord
			} else if st.Kind == Braced || st.Kind == Quoted {
				st.op = opSeveral
			} else if st.Kind == Int || st.Kind == Signed {
				st.op, st.scale = opInt, max(st.v.Unit, 1)
				st.most = math.MaxInt64 / st.scale
			}
			if n := countNumbers(steps[i-1:]); n > 1 {
				st = numbers(steps[i-1 : i-1+n])
				i += n - 1
			}
		case st.lit == "" && i == len(steps):
			st.op = opRest
		case sealed(st.lit, st) == 0:
			st.op = opText
		default:
			first := i - 1
			for i < len(steps) && sealed(steps[i-1].lit, steps[first:i]...) < 0 {
				i++
			}
			st = p.newSpan(slices.Clone(steps[first:i]))
		}
		p.steps = append(p.steps, st)
	}
	at := slices.IndexFunc(p.steps, func(s step) bool { return s.op == opHead })
	if at >= 0 && (at+headSteps >= len(p.steps) || p.steps[at+headSteps].Field != field.Agent) {
		p.steps = slices.Delete(p.steps, at, at+1) // its values are grouped in another way
	}
}

// countNumbers counts the numbers that nobody asks for, up to one with more than a
// byte behind it.
func countNumbers(steps []step) int {
	for n := range steps {
		st := &steps[n]
		if st.Kind != Signed || st.Field != field.Skip {
			return n
		}
		if len(st.lit) != 1 {
			return n + 1
		}
	}
	return len(steps)
}

// numbers makes one step of several.
func numbers(steps []step) step {
	last := steps[len(steps)-1]
	last.op = opNumbers
	for _, st := range steps[:len(steps)-1] {
		last.seps += st.lit
	}
	return last
}

func (p *Plan) newSpan(parts []step) step {
	last := &parts[len(parts)-1]
	sp := &span{parts: parts, tail: last.lit, seal: sealed(last.lit, parts...)}
	last.lit, last.stop, last.word, last.mask = "", 0, 0, 0
	sp.chooseMark()
	for i := range parts {
		pt := &parts[i]
		if pt.Kind == Text {
			sp.marker = pt.esc.Marker
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
	}
	sp.measureSuffix()
	if sp.texts > 1 {
		p.forgeable = true
		p.warnings = append(p.warnings, fmt.Sprintf("nothing that the gateway escapes stands between %s: a client can make "+
			"their borders uncertain; lines where it does give neither these nor what is between them; %s",
			strings.Join(sp.names, " and "), p.dialect.Advice))
	}
	return step{op: opSpan, span: sp}
}

// measureSuffix finds the parts whose place is certain, from the end.
func (sp *span) measureSuffix() {
	k := len(sp.parts) - 1
	for ; k > 0 && sp.parts[k].Kind != Text && sp.parts[k].fixedWidth() > 0; k-- {
		sp.suffix++
		sp.suffixWidth += sp.parts[k].fixedWidth() + len(sp.parts[k].lit)
	}
	for ; k >= 0; k-- {
		sp.peer = sp.peer || field.IsPeer(sp.parts[k].Field)
		sp.time = sp.time || field.IsTime(sp.parts[k].Field) || sp.parts[k].Field == field.TimeOfDay
	}
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
	case Signed:
		return c-'0' <= 9 || c == '-' || c == '+'
	case Seconds:
		return c-'0' <= 9 || c == '-' || c == '.'
	case SecondsList:
		return c-'0' <= 9 || c == '-' || c == '.' || separator
	case Token, Word:
		return s.set[c]
	case List:
		return field.ItemBytes[c] || separator
	case Custom:
		return s.v.Width == 0 && (s.v.Set == nil || s.v.Set[c])
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
	case Custom:
		return s.v.Width
	}
	return 0
}
