package inspect

import "bytes"

// The control words of cmd.exe: FOR … %x IN (…) DO, and IF with its comparisons.

// batch weighs both.
func (l *look) batch(t []byte) {
	for n, from := 0, 0; n < 8; n++ {
		k := bytes.Index(t[from:], []byte("for "))
		if k < 0 {
			break
		}
		i := from + k
		from = i + 4
		if i > 0 && alnum(t[i-1]) {
			continue
		}
		rest := t[i+4 : min(len(t), i+160)]
		p := bytes.IndexByte(rest, '%')
		in := bytes.Index(rest, []byte(" in "))
		do := bytes.Index(rest, []byte(") do"))
		if k := bytes.Index(rest, []byte(")do")); do < 0 {
			do = k
		}
		if in > 0 && do > in && (p >= 0 && p < in || bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("/"))) {
			l.add(cmdi, 65, "a FOR loop of cmd.exe", i, i+4+do)
			return
		}
	}
	i := bytes.Index(t, []byte("if"))
	if i < 0 || i > 0 && alnum(t[i-1]) || i+2 >= len(t) || t[i+2] != ' ' && t[i+2] != '/' {
		return
	}
	if w := l.decides(t[i+2 : min(len(t), i+128)]); w > 0 {
		l.add(cmdi, w, "an IF of cmd.exe", i, i+32)
	}
}

// compares are the operators that IF spells as words.
var compares = []string{"equ", "neq", "lss", "leq", "gtr", "geq"}

// decides weighs what follows IF: a condition that only cmd.exe knows, then a command.
func (l *look) decides(t []byte) int {
	t = bytes.TrimLeft(t, " ")
	for bytes.HasPrefix(t, []byte("/i")) || bytes.HasPrefix(t, []byte("not ")) {
		t = bytes.TrimLeft(t[min(len(t), pick(t[0] == '/', 2, 4)):], " ")
	}
	rest := bytes.Fields(t)
	if len(rest) < 2 {
		return 0
	}
	switch string(rest[0]) {
	case "exist", "defined", "errorlevel", "cmdextversion":
		file := bytes.ContainsAny(rest[1], `\.:/*`) || string(rest[0]) != "exist"
		return pick(len(rest) > 2 && file && l.then(rest[2:]), 55, 0)
	}
	if i := bytes.Index(t, []byte("==")); i > 0 && i < 48 {
		return l.equal(t, i)
	}
	for n, f := range rest[1:min(len(rest), 4)] {
		for _, op := range compares {
			if string(f) == op && len(rest) > n+3 {
				variable := bytes.ContainsAny(rest[n], "%!")
				return pick(variable || l.then(rest[n+3:]), 55, 0)
			}
		}
	}
	return 0
}

// equal weighs A==B command, where other languages write other signs around it: a
// variable of cmd.exe on the left, or a command of its own behind.
func (l *look) equal(t []byte, at int) int {
	left := bytes.Trim(t[:at], " \"'[](){}")
	n := len(left)
	variable := n > 1 && (left[0] == '%' && (left[n-1] == '%' || digit(left[1]) || left[1] == '~') || left[0] == '!' && left[n-1] == '!' || n > 2 && left[n-2] == '%' && digit(left[n-1]))
	right := bytes.Fields(bytes.TrimLeft(t[at+2:], "= "))
	if variable {
		return pick(len(right) > 1, 55, 35)
	}
	return pick(len(right) > 1 && bytes.IndexByte(left, '$') < 0 && !bytes.HasSuffix(right[0], []byte(",")) && built(right[1]), 50, 0)
}

// then says whether the words are a command behind a condition: of cmd.exe itself, or one
// that is known, in parentheses or not.
func (l *look) then(words [][]byte) bool {
	first := bytes.TrimLeft(words[0], "@(")
	if len(first) < len(words[0]) && words[0][0] == '(' {
		if len(first) == 0 {
			return len(words) > 1 || words[0][0] == '('
		}
		first = bytes.TrimRight(first, ")&")
	}
	return built(first) || string(first) == "if" || containsName(l.in.rules.commands, bytes.Trim(first, "(&)"))
}

// built says whether a word is a command of cmd.exe itself that a condition leads to.
func built(w []byte) bool {
	switch string(bytes.Trim(w, "@()&")) {
	case "goto", "call", "exit", "cmd", "set", "cd", "echo", "start":
		return true
	}
	return false
}
