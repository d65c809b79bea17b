package inspect

import "bytes"

// Expansions of shells that spell a command or a path without naming it.

// expansions weighs them; t is the text as sent, not unquoted.
func (l *look) expansions() {
	t := l.text
	if l.seen.has('$') && l.seen.has('{') {
		l.parameter(t)
	}
	if l.seen.any("?*[") && l.seen.has('/') {
		l.wildcards(t)
	}
	if l.seen.has('{') && l.seen.has(',') {
		l.braces(t)
	}
	if l.seen.has('$') && l.seen.any(";&|\n") {
		l.assembled(t)
	}
	if l.seen.any("%(=\"") || bytes.Contains(t, []byte("if ")) {
		l.batch(t)
	}
}

// parameter finds ${PATH:0:1}, ${HOME#x} and $'\x63': pieces of variables.
func (l *look) parameter(t []byte) {
	for n, from := 0, 0; n < 16; n++ {
		k := bytes.Index(t[from:], []byte("${"))
		if k < 0 {
			return
		}
		i := from + k
		from = i + 2
		j := i + 2
		for j < len(t) && word(t[j]) {
			j++
		}
		if j == i+2 || j+1 >= len(t) {
			continue
		}
		slice := t[j] == ':' && (digit(t[j+1]) || t[j+1] == '-' && j+2 < len(t) && digit(t[j+2]) || t[j+1] == ' ')
		cut := (t[j] == '#' || t[j] == '%' || t[j] == '^' || t[j] == '/') && bytes.IndexByte(t[j:min(len(t), j+24)], '}') > 0
		if slice || cut {
			l.add(cmdi, 55, "a piece of a shell variable", i, j+8)
			return
		}
	}
}

// systemPaths are what wildcards in an attack stand for.
var systemPaths = []string{"/bin/cat", "/bin/sh", "/bin/bash", "/bin/ls", "/bin/nc", "/usr/bin/id", "/usr/bin/", "/etc/passwd", "/etc/shadow", "/etc/hosts", "/bin/nc.traditional", "/bin/base64", "/usr/bin/curl", "/usr/bin/wget", "/usr/bin/nc", "/bin/uname", "/usr/bin/uname", "/usr/bin/whoami", "/bin/ping", "/usr/bin/bash", "/usr/bin/cat", "/usr/bin/sh", "/usr/bin/python", "/usr/bin/perl"}

// wildcards finds paths with ? * [] in them that match a file of the system.
func (l *look) wildcards(t []byte) {
	for n, from := 0, 0; n < 16; n++ {
		k := bytes.IndexByte(t[from:], '/')
		if k < 0 {
			return
		}
		i := from + k
		end := i
		wild := 0
		for end < len(t) && end-i < 48 && (word(t[end]) || containsByte("/?*[].-", t[end])) {
			if containsByte("?*[", t[end]) {
				wild++
			}
			end++
		}
		from = max(end, i+1)
		if wild == 0 || i > 0 && (word(t[i-1]) || t[i-1] == ':') {
			continue
		}
		for _, p := range systemPaths {
			if globs(t[i:end], p) {
				l.add(cmdi, 60, "a path of the system, spelled with wildcards", i, end)
				return
			}
		}
	}
}

// globs says whether the pattern stands for path, with at least half of the letters
// spelled or every slash in its place.
func globs(pattern []byte, path string) bool {
	i, spelled := 0, 0
	for k := 0; k < len(pattern); k++ {
		switch b := pattern[k]; b {
		case '*':
			for i < len(path) && path[i] != '/' {
				i++
			}
			if k+1 < len(pattern) && pattern[k+1] != '/' { // backtrack to the letter behind the star
				for i > 0 && path[i-1] != '/' && (i >= len(path) || path[i] != pattern[k+1]) {
					i--
				}
			}
			continue
		case '[':
			e := bytes.IndexByte(pattern[k:], ']')
			if e < 2 || i >= len(path) || !inClass(pattern[k+1:k+e], path[i]) {
				return false
			}
			k += e
			spelled++
		case '?':
			if i >= len(path) || path[i] == '/' {
				return false
			}
		default:
			if i >= len(path) || path[i] != b {
				return false
			}
			if b != '/' {
				spelled++
			}
		}
		i++
	}
	return i == len(path) && spelled > 0
}

// inClass says whether b is one of a class such as ab or a-z.
func inClass(class []byte, b byte) bool {
	if len(class) == 3 && class[1] == '-' {
		return b >= class[0] && b <= class[2]
	}
	return bytes.IndexByte(class, b) >= 0
}

// braces finds {cat,/etc/passwd} and {,id}: a command and its arguments as a list.
func (l *look) braces(t []byte) {
	for n, from := 0, 0; n < 16; n++ {
		k := bytes.IndexByte(t[from:], '{')
		if k < 0 {
			return
		}
		i := from + k + 1
		from = i
		if i < len(t) && t[i] == ',' {
			i++
		}
		end := i
		for end < len(t) && (word(t[end]) || t[end] == '/' || t[end] == '.') {
			end++
		}
		name := t[i:end]
		if i > from && len(name) > 0 && end < len(t) && containsName(l.in.rules.commands, name) && (t[end] == ',' || t[end] == '}') {
			l.add(cmdi, 55, "a command in braces behind nothing", from-1, end+1)
			return
		}
		if s := bytes.LastIndexByte(name, '/'); s >= 0 {
			name = name[s+1:]
		}
		if end+1 >= len(t) || t[end] != ',' || !containsName(l.in.rules.commands, name) {
			continue
		}
		if arg := t[end+1]; arg == '-' || arg == '/' || arg == '$' || i > 1 && containsByte(";|&`(", t[i-2]) {
			l.add(cmdi, 60, "a command and its arguments in braces", i-1, end+12)
			return
		}
	}
}

// assembled finds a=wh;b=oami;$a$b: a command put together from variables.
func (l *look) assembled(t []byte) {
	sets := 0
	first := -1
	for i := 0; i < len(t) && i < 256; i++ {
		if t[i] == '=' && i > 0 && alpha(t[i-1]) {
			j := i
			for j > 0 && word(t[j-1]) {
				j--
			}
			if j == 0 || containsByte(";|&\n ", t[j-1]) {
				sets++
				if first < 0 {
					first = j
				}
			}
		}
		if t[i] == '$' && sets > 0 && i > 0 && containsByte(";|&\n ", t[i-1]) && i+1 < len(t) && alpha(t[i+1]) {
			v := i + 1
			for v < len(t) && word(t[v]) {
				v++
			}
			if v < len(t) && t[v] == '$' || v == len(t) || containsByte(";|&\n ", t[v]) {
				l.add(cmdi, pick(v < len(t) && t[v] == '$' || sets > 1, 55, 35), "a command put together from variables", first, v)
				return
			}
		}
	}
}

// emptySubstitution returns the length of “, $(), <() or >() inside of a word, which
// stand for nothing there.
func emptySubstitution(t []byte, i int) int {
	n := 0
	switch {
	case i == 0 || !alpha(t[i-1]):
	case i+2 < len(t) && t[i] == '`' && t[i+1] == '`':
		n = 2
	case i+3 < len(t) && t[i] != '`' && t[i+1] == '(' && t[i+2] == ')':
		n = 3
	}
	if n == 0 || !alpha(t[i+n]) {
		return 0
	}
	return n
}

// emptyExpansion returns the length of $@, $*, $1, $ifs, ${ifs}, ${ifs%??}.
func emptyExpansion(t []byte) int {
	if len(t) < 2 || t[1] == '{' && len(t) > 2 && t[2] != 'i' && t[2] != '@' {
		return 0
	}
	switch b := t[1]; {
	case b == '@' || b == '*' || b == '!' || digit(b):
		return 2
	case b == 'i' && bytes.HasPrefix(t, []byte("$ifs")):
		if len(t) > 5 && t[4] == '$' && digit(t[5]) {
			return 6
		}
		return 4
	case b == '{' && (bytes.HasPrefix(t, []byte("${ifs")) || bytes.HasPrefix(t, []byte("${@"))):
		if e := bytes.IndexByte(t[:min(len(t), 24)], '}'); e > 0 {
			return e + 1
		}
	}
	return 0
}
