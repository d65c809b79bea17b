package text

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// Compile turns the pieces of a format string into a plan.
func Compile(pieces []Piece, d Dialect) (*Plan, error) {
	all, err := compile(pieces, d)
	if err != nil || !slices.ContainsFunc(pieces, isUsual) {
		return all, err
	}
	usual := slices.Clone(pieces)
	for i, pc := range usual {
		if isUsual(pc) {
			usual[i] = Piece{Text: pc.Variable.Usually, Pos: pc.Pos}
		}
	}
	if p, err := compile(usual, d); err == nil {
		p.rare = all
		return p, nil
	}
	return all, nil // what is usual cannot be read by itself
}

func isUsual(pc Piece) bool { return pc.Variable != nil && pc.Variable.Usually != "" }

func compile(pieces []Piece, d Dialect) (*Plan, error) {
	p := &Plan{dialect: d}
	steps, err := p.readSteps(pieces)
	if err != nil {
		return nil, err
	}
	if d.Keyed && strings.HasPrefix(strings.TrimSpace(p.prefix), "{") {
		p.keys = templateKeys(p.prefix, steps)
	}
	if err := p.choose(steps); err != nil {
		return nil, err
	}
	p.settleZone(steps)
	p.group(steps)
	p.markCut()
	if p.keys != nil {
		p.keys.Timed = p.timed
	}
	return p, nil
}

// escapeOf returns how a variable is written, never nil.
func (p *Plan) escapeOf(v *Variable) *Escape {
	switch {
	case v.Escape != nil:
		return v.Escape
	case v.Raw:
		return &Escape{}
	}
	return &Escape{p.dialect.Marker, p.dialect.Undo, p.dialect.Escaped}
}

func (p *Plan) newStep(pc Piece) step {
	v := *pc.Variable
	st := step{Kind: v.Kind, Field: v.Field, v: &v, esc: p.escapeOf(&v), name: pc.Text, pos: pc.Pos}
	st.marker, st.odd = st.esc.Marker, v.Empty != ""
	for _, sign := range []string{p.dialect.Nil, p.dialect.Bad, v.Empty} {
		if sign != "" {
			st.signs |= 1 << min(len(sign), 15)
		}
	}
	if st.set = v.Set; st.set == nil {
		st.set = &field.ItemBytes
		if v.Kind == Word {
			st.set = &field.WordBytes
		}
	}
	return st
}

// readSteps pairs each variable with the literal behind it.
func (p *Plan) readSteps(pieces []Piece) ([]step, error) {
	var steps []step
	for _, pc := range pieces {
		if pc.Variable == nil {
			if len(steps) == 0 {
				p.prefix += pc.Text
			} else if pc.Text != "" {
				last := &steps[len(steps)-1]
				last.setLiteral(last.lit + pc.Text)
			}
			continue
		}
		st := p.newStep(pc)
		if n := len(steps); n > 0 && steps[n-1].lit == "" {
			merged, ok := joinSteps(&steps[n-1], &st)
			if !ok {
				return nil, together(&steps[n-1], &st, pc.Pos)
			}
			if merged != nil {
				steps[n-1] = *merged
				continue
			}
		}
		steps = append(steps, st)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("the format holds no variable")
	}
	return steps, checkBorders(steps)
}

// settleZone finds out whether the zone of a wall clock stands in the line.
func (p *Plan) settleZone(steps []step) {
	wall, told := false, false
	for i := range steps {
		if steps[i].Field != field.Skip {
			wall = wall || steps[i].v.Zone == Wall
			told = told || steps[i].v.Zone == Offset
		}
	}
	if wall && !told {
		if p.zone = p.dialect.Zone; p.zone == nil {
			p.zone = time.Local
		}
	}
}

// checkBorders looks for values that could go on into the literal behind them. Words
// are then searched like text; of an address with its port the last colon is the
// border; a number must be set apart.
func checkBorders(steps []step) error {
	for i := range steps {
		st := &steps[i]
		if !st.runsInto(st.lit) {
			continue
		}
		switch st.Kind {
		case Token, Word:
			st.Kind, st.limit = Text, st.set
		case List:
			st.Kind = Text
		case Addr:
			if st.lit == ":" && i+1 < len(steps) && (steps[i+1].Kind == Int || steps[i+1].Kind == Signed) {
				continue
			}
			fallthrough
		default:
			return fmt.Errorf("at byte %d: the text %q behind %s could be part of its value; put a blank or a quote between them",
				st.pos, field.Capped(st.lit), field.Capped(st.name))
		}
	}
	return nil
}

// joinSteps settles two variables with nothing between them: ok with nil means that
// they can stand as they are, ok with a step that they are read as one.
func joinSteps(a, b *step) (*step, bool) {
	joined := func(f field.Field) (*step, bool) {
		st := *a
		if st.Kind, st.Field, st.limit, st.name = Text, f, nil, a.name+b.name; b.esc.Escaped == nil {
			st.esc, st.marker = b.esc, b.marker
		}
		return &st, a.esc.Marker == b.esc.Marker || a.esc.Escaped == nil || b.esc.Escaped == nil
	}
	switch {
	case a.fixedWidth() > 0:
		return nil, true
	case (a.Field == field.Host || a.Field == field.ServerName) && field.IsTarget(b.Field) && !field.IsRequest(b.Field):
		return joined(field.HostURI)
	case a.Field == field.URI && b.Field == field.Args:
		return joined(field.RequestURI)
	case a.Field == field.Skip && b.Field == field.Skip:
		return joined(field.Skip)
	}
	return nil, false
}

func (s *step) setLiteral(lit string) {
	s.lit = lit
	s.stop = lit[0]
	if s.word, s.mask = 0, 0; len(lit) > 8 && len(lit) <= 16 {
		s.word, s.tail = binary.LittleEndian.Uint64([]byte(lit)), binary.LittleEndian.Uint64([]byte(lit[len(lit)-8:]))
	} else if len(lit) <= 8 {
		var b [8]byte
		copy(b[:], lit)
		s.word = binary.LittleEndian.Uint64(b[:])
		s.mask = ^uint64(0) >> (64 - 8*len(lit))
	}
}

// choose keeps one field of each kind and says what is missing.
func (p *Plan) choose(steps []step) error {
	has := map[field.Field]bool{}
	for i := range steps {
		if f := steps[i].Field; has[f] && f != field.Date && f != field.TimeOfDay {
			steps[i].Field = field.Skip // the same variable a second time
		}
		has[steps[i].Field] = true
	}
	for _, group := range field.Rivals {
		found := false
		for _, f := range group {
			for i := range steps {
				if steps[i].Field == f && found {
					steps[i].Field = field.Skip
				}
			}
			found = found || has[f]
		}
	}
	target, peer := false, false
	for i := range steps {
		f := steps[i].Field
		if f != field.Skip {
			p.origins = append(p.origins, Origin{f, steps[i].name})
		}
		p.timed = p.timed || field.IsTime(f)
		peer = peer || field.IsPeer(f)
		target = target || field.IsTarget(f) && !field.IsRequest(f)
	}
	for i := range steps {
		for _, f := range steps[i].v.Parts {
			p.origins = append(p.origins, Origin{f, steps[i].name})
		}
	}
	if !peer && !p.dialect.Peerless {
		return fmt.Errorf("the format has no client address: add %s", p.dialect.PeerHint)
	}
	request := has[field.Request] || has[field.BuiltRequest] || has[field.FramedRequest]
	p.multi = !request || target || has[field.Method] || has[field.Protocol] || has[field.Args]
	p.missing(has[field.StatusCode], request || target)
	return nil
}

// missing warns of what the format does not tell.
func (p *Plan) missing(status, target bool) {
	warn := func(format, hint string) { p.warnings = append(p.warnings, fmt.Sprintf(format, hint)) }
	if !p.timed {
		warn("the format has no time: add %s; until then each line gets the time of the one before it", p.dialect.TimeHint)
	}
	if !status {
		warn("the format has no %s: refused and failed requests cannot be told from served ones", p.dialect.StatusHint)
	}
	if !target {
		warn("the format has neither %s: what was asked for is not known", p.dialect.TargetHint)
	}
}

// markCut finds the quoted values behind which nothing vital comes: a line that ends
// within one was cut on its way, and is still worth an event.
func (p *Plan) markCut() {
	rest := true
	for i := len(p.steps) - 1; i >= 0; i-- {
		st := &p.steps[i]
		st.trim = rest && i < len(p.steps)-1 && strings.HasSuffix(st.lit, " ")
		rest = rest && (st.Kind == Braced || st.Kind == Quoted)
		if st.op == opSpan {
			return
		}
		f := st.Field
		vital := field.IsPeer(f) || field.IsTime(f) || f == field.TimeOfDay || f == field.StatusCode
		if st.cut = st.op == opText && st.stop == '"' && st.esc.Escaped != nil || p.dialect.Cuts && !vital; vital || field.IsTarget(f) && !p.dialect.Cuts {
			return
		}
	}
}

// templateKeys maps the keys of a JSON object in a format string to what they hold.
func templateKeys(prefix string, steps []step) *object.Map {
	keys := map[string]field.Field{}
	before := prefix
	for i := range steps {
		st := &steps[i]
		if key, ok := KeyBefore(before); ok && st.Field != field.Skip && st.Field != field.HostURI && st.Kind != Custom && st.v.Unit == 0 {
			if after := st.lit; after != "" && (after[0] == '"' || after[0] == ',' || after[0] == '}') {
				keys[key] = st.Field
			}
		}
		before = st.lit
	}
	return &object.Map{Lookup: func(key string) field.Field { return keys[key] }}
}

// KeyBefore finds "key": or "key":" at the end of a literal.
func KeyBefore(lit string) (string, bool) {
	lit = strings.TrimSuffix(strings.TrimRight(lit, " "), `"`)
	lit, ok := strings.CutSuffix(strings.TrimRight(lit, " "), ":")
	if !ok {
		return "", false
	}
	lit, ok = strings.CutSuffix(strings.TrimRight(lit, " "), `"`)
	k := strings.LastIndexByte(lit, '"')
	return lit[k+1:], ok && k >= 0
}
