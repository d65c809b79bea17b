package inspect

import "bytes"

// What a value does to the end of the query: it cuts it off with a comment, or leaves
// its quotes so that they come out even.

// cutAt says whether token i is a comment that cuts off the rest, glued to what stands
// before it or in the form that databases take everywhere: "-- -".
func (s *sqlScan) cutAt(i int) bool {
	if s.kind(i) != sqlComment || i != len(s.toks)-1 || i == 0 {
		return false
	}
	t := &s.toks[i]
	n := t.end - t.at
	return n <= 5 && (t.at == s.toks[i-1].end || n > 2 || s.text[t.at] == '#')
}

// cutOperand weighs 1 and 1/* and 9or-utc_date--: behind a number, AND or OR with a value
// that decides alone, then a comment.
func (l *look) cutOperand(s *sqlScan, i, j int) {
	next, literal := s.operand(j)
	if gap := s.text[s.toks[i].end:max(s.at(j), int(s.toks[i].end))]; next > 0 && s.ends(next) && literal && bytes.Contains(gap, []byte("/*")) {
		l.add(sqli, 50, "OR/AND with a comment before a constant", s.at(i), s.at(next))
		return
	}
	if next < 0 || !s.cutAt(next) || !literal && s.kind(j) != sqlOp {
		return
	}
	if t := &s.toks[next]; t.at == s.toks[next-1].end {
		l.add(sqli, 50, "OR/AND with a constant, then a comment glued to it", s.at(i), int(t.end))
	}
}

// cutCondition says whether the condition from j to next is of constants or asks a
// function of databases, and a comment behind it and its parentheses cuts off the rest.
func (s *sqlScan) cutCondition(j, next int, literal bool) bool {
	for s.kind(next) == sqlClose {
		next++
	}
	if !s.cutAt(next) {
		return false
	}
	for ; j < next && !literal; j++ {
		literal = s.knownCall(j) || s.call(j) && s.kind(j+2) == sqlClose
	}
	return literal
}

// predicates are words behind a string that make it a condition.
var predicates = map[string]bool{
	"like": true, "rlike": true, "regexp": true, "glob": true, "ilike": true, "similar": true, "sounds": true,
	"is": true, "isnull": true, "notnull": true, "div": true, "mod": true, "xor": true,
}

// strange are those of them that English does not have.
var strange = map[string]bool{"rlike": true, "regexp": true, "glob": true, "ilike": true, "isnull": true, "notnull": true, "xor": true}

// glued weighs what stands between a quote that closes and the comment that cuts off the
// rest, or the next quote: x'|name--, x' is not ?--, a' rlike 'b.
func (l *look) glued(s *sqlScan) {
	n := len(s.toks)
	if !s.broken || s.phrase || n < 2 || n > 9 || s.quotedSign() {
		return
	}
	first := s.kind(0)
	word := first == sqlWord && s.toks[0].end-s.toks[0].at <= maxKeyword && predicates[s.spelling(0)]
	if word && n == 2 && s.kind(1) == sqlString && s.toks[1].open && strange[s.spelling(0)] && s.from > 1 && alnum(s.text[s.from-2]) {
		l.add(sqli, 50, "an operator between two strings", s.at(0), s.at(1))
		return
	}
	cut := s.cutAt(n-1) || word && strange[s.spelling(0)] && s.kind(n-1) == sqlComment && s.toks[n-1].end-s.toks[n-1].at <= 4
	if !word && first != sqlOp || !cut || first == sqlOp && (s.at(0) != s.from || !containsByte("|/%^*-", s.text[s.from])) {
		return
	}
	for i := 1; i < n-1; i++ {
		switch k := s.kind(i); {
		case k == sqlWord && i > 4, k == sqlSemi, k == sqlComma, k == sqlComment:
			return
		}
	}
	if glued := s.toks[n-1].at == s.toks[n-2].end; first == sqlOp && (!glued || n != 3 || s.kind(1) != sqlWord && s.kind(1) != sqlNumber) {
		return
	}
	l.add(sqli, 50, "an expression behind a closed quote, then a comment that cuts off the rest", s.at(0), s.at(n-1))
}

// negated weighs 1'or!'0 and 1'or@'x'…: a sign between the operator and a string, which
// only a query has.
func (l *look) negated(s *sqlScan, i, j int) bool {
	k := s.kind(j)
	if !s.broken || s.phrase || k != sqlOp && k != sqlOther || s.at(j) != int(s.toks[i].end) {
		return false
	}
	if b := s.text[s.toks[j].at]; b != '!' && b != '~' && b != '@' || s.kind(j+1) != sqlString && s.kind(j+1) != sqlOpen || s.at(j+1) != int(s.toks[j].end) {
		return false
	}
	l.add(sqli, 55, "OR/AND with a value that a sign changes", s.at(i), s.at(j+2))
	return true
}

// telling are functions that tell of the database.
var telling = map[string]bool{"version": true, "user": true, "database": true, "current_user": true, "session_user": true, "system_user": true, "schema": true, "sqlite_version": true, "db_name": true, "current_database": true}

// nested weighs a value that is calls of functions around one that tells of the database:
// hex(substr(version(),1,1)).
func (l *look) nestedCalls(s *sqlScan) {
	if s.broken || s.from > 0 || len(s.toks) < 7 || !s.knownCall(0) || l.searched() {
		return
	}
	for i := s.after(1); i < len(s.toks); i++ {
		if k := s.kind(i); k != sqlOp && k != sqlCmp && k != sqlNumber {
			return
		}
	}
	for i := 2; i+1 < len(s.toks) && i < 12; i++ {
		if s.call(i) && telling[s.spelling(i)] && (s.kind(i+2) == sqlClose || s.kind(i+2) == sqlNone) {
			l.add(sqli, 50, "functions of a database around one that tells of it", s.at(0), s.at(len(s.toks)))
			return
		}
	}
}

// leftOpen weighs what sqlmap and its kind send to see an error: punctuation in no order,
// or a value with a quote and parentheses that close what the query opened.
func (l *look) leftOpen() {
	t := l.text
	if len(t) < 4 || len(t) > 32 || l.searched() {
		return
	}
	n := 0
	for n < len(t) && alnum(t[n]) {
		n++
	}
	if n == 0 || n > 12 {
		return
	}
	rest, quotes, open, shut, marks := t[n:], 0, 0, 0, 0
	for _, b := range rest {
		switch b {
		case '\'', '"':
			quotes++
		case '(':
			open++
		case ')':
			shut++
		case '.', ',':
			marks++
		case ' ', '%':
		default:
			return
		}
	}
	if quotes == 1 && open == 0 && shut >= 2 && marks == 0 && bytes.IndexByte(rest, ')') > bytes.IndexAny(rest, "'\"") {
		l.add(sqli, 50, "a quote and parentheses that close what the value did not open", 0, len(t))
	}
	if quotes >= 2 && open+shut >= 2 && marks >= 2 && len(rest) >= 8 && bytes.IndexByte(rest, ' ') < 0 {
		l.add(sqli, 50, "quotes, parentheses and dots in no order, as scanners send them", 0, len(t))
	}
}

// catalogues are how the names of system tables begin.
var catalogues = []string{"information_schema", "sys", "pg_", "v$", "sqlite_", "all_tab", "all_users", "dba_", "user_tab", "mysql", "master", "msdb", "rdb$", "all_tables"}

// catalogue says whether token i names a system table.
func (s *sqlScan) catalogue(i int) bool {
	if s.kind(i) != sqlWord {
		return false
	}
	for _, c := range catalogues {
		if bytes.HasPrefix(s.text[s.toks[i].at:], []byte(c)) {
			return true
		}
	}
	return false
}
