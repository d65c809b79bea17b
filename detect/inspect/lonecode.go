package inspect

import "bytes"

// Values that are nothing but a statement of JavaScript or PHP. A parameter that takes
// words to search for may hold one; nobody gives one as an order number.

// loneCode weighs them.
func (l *look) loneCode() {
	t := bytes.TrimSpace(l.text)
	if sink(t) && (!l.searched() || bytes.IndexByte(t, ' ') < 0 && bytes.ContainsAny(t, "0123456789'\"+=")) {
		l.add(xss, 50, "a statement that writes a page or leaves it", 0, len(l.text))
		return
	}
	if l.searched() {
		return
	}
	switch {
	case l.seen.has('(') && endless(t):
		l.add(code, 55, "a loop that never ends", 0, len(l.text))
	case l.seen.has('$') && l.seen.has('(') && variableCall(t):
		l.add(code, 55, "PHP that calls a function by a variable's name", 0, len(l.text))
	}
}

// constants are words that decide nothing as the condition of a loop.
var constants = wordSet("true false null undefined nan infinity new date string number object array math this")

// endless says whether t is while(CONSTANT) or for(;;), and an empty body if any.
func endless(t []byte) bool {
	rest, ok := bytes.CutPrefix(t, []byte("while"))
	if !ok {
		if rest, ok = bytes.CutPrefix(t, []byte("for")); !ok || !bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("(;;)")) {
			return false
		}
	}
	rest = bytes.TrimLeft(rest, " ")
	e := bytes.LastIndexByte(rest, ')')
	if len(rest) == 0 || rest[0] != '(' || e < 2 || e > 48 || len(bytes.Trim(rest[e+1:], "; {}")) > 0 {
		return false
	}
	for i := 1; i < e; i++ {
		b := rest[i]
		if alpha(b) {
			end := i
			for end < e && alpha(rest[end]) {
				end++
			}
			if !constants[string(rest[i:end])] {
				return false
			}
			i = end - 1
		} else if !digit(b) && !containsByte("!+-~ ()[]{}\"'`;.=<>", b) {
			return false
		}
	}
	return true
}

// variableCall says whether t begins with $name( or $name[…](: blanks and comments may
// stand between. With a blank before it the parenthesis must hold a number or nothing,
// since $us (approx) is none.
func variableCall(t []byte) bool {
	t = bytes.TrimLeft(t, "@; ")
	if i := bytes.Index(t, []byte("::$")); i > 0 && i < 48 && allWord(t[:i]) {
		t = t[i+2:]
	}
	if len(t) < 4 || t[0] != '$' || !alpha(t[1]) && t[1] != '_' {
		return false
	}
	n := 1
	for n < len(t) && word(t[n]) {
		n++
	}
	rest := skipBlanks(t[n:])
	for len(rest) > 0 && (rest[0] == '[' || rest[0] == '{') {
		e := bytes.IndexAny(rest[:min(len(rest), 48)], "]}")
		if e < 0 {
			return false
		}
		rest = skipBlanks(rest[e+1:])
	}
	if len(rest) < 2 || rest[0] != '(' {
		return false
	}
	return len(rest) == len(t)-n || rest[1] == ')' || digit(rest[1]) || bytes.IndexByte(t[n:len(t)-len(rest)], ']') >= 0
}

func allWord(t []byte) bool {
	for _, b := range t {
		if !word(b) && b != '\\' {
			return false
		}
	}
	return true
}

// sinks write into a page or leave it.
var sinks = []string{"document.write(", "document.writeln(", "window.location.", "window.location=", "document.location=", "document.location.", "location.href=", "location.assign(", "location.replace(", "document.cookie=", "document.body.", "document.queryselector(", "document.getelementbyid(", "document.getelementsby", "window.open("}

// sink says whether t begins with such a call or assignment and ends like a statement.
func sink(t []byte) bool {
	if len(t) < 12 || t[0] != 'd' && t[0] != 'w' && t[0] != 'l' {
		return false
	}
	for _, s := range sinks {
		if !bytes.HasPrefix(t, []byte(s)) {
			continue
		}
		rest := t[len(s):]
		last := t[len(t)-1]
		assigned := s[0] == 'd' && bytes.Contains(rest, []byte(").")) && bytes.IndexByte(rest, '=') > 0
		if !containsByte(");'\"`", last) && !assigned {
			return false
		}
		return len(rest) > 1 && (s[len(s)-1] != '.' && s != "document.getelementsby" || bytes.ContainsAny(rest, "(="))
	}
	return false
}
