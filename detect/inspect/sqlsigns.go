package inspect

import "bytes"

// stacked weighs a statement behind a semicolon.
func (l *look) stacked(s *sqlScan, i int, d sqlLead) {
	j := i + 1
	w := 0
	switch {
	case s.kw(j) == kwSelect:
		next, columns, solid := s.list(j + 1)
		from := s.kw(next) == kwFrom && s.kind(next+1) == sqlWord
		w = pick(columns > 0 && (solid > 0 || from && s.clauseEnds(next+2)), 65, pick(columns > 0 && from, 25, 0))
	case s.kw(j) == kwWaitfor && s.kind(j+1) == sqlWord:
		w = 75
	case s.kw(j) == kwBegin && (s.kind(j+1) == sqlWord || s.kind(j+1) == sqlOpen):
		w = pick(s.kind(j+1) == sqlOpen || s.kind(j+2) == sqlDot || s.knownCall(j+1) || s.kw(j+1) == kwStatement && s.kind(j+2) == sqlVar, 65, 10)
	case s.kw(j) == kwStatement:
		w = s.statement(j)
	case s.kind(j) == sqlWord && s.kind(j+1) == sqlWord && s.shows(j):
		w = 60
	case s.kind(j) == sqlWord && s.spelling(j) == "if":
		if next, literal := s.condition(j + 1); next > 0 && literal && (s.kw(next) == kwStatement || s.kw(next) == kwSelect || s.kw(next) == kwWaitfor) {
			w = 65
		}
	}
	if w == 0 {
		return
	}
	if !d.adjacent(s, i) && !s.broken {
		w -= 10
		if s.kw(0) == kwStatement && s.statement(0) >= 45 {
			w += 15
		}
	}
	l.add(sqli, w, "a second statement behind a semicolon", s.at(i), s.at(j+3))
}

// clauseEnds says whether a FROM clause of one table may end at i: prose has
// another word there.
func (s *sqlScan) clauseEnds(i int) bool {
	switch s.kw(i) {
	case kwWhere, kwLimit, kwOrder, kwGroup, kwHaving, kwUnion, kwInto:
		return true
	}
	return s.ends(i) || s.kind(i) == sqlComma || s.kind(i) == sqlDot
}

// statement weighs the statement at j by whether its second and third word
// are what its grammar wants.
func (s *sqlScan) statement(j int) int {
	second := s.kw(j + 1)
	name := s.kind(j+2) == sqlWord
	switch s.spelling(j) {
	case "drop", "alter", "create", "truncate":
		if second == kwTable && (name || s.kind(j+2) == sqlString) {
			return pick(s.ends(j+3), 75, 60)
		}
	case "insert", "replace":
		return pick(second == kwInto && name, 75, 0)
	case "delete":
		for s.kind(j+1) == sqlWord && modifiers[s.spelling(j+1)] {
			j++
		}
		return pick(s.kw(j+1) == kwFrom && s.kind(j+2) == sqlWord, 75, 0)
	case "update":
		return pick(s.kw(j+2) == kwSet, 75, 0)
	case "exec", "execute":
		runs := s.kind(j+1) == sqlWord && (s.kind(j+2) == sqlDot || s.kind(j+2) == sqlString || s.kind(j+2) == sqlVar || s.ends(j+2))
		return pick(s.kind(j+1) == sqlOpen || s.kind(j+1) == sqlVar || runs, 60, 0)
	case "declare":
		return pick(s.kind(j+1) == sqlVar, 80, 20)
	case "shutdown":
		return pick(s.ends(j+1), 60, 10)
	case "call":
		return pick(s.call(j+1) || s.kind(j+2) == sqlDot, 70, 5)
	case "grant", "revoke":
		if s.kind(j+1) == sqlWord && s.kind(j+2) == sqlWord && (second == kwAll && s.spelling(j+2) == "privileges" || s.spelling(j+2) == "to" && s.ends(j+4) || s.spelling(j+2) == "on") {
			return 60
		}
		return pick(s.kind(j+1) == sqlWord && name, 45, 0)
	case "attach":
		return pick(s.kind(j+1) == sqlWord && s.spelling(j+1) == "database" && s.kind(j+2) == sqlString, 70, pick(s.kind(j+1) == sqlWord && name, 45, 0))
	case "copy", "load", "handler":
		return pick(s.kind(j+1) == sqlWord && name, 45, 0)
	}
	return 0
}

// shows says whether token j begins DESC users or SHOW TABLES, and a comment cuts off the
// rest.
func (s *sqlScan) shows(j int) bool {
	switch s.spelling(j) {
	case "desc", "describe", "show", "explain":
	default:
		return false
	}
	if s.kind(j+2) == sqlSemi {
		return s.kind(j+3) == sqlComment && j+4 == len(s.toks) && s.toks[j+3].end-s.toks[j+3].at <= 4
	}
	return s.cutAt(j + 2)
}

// modifiers may stand between the verb of a statement and what it is about.
var modifiers = map[string]bool{"low_priority": true, "high_priority": true, "delayed": true, "quick": true, "ignore": true, "only": true}

// closes says whether the parenthesis at i holds an expression or a condition, with a
// number, a string, a variable or a function of databases in it, and closes.
func (s *sqlScan) closes(i int) bool {
	if s.toks[i].match < 0 {
		return false
	}
	end := int(s.toks[i].match)
	next, _ := s.condition(i + 1)
	if next < 0 {
		next, _ = s.operand(i + 1)
	}
	for next > 0 && next < end && (s.kw(next) == kwOr || s.kw(next) == kwIn) {
		if n, _ := s.operand(next + 1); n > 0 {
			next = n
			continue
		}
		return false
	}
	if next != end {
		return false
	}
	for k := i + 1; k < end; k++ {
		if s.kind(k) == sqlVar || s.kind(k) == sqlNumber && s.kind(k+1) != sqlClose || s.kw(k) == kwNull || s.kw(k) == kwOr || s.kind(k) == sqlCmp || s.knownCall(k) || s.kw(k) == kwNot && s.spelling(k) == "binary" {
			return true
		}
	}
	return false
}

// cuts says whether the statement ends at i: there, or with a semicolon or a comment.
func (s *sqlScan) cuts(i int) bool {
	return s.kind(i) == sqlSemi && i+1 >= len(s.toks) || s.kind(i) == sqlComment && s.toks[i].end-s.toks[i].at <= 4
}

// terminator weighs a comment that cuts off the rest of the query.
func (l *look) terminator(s *sqlScan, i int, d sqlLead) {
	t := &s.toks[i]
	body := int(t.end) - int(t.at)
	last := int(t.end) == len(s.text)
	if s.text[t.at] == '#' && t.at > 0 && alpha(s.text[t.at-1]) {
		return // c#
	}
	switch {
	case s.broken && i <= d.tokens && d.wordy == 0 && d.strings == 0 && last:
		sign := pick(s.text[t.at] == '#', 1, 2)
		if q := s.from - 1; q > 0 && !word(s.text[q-1]) && s.peek(int(t.at)+sign) == s.text[q] {
			return // a comment sign between quotes
		}
		// admin'-- and 1')) #
		w := pick(body <= 4 && s.text[s.from-1] != '`', 55, 25)
		l.add(sqli, w, "a quote, then a comment that cuts off the rest", s.from-1, int(t.end))
	case s.broken && !s.phrase && i == 1 && s.kind(0) == sqlSemi && s.at(0) == s.from && last && body <= 5:
		l.add(sqli, 55, "a quote, a semicolon, then a comment that cuts off the rest", s.from-1, int(t.end))
	case !s.broken && d.value && i > 0 && i <= d.tokens && s.kind(i-1) == sqlClose && last && body <= 4:
		l.add(sqli, 30, "a closed parenthesis, then a comment", s.at(0), int(t.end))
	case !s.broken && i > 2 && s.kind(0) == sqlOpen && s.after(0) == i && last && body <= 4 && s.closes(0) && !l.searched():
		l.add(sqli, 50, "an expression in parentheses, then a comment", s.at(0), int(t.end))
	case last && body <= 4 && i > 1:
		l.add(sqli, 15, "a comment cuts off the rest", int(t.at), int(t.end))
	}
}

// clause weighs ORDER BY 7, GROUP BY, HAVING 1=1 and WHERE 1=1 behind a value.
func (l *look) clause(s *sqlScan, i int, d sqlLead) {
	near := d.adjacent(s, i)
	switch s.kw(i) {
	case kwOrder, kwGroup:
		next, literal := s.operand(i + 2)
		if next < 0 {
			return
		}
		w := pick(near, pick(literal, 50, 30), pick(literal && (i == 0 || s.broken), 25, 0))
		if w > 0 && s.kind(next) == sqlComment {
			w += 15
		}
		if s.knownCall(i + 2) {
			w += 30
		}
		if w > 0 {
			l.add(sqli, w, "ORDER BY or GROUP BY behind a value", s.at(i), s.at(next))
		}
	default:
		next, literal := s.condition(i + 1)
		if next < 0 {
			return
		}
		w := pick(literal, 45, 3)
		if literal && (i == 0 || i == 1 && s.kind(0) == sqlOp) && s.ends(next) && !l.searched() {
			w = 50
		}
		if near || s.broken && s.kind(0) == sqlClose || s.kw(i-2) == kwAs {
			w += 20
		}
		l.add(sqli, w, "a WHERE or HAVING of the attacker's own", s.at(i), s.at(next))
	}
}

// tail weighs INTO OUTFILE and PROCEDURE ANALYSE.
func (l *look) tail(s *sqlScan, i int, d sqlLead) {
	if s.kind(i+1) != sqlWord {
		return
	}
	switch s.spelling(i + 1) {
	case "outfile", "dumpfile":
		if s.kind(i+2) != sqlString {
			if d.adjacent(s, i) && (s.kind(i+2) == sqlOpen || s.call(i+2) || s.kind(i+2) == sqlWord && (s.broken || s.kind(i-1) == sqlClose)) {
				l.add(sqli, 55, "INTO OUTFILE behind a value", s.at(i), s.at(i+3))
			}
			return
		}
		l.addCertain(sqli, 80, "INTO OUTFILE writes a file", s.at(i), s.at(i+3), true)
	case "analyse":
		if s.kind(i+2) == sqlOpen {
			l.add(sqli, 65, "PROCEDURE ANALYSE", s.at(i), s.at(i+3))
		}
	}
}

// broke weighs what comes straight behind a broken quote: an operator and an
// expression, or parentheses and a comparison.
func (l *look) broke(s *sqlScan, i int, d sqlLead) {
	if !s.broken || d.wordy > 0 || d.strings > 0 || s.phrase || s.quotedSign() {
		return
	}
	j := i
	closes := 0
	for s.kind(j) == sqlClose {
		j, closes = j+1, closes+1
	}
	op := false
	for s.kind(j) == sqlOp {
		j, op = j+1, true
	}
	switch {
	case i == 0 && s.kw(j) == kwStatement && s.text[s.from-1] != '`' && s.statement(j) >= 60 && len(s.toks)-j <= 12:
		l.add(sqli, 55, "a statement behind a closed quote", s.at(i), s.at(j+3))
	case (op || closes > 0) && s.knownCall(j):
		l.add(sqli, 55, "an expression glued to a closed quote", s.at(i), s.at(j+2))
	case s.kw(j) != kwNone && closes == 0 && s.toks[len(s.toks)-1].end-s.toks[j].end > 2:
		// "IS" STAMP
	case s.kind(j) == sqlCmp && s.text[s.toks[j].at] == '<' && s.kind(j+1) == sqlWord && s.at(j+1) == int(s.toks[j].end), s.isComparison(j) && s.quotedWords(j):
		// a tag, or a word between quotes
	case s.isComparison(j) && (s.kind(j+1) == sqlString && s.toks[j+1].open || closes > 0):
		l.add(sqli, 45, "a comparison glued to a closed quote", s.at(i), s.at(j+2))
	case s.isComparison(j):
		if next, _ := s.operand(j + 1); next > 0 && s.ends(next) {
			l.add(sqli, 35, "a comparison glued to a closed quote", s.at(i), s.at(next))
		}
	case op && s.kind(j) == sqlString && s.toks[j].open && s.toks[j].end-s.toks[j].at < 12:
		l.add(sqli, pick(j-i > 1 && s.text[s.from] != '-', 40, 25), "two strings joined by an operator", s.at(i), s.at(j+1))
	}
}

// calls weighs functions of databases that prose and code searches do not
// hold, called right behind a value or an operator.
func (l *look) calls(s *sqlScan, d sqlLead) {
	for i := range s.toks {
		if s.toks[i].kw == kwWaitfor && s.kind(i+1) == sqlWord && s.kind(i+2) == sqlString && s.spelling(i+1) == "delay" {
			l.wait(bytes.Trim(s.text[s.toks[i+2].at:s.toks[i+2].end], "'\""))
			l.addCertain(sqli, 70, "WAITFOR DELAY", s.at(i), s.at(i+3), s.broken || d.value)
		}
		if !s.knownCall(i) || i == 0 {
			continue
		}
		prev := &s.toks[i-1]
		glued := prev.kind == sqlOp || prev.kind == sqlCmp || prev.kw == kwSelect || prev.kind == sqlSemi
		if glued && i-1 <= d.tokens && (d.adjacent(s, i-1) || s.broken && d.wordy == 0) {
			l.add(sqli, 35, "a database function in an expression", s.at(i-1), s.at(i+2))
		}
	}
}

// quotedSign says whether the reading begins with an operator between two quotes that
// a text speaks of: a single leading "=" on Windows.
func (s *sqlScan) quotedSign() bool {
	q := s.from - 1
	if q < 0 || q > 0 && word(s.text[q-1]) || len(s.toks) < 2 {
		return false
	}
	i := 0
	for i < len(s.toks) && (s.kind(i) == sqlOp || s.kind(i) == sqlCmp || s.kind(i) == sqlOther) {
		i++
	}
	t := &s.toks[min(i, len(s.toks)-1)]
	if i == 0 || t.kind != sqlString || int(t.at) != int(s.toks[i-1].end) || int(s.toks[0].at) != s.from {
		return false
	}
	rest := s.text[t.at+1:]
	return len(rest) > 0 && (blank(rest[0]) || containsByte(").,?!:;<", rest[0]))
}

// quotedWords says whether the reading is words from the quote that begins a phrase to
// the one that ends it, and nothing behind: "not available",
func (s *sqlScan) quotedWords(from int) bool {
	q := s.from - 1
	if q < 0 || q > 0 && word(s.text[q-1]) {
		return false
	}
	for i := from; i < len(s.toks); i++ {
		t := &s.toks[i]
		if t.kind == sqlString {
			rest := s.text[min(int(t.at)+1, len(s.text)):]
			return t.open && len(rest) <= 2 && !bytes.ContainsFunc(rest, func(r rune) bool { return r > 0x7F || alnum(byte(r)) })
		}
		if t.kind != sqlWord {
			return false
		}
	}
	return false
}

// inches says whether the quote in front of the reading is a unit: 16" or 18".
func (s *sqlScan) inches() bool {
	return s.broken && s.from >= 2 && digit(s.text[s.from-2]) && s.text[s.from-1] == '"' ||
		s.broken && s.from >= 2 && digit(s.text[s.from-2]) && len(s.toks) > 2 && s.kind(len(s.toks)-1) == sqlString &&
			s.toks[len(s.toks)-1].open && digit(s.text[s.toks[len(s.toks)-1].at-1])
}

// balanced weighs a reading that is nothing but an expression from the broken
// quote to an open string: ' or a like ' and its kind put the quotes right again.
func (l *look) balanced(s *sqlScan) {
	n := len(s.toks)
	if !s.broken || s.phrase || n < 3 || n > 40 || s.quotedSign() || s.quotedWords(0) || bytes.IndexByte(s.text[:s.from], '<') >= 0 || !s.toks[n-1].open || s.kind(n-1) != sqlString {
		return
	}
	solid, words, tied := false, false, false
	if s.inches() {
		return
	}
	for i := 0; i < n-1; {
		joint := false
		tied = tied || s.kind(i) != sqlWord || s.kw(i) != kwOr
		for s.kind(i) == sqlOp || s.kind(i) == sqlCmp || s.kw(i) == kwOr || s.kw(i) == kwLike || s.kw(i) == kwIs || s.kw(i) == kwNot {
			words = words || s.kind(i) == sqlWord
			joint = true
			i++
		}
		next, literal := s.term(i)
		if !joint || next < 0 || s.toks[i].end-s.toks[i].at > 24 {
			return
		}
		words = words || s.kw(i) != kwNone
		solid = solid || s.kind(i) != sqlString && (!literal || s.kind(i) == sqlNumber)
		i = next
	}
	if tied && (solid || words) {
		l.add(sqli, pick(words, 50, 35), "an expression between a closed and an opened quote", s.at(0), s.at(n-1))
	}
}
