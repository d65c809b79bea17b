package inspect

import "bytes"

// Script code without markup: a statement behind a string that the value did not
// open, and calls that are spelled so that a filter does not see them.

// statementWords begin a statement of JavaScript that breaks out of another one.
var statementWords = []string{
	"return", "while", "do", "for", "var", "let", "const", "function", "throw", "if", "sleep", "db", "this", "it", "new", "emit",
}

// scripts weighs both.
func (l *look) scripts() {
	if l.seen.has(';') {
		l.closing()
	}
	if l.seen.has('(') || l.seen.has('`') {
		l.computed()
	}
}

// closing looks for a string or a number that ends, a semicolon and a statement.
func (l *look) closing() {
	t := l.text
	q := bytes.IndexAny(t, "'\"")
	semi := bytes.IndexByte(t, ';')
	if q < 0 || q > semi {
		q = -1
		for _, b := range t[:semi] {
			if !digit(b) && !blank(b) && b != '\'' && b != '"' && b != ')' && b != '}' {
				return
			}
		}
	}
	i := q + 1
	for i < len(t) && (blank(t[i]) || t[i] == ')' || t[i] == '}' || digit(t[i])) {
		i++
	}
	if i >= len(t) || t[i] != ';' {
		return
	}
	for i < len(t) && (t[i] == ';' || blank(t[i])) {
		i++
	}
	end := i
	for end < len(t) && alpha(t[end]) {
		end++
	}
	for _, w := range statementWords {
		if string(t[i:end]) == w && statement(w, t[end:]) {
			l.add(nosqli, 55, "a value ends and a statement of JavaScript follows", max(q, 0), end+16)
			return
		}
	}
}

// statement says whether rest can stand behind the word: English has a word there.
func statement(w string, rest []byte) bool {
	if len(rest) == 0 {
		return false
	}
	part := rest[:min(len(rest), 96)]
	body := bytes.TrimLeft(part, " ")
	if len(body) == 0 {
		return false
	}
	switch w {
	case "while", "for", "if", "sleep", "emit", "do", "function":
		return body[0] == '(' || body[0] == '{' || w == "function" && bytes.IndexByte(part, '(') > 0
	case "return":
		return !alpha(body[0]) || bytes.HasPrefix(body, []byte("true")) || bytes.HasPrefix(body, []byte("false")) || bytes.HasPrefix(body, []byte("this.")) || bytes.HasPrefix(body, []byte("function"))
	case "db", "this":
		return rest[0] == '.' || rest[0] == '['
	case "new":
		return bytes.IndexByte(part, '(') > 0
	}
	eq := bytes.IndexByte(body[:min(len(body), 24)], '=')
	return eq >= 0 && (eq > 0 || w == "it") && bytes.IndexByte(bytes.TrimSpace(body[:eq]), ' ') < 0
}

// dialogs are the calls that a proof of concept makes.
var dialogs = []string{"alert", "prompt", "confirm", "eval"}

// roots are objects whose members are called by a computed name.
var roots = []string{"window", "top", "self", "parent", "frames", "this", "globalthis", "document", "content", "location", "constructor"}

// computed looks for (alert)(1), top['al'+'ert'](1), [1].find(alert), a=alert,a(1).
func (l *look) computed() {
	t := l.text
	for n, from := 0, 0; n < 32; n++ {
		k := bytes.IndexAny(t[from:], "[(=")
		if k < 0 {
			return
		}
		i := from + k
		from = i + 1
		switch t[i] {
		case '[':
			l.member(i)
		case '(', '=':
			l.handed(i)
		}
	}
}

// member weighs root[…]( where the name is put together from strings.
func (l *look) member(i int) {
	t := l.text
	start := i
	for start > 0 && word(t[start-1]) {
		start--
	}
	known := false
	for _, r := range roots {
		known = known || string(t[start:i]) == r
	}
	if !known {
		return
	}
	body := t[i+1 : min(len(t), i+96)]
	e := bytes.IndexByte(body, ']')
	for e >= 0 && e+1 < len(body) && body[e+1] != '(' && body[e+1] != '`' {
		k := bytes.IndexByte(body[e+1:], ']')
		if k < 0 {
			return
		}
		e += 1 + k
	}
	if e < 0 || e+1 >= len(body) {
		return
	}
	name := body[:e]
	if bytes.ContainsAny(name, "'\"`/+!(") || curly(name) {
		l.add(xss, pick(bytes.ContainsAny(name, "+/!\\("), 60, 50), "a script call by a computed name", start, i+e+4)
	}
}

// handed weighs a dialog function that is passed on or put in parentheses.
func (l *look) handed(i int) {
	t := l.text
	j := i + 1
	for j < len(t) && blank(t[j]) {
		j++
	}
	end := j
	for end < len(t) && word(t[end]) {
		end++
	}
	if end >= len(t) {
		return
	}
	for _, d := range dialogs {
		if string(t[j:end]) != d {
			continue
		}
		rest := t[end:]
		switch {
		case t[i] == '(' && len(rest) > 1 && rest[0] == ')' && (rest[1] == '(' || rest[1] == '`'):
			l.add(xss, 55, "a script call in parentheses", i, end+6)
		case t[i] == '(' && rest[0] == ')' && i > 0 && alpha(t[i-1]) && bytes.Contains(t[:i], []byte("].")):
			l.add(xss, 50, "a script function handed to another", max(0, i-8), end+1)
		case t[i] == '=' && (rest[0] == ',' || rest[0] == ';' || rest[0] == ']'):
			l.add(xss, 50, "a script function by another name", i, end+8)
		}
		return
	}
}

// closed says whether what follows a script call at open closes it and goes on as
// code would: an operator, a comment, the end of a tag.
func closed(t []byte, open int) bool {
	e := bytes.IndexByte(t[open:min(len(t), open+96)], ')')
	if t[open] == '`' {
		e = bytes.IndexByte(t[open+1:min(len(t), open+96)], '`') + 1
		if e == 0 {
			e = -1
		}
	}
	if e < 0 {
		return false
	}
	rest := bytes.TrimLeft(t[open+e+1:], " )")
	if len(rest) == 0 {
		return false
	}
	return containsByte("-+*/|&^%;,}<'\"`", rest[0]) && (rest[0] != '/' || len(rest) > 1 && rest[1] == '/') && (rest[0] != ';' || len(rest) > 1)
}

// literalCall says whether t is nothing but name(literal) for a dialog: alert(1),
// confirm('x'), prompt(document.domain), alert(/x/.source).
func literalCall(t []byte) bool {
	i := 0
	for i < len(t) && alpha(t[i]) {
		i++
	}
	switch string(t[:i]) {
	case "alert", "prompt", "confirm":
	default:
		return false
	}
	for i < len(t) && blank(t[i]) {
		i++
	}
	if i+2 >= len(t) || t[i] != '(' && t[i] != '`' {
		return false
	}
	last := bytes.TrimRight(t, "; ")
	if len(last) < i+3 || last[len(last)-1] != ')' && last[len(last)-1] != '`' {
		return false
	}
	arg := last[i+1 : len(last)-1]
	return digit(arg[0]) || containsByte("'\"/`", arg[0]) || t[i] == '`' ||
		bytes.HasPrefix(arg, []byte("document.")) || bytes.HasPrefix(arg, []byte("location")) || bytes.HasPrefix(arg, []byte("window.")) || bytes.HasPrefix(arg, []byte("string."))
}

// nested weighs a dialog or eval inside of other code, which needs no quote to close:
// behind an operator of JavaScript that prose does not have, or with an argument that
// is put together. The call begins at start, what stands before it ends at k.
func (l *look) nested(start, k, open int) bool {
	t := l.text
	e := bytes.IndexByte(t[open+1:min(len(t), open+64)], t[open]^pickByte(t[open] == '(', '('^')', 0))
	if e < 1 || k == 0 {
		return l.assembledArgument(start, open)
	}
	if q := bytes.TrimLeft(t[open+1:], " "); len(q) > 1 && (q[0] == '\'' || q[0] == '"') { // a parenthesis in a string ends nothing
		if s := bytes.IndexByte(q[1:], q[0]); s >= 0 {
			from := len(t) - len(q) + s + 2
			if c := bytes.IndexByte(t[from:min(len(t), from+16)], ')'); c >= 0 {
				e = from + c - open - 1
			}
		}
	}
	arg, after := bytes.TrimLeft(t[open+1:open+1+e], " "), t[open+2+e:]
	name := bytes.TrimRight(t[start:open], " ")
	if !dialog(name) || len(arg) == 0 || !digit(arg[0]) && !containsByte("'\"`/", arg[0]) && t[open] != '`' {
		return l.assembledArgument(start, open)
	}
	b := t[k-1]
	bang := start > 0 && (t[start-1] == '!' || t[start-1] == '~')
	closedQuote := (b == '"' || b == '\'' || b == '`') && t[start-1] == b && len(after) > 0 && after[0] == b
	if bang || containsByte("~<)@", b) || !closedQuote && containsByte("'\"", b) && len(after) > 0 && containsByte(")<>", after[0]) {
		l.add(xss, 50, "a script call inside of other code", max(0, k-1), open+8)
		return true
	}
	return l.assembledArgument(start, open)
}

// assembledArgument weighs eval('al'+'ert(1)') and eval((!1+[])[1]+…).
func (l *look) assembledArgument(start, open int) bool {
	t := l.text
	if string(bytes.TrimRight(t[start:open], " ")) != "eval" {
		return false
	}
	rest := t[open+1 : min(len(t), open+96)]
	if start == 0 && bytes.IndexByte(t, ' ') < 0 && t[len(t)-1] == ')' && bytes.IndexByte(rest, '+') > 0 {
		l.add(xss, 55, "eval of a text that is put together", start, len(t))
		return true
	}
	for _, sign := range [...]string{"'+'", "\"+\"", ")[", "+{}", "]+(", "+[]"} {
		if i := bytes.Index(rest, []byte(sign)); i >= 0 {
			l.add(xss, 55, "eval of a text that is put together", start, open+i+4)
			return true
		}
	}
	return false
}

func pickByte(cond bool, yes, no byte) byte {
	if cond {
		return yes
	}
	return no
}
