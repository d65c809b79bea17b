package inspect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// command is what data/commands.txt knows of a program.
type command struct {
	alone int // weight behind a separator with nothing after it
	args  int // weight with arguments that look like a command line's
	start int // the same at the beginning of a value, without a separator
}

// mustLoadCommands reads "alone args start name name…" lines.
func mustLoadCommands() map[string]command {
	out := make(map[string]command)
	for line := range strings.SplitSeq(mustReadData("commands"), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		var n [3]int
		for i := range n {
			v, err := strconv.Atoi(f[i])
			if err != nil {
				panic("inspect: data/commands.txt: " + strconv.Quote(line) + " needs three weights")
			}
			n[i] = v
		}
		for _, name := range f[3:] {
			out[name] = command{n[0], n[1], n[2]}
		}
	}
	return out
}

// commands looks for command lines: behind separators, in substitutions, and
// as the whole value.
func (l *look) commands(ctx context) {
	if l.seen.has('{') && l.holds("()") {
		l.shellshock()
	}
	if ctx == ctxValue {
		l.expansions()
		l.sums()
		l.ansiQuotes()
		if l.seen.has('`') {
			l.inWord()
		}
		l.ran()
	}
	if !l.seen.any(";|&`$<>!\n\r(") && !l.seen.any("/-p\\") {
		return // neither a separator nor a command with arguments
	}
	l.unquote()
	t := l.shell
	if ctx == ctxValue && l.seen.has('{') && l.seen.has(',') && len(t) < len(l.text) {
		l.braces(t)
	}
	l.divide = 1
	if ctx == ctxValue {
		pipe := bytes.TrimRight(t, " ")
		open := len(pipe) > 1 && bytes.IndexByte(pipe, '|') == len(pipe)-1 && !l.searched() // Perl's open runs it
		l.commandAt(t, skipSeparators(t, 0), 0, open)
		if bytes.HasPrefix(t, []byte(`\n`)) {
			l.commandAt(t, 2, 0, true)
		}
		l.prefixed(t)
	}
	prose, row, ticks := inProse(t), table(t), 0
	for n, i := 0, 0; i < len(t) && n < 64; i++ {
		if !shellSeparators[t[i]] {
			continue
		}
		if t[i] == '`' && (i == 0 || t[i-1] != '`') {
			ticks++
		}
		sep := separator(t, i)
		if sep == 0 || t[i] == '`' && ticks%2 == 0 || ctx == ctxPath && t[i] == '&' && sep == 1 || ctx == ctxAgent && (t[i] == ';' || t[i] == '&' && sep == 1 || t[i] == '\n' || t[i] == '!') {
			continue
		}
		n++
		l.divide = pick(prose && ticks%2 == 1 || row, 4, 1)
		l.commandAt(t, skipSeparators(t, i+sep), i, true)
		i += sep - 1
	}
	l.substitutions(ctx)
}

// unquote fills l.shell with the text as a shell would read its words: without
// inner quotes, backslashes, carets and empty expansions, ${IFS} a blank.
func (l *look) unquote() {
	if !l.seen.any("^'\"\\$`<>") {
		l.shell = append(l.shell[:0], l.text...)
		return
	}
	t := l.text
	var hidden []byte
	if l.seen.has('$') && l.seen.has('/') {
		hidden = unset(t)
	}
	out := slices.Grow(l.shell[:0], len(t))
	for i := 0; i < len(t); i++ {
		if !shellQuotes[t[i]] {
			out = append(out, t[i])
			continue
		}
		n, gap := droppedAt(t, i, hidden, out)
		switch {
		case gap:
			out = append(out, ' ')
		case n == 0:
			out = append(out, t[i])
		}
		i += max(n, 1) - 1
	}
	l.shell = out
}

// droppedAt is how many bytes at i a shell drops, and whether a blank stands for them.
// hidden is the variable that is not set, out what is left of the bytes before.
func droppedAt(t []byte, i int, hidden, out []byte) (n int, gap bool) {
	before := byte(0)
	if len(out) > 0 {
		before = out[len(out)-1]
	}
	switch b := t[i]; b {
	case '^':
		return 1, false
	case '\'', '"':
		if i+1 == len(t) || !word(before) {
			return 0, false
		}
		if t[i+1] == b {
			return 2, false
		}
		return pick(word(t[i+1]), 1, 0), false
	case '`', '<', '>': // pi``ng, pi<()ng
		return emptySubstitution(t, i), false
	case '\\':
		return escapedLetter(t, i, before), false
	}
	if n := unsetAt(t[i:], hidden); n > 0 {
		return n, false
	}
	if i+1 == len(t) || alpha(t[i+1]) && t[i+1] != 'i' {
		return 0, false
	}
	if n := emptySubstitution(t, i); n > 0 {
		return n, false
	}
	n = emptyExpansion(t[i:])
	return n, n > 0 && (t[i+1] == '{' || t[i+1] == 'i')
}

// shellQuotes are the bytes that unquote may drop, shellSeparators those that separator
// looks at, shellSkipped those that may stand between a separator and a command.
var (
	shellQuotes     = bytesOf("^'\"\\$`<>")
	shellSeparators = bytesOf(";\n\r`|&$<>!")
	shellSkipped    = bytesOf(`;|&"'({+$@!,` + "`")
)

func bytesOf(set string) (t [256]bool) {
	for i := range len(set) {
		t[set[i]] = true
	}
	return t
}

// separator returns the length of the separator at i, or 0.
func separator(t []byte, i int) int {
	switch t[i] {
	case ';', '\n', '\r', '`':
		return 1
	case '|', '&':
		if i+1 < len(t) && t[i+1] == t[i] {
			return 2
		}
		return 1
	case '$', '<', '>':
		if i+1 < len(t) && t[i+1] == '(' {
			return 2
		}
	case '!':
		if i+1 < len(t) && t[i+1] == '(' {
			return 2
		}
	}
	return 0
}

func skipSeparators(t []byte, i int) int {
	stop := min(len(t), i+16)
	for i < stop && (blank(t[i]) || shellSkipped[t[i]] && separator(t, i) < 2) {
		i++
	}
	return i
}

// commandAt weighs the command that may begin at i behind the separator at sep.
func (l *look) commandAt(t []byte, i, sep int, behind bool) {
	start := i
	dir := i
	for i < len(t) && !escapedEnd(t[i:]) && (word(t[i]) || t[i] == '/' || t[i] == '.' || t[i] == '-' || t[i] == ':' || t[i] == '\\' || t[i] == '~' || t[i] == '?' || t[i] == '*' || t[i] == '[' || t[i] == ']') {
		if slash(t[i]) {
			dir = i + 1
		}
		i++
	}
	name := t[dir:i]
	for _, suffix := range [...]string{".exe", ".com", ".bat"} {
		name = bytes.TrimSuffix(name, []byte(suffix))
	}
	if len(name) > 32 {
		return
	}
	for len(name) > 2 && (digit(name[len(name)-1]) || name[len(name)-1] == '.') && !containsName(l.in.rules.commands, name) {
		name = name[:len(name)-1] // python3.11
	}
	c, known := l.in.rules.commands[string(name)]
	path := dir > start && (bytes.Contains(t[start:dir], []byte("/bin/")) || behind && (bytes.Contains(t[start:dir], []byte("/tmp/")) || bytes.Contains(t[start:dir], []byte("system32"))))
	if !known && !path {
		return
	}
	end, shape := arguments(t, i)
	if behind && shape == shapeWords && told(string(name), t[i:]) {
		shape = shapeArgs
	}
	if !behind && shape == shapeArgs && !plainArgs(t, i) && (!bytes.HasPrefix(name, []byte("ping")) || bytes.IndexByte(t[i:], '.') < 0) {
		return // "echo 5" is nothing where no separator says that it is a command
	}
	strict := strictSep(t, sep, behind) || behind && shape == shapeEnd && l.divide == 1 && unmistakable[string(name)] && !l.searched()
	w := l.commandWeight(c, known && path || path && behind, behind, shape, strict, !behind && asked(t[i:]), !behind && pathsOnly(t[i:]) && !l.searched())
	if !behind && start > 0 && bytes.IndexByte(t[:start], '`') >= 0 && inProse(t) {
		w /= 4
	}
	if w /= l.divide; w > 0 {
		if behind && string(name) == "sleep" {
			l.wait(bytes.TrimLeft(t[i:], " "))
		}
		l.add(cmdi, w, say(behind, "a command behind a shell separator", "a command line as the whole value"), min(sep, len(l.text)), min(end, len(l.text)))
	}
}

// unmistakable are programs whose names are no words, so that any separator before one
// will do where the command ends behind it.
var unmistakable = map[string]bool{"whoami": true, "ifconfig": true, "ipconfig": true, "systeminfo": true, "tasklist": true, "nslookup": true, "netstat": true, "uname": true}

// plainArgs says whether the arguments at i begin with a flag or a path, or
// hold a URL.
func plainArgs(t []byte, i int) bool {
	rest := t[i:min(len(t), i+64)]
	if len(rest) > 1 && rest[0] == ' ' && (rest[1] == '-' || rest[1] == '/' || len(rest) > 2 && alpha(rest[1]) && rest[2] == ':') {
		return true
	}
	return bytes.Contains(rest, []byte("://")) || bytes.Contains(rest, []byte(" -")) || bytes.Contains(rest, []byte(" /"))
}

func containsName(m map[string]command, name []byte) bool { _, ok := m[string(name)]; return ok }

func say(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

// strictSep says whether the separator is one that prose and lists do not use:
// doubled, a substitution, or at the beginning or behind a quote or blank.
func strictSep(t []byte, sep int, behind bool) bool {
	if !behind {
		return false
	}
	if separator(t, sep) == 2 || t[sep] == '|' && (sep == 0 || blank(t[sep-1])) || t[sep] == '`' {
		return true
	}
	if sep > 0 && t[sep-1] == '"' && quotation(t[:sep-1]) {
		return false
	}
	if t[sep] == '|' && t[0] == '/' && bytes.IndexByte(t[:sep], ' ') < 0 { // a path, and Perl's open
		return true
	}
	return sep == 0 || containsByte(`"');|&`, t[sep-1]) || len(bytes.Trim(t[:sep], "\"' ")) == 0
}

// shape is what follows a command's name.
type shape uint8

const (
	shapeNone  shape = iota // nothing, or words
	shapeEnd                // the text or the command ends
	shapeArgs               // a flag, path, address, redirection or URL
	shapeWords              // other words
)

func (l *look) commandWeight(c command, path, behind bool, s shape, strict, asked, alone bool) int {
	w := 0
	switch {
	case !behind && s == shapeArgs && asked:
		return c.start / 3
	case !behind && s == shapeArgs && alone && c.alone >= 55:
		return max(c.start, 50)
	case !behind && s == shapeArgs:
		w = c.start
	case !behind && path && s == shapeEnd:
		return 45
	case !behind:
		return pick(path, 35, 0)
	case s == shapeArgs:
		w = c.args
	case s == shapeEnd:
		w = c.alone
		if !strict {
			w = w * 3 / 5
		}
	default:
		w = c.alone / 4
	}
	if path {
		w += 30
	}
	return min(w, 85)
}

// arguments tells what follows a command's name at i, and where that ends.
func arguments(t []byte, i int) (int, shape) {
	if i >= len(t) {
		return i, shapeEnd
	}
	if !blank(t[i]) {
		if bytes.HasPrefix(t[i:], []byte("<<<")) { // a here-string
			return min(i+12, len(t)), shapeArgs
		}
		if containsByte(";|&`)'\"#,}<>\n", t[i]) || escapedEnd(t[i:]) {
			return i, shapeEnd
		}
		if t[i] == '$' || t[i] == '+' {
			return min(i+12, len(t)), shapeArgs
		}
		return i, shapeNone
	}
	for i < len(t) && (t[i] == ' ' || t[i] == '\t') {
		i++
	}
	if i >= len(t) || containsByte(";|&`)'\"#\n", t[i]) && (i+1 >= len(t) || !alpha(t[i+1]) || t[i] == ';' || t[i] == '|') {
		return i, shapeEnd
	}
	end := i
	for end < len(t) && !blank(t[end]) && end-i < 64 {
		end++
	}
	arg := t[i:end]
	if len(arg) == 0 { // a line end
		return i, shapeEnd
	}
	switch {
	case len(arg) == 1 && slash(arg[0]) && bytes.HasPrefix(t[end:], []byte(" -")):
		return end, shapeArgs
	case len(arg) == 1 && slash(arg[0]), string(arg) == "--":
		return end, shapeWords
	case arg[0] == '-' && len(arg) > 1 && arg[1] != ' ', slash(arg[0]), arg[0] == '>', arg[0] == '<', arg[0] == '~', arg[0] == '$', arg[0] == '%',
		bytes.Contains(arg, []byte("://")), bytes.IndexByte(arg, '/') > 0, len(arg) > 1 && arg[1] == ':', arg[0] == '.' && len(arg) > 1 && arg[1] != '.' || string(arg) == "..",
		digit(arg[0]), arg[0] == '*', arg[0] == '\'' || arg[0] == '"', len(arg) > 4 && bytes.Count(arg, []byte(".")) > 0 && arg[len(arg)-1] != '.':
		return end, shapeArgs
	}
	return end, shapeWords
}

// substitutions weighs $(…) and `…` that hold no known command.
func (l *look) substitutions(ctx context) {
	t := l.text
	if i := l.find("$("); i >= 0 {
		body := t[i+2 : min(len(t), i+64)]
		if i > 0 && containsByte(";|&", t[i-1]) && len(body) > 0 && alpha(body[0]) && l.runsFirst(body) {
			l.add(cmdi, 55, "a command substitution behind a separator", i-1, i+16)
		}
		if e := bytes.IndexByte(body, ')'); e > 0 && (alpha(body[0]) || body[0] == '`') && bytes.IndexByte(body[:e], '\'') < 0 && bytes.IndexByte(body[:e], '"') < 0 {
			l.add(cmdi, 30, "a command substitution", i, i+e+3)
		}
	}
	if ctx == ctxAgent {
		return
	}
	if i := bytes.IndexByte(t, '`'); i >= 0 {
		body := t[i+1:]
		e := bytes.IndexByte(body, '`')
		whole := bytes.TrimLeft(t[:i], "\"' ;|&")
		if e > 0 && len(whole) == 0 && len(bytes.TrimRight(body[e:], "`\"' ;|&")) == 0 && alpha(body[0]) {
			l.add(cmdi, 25, "the value is a command substitution", i, i+e+2)
		}
	}
}
