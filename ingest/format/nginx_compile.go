package format

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// step reads one value and the literal that stands behind it.
type step struct {
	kind  kind
	field field
	op    op
	stop  byte // first byte of lit, 0 if there is none
	cut   bool // a line that ends within this value still tells who, when and what came of it
	lit   string
	word  uint64 // lit and mask compare a literal of up to 8 bytes at once
	mask  uint64
	span  *span
	name  string
	pos   int
}

// op says how a step finds its value's end.
type op uint8

const (
	opTight op = iota // by the value's own grammar
	opText            // at the first byte of lit, which no value can hold
	opRest            // at the end of the line
	opSpan            // by looking at all that the span holds
)

// span is a run of values of which at least one is text and not closed by a byte that
// the gateway escapes. Its end is certain, what is within is searched.
type span struct {
	parts []step
	tail  string // the literal behind the last part
	seal  int    // index in tail of a byte that no value can hold, -1: the end of the line
	width int    // bytes behind the first part's value if that is always the same, else -1
	texts int
	peer  bool // the span holds what Parse must know
	time  bool
	names []string
}

// plan is a compiled log_format. It is read by many parsers and never written.
type plan struct {
	mode      escaping
	prefix    string
	steps     []step
	lookup    func(key string) field // of a JSON object, for lines in another order; nil if it is none
	byKey     bool                   // there is no template, only keys
	timed     bool                   // a line without a time is refused
	multi     bool                   // the target comes from more than one value
	forgeable bool
	head      bool // it begins as "combined" does
	warnings  []string
}

// compilePlan turns a format string into a plan.
func compilePlan(arg string) (*plan, error) {
	src, err := readSource(arg)
	if err != nil {
		return nil, err
	}
	pieces, err := src.pieces()
	if err != nil {
		return nil, err
	}
	p := &plan{mode: src.mode}
	steps, err := p.readSteps(pieces)
	if err != nil {
		return nil, err
	}
	if p.mode == escJSON && strings.HasPrefix(strings.TrimSpace(p.prefix), "{") {
		keys := templateKeys(p.prefix, steps)
		p.lookup = func(key string) field { return keys[key] }
	}
	if err := p.choose(steps); err != nil {
		return nil, err
	}
	p.head = isCombinedHead(p, steps)
	p.group(steps)
	p.markCut()
	return p, nil
}

// readSteps pairs each variable with the literal behind it.
func (p *plan) readSteps(pieces []piece) ([]step, error) {
	var steps []step
	lastPos := 0
	for i, pc := range pieces {
		if !pc.variable {
			if i == 0 {
				p.prefix = pc.text
			} else {
				steps[len(steps)-1].setLiteral(pc.text)
			}
			continue
		}
		v := lookupVariable(pc.text)
		st := step{kind: v.kind, field: v.field, name: pc.text}
		if p.mode == escNone && v.lines {
			return nil, fmt.Errorf("at byte %d: with escape=none a client can put a line end into $%s and so write whole "+
				"lines of its own; use escape=json or leave $%s out", pc.pos, capped(pc.text), capped(pc.text))
		}
		if n := len(steps); n > 0 && steps[n-1].lit == "" {
			if merged, ok := joinSteps(steps[n-1], st); ok {
				if merged != nil {
					steps[n-1] = *merged
					continue
				}
			} else {
				return nil, fmt.Errorf("at byte %d: $%s and $%s (at byte %d) stand together, and nothing tells where one ends; "+
					"put a blank or a quote between them", lastPos, capped(steps[n-1].name), capped(pc.text), pc.pos)
			}
		}
		st.pos, lastPos = pc.pos, pc.pos
		steps = append(steps, st)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("the format holds no variable")
	}
	return steps, checkBorders(steps)
}

// checkBorders looks for values that could go on into the literal behind them. Words
// are then searched like text; of an address with its port the last colon is the
// border; a number must be set apart.
func checkBorders(steps []step) error {
	for i := range steps {
		st := &steps[i]
		if !runsInto(st.kind, st.lit) {
			continue
		}
		switch st.kind {
		case kToken, kWord, kList:
			st.kind = kText
		case kAddr:
			if st.lit == ":" && i+1 < len(steps) && steps[i+1].kind == kInt {
				continue
			}
			fallthrough
		default:
			return fmt.Errorf("at byte %d: the text %q behind $%s could be part of its value; put a blank or a quote between them",
				st.pos, capped(st.lit), capped(st.name))
		}
	}
	return nil
}

// joinSteps settles two variables with nothing between them: ok with nil means that
// they can stand as they are, ok with a step that they are read as one.
func joinSteps(a, b step) (*step, bool) {
	switch {
	case fixedWidth(a.kind) > 0:
		return nil, true
	case (a.field == fHost || a.field == fServerName) && (b.field == fRequestURI || b.field == fURI):
		return &step{kind: kText, field: fHostURI, name: a.name + "$" + b.name}, true
	case a.field == fSkip && b.field == fSkip:
		return &step{kind: kText, name: a.name + "$" + b.name}, true
	}
	return nil, false
}

func (s *step) setLiteral(lit string) {
	s.lit = lit
	s.stop = lit[0]
	if len(lit) <= 8 {
		var b [8]byte
		copy(b[:], lit)
		s.word = binary.LittleEndian.Uint64(b[:])
		s.mask = ^uint64(0) >> (64 - 8*len(lit))
	}
}

// rivals are fields that tell the same; the first that a format has is taken.
var rivals = [][]field{
	{fPeer, fRealPeer},
	{fMsec, fTimeISO, fTimeLocal},
	{fBytesBody, fBytesAll},
	{fHost, fHTTPHost, fServerName},
	{fRequestURI, fURI},
}

// choose keeps one field of each kind and says what is missing.
func (p *plan) choose(steps []step) error {
	has := map[field]bool{}
	for i := range steps {
		if has[steps[i].field] {
			steps[i].field = fSkip // the same variable a second time
		}
		has[steps[i].field] = true
	}
	for _, group := range rivals {
		found := false
		for _, f := range group {
			for i := range steps {
				if steps[i].field == f && found {
					steps[i].field = fSkip
				}
			}
			found = found || has[f]
		}
	}
	if !has[fPeer] && !has[fRealPeer] {
		return fmt.Errorf("the format has no client address: add $remote_addr")
	}
	p.timed = has[fMsec] || has[fTimeISO] || has[fTimeLocal]
	if !p.timed {
		p.warnings = append(p.warnings, "the format has no time: add $time_iso8601 or $msec; until then each line gets the time of the one before it")
	}
	if !has[fStatus] {
		p.warnings = append(p.warnings, "the format has no $status: refused and failed requests cannot be told from served ones")
	}
	target := has[fRequestURI] || has[fURI] || has[fHostURI]
	if !has[fRequest] && !target {
		p.warnings = append(p.warnings, "the format has neither $request nor $request_uri: what was asked for is not known")
	}
	p.multi = !has[fRequest] || target || has[fMethod] || has[fProtocol] || has[fArgs]
	return nil
}

// sealed returns the index in lit of the first byte that no value can hold, because
// the gateway escapes it, or -1.
func (p *plan) sealed(lit string) int {
	for i := range len(lit) {
		c := lit[i]
		switch {
		case p.mode == escNone:
			return -1
		case c < ' ' || c == '"':
			return i
		case p.mode == escDefault && (c > '~' || c == '\\'):
			return i
		}
	}
	return -1
}

// group gathers the steps that must be searched together into spans.
func (p *plan) group(steps []step) {
	for i := 0; i < len(steps); {
		st := steps[i]
		i++
		switch {
		case st.kind != kText:
			st.op = opTight
		case st.lit == "" && i == len(steps):
			st.op = opRest
		case p.sealed(st.lit) == 0:
			st.op = opText
		default:
			first := i - 1
			for p.sealed(steps[i-1].lit) < 0 && i < len(steps) {
				i++
			}
			st = p.newSpan(slices.Clone(steps[first:i]))
		}
		p.steps = append(p.steps, st)
	}
}

func (p *plan) newSpan(parts []step) step {
	last := &parts[len(parts)-1]
	sp := &span{parts: parts, tail: last.lit, seal: p.sealed(last.lit)}
	last.lit, last.stop, last.word, last.mask = "", 0, 0, 0
	for i := range parts {
		pt := &parts[i]
		if pt.kind == kText {
			sp.texts++
			sp.names = append(sp.names, "$"+pt.name)
		}
		if i > 0 && sp.width >= 0 {
			if w := fixedWidth(pt.kind); w > 0 {
				sp.width += w
			} else {
				sp.width = -1
			}
		}
		if sp.width >= 0 {
			sp.width += len(pt.lit)
		}
		sp.peer = sp.peer || pt.field == fPeer || pt.field == fRealPeer
		sp.time = sp.time || pt.field == fMsec || pt.field == fTimeISO || pt.field == fTimeLocal
	}
	if sp.texts > 1 {
		p.forgeable = true
		p.warnings = append(p.warnings, fmt.Sprintf("nothing that the gateway escapes stands between %s: a client can make "+
			"their borders uncertain; lines where it does give neither these nor what is between them; put each in double quotes "+
			"and leave escape= at default or json", strings.Join(sp.names, " and ")))
	}
	return step{op: opSpan, span: sp}
}

// markCut finds the quoted values behind which nothing vital comes: a line that ends
// within one was cut on its way, and is still worth an event.
func (p *plan) markCut() {
	for i := len(p.steps) - 1; i >= 0 && p.mode != escNone; i-- {
		st := &p.steps[i]
		if st.op == opSpan {
			return
		}
		st.cut = st.op == opText && st.stop == '"'
		switch st.field {
		case fPeer, fRealPeer, fMsec, fTimeISO, fTimeLocal, fStatus, fRequest, fRequestURI, fURI:
			return
		}
	}
}

// templateKeys maps the keys of a JSON object in a format string to what they hold.
func templateKeys(prefix string, steps []step) map[string]field {
	keys := map[string]field{}
	before := prefix
	for i := range steps {
		st := &steps[i]
		if key, ok := keyBefore(before); ok && st.field != fSkip && st.field != fHostURI {
			if after := st.lit; after != "" && (after[0] == '"' || after[0] == ',' || after[0] == '}') {
				keys[key] = st.field
			}
		}
		before = st.lit
	}
	return keys
}

// keyBefore finds "key": or "key":" at the end of a literal.
func keyBefore(lit string) (string, bool) {
	lit = strings.TrimSuffix(strings.TrimRight(lit, " "), `"`)
	lit, ok := strings.CutSuffix(strings.TrimRight(lit, " "), ":")
	if !ok {
		return "", false
	}
	lit, ok = strings.CutSuffix(strings.TrimRight(lit, " "), `"`)
	k := strings.LastIndexByte(lit, '"')
	return lit[k+1:], ok && k >= 0
}
