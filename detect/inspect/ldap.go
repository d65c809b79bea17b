package inspect

import "bytes"

// ldap weighs pieces of search filters (RFC 4515): a parenthesis that closes what the
// value did not open, then a filter of its own.
func (l *look) ldap() {
	if !l.seen.any("()") || !l.seen.any("*=&|!") {
		return
	}
	if !l.opensFilter() {
		return
	}
	t := l.squeeze()
	switch early := unopened(t); {
	case early >= 0:
		l.ldapBreak(t, early)
	case len(t) > 2 && t[0] == '(' && (t[1] == '&' || t[1] == '|' || t[1] == '!') && t[2] == '(' && filterItem(t[3:]):
		l.add(ldap, 50, "a search filter of LDAP", 0, len(l.text))
	case len(t) > 3 && t[0] == '*' && t[1] == '(' && containsByte("|&!", t[2]) && t[3] == '(' && filterItem(t[4:]):
		l.add(ldap, 55, "a wildcard, then a search filter of LDAP", 0, len(l.text))
	case len(t) > 1 && containsByte("|&!", t[0]) && t[1] == '(' && filterItem(t[2:]) && bytes.HasSuffix(t, []byte("=*)")):
		l.add(ldap, 50, "an operator and an item of a search filter of LDAP", 0, len(l.text))
	case len(t) > 0 && t[0] == '(' && filterItem(t[1:]) && bytes.Contains(t, []byte("=*)")):
		l.add(ldap, 40, "a search filter of LDAP", 0, len(l.text))
	}
}

// opensFilter says whether the text begins with a parenthesis or closes one that it did not
// open, without which ldap finds nothing.
func (l *look) opensFilter() bool {
	t := bytes.TrimLeft(l.text, " \t\n\v\f\r")
	return len(t) > 0 && containsByte("(*|&!", t[0]) || unopened(l.text) >= 0
}

// unopened is where t closes a parenthesis that it did not open, or -1.
func unopened(t []byte) int {
	depth := 0
	for i, b := range t {
		switch b {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return -1
}

// squeeze fills l.loose with the text without blanks.
func (l *look) squeeze() []byte {
	out := l.loose[:0]
	for _, b := range l.text {
		if !blank(b) {
			out = append(out, b)
		}
	}
	l.loose = out
	return out
}

// ldapBreak weighs what follows the parenthesis at i that closes nothing.
func (l *look) ldapBreak(t []byte, i int) {
	rest := t[i+1:]
	for len(rest) > 0 && rest[0] == ')' {
		rest = rest[1:]
	}
	star := i > 0 && t[i-1] == '*'
	if len(rest) == 0 {
		nul := l.in.canon.flags&sawNUL != 0
		if star && (nul || i > 1 && t[i-2] != '(' && len(t)-i > 1) {
			l.add(ldap, pick(nul, 55, 30), "a wildcard, then parentheses that close a filter", 0, len(l.text))
		}
		return
	}
	w := 0
	switch {
	case rest[0] == '(' && len(rest) > 1 && (rest[1] == '|' || rest[1] == '&' || rest[1] == '!'):
		w = pick(len(rest) == 2 || rest[2] == '(' || rest[2] == ')', 60, 25)
	case rest[0] == '(' && filterItem(rest[1:]):
		w = 60
	case rest[0] == '!' && len(rest) > 1 && rest[1] == '(' && filterItem(rest[2:]) && rest[len(rest)-1] == '*':
		w = 50
	case (rest[0] == '|' || rest[0] == '&') && len(rest) > 1 && rest[1] == '(' && filterItem(rest[2:]):
		w = 60
	case star && containsByte("(|&", rest[0]):
		w = 50
	case rest[0] == '(' && len(rest) > 2 && bytes.HasSuffix(rest, []byte("=*")):
		w = 45
	}
	if w > 0 {
		l.add(ldap, w, "closes a search filter of LDAP and opens another", 0, len(l.text))
	}
}

// filterItem says whether t begins with attr=, attr~=, attr>=, attr:= or attr:rule:=, as
// RFC 4515 writes an item, perhaps behind more operators.
func filterItem(t []byte) bool {
	for len(t) > 0 && (t[0] == '|' || t[0] == '&' || t[0] == '!' || t[0] == '(') {
		t = t[1:]
	}
	n := 0
	for n < len(t) && (alnum(t[n]) || t[n] == '-' || t[n] == '.' || t[n] == ';') {
		n++
	}
	if n < 1 || n > 32 || !alpha(t[0]) || n >= len(t) {
		return false
	}
	switch t[n] {
	case '=':
		return n+1 >= len(t) || t[n+1] != '=' && t[n+1] != '>' // x==y and x=>y are code
	case ':':
		for n++; n < len(t) && (alnum(t[n]) || t[n] == '.' || t[n] == ':'); n++ {
		}
		return n < len(t) && t[n] == '=' && t[n-1] == ':'
	case '~', '>', '<':
		return n+1 < len(t) && t[n+1] == '='
	}
	return false
}
