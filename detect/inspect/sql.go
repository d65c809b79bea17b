package inspect

import "bytes"

// queries looks for SQL: as a bare value (in a number's place), and behind each
// of the first quotes, which may be the one that ends the string it stands in.
func (l *look) queries(ctx context) {
	text, base := l.text, 0
	if ctx == ctxPath {
		base = bytes.IndexFunc(text, func(r rune) bool { return !word(byte(r)) && !containsByte("/.-~:@!,=", byte(r)) })
		if base < 0 {
			return
		}
		base = bytes.LastIndexByte(text[:base], '/') + 1
	}
	if ctx == ctxValue {
		l.glue()
		l.leftOpen()
	}
	l.reads(text, base, ctx == ctxAgent)
	switch {
	case ctx == ctxAgent:
	case l.seen.has('+') && !l.seen.has(' '): // what is left of a blank that was encoded twice
		l.loose = append(l.loose[:0], text...)
		for i, b := range l.loose {
			if b == '+' {
				l.loose[i] = ' '
			}
		}
		l.reads(l.loose, base, false)
	case len(l.in.canon.blanks) > 0 && ctx != ctxPath:
		l.reads(l.in.canon.blanks, 0, false)
	}
	if ctx != ctxAgent || bytes.ContainsAny(text, "'\"`") {
		l.libinjection(text[base:])
	}
}

// reads is every reading of a text: as it stands, and behind its first quotes.
func (l *look) reads(text []byte, base int, agent bool) {
	if !agent || l.holds("union") || l.holds("select") { // words that no honest agent has
		l.sql.scan(text, base, false)
		l.statements(&l.sql)
	}
	if !agent {
		l.otherHash(text, base)
		l.percents(text, base)
		if l.plus && base == 0 && l.seen.has('+') && !l.seen.has(' ') {
			l.pluses(text)
		}
	}
	for _, q := range [...]byte{'\'', '"', '`'} {
		if !l.seen.has(q) {
			continue
		}
		at, quoted := base, false
		for n := range 2 {
			i := bytes.IndexByte(text[at:], q)
			if i < 0 {
				break
			}
			at += i + 1
			if at == len(text) {
				break
			}
			most := maxSQLTokens
			if l.tired() {
				most = tiredTokens
			}
			l.sql.scanSome(text, at, true, most)
			l.sql.phrase = n == 1 && quoted || n == 0 && at-1 > base && (blank(text[at-2]) || containsByte("([{", text[at-2])) && !blank(text[at])
			l.statements(&l.sql)
			quoted = opensPhrase(text, base, at-1)
		}
	}
}

// opensPhrase says whether the quote at i begins a quotation or a string, as in
// say "when" and x = 'y', rather than ending a string around the value.
func opensPhrase(text []byte, base, i int) bool {
	if i+1 >= len(text) || blank(text[i+1]) {
		return false
	}
	return i == base || blank(text[i-1]) || containsByte("=(,:[{<>", text[i-1])
}

// otherHash reads on behind a '#', which begins a comment in MySQL only, where a
// query seems to go on there.
func (l *look) otherHash(text []byte, base int) {
	i := bytes.IndexByte(text[base:], '#')
	if i < 0 || bytes.IndexByte(text[base+i:], '\n') >= 0 {
		return
	}
	rest := base + i + 1
	if k := bytes.Index(text[rest:], []byte("union")); k >= 0 && k < 16 {
		l.sql.scan(text, rest, false)
		l.statements(&l.sql)
	}
}

// percents reads a text without the percent signs before each of its letters, which ASP
// drops.
func (l *look) percents(text []byte, base int) {
	if !l.seen.has('%') || len(text) < 24 || bytes.Count(text, []byte("%"))*3 < len(text) {
		return
	}
	l.loose = l.loose[:0]
	for _, b := range text {
		if b != '%' {
			l.loose = append(l.loose, b)
		}
	}
	l.sql.scan(l.loose, 0, false)
	l.statements(&l.sql)
	for _, q := range [...]byte{'\'', '"'} {
		if i := bytes.IndexByte(l.loose, q); i >= 0 && i+1 < len(l.loose) {
			l.sql.scan(l.loose, i+1, true)
			l.sql.phrase = false
			l.statements(&l.sql)
		}
	}
}

// statements looks at every token that can begin a sign.
func (l *look) statements(s *sqlScan) {
	l.work += len(s.toks)
	l.spent += costToken * len(s.toks)
	lead := s.lead()
	for i := range s.toks {
		switch t := &s.toks[i]; {
		case t.kw == kwOr:
			l.boolean(s, i, lead)
		case t.kw == kwUnion:
			l.union(s, i, lead)
		case t.kw == kwSelect:
			l.selects(s, i, lead)
		case t.kind == sqlSemi:
			l.stacked(s, i, lead)
		case t.kind == sqlComment:
			l.terminator(s, i, lead)
		case (t.kw == kwOrder || t.kw == kwGroup) && s.kw(i+1) == kwBy, t.kw == kwHaving, t.kw == kwWhere:
			l.clause(s, i, lead)
		case t.kw == kwLike && lead.adjacent(s, i) && s.knownCall(i+1):
			l.add(sqli, 45, "a comparison with a database function", s.at(i), s.at(i+3))
		case i == 0 && t.kind == sqlOpen && !s.broken:
			l.grouped(s)
		case t.kw == kwInto, t.kw == kwProcedure:
			l.tail(s, i, lead)
		case i == 0 || i == lead.tokens:
			l.broke(s, i, lead)
		}
	}
	l.calls(s, lead)
	l.probes(s)
	l.opening(s)
	l.glued(s)
	l.nestedCalls(s)
	l.balanced(s)
	l.wholeQuery(s)
}

// sqlLead is what stands before the first word that matters: an injection
// comes right behind the value it replaces.
type sqlLead struct {
	tokens  int  // closing parentheses and the replaced value
	value   bool // a number or a closing parenthesis, as in a number's place
	wordy   int  // bare words in front
	strings int
}

// lead measures the beginning of the tokens.
func (s *sqlScan) lead() sqlLead {
	var d sqlLead
	i := 0
	for ; i < len(s.toks); i++ {
		t := &s.toks[i]
		switch {
		case t.kind == sqlClose, t.kind == sqlNumber, t.kind == sqlOp && t.kw == kwNone:
			d.value = d.value || t.kind != sqlOp
			continue
		case t.kw == kwNull:
			d.value = true
			continue
		case t.kind == sqlComment && i > 0 && i+1 < len(s.toks):
			continue // 1#x, and the query goes on in the next line
		case t.kind == sqlWord && t.kw == kwNone && !s.call(i):
			d.wordy++
			continue
		case t.kind == sqlString && !t.open:
			d.strings++
			continue
		case i == 0 && !s.broken && t.kind == sqlOpen && s.enclosed():
			i = int(t.match)
			d.value = true
			continue
		}
		break
	}
	d.tokens = i
	return d
}

// adjacent says that token i stands directly behind what was broken out of.
func (d sqlLead) adjacent(s *sqlScan, i int) bool {
	if s.broken {
		return i <= d.tokens && d.wordy == 0 && d.strings == 0
	}
	return i <= d.tokens && d.wordy == 0 && d.value
}

// at returns where token i begins in the text.
func (s *sqlScan) at(i int) int {
	if i < 0 || i >= len(s.toks) {
		return len(s.text)
	}
	return int(s.toks[i].at)
}

// boolean weighs "or a = b".
func (l *look) boolean(s *sqlScan, i int, d sqlLead) {
	j := s.afterComments(i + 1)
	for s.kw(j) == kwNot {
		j++
	}
	next, literal := s.condition(j)
	near := d.adjacent(s, i)
	if next < 0 {
		l.bareBoolean(s, i, j, near)
		return
	}
	w := 0
	switch {
	case near && s.broken && s.phrase:
		w = pick(literal && s.kind(j) != sqlWord, 50, 15)
	case near && s.broken:
		w = 70
	case near && !literal && s.bareWord(j, next):
		w = 25
	case near:
		w = pick(literal, 65, 40)
	case s.broken:
		w = pick(literal, 40, 12)
	case i == 3 && literal && s.kind(1) == sqlCmp && s.kind(2) == sqlNumber && !l.searched():
		w = 50
	case i == 0, i == 1 && (s.kw(0) == kwEnd || s.kind(0) == sqlSemi && literal && !l.searched()):
		w = pick(literal || s.kw(j+1) == kwLike && s.wild(j+2) && !l.searched(), 50, 15)
	case d.wordy == 1 && i <= d.tokens:
		w = pick(literal, 50, 10)
	default:
		w = pick(literal, 30, 5)
	}
	if s.knownCall(j) || s.kind(j) == sqlOpen && s.kw(j+1) == kwSelect {
		w += 25
	}
	if literal && s.kind(next) == sqlComment && s.kind(j) == sqlNumber {
		w += 10
	}
	if w < 50 && (i <= 2 && s.same(j, next) && !l.searched() || s.cutCondition(j, next, literal)) {
		w = 50
	}
	l.add(sqli, min(w, 75), "a condition that changes the query: OR/AND with a comparison", s.at(i), s.at(next))
}

// bareBoolean weighs "or 1" and "or sleep(5)".
func (l *look) bareBoolean(s *sqlScan, i, j int, near bool) {
	switch {
	case s.knownCall(j) && s.kw(j) != kwLike, s.kw(j) == kwExists && s.kind(j+1) == sqlOpen:
		l.add(sqli, pick(near || i == 0, 60, 25), "OR/AND with a call of a database function", s.at(i), s.at(j+2))
	case s.kind(j) == sqlOpen && s.kw(j+1) == kwSelect:
		l.add(sqli, pick(near, 70, 35), "OR/AND with a subquery", s.at(i), s.at(j+3))
	case near && s.broken && s.kw(j) == kwSelect && s.kind(j+1) == sqlOp && s.ends(j+2):
		l.add(sqli, 50, "OR/AND with a SELECT of everything", s.at(i), s.at(j+2))
	case near && l.negated(s, i, j):
	case i == 3 && s.kind(0) == sqlNumber && s.kind(1) == sqlCmp && s.kind(2) == sqlNumber && s.kind(j) != sqlWord && !l.searched():
		if next, literal := s.operand(j); next > 0 && s.ends(next) && (literal || s.kind(j) == sqlOp) {
			l.add(sqli, 50, "a comparison of constants, then OR/AND", s.at(0), s.at(next))
		}
	case near && s.kind(j) == sqlOpen && s.closes(j):
		l.add(sqli, pick(s.broken, 60, 50), "OR/AND with a condition in parentheses", s.at(i), s.at(j+3))
	case near && s.broken && !s.phrase && s.call(j) && s.at(j+1) <= int(s.toks[j].end)+1 && s.cuts(s.after(j+1)):
		l.add(sqli, 55, "OR/AND with a call, then the end of the statement", s.at(i), s.at(j+2))
	case near && s.broken && s.kind(j) == sqlString && !s.toks[j].open && s.toks[j].end-s.toks[j].at < 12 && alnum(s.text[s.toks[j].at+1]) && bytes.IndexByte(s.text[s.toks[j].at:s.toks[j].end], '=') > 0:
		l.add(sqli, 50, "OR/AND with a comparison whose quotes are off", s.at(i), s.at(j+1))
	case near && !s.broken:
		l.cutOperand(s, i, j)
	case near && i == 0 && !s.phrase && s.at(0) == s.from && s.quotedTest(j):
		l.add(sqli, 50, "OR/AND with a comparison whose quotes are off", s.at(i), s.at(j+1))
	case near && s.broken && !s.phrase && j == len(s.toks)-1 && s.kind(j) == sqlString && s.toks[j].end-s.toks[j].at == 1 && s.from > 1 && alnum(s.text[s.from-2]) && bytes.Count(s.text[:s.from], s.text[s.from-1:s.from]) == 1:
		l.add(sqli, 50, "OR/AND between a quote that it closes and one that it opens", s.at(i), s.at(j+1))
	case near && s.broken && !s.phrase && !s.contraction(i):
		if next, literal := s.operand(j); next > 0 && s.ends(next) && s.bare(next-1) && !s.inches() {
			l.add(sqli, pick(literal, 45, 20), "OR/AND behind a quote that it closes", s.at(i), s.at(next))
		}
	}
}

// selects weighs a SELECT that is part of an expression or begins the value.
func (l *look) selects(s *sqlScan, i int, d sqlLead) {
	next, columns, solid := s.list(i + 1)
	if columns == 0 {
		if s.kw(i+1) == kwUnion && s.kind(i+2) == sqlNumber && s.kind(i+3) == sqlComma && s.kind(i+4) == sqlNumber {
			l.add(sqli, 50, "SELECT and UNION with numbers for columns", s.at(i), s.at(i+5))
		}
		return
	}
	from := s.kw(next) == kwFrom && (s.kind(next+1) == sqlWord || s.kind(next+1) == sqlOpen)
	switch {
	case s.kind(i-1) == sqlOpen && s.kw(i-2) == kwAs && solid == 0: // WITH x AS (SELECT …
	case s.kind(i-1) == sqlOpen && (from || solid > 0):
		l.add(sqli, pick(i > 1, 55, pick(s.knownCall(i+1) && s.kind(next) == sqlClose && !l.searched(), 50, 45)), "a subquery", s.at(i-1), s.at(next))
	case i > 0 && columns > 1 && solid == columns && s.peek(int(s.toks[i].end)) == '/' && s.peek(int(s.toks[i-1].end)) == '/':
		l.add(sqli, 50, "a SELECT of constants between comments", s.at(i), s.at(next))
	case i == 0 && !from && columns == 1 && s.knownCall(i+1) && s.ends(next) && (s.kind(i+3) == sqlNumber || s.kind(i+3) == sqlString) && !l.searched():
		l.add(sqli, 40, "a SELECT of a function of a constant", s.at(i), s.at(next))
	case from && s.peek(int(s.toks[i].end)) == '/' && s.peek(int(s.toks[next].end)) == '/':
		l.add(sqli, 50, "a SELECT with comments for blanks", s.at(i), s.at(next+2))
	case from && i == 0 && s.catalogue(next+1) && !l.searched():
		l.add(sqli, 35, "a SELECT from a system table", s.at(i), s.at(next+2))
	case from && i == 0 && columns == 1 && solid == 1 && (s.kind(i+1) == sqlNumber || s.kind(i+1) == sqlString || s.kind(i+1) == sqlVar) && next == i+2 && !l.searched():
		l.add(sqli, 40, "a SELECT of a constant from a table", s.at(i), s.at(next+2))
	case from && i == 0 && columns > 1 && solid == columns:
		l.add(sqli, 50, "a SELECT of constants from a table", s.at(i), s.at(next+2))
	case from && i == 0 && (solid > 0 || columns > 1):
		l.add(sqli, 25, "a SELECT statement", s.at(i), s.at(next+2))
	case from && i > 0 && (solid > 0 || columns > 1):
		l.add(sqli, 20, "a SELECT statement", s.at(i), s.at(next+2))
	}
}

// grouped weighs (8362=9139)*9139, which gives the value or zero.
func (l *look) grouped(s *sqlScan) {
	next, literal := s.condition(0)
	if next > 0 && literal && s.kind(next) == sqlClose && s.kind(next+1) == sqlOp && s.kind(next+2) == sqlNumber {
		l.add(sqli, 45, "a comparison of constants as a factor", s.at(0), s.at(next+3))
	}
}

// bare says whether token i is a number, a word, or a string of a few letters
// that the query around it may close: what prose has there is longer.
func (s *sqlScan) bare(i int) bool {
	t := s.toks[i]
	if t.kind != sqlString {
		return true
	}
	if !t.open {
		return t.end-t.at <= 8
	}
	for _, b := range s.text[t.at+1 : t.end] {
		if !alnum(b) {
			return false
		}
	}
	return t.end-t.at > 1 && t.end-t.at <= 5
}

// contraction says whether the quote before the word at i stands between letters, as
// in l'And, with a blank behind the word: nobody needs the blank after so close a quote.
func (s *sqlScan) contraction(i int) bool {
	q := s.from - 1
	return i == 0 && q > 0 && alpha(s.text[q-1]) && s.at(0) == s.from && s.at(1) > int(s.toks[0].end) && s.kind(0) == sqlWord
}

func pick(cond bool, yes, no int) int {
	if cond {
		return yes
	}
	return no
}
