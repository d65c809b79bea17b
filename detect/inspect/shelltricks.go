package inspect

import "bytes"

// What shells make of a text that names no file and no command as they are.

// unset is the name of a variable of one to three letters that stands glued to a path or a
// word, as in /etc$u/passwd: it is not set, and hides the path from filters. It is nil where
// there is none.
func unset(t []byte) []byte {
	for n, from := 0, 0; n < 8; n++ {
		k := bytes.IndexByte(t[from:], '$')
		if k < 0 {
			return nil
		}
		i := from + k
		from = i + 1
		end := from
		for end < len(t) && end-from < 4 && alnum(t[end]) {
			end++
		}
		if end == from || end-from > 3 || !alpha(t[from]) || i == 0 || !alnum(t[i-1]) && t[i-1] != '/' {
			continue
		}
		if end < len(t) && slash(t[end]) && bytes.IndexByte(t[:i], '/') >= 0 {
			return t[i:end]
		}
	}
	return nil
}

// unsetAt is the length of the variable at the beginning of t, if it is the one of that name.
func unsetAt(t, name []byte) int {
	if len(name) == 0 || !bytes.HasPrefix(t, name) || len(t) > len(name) && alnum(t[len(name)]) {
		return 0
	}
	return len(name)
}

// ansiQuotes weighs $'\151\144': letters as escapes in the quotes of a shell.
func (l *look) ansiQuotes() {
	if l.in.canon.flags&sawHidden == 0 {
		return
	}
	if i := l.find("$'"); i >= 0 && i+2 < len(l.text) && alnum(l.text[i+2]) {
		l.add(cmdi, 55, "letters as escapes in the quotes of a shell", i, i+24)
	}
}

// sums weighs $((69+52)) glued to a word, or behind a program that prints: what tools for
// command injection send to see the sum in the answer.
func (l *look) sums() {
	t := l.text
	i := l.find("$((")
	if i < 0 {
		return
	}
	e := bytes.Index(t[i:min(len(t), i+48)], []byte("))"))
	if e < 0 || !arithmetic(t[i+3:i+e]) {
		return
	}
	end := i + e + 2
	glued := i > 0 && alnum(t[i-1]) || end < len(t) && (alnum(t[end]) || t[end] == '$')
	before := t[max(0, i-48):i]
	if glued && (bytes.Contains(before, []byte("echo")) || bytes.Contains(before, []byte("print")) || bytes.Contains(t[end:], []byte("$("))) {
		l.add(cmdi, 55, "a sum that a shell works out, glued to a word", i, end)
	}
}

// tasks are what programs whose arguments are words are told to do, as far as nobody speaks
// of it so; "" is any word.
var tasks = map[string]map[string]bool{
	"net": wordSet("localgroup accounts"), "ip": wordSet("addr route neigh maddr"), "route": wordSet("print"), "id": wordSet("root"), "dig": wordSet("localhost"),
	"wmic": {"": true}, "powershell": {"": true}, "pwsh": {"": true}, "cmdkey": {"": true}, "nslookup": {"": true}, "busybox": {"": true},
}

// lastTasks are what they are told to do where nothing follows.
var lastTasks = map[string]map[string]bool{"net": wordSet("user users group share view start session")}

// told says whether the arguments of a program begin with what it can be told to do.
func told(program string, args []byte) bool {
	known, last := tasks[program], lastTasks[program]
	if known == nil {
		return false
	}
	args = bytes.Trim(args, " ")
	n := 0
	for n < len(args) && (alnum(args[n]) || args[n] == '-') {
		n++
	}
	return n > 0 && (known[""] || known[string(args[:n])] || last[string(args[:n])] && n == len(args))
}

// runsFirst says whether t begins with the name of a program, and a blank, an expansion or
// the end of a substitution behind it.
func (l *look) runsFirst(t []byte) bool {
	n := 0
	for n < len(t) && (alnum(t[n]) || t[n] == '_') {
		n++
	}
	return n > 1 && n < len(t) && containsByte(" $){<", t[n]) && containsName(l.in.rules.commands, t[:n])
}

// inWord weighs w`echo h`oami: a program in backquotes inside of a word.
func (l *look) inWord() {
	t := l.text
	for n, from := 0, 0; n < 8; n++ {
		k := bytes.IndexByte(t[from:], '`')
		if k < 0 {
			return
		}
		i := from + k
		from = i + 1
		e := bytes.IndexByte(t[from:min(len(t), from+48)], '`')
		if e < 2 || i == 0 || !alpha(t[i-1]) || from+e+1 >= len(t) || !alpha(t[from+e+1]) || bytes.IndexByte(t[from:from+e], ' ') < 0 {
			continue
		}
		if l.runsFirst(t[from:]) {
			l.add(cmdi, 55, "a command inside of a word", i, from+e+1)
			return
		}
	}
}

// escapedEnd says whether a line end written \n stands at the beginning of t, and no word
// behind it.
func escapedEnd(t []byte) bool {
	return len(t) > 1 && t[0] == '\\' && t[1] == 'n' && (len(t) == 2 || !word(t[2]))
}

// pathsOnly says whether the arguments of a command are options and absolute paths: nobody
// writes that as the value of a field, unless to search for it.
func pathsOnly(args []byte) bool {
	args = bytes.TrimRight(args, " ")
	if len(args) > 64 {
		return false
	}
	paths := 0
	for f := range bytes.FieldsSeq(args) {
		switch {
		case f[0] == '/', len(f) > 2 && alpha(f[0]) && f[1] == ':':
			paths++
		case f[0] == '-' && len(f) > 1:
		default:
			return false
		}
	}
	return paths > 0
}

// escapedLetter is how many backslashes at i a shell drops from the inside of a word: the
// one of c\a\t, and two where it was escaped once more. before is what is left of the byte
// in front.
func escapedLetter(t []byte, i int, before byte) int {
	rest := t[i:]
	if before == 0 || len(rest) < 2 || escapedEnd(rest) && (len(rest) == 2 || rest[2] == '\\') {
		return 0
	}
	switch {
	case word(rest[1]):
		return pick(word(before) || containsByte("/{,;|&(", before), 1, 0)
	case rest[1] == '\\' && len(rest) > 2 && (word(rest[2]) || rest[2] == '/'):
		return pick(word(before) || before == '/' || before == ' ', 2, 0)
	}
	return 0
}
