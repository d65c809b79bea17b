package inspect

import "bytes"

// Values that are a piece of a query from the first byte to the last. Whoever searches may
// write them, so parameters that hold words of people are left out.

// wholeQuery weighs them.
func (l *look) wholeQuery(s *sqlScan) {
	if s.broken || s.from > 0 || len(s.toks) < 2 {
		return
	}
	if why := s.wholePiece(); why != "" && !l.searched() {
		l.add(sqli, 50, why, s.at(0), s.at(len(s.toks)))
	}
}

// wholePiece says what piece of a query the text is; "" for none.
func (s *sqlScan) wholePiece() string {
	n := len(s.toks)
	switch first := &s.toks[0]; {
	case first.kw == kwOr:
		return s.wholeBoolean()
	case first.kw == kwLike && s.waits(1), s.waits(0) && s.kind(s.after(1)) == sqlCmp, first.kind == sqlOp && s.waits(1) && s.kind(s.after(2)) == sqlOp:
		return "a call that waits, as part of an expression"
	case s.knownCall(0) && s.cutAt(s.after(1)):
		return "a database function, then a comment that cuts off the rest"
	case first.kw == kwUnion && n <= 3 && s.kw(n-1) == kwSelect:
		return "UNION SELECT and nothing else"
	case first.kw == kwSelect:
		return s.wholeSelect()
	case first.kind == sqlClose:
		return s.wholeClose()
	case first.kind == sqlVar && s.cutAt(1), first.kind == sqlNumber && s.kind(1) == sqlOp && s.kind(2) == sqlNumber && s.cutAt(3) && s.glued(3):
		return "an expression, then a comment that cuts off the rest"
	case first.kind == sqlOpen && s.cutExpression():
		return "an expression in parentheses, then a comment"
	case n == 3 && first.kind == sqlOp && s.text[first.at] == '-' && s.kind(1) == sqlNumber && s.kw(2) == kwUnion:
		return "a number that no row has, then UNION"
	}
	return ""
}

func (s *sqlScan) wholeSelect() string {
	if s.cutOff() {
		return "a SELECT of constants that breaks off behind WHERE"
	}
	if next, columns, _ := s.list(1); columns > 0 && s.kw(next) == kwFrom && s.kind(next+1) == sqlWord && s.spelling(next+1) == "dual" && s.ends(next+2) {
		return "a SELECT from the table DUAL"
	}
	return ""
}

func (s *sqlScan) wholeClose() string {
	i := 1
	for s.kind(i) == sqlClose {
		i++
	}
	if s.kw(i) != kwOr {
		return ""
	}
	if next, _ := s.condition(i + 1); next > 0 && (s.kind(i+1) == sqlOpen || s.ends(next)) {
		return "a parenthesis that closes nothing, then OR/AND with a comparison"
	}
	return ""
}

// wholeBoolean is for a value that begins with OR or AND: what stands before it is the
// query's own.
func (s *sqlScan) wholeBoolean() string {
	if s.kind(1) == sqlOpen && s.knownCall(2) || s.knownCall(1) && s.text[s.toks[0].at] == '|' {
		return "OR/AND with a database function"
	}
	if next, _ := s.condition(1); next > 0 {
		for i := 1; i < next && s.ends(next); i++ {
			if s.knownCall(i) {
				return "OR/AND with a comparison of what a database function gives"
			}
		}
		return ""
	}
	next, literal := s.operand(1)
	if next < 0 || s.kind(next) != sqlComment || next != len(s.toks)-1 || s.toks[next].end-s.toks[next].at > 4 {
		return ""
	}
	if word := s.spelling(1); literal || word == "true" || word == "false" {
		return "OR/AND with a constant, then a comment that cuts off the rest"
	}
	return ""
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
