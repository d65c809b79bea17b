package inspect

import "bytes"

// Values that are a piece of a query from the first byte to the last. Whoever searches may
// write them, so parameters that hold words of people are left out.

// wholeQuery weighs them.
func (l *look) wholeQuery(s *sqlScan) {
	if s.broken || s.from > 0 || len(s.toks) < 2 || l.searched() {
		return
	}
	switch {
	case s.kw(0) == kwOr:
		l.wholeBoolean(s)
	case s.kind(0) == sqlClose:
		i := 1
		for s.kind(i) == sqlClose {
			i++
		}
		if next, _ := s.condition(i + 1); s.kw(i) == kwOr && next > 0 && (s.kind(i+1) == sqlOpen || s.ends(next)) {
			l.add(sqli, 50, "a parenthesis that closes nothing, then OR/AND with a comparison", s.at(0), s.at(next))
		}
	case s.waits(0) && s.kind(s.after(1)) == sqlCmp, s.kind(0) == sqlOp && s.waits(1) && s.kind(s.after(2)) == sqlOp, s.kw(0) == kwLike && s.waits(1):
		l.add(sqli, 50, "a call that waits, as part of an expression", s.at(0), s.at(len(s.toks)))
	case s.cutAt(1) && s.kind(0) == sqlVar, s.cutAt(3) && s.kind(0) == sqlNumber && s.kind(1) == sqlOp && s.kind(2) == sqlNumber && s.glued(3):
		l.add(sqli, 50, "an expression, then a comment that cuts off the rest", s.at(0), s.at(len(s.toks)))
	case s.kind(0) == sqlOpen && s.cutExpression():
		l.add(sqli, 50, "an expression in parentheses, then a comment", s.at(0), s.at(len(s.toks)))
	case s.knownCall(0) && s.cutAt(s.after(1)):
		l.add(sqli, 50, "a database function, then a comment that cuts off the rest", s.at(0), s.at(s.after(1)))
	case s.kw(0) == kwUnion && s.kw(len(s.toks)-1) == kwSelect && len(s.toks) <= 3:
		l.add(sqli, 50, "UNION SELECT and nothing else", s.at(0), s.at(len(s.toks)))
	case s.kw(0) == kwSelect && s.cutOff():
		l.add(sqli, 50, "a SELECT of constants that breaks off behind WHERE", s.at(0), s.at(len(s.toks)))
	case s.kind(0) == sqlOp && s.text[s.toks[0].at] == '-' && s.kind(1) == sqlNumber && s.kw(2) == kwUnion && len(s.toks) == 3:
		l.add(sqli, 50, "a number that no row has, then UNION", s.at(0), s.at(3))
	case s.kw(0) == kwSelect:
		if next, columns, _ := s.list(1); columns > 0 && s.kw(next) == kwFrom && s.kind(next+1) == sqlWord && s.spelling(next+1) == "dual" && s.ends(next+2) {
			l.add(sqli, 50, "a SELECT from the table DUAL", s.at(0), s.at(next+2))
		}
	}
}

// wholeBoolean weighs a value that begins with OR or AND: what stands before it is the
// query's own.
func (l *look) wholeBoolean(s *sqlScan) {
	if s.kind(1) == sqlOpen && s.knownCall(2) || s.knownCall(1) && s.text[s.toks[0].at] == '|' {
		l.add(sqli, 50, "OR/AND with a database function", s.at(0), s.at(3))
		return
	}
	if next, _ := s.condition(1); next > 0 {
		for i := 1; i < next && s.ends(next); i++ {
			if s.knownCall(i) {
				l.add(sqli, 50, "OR/AND with a comparison of what a database function gives", s.at(0), s.at(next))
				return
			}
		}
		return
	}
	next, literal := s.operand(1)
	if next < 0 || s.kind(next) != sqlComment || next != len(s.toks)-1 || s.toks[next].end-s.toks[next].at > 4 {
		return
	}
	if word := s.spelling(1); literal || word == "true" || word == "false" {
		l.add(sqli, 50, "OR/AND with a constant, then a comment that cuts off the rest", s.at(0), s.at(next))
	}
}

// cutOff says whether a SELECT of a number, a string or a variable ends in FROM x WHERE.
func (s *sqlScan) cutOff() bool {
	n := len(s.toks)
	if n < 5 || s.kw(n-1) != kwWhere || s.kind(n-2) != sqlWord || s.kw(n-3) != kwFrom {
		return false
	}
	for i := 1; i < n-3; i++ {
		if k := s.kind(i); k == sqlNumber || k == sqlString || k == sqlVar {
			return true
		}
	}
	return false
}

// glued says whether token i stands right behind the one before it.
func (s *sqlScan) glued(i int) bool { return s.toks[i].at == s.toks[i-1].end }

// cutExpression says whether the text is parentheses, perhaps with an operator between two
// of them, and a comment sign: with a number, a string or a call inside, and no two words
// side by side, as prose has them.
func (s *sqlScan) cutExpression() bool {
	n := len(s.toks) - 1
	if s.kind(n) != sqlComment || s.toks[n].end-s.toks[n].at > 4 || s.kind(n-1) != sqlClose || int(s.toks[n].end) != len(s.text) {
		return false
	}
	solid := false
	for i := 0; i < n; i++ {
		switch s.kind(i) {
		case sqlNumber, sqlString, sqlVar:
			solid = true
		case sqlWord:
			if s.kind(i+1) == sqlWord && s.kw(i) == kwNone && s.kw(i+1) == kwNone && s.spelling(i) != s.spelling(i+1) {
				return false
			}
		case sqlOther, sqlSemi:
			return false
		}
	}
	return solid
}

// quotedTest says whether token i is a string that the query ends, and holds a comparison
// of two numbers or words: 'or'1=1.
func (s *sqlScan) quotedTest(i int) bool {
	if s.kind(i) != sqlString || i != len(s.toks)-1 {
		return false
	}
	t := s.toks[i]
	if !t.open || t.end-t.at > 12 {
		return false
	}
	a, b, ok := bytes.Cut(s.text[t.at+1:t.end], []byte("="))
	return ok && len(a) > 0 && bytes.Equal(a, b) && !bytes.ContainsFunc(a, func(r rune) bool { return r > 0x7F || !alnum(byte(r)) })
}
