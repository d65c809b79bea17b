package inspect

import "bytes"

// Calls and tests that blind injections are made of, told by their arguments: a
// comparison of two constants decides nothing, and nobody asks a database to wait.

// probes weighs the calls among the tokens, wherever they stand.
func (l *look) probes(s *sqlScan) {
	for i := range s.toks {
		switch t := &s.toks[i]; {
		case t.kind != sqlWord || int(t.end-t.at) > maxKeyword:
		case t.kw == kwCase:
			l.cases(s, i)
		case s.kind(i+1) == sqlOpen:
			l.probe(s, i)
		}
	}
}

// probe weighs one call.
func (l *look) probe(s *sqlScan, i int) {
	switch s.spelling(i) {
	case "iif", "if", "elt", "make_set", "decode", "nullif":
		next, literal := s.condition(i + 2)
		if next > 0 && (literal || s.knownCall(i+2)) && (s.kind(next) == sqlComma || s.kind(next) == sqlClose) {
			l.add(sqli, 50, "a function that tests constants", s.at(i), s.at(next))
		}
		if s.knownCall(i+2) && next > 0 && s.kind(next) == sqlComma && s.waits(next+1) {
			l.add(sqli, 35, "a test that waits", s.at(i), s.at(next+3))
		}
	case "sleep", "pg_sleep", "benchmark", "randomblob", "generate_series", "regexp_substring":
		l.delay(s, i)
	case "json_extract", "json_value", "json_query", "json_array_length", "json_depth":
		if (s.kind(i+2) == sqlString || s.kind(i+2) == sqlWord) && s.isComparison(s.after(i+1)) {
			l.add(sqli, 45, "a JSON function in a condition", s.at(i), s.at(i+4))
		}
	}
}

// waits says whether token i calls something that delays.
func (s *sqlScan) waits(i int) bool {
	if !s.call(i) {
		return false
	}
	switch s.spelling(i) {
	case "sleep", "pg_sleep", "benchmark":
		return true
	}
	return false
}

// delay weighs a call that takes time, by what stands before and behind it.
func (l *look) delay(s *sqlScan, i int) {
	arg := s.kind(i + 2)
	if arg == sqlOp && s.kind(i+3) == sqlNumber { // sleep(-3*-2)
		arg = s.kind(i + 3)
	}
	if arg != sqlNumber && arg != sqlOpen && arg != sqlString && !s.call(i+2) {
		return
	}
	if s.kind(i+2) == sqlNumber && (s.spelling(i) == "sleep" || s.spelling(i) == "pg_sleep") {
		l.wait(s.text[s.toks[i+2].at:s.toks[i+2].end])
	}
	end := s.after(i + 1)
	whole := s.ends(end) || s.kw(end) == kwOr || s.kw(end) == kwLimit
	switch prev := i - 1; {
	case prev < 0 && whole && s.broken && !s.phrase:
		l.add(sqli, 55, "a delay behind a closed quote", s.at(i), s.at(end))
	case prev < 0 && whole && !s.broken && s.from == 0 && len(s.toks) < 16 && s.ends(end) && !l.searched():
		l.add(sqli, 50, "a value that is a delay", s.at(i), s.at(end))
	case s.kw(prev) == kwSelect && (prev == 0 || s.kind(prev-1) == sqlOpen || s.kind(prev-1) == sqlSemi) && whole:
		l.add(sqli, 50, "a SELECT that waits", s.at(prev), s.at(end))
	case s.kind(prev) == sqlOpen && s.kw(prev-1) == kwSelect && (prev == 1 || s.kind(prev-2) == sqlSemi) && s.ends(end):
		l.add(sqli, 50, "a SELECT that waits", s.at(prev-1), s.at(end))
	case prev == 0 && s.spelling(0) == "call" && (s.kind(i+2) == sqlWord || s.kind(i+2) == sqlNumber) && whole:
		l.add(sqli, 55, "a CALL that takes time", s.at(0), s.at(end))
	case s.kind(prev) == sqlCmp || s.kind(prev) == sqlOp && s.broken:
		l.add(sqli, pick(s.broken, 55, 35), "a delay in an expression", s.at(prev), s.at(end))
	case s.kw(prev) == kwOr && (s.ends(end) || s.kind(end) == sqlClose) && i > 1:
		l.add(sqli, 35, "a condition that waits", s.at(prev), s.at(end))
	case s.spelling(i) == "randomblob" && arg == sqlNumber && s.toks[i+2].end-s.toks[i+2].at > 6:
		l.add(sqli, 50, "a blob so large that making it takes time", s.at(i), s.at(end))
	case s.kind(prev) == sqlOp && s.text[s.toks[prev].at] == '*' && s.kw(prev-1) == kwSelect:
	case s.kw(prev) == kwFrom && s.kind(prev-1) == sqlOp && s.kw(i+4) != kwNone:
		l.add(sqli, 20, "a set that takes time", s.at(prev), s.at(end))
	}
}

// mostDelay is the longest wait that is believed, in seconds.
const mostDelay = 120

// wait notes that the payload asks for a delay of n seconds; "0:0:5" is read by its
// last part.
func (l *look) wait(n []byte) {
	secs := 0
	for _, b := range bytes.TrimLeft(n, " ") {
		if b == ':' {
			secs = 0
			continue
		}
		if !digit(b) {
			break
		}
		if secs = secs*10 + int(b-'0'); secs > mostDelay {
			return
		}
	}
	l.delays = max(l.delays, secs)
}

// cases weighs CASE WHEN with constants on both sides.
func (l *look) cases(s *sqlScan, i int) {
	j := i + 1
	if s.kind(j) == sqlWord && s.spelling(j) == "when" {
		j++
	}
	next, literal := s.condition(j)
	if next < 0 && i == 0 && s.from == 0 && !l.searched() && s.kw(len(s.toks)-1) == kwEnd { // case when 's' then 3 end
		next, literal = s.operand(j)
	}
	if next < 0 || !literal {
		return
	}
	for s.kind(next) == sqlClose {
		next++
	}
	if s.kind(next) == sqlWord && s.spelling(next) == "then" {
		l.add(sqli, 50, "CASE WHEN with a constant test", s.at(i), s.at(next+2))
	}
}

// opening weighs a value that begins like a statement which no client sends: a
// variable, a procedure of the server, UNION. A SELECT is read in selects.
func (l *look) opening(s *sqlScan) {
	if s.broken || len(s.toks) < 2 {
		return
	}
	switch {
	case s.kw(0) == kwStatement && s.spelling(0) == "declare" && s.kind(1) == sqlVar:
		l.add(sqli, 50, "declares a variable of the database", s.at(0), s.at(3))
	case s.kw(0) == kwStatement && (s.spelling(0) == "exec" || s.spelling(0) == "execute"):
		if s.kind(1) == sqlWord && (s.kind(2) == sqlDot && s.ofDatabase() || server(s.spelling(1))) || s.kind(1) == sqlOpen && s.kind(2) == sqlVar {
			l.add(sqli, 55, "runs a procedure of the database", s.at(0), s.at(3))
		}
	case s.kw(0) == kwWaitfor && s.kind(1) == sqlWord && s.kind(2) == sqlString:
		l.add(sqli, 40, "a value that is WAITFOR", s.at(0), s.at(3))
	case s.kw(0) == kwStatement && s.statement(0) >= 60 && l.cutOff(s):
		l.add(sqli, 50, "a statement, then a comment that cuts off the rest", s.at(0), s.at(3))
	}
}

// ofDatabase says whether a name with dots is one of a database's: master..xp_x, dbo.f. The
// end of a sentence is none.
func (s *sqlScan) ofDatabase() bool {
	switch s.spelling(1) {
	case "master", "dbo", "sys", "msdb", "dbms_output", "dbms_lock", "utl_http":
		return s.kind(3) == sqlWord || s.kind(3) == sqlDot
	}
	return s.kind(3) == sqlDot || s.kind(3) == sqlWord && s.kind(4) == sqlDot && s.kind(5) == sqlWord
}

// cutOff says whether the last token is a comment without text.
func (l *look) cutOff(s *sqlScan) bool {
	t := &s.toks[len(s.toks)-1]
	return t.kind == sqlComment && t.end-t.at <= 4
}

// server says whether name is a procedure of SQL Server itself.
func server(name string) bool {
	return len(name) > 4 && (name[:3] == "xp_" || name[:3] == "sp_")
}

// glue weighs a value that is an operator between quotes and nothing else: what is
// left of the string on both sides becomes an expression.
func (l *look) glue() {
	t := l.text
	n := len(t)
	if a, b, ok := bytes.Cut(t, []byte("||")); ok && n < 24 && len(a) > 0 && len(b) > 0 && allDigits(a) && allDigits(b) {
		l.add(sqli, 50, "two numbers joined as texts", 0, n)
	}
	if n < 3 || n > 16 || t[0] != t[n-1] || t[0] != '\'' && t[0] != '"' {
		return
	}
	in := t[1 : n-1]
	for len(in) > 0 && blank(in[0]) {
		in = in[1:]
	}
	for len(in) > 0 && blank(in[len(in)-1]) {
		in = in[:len(in)-1]
	}
	switch string(in) {
	case "=", "-", "*", "/", "|", "^", "&", "%", "||", "&&", "<", ">", "<>", "!=", "<=>", ":=",
		"or", "and", "xor", "div", "mod", "like", "rlike", "regexp", "sounds like", "is not", "not like", "not regexp", "not rlike", "+", "--", "#", "/*", ";":
		l.add(sqli, 50, "an operator between two quotes", 0, n)
	}
}
