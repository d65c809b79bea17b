package inspect

import (
	"bytes"
	"sort"
	"strings"
)

// look is one full look at one request. It lives in the Inspector and is
// reused; nothing in it outlives a call but what verdict copies out.
type look struct {
	effort

	in    *Inspector
	left  int  // bytes that may still be looked at
	cut   bool // there were more
	tries int  // pattern checks that may still run
	work  int  // bytes decoded and given to libinjection, and tokens of SQL: a test bounds it

	ev       []evidence // of the current field
	failed   failures   // checks of patterns in it
	text     []byte     // the current field, canonical
	name     string     // of the current field, as it was sent
	rawQuery string     // of the target that is looked at
	plus     bool       // whether the current field was URL-encoded
	seen     byteSet    // the bytes in it
	pairs    pairs      // and which stand side by side
	support  []evidence // signs that wait for another one
	best     [classes]found

	delays  int  // seconds that the payload asks the server to wait
	reached bool // an expression of the field reaches for objects

	inside64 bool // the query that is looked at was base64

	barren [2]int // between these places of the field no expression does

	file   fileHit
	sql    sqlScan
	shell  []byte
	divide int // what the weights of command lines are divided by, in prose
	loose  []byte
	joins  []byte // see values
	json   jsonText

	capitals [libinjectionBytes]byte // what libinjection reads
}

// evidence is one sign of an attack in a field.
type evidence struct {
	class   class
	weight  int
	why     string // constant text: attacker bytes go to Matched only
	at, end int    // where in the canonical text
	certain bool
}

// found is the best field of a class.
type found struct {
	score   int
	field   string
	matched string
	why     string
	certain bool
}

// maxTries bounds the pattern checks of one request, about half a microsecond
// each. What lies behind is still told by grammar and by bare literals.
const maxTries = 40

// maxEvidence bounds the signs kept per field.
const maxEvidence = 48

func (in *Inspector) begin() *look {
	l := &in.look
	l.in = in
	l.effort.begin()
	l.endless = in.thorough
	l.left = in.cfg.MaxBytes
	l.cut = false
	l.tries, l.delays, l.work = maxTries, 0, 0
	l.best = [classes]found{}
	return l
}

// take hands out as much of s as may still be looked at.
func (l *look) take(s string) string {
	if len(s) > l.left {
		s = s[:l.left]
		l.cut = true
	}
	l.left -= len(s)
	return s
}

// add notes a sign. The same sign twice counts once, at its stronger place.
func (l *look) add(c class, weight int, why string, at, end int) {
	l.addCertain(c, weight, why, at, end, false)
}

func (l *look) addCertain(c class, weight int, why string, at, end int, certain bool) {
	for i := range l.ev {
		e := &l.ev[i]
		if e.class == c && e.why == why {
			if weight > e.weight {
				*e = evidence{c, weight, why, at, end, certain || e.certain}
			}
			e.certain = e.certain || certain
			return
		}
	}
	if len(l.ev) < maxEvidence {
		l.ev = append(l.ev, evidence{c, weight, why, at, end, certain})
	}
}

// field looks at one text: decodes it, gathers signs, and keeps the best field
// of each class.
func (l *look) field(prefix, name string, ctx context, s string, plus bool) {
	if s == "" || l.convicted() || l.repeated(name, s, ctx, plus) {
		return
	}
	l.spent += costField + len(s)
	l.ev, l.name, l.plus = l.ev[:0], name, plus
	l.work += len(s)
	l.text = l.in.canon.decode(s, plus, l.in.cfg.MaxRounds)
	ctx = l.in.canon.place(ctx)
	cleared := !l.in.canon.suspect(l.text, ctx) && !(ctx == ctxValue && runName(name))
	if cleared && !l.in.ungated {
		return
	}
	spent := l.spent
	l.spent += costLook + costByte*len(l.text)
	l.read(ctx)
	if cleared { // with the gates it costs nothing
		l.spent = spent
	}
	if len(l.ev) > 0 {
		l.settle(prefix, name)
	}
}

// read gathers the signs of the current field. It leaves off where they prove all that
// there is to prove.
func (l *look) read(ctx context) {
	l.seen = bytesIn(l.text)
	l.pairs.read(l.text)
	l.patterns(ctx)
	l.traversal(ctx)
	l.lookups()
	if l.proven() {
		return
	}
	l.expressions(ctx)
	if l.proven() {
		return
	}
	if ctx != ctxName {
		l.markup(ctx)
		if l.proven() {
			return
		}
		l.queries(ctx)
		if l.proven() {
			return
		}
		l.commands(ctx)
		if l.proven() {
			return
		}
		l.urls(ctx)
		l.headers(ctx)
	}
	if ctx == ctxValue {
		l.ldap()
		l.graphql()
		l.loneCall()
		l.loneCode()
		l.wrapped()
	}
	if ctx == ctxValue || ctx == ctxName {
		l.classNames()
	}
	if ctx == ctxPath {
		l.known()
		l.ldap()
		l.insidePath()
	}
	if l.in.canon.flags&sawNUL != 0 && l.plus {
		l.add(traversal, 50, "a NUL byte, which cuts a text short", max(0, bytes.IndexByte(l.in.canon.blanks, ' ')), len(l.text))
	}
	l.names(ctx)
	l.joinedStrings(ctx)
	l.supporters()
	l.encoding()
}

// encoding raises what was hidden: nobody encodes an honest value like that.
// By itself it is no sign, since broken clients exist.
func (l *look) encoding() {
	flags := l.in.canon.flags
	for i := range l.ev {
		e := &l.ev[i]
		if e.weight < 15 || e.class == ssrf {
			continue
		}
		if flags&sawOverlong != 0 {
			l.add(e.class, 30, "overlong UTF-8 hides it", e.at, e.end)
			return
		}
		if flags&sawPieces != 0 && e.weight >= 25 {
			l.add(e.class, 20, "escapes of escapes hide it", e.at, e.end)
			return
		}
		if flags&sawWideURL != 0 && e.weight >= 25 {
			l.add(e.class, 15, "%uXXXX escapes hide it", e.at, e.end)
			return
		}
		if flags&sawHidden != 0 && e.weight >= 25 {
			l.add(e.class, 25, "letters written as entities or script escapes hide it", e.at, e.end)
			return
		}
		if l.in.canon.rounds > 2 && e.weight >= 25 {
			l.add(e.class, 15, "it is encoded more than twice", e.at, e.end)
			return
		}
	}
}

// settle adds the signs of a field up, class by class.
func (l *look) settle(prefix, name string) {
	l.news = true
	for c := class(1); c < classes; c++ {
		score, top := 0, -1
		certain := false
		for i := range l.ev {
			e := &l.ev[i]
			if e.class != c {
				continue
			}
			score += e.weight
			certain = certain || e.certain
			if top < 0 || e.weight > l.ev[top].weight {
				top = i
			}
		}
		score = min(score, 100)
		if score >= l.in.cfg.Threshold && !c.recon() {
			l.attacks++
		}
		if top < 0 || score <= l.best[c].score {
			continue
		}
		field := prefix
		if name != "" {
			field += "." + safeName(name)
		}
		l.best[c] = found{
			score: score, field: field, certain: certain,
			matched: fragment(l.text, l.ev[top].at, l.ev[top].end),
			why:     l.reasons(c),
		}
	}
}

// reasons joins the three strongest signs of a class, strongest first.
func (l *look) reasons(c class) string {
	var why [3]*evidence
	for i := range l.ev {
		e := &l.ev[i]
		if e.class != c {
			continue
		}
		for k := range why {
			if why[k] == nil || e.weight > why[k].weight {
				e, why[k] = why[k], e
			}
			if e == nil {
				break
			}
		}
	}
	parts := make([]string, 0, len(why))
	for _, e := range why {
		if e != nil {
			parts = append(parts, e.why)
		}
	}
	return strings.Join(parts, "; ")
}

// verdict gathers the classes.
func (l *look) verdict() Verdict {
	var order []class
	for c := class(1); c < classes; c++ {
		if l.best[c].score > 0 {
			order = append(order, c)
		}
	}
	if len(order) == 0 {
		return Verdict{}
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := &l.best[order[i]], &l.best[order[j]]
		if a.certain != b.certain {
			return a.certain
		}
		return a.score > b.score
	})
	top := &l.best[order[0]]
	v := Verdict{
		Score: top.score, Class: classNames[order[0]], Field: top.field,
		Matched: top.matched, Why: top.why, NearCertain: top.certain, Delay: l.delays,
	}
	for i, c := range order {
		if i == 0 || l.best[c].score >= l.in.cfg.Threshold {
			v.Classes = append(v.Classes, classNames[c])
		}
	}
	if l.stopped {
		if !v.NearCertain {
			v.Score = 100
			v.Why += "; it carries many attacks"
		}
		v.Why += "; the rest was not read, since this convicts it"
	}
	if l.cut {
		v.Why += "; the request is longer than what is inspected"
	}
	return v
}

// byteSet says which bytes occur.
type byteSet [4]uint64

func bytesIn(t []byte) byteSet {
	var s byteSet
	if len(t) > 512 { // stores that do not wait for each other pay from here on
		var seen [256]uint64
		for _, b := range t {
			seen[b] = 1
		}
		for b, v := range seen {
			s[b>>6] |= v << (b & 63)
		}
		return s
	}
	for _, b := range t {
		s[b>>6] |= 1 << (b & 63)
	}
	return s
}

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

func (s *byteSet) any(set string) bool {
	for i := range len(set) {
		if s.has(set[i]) {
			return true
		}
	}
	return false
}
