package inspect

import "bytes"

// union weighs UNION SELECT by whether it parses.
func (l *look) union(s *sqlScan, i int, d sqlLead) {
	j := s.afterComments(i + 1)
	for s.kw(j) == kwAll || s.kind(j) == sqlOp && s.text[s.toks[j].at] == '+' { // a blank that was encoded twice
		j = s.afterComments(j + 1)
	}
	for s.kind(j) == sqlOpen {
		j++
	}
	if s.kw(j) != kwSelect {
		if (j == len(s.toks) || s.kind(j) == sqlComment && j == len(s.toks)-1) && d.value && !s.broken && i > 0 && d.wordy == 0 && s.commented(i) {
			l.add(sqli, 50, "a comment, then UNION", s.at(i-1), s.at(j))
		}
		l.unionTable(s, i, j, d)
		return
	}
	next, columns, solid := s.list(j + 1)
	from := s.kw(next) == kwFrom && s.kind(next+1) != sqlNone
	near := d.adjacent(s, i)
	why, w, certain := "UNION SELECT with a column list", 85, true
	switch {
	case columns > 1 && solid > 0, columns == 1 && solid == 1 && (near || from || i == 0 || s.ends(next)):
	case columns > 0 && from && near:
	case columns > 0 && from:
		why, w, certain = "UNION SELECT with FROM", 45, false
	case near && columns > 0 && s.ends(next):
		why, w, certain = "UNION SELECT behind a value", 70, false
	default:
		why, w, certain = "UNION SELECT", pick(near, 50, 15), false
	}
	if d.wordy > 1 && columns < 2 {
		w, certain = min(w, 40), false
	}
	l.addCertain(sqli, w, why, s.at(i), s.at(next), certain)
}

// unionTable weighs UNION TABLE x and UNION VALUES (…), which need no SELECT.
func (l *look) unionTable(s *sqlScan, i, j int, d sqlLead) {
	if s.kind(j) != sqlWord || !d.adjacent(s, i) {
		return
	}
	switch s.spelling(j) {
	case "table":
		if s.kind(j+1) == sqlWord && s.ends(j+2) && s.kind(j+2) != sqlString && s.kind(j+2) != sqlClose && !s.phrase {
			l.add(sqli, 60, "UNION TABLE behind a value", s.at(i), s.at(j+2))
		}
	case "values":
		if s.kind(j+1) == sqlOpen && (s.kind(j+2) == sqlNumber || s.kind(j+2) == sqlString || s.kind(j+2) == sqlVar || s.kw(j+2) == kwNull || s.knownCall(j+2)) || s.call(j+1) && s.spelling(j+1) == "row" {
			l.add(sqli, 60, "UNION VALUES behind a value", s.at(i), s.at(j+2))
		}
	}
}

// commented says whether a comment stands between token i and the one before it, or ends
// there.
func (s *sqlScan) commented(i int) bool {
	return s.kind(i-1) == sqlComment || bytes.HasSuffix(s.text[s.toks[i-1].end:s.toks[i].at], []byte("*/"))
}
