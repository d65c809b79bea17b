package inspect

import "bytes"

// Operands: what may stand on either side of a comparison, or in a column list.

// maxTerms bounds the terms joined by operators that one operand may have.
const maxTerms = 24

func (s *sqlScan) kind(i int) sqlKind {
	if i >= 0 && i < len(s.toks) {
		return s.toks[i].kind
	}
	return sqlNone
}

func (s *sqlScan) kw(i int) keyword {
	if i >= 0 && i < len(s.toks) {
		return s.toks[i].kw
	}
	return kwNone
}

func (s *sqlScan) spelling(i int) string { return string(s.text[s.toks[i].at:s.toks[i].end]) }

// call says whether token i names a function that is called.
func (s *sqlScan) call(i int) bool {
	return s.kind(i) == sqlWord && s.kind(i+1) == sqlOpen
}

// knownCall says that as well, and that injections use the function.
func (s *sqlScan) knownCall(i int) bool {
	return s.call(i) && sqlFunctions[string(s.text[s.toks[i].at:s.toks[i].end])]
}

// after returns the index behind the parenthesis that opens at i. One that is
// never closed reaches to the end: the query around it closes it.
func (s *sqlScan) after(i int) int {
	if m := s.toks[i].match; m >= 0 {
		return int(m) + 1
	}
	return len(s.toks)
}

// wild says whether token i is a string with a wildcard of LIKE.
func (s *sqlScan) wild(i int) bool {
	return s.kind(i) == sqlString && bytes.IndexByte(s.text[s.toks[i].at:s.toks[i].end], '%') >= 0
}

// afterComments skips comments to the end of a line behind which the query goes on.
func (s *sqlScan) afterComments(i int) int {
	for s.kind(i) == sqlComment && i+1 < len(s.toks) {
		i++
	}
	return i
}

// operand reads an expression at i. It returns the index behind it, or -1, and
// whether it is a plain literal.
func (s *sqlScan) operand(i int) (next int, literal bool) {
	literal = true
	for range maxTerms {
		var lit bool
		i, lit = s.term(i)
		if i < 0 {
			return -1, false
		}
		literal = literal && lit
		if s.kind(i) != sqlOp || s.kw(i) == kwOr && s.text[s.toks[i].at] == '&' {
			break
		}
		if n, _ := s.term(i + 1); n < 0 {
			break
		}
		i++
	}
	return i, literal
}

// term reads one term, with the signs before it.
func (s *sqlScan) term(i int) (next int, literal bool) {
	for n := 0; n < maxTerms && (s.kind(i) == sqlOp && s.kw(i) == kwNone && containsByte("+-~!*@", s.text[s.toks[i].at]) || s.kw(i) == kwNot); n++ {
		if s.text[s.toks[i].at] == '*' {
			return i + 1, false
		}
		i++
	}
	switch s.kind(i) {
	case sqlNumber:
		return i + 1, true
	case sqlString:
		for s.kind(i+1) == sqlString {
			i++
		}
		return i + 1, true
	case sqlVar:
		return i + 1, false
	case sqlOpen:
		k := i + 1
		for s.kind(k) == sqlOpen {
			k++
		}
		next := s.after(i)
		return next, next == k+1+k-i && (s.kind(k) == sqlNumber || s.kind(k) == sqlString) || next == k+1 && k > i+1 && s.kind(k) == sqlString && s.toks[k].open
	case sqlWord:
		return s.wordTerm(i)
	}
	return -1, false
}

func (s *sqlScan) wordTerm(i int) (next int, literal bool) {
	if s.kind(i+1) == sqlOpen && s.kw(i) != kwOr && s.kw(i) != kwSelect {
		return s.after(i + 1), false
	}
	switch s.kw(i) {
	case kwNull:
		return i + 1, true
	case kwCase:
		for j := i + 1; j < min(len(s.toks), i+64); j++ {
			if s.kw(j) == kwEnd {
				return j + 1, false
			}
		}
		return len(s.toks), false
	case kwNone, kwFunc, kwTable:
		n := i + 1
		for s.kind(n) == sqlDot && (s.kind(n+1) == sqlWord || s.kind(n+1) == sqlString) {
			n += 2
			if s.kind(n) == sqlOpen {
				return s.after(n), false
			}
		}
		if s.kind(n) == sqlDot && s.kind(n+1) == sqlOp { // t.*
			n += 2
		}
		return n, false
	}
	return -1, false
}

// comparison reads "cmp operand" at i: = <> like, is [not] null, in (...),
// between a and b. It returns the index behind it, or -1.
func (s *sqlScan) comparison(i int) (next int, literal bool) {
	if s.kw(i) == kwNot {
		i++
	}
	switch {
	case s.kind(i) == sqlCmp, s.kw(i) == kwLike:
		return s.operand(i + 1)
	case s.kind(i) == sqlWord && s.kw(i+1) == kwLike && s.spelling(i) == "sounds":
		return s.operand(i + 2)
	case s.kw(i) == kwIs:
		if s.kw(i+1) == kwNot {
			i++
		}
		if s.kw(i+1) == kwNull {
			return i + 2, false
		}
	case s.kw(i) == kwIn && s.kind(i+1) == sqlOpen:
		literal = true
		for k := i + 2; k < s.after(i+1)-1 && literal; k++ {
			literal = s.kind(k) == sqlNumber || s.kind(k) == sqlString || s.kind(k) == sqlComma
		}
		return s.after(i + 1), literal && s.after(i+1) > i+3
	case s.kw(i) == kwBetween:
		n, lit := s.operand(i + 1)
		if n < 0 || s.kw(n) != kwOr {
			return -1, false
		}
		m, lit2 := s.operand(n + 1)
		return m, lit && lit2
	}
	return -1, false
}

// condition reads "operand comparison" at i, inside any number of open
// parentheses. It returns the index behind it, or -1, and whether both sides
// are literals.
func (s *sqlScan) condition(i int) (next int, literal bool) {
	for n := 0; n < 12 && s.kind(i) == sqlOpen && s.kw(i+1) != kwSelect; n++ {
		if end := s.after(i); s.isComparison(end) {
			break
		}
		i++
	}
	left, lit := s.operand(i)
	if left < 0 {
		return -1, false
	}
	right, lit2 := s.comparison(left)
	if right < 0 {
		return -1, false
	}
	return right, lit && lit2
}

func (s *sqlScan) isComparison(i int) bool {
	return s.kind(i) == sqlCmp || s.kw(i) == kwLike || s.kw(i) == kwIn || s.kw(i) == kwIs
}

// list reads a column list at i. It returns the index behind it, how many
// columns it has, and how many of them are no bare words.
func (s *sqlScan) list(i int) (next, columns, plainSQL int) {
	for s.kw(i) == kwAll {
		i++
	}
	if s.kind(i) == sqlWord && s.kind(i+1) == sqlNumber && s.spelling(i) == "top" {
		i += 2
	}
	if s.kind(i) == sqlOpen && s.kw(i+1) == kwSelect && columns == 0 {
		return s.after(i), 1, 1
	}
	for columns < 512 {
		n, _ := s.operand(i)
		if n < 0 {
			return i, columns, plainSQL
		}
		if n > i+1 && s.kind(i+1) != sqlDot && !s.named(i, n) || s.kind(i) != sqlWord && s.kind(i) != sqlOpen || s.kw(i) == kwNull {
			plainSQL++
		}
		columns++
		if s.kw(n) == kwAs {
			n += 2
		} else if s.kind(n) == sqlString || s.kind(n) == sqlWord && s.kw(n) == kwNone && s.kind(n+1) == sqlComma {
			n++
		}
		if s.kind(n) != sqlComma {
			return n, columns, plainSQL
		}
		i = n + 1
	}
	return i, columns, plainSQL
}

// named says whether the tokens from i to n are words in parentheses.
func (s *sqlScan) named(i, n int) bool {
	if s.kind(i) != sqlOpen {
		return false
	}
	for ; i < n && i < len(s.toks); i++ {
		if k := s.kind(i); k != sqlOpen && k != sqlClose && (k != sqlWord || s.kw(i) != kwNone || s.call(i)) {
			return false
		}
	}
	return true
}

// bareWord says whether one side of the comparison from i to next is a word that is
// neither called nor qualified, and the other no string.
func (s *sqlScan) bareWord(i, next int) bool {
	words := 0
	for ; i < next && i < len(s.toks); i++ {
		switch t := &s.toks[i]; {
		case t.kind == sqlString, t.kind == sqlVar, t.kind == sqlOpen, t.kind == sqlDot:
			return false
		case t.kind == sqlWord && niladic[s.spelling(i)]:
			return false
		case t.kind == sqlWord && (t.kw == kwNone || t.kw == kwFunc || t.kw == kwTable):
			words++
		}
	}
	return words == 1
}

// same says whether the tokens from i to next compare a word with itself, and nothing
// follows: a = a holds for every row.
func (s *sqlScan) same(i, next int) bool {
	return next == i+3 && s.ends(next) && s.kind(i) == sqlWord && s.kind(i+2) == sqlWord && s.kind(i+1) == sqlCmp &&
		s.spelling(i+1) == "=" && s.spelling(i) == s.spelling(i+2)
}

// enclosed says whether the text begins with a number or one word in parentheses: the
// value that is replaced.
func (s *sqlScan) enclosed() bool {
	n := int(s.toks[0].match)
	if n < 2 || n > 8 {
		return false
	}
	for i := 1; i < n; i++ {
		if k := s.kind(i); k != sqlOpen && k != sqlClose && (k != sqlNumber && k != sqlWord || s.kw(i) != kwNone) {
			return false
		}
	}
	return s.kind(n+1) != sqlWord || s.kw(n+1) != kwNone
}

// niladic are functions of SQL (ISO/IEC 9075) that are called without parentheses.
var niladic = map[string]bool{"current_user": true, "system_user": true, "session_user": true, "current_date": true, "current_time": true, "current_timestamp": true}

// ends says whether a statement may end at i.
func (s *sqlScan) ends(i int) bool {
	switch s.kind(i) {
	case sqlNone, sqlComment, sqlSemi, sqlClose:
		return true
	}
	return s.kind(i) == sqlString && s.toks[i].open
}
