package inspect

import "bytes"

// What web shells are told to do: a command line in a parameter whose name says that it
// is run, or behind a program that runs another.

// runName says whether a parameter's name ends in cmd. Other names that shells use, such
// as exec or command, are those of honest programs too, and no gate knows them.
func runName(name string) bool {
	n := len(name)
	return n >= 3 && lower(name[n-3]) == 'c' && lower(name[n-2]) == 'm' && lower(name[n-1]) == 'd'
}

// ran weighs a command line as the whole value of such a parameter. A program whose name
// is a word (view, find) needs arguments that look like a command line's.
func (l *look) ran() {
	if !runName(l.name) {
		return
	}
	t := bytes.TrimSpace(l.text)
	name, i := program(t)
	c, known := l.in.rules.commands[string(name)]
	if !known {
		return
	}
	_, shape := arguments(t, i)
	if c.alone >= 40 && shape != shapeNone || c.args > 0 && shape == shapeArgs && plainArgs(t, i) {
		l.add(cmdi, 55, "a command line in a parameter that names one", 0, len(l.text))
	}
}

// program is the name of the program that t begins with, without its folder, and where it
// ends.
func program(t []byte) (name []byte, end int) {
	from := 0
	for end < len(t) && (word(t[end]) || t[end] == '/' || t[end] == '-' || t[end] == '.') {
		if t[end] == '/' {
			from = end + 1
		}
		end++
	}
	return bytes.TrimSuffix(t[from:end], []byte(".exe")), end
}

// launchers run the program that their arguments name.
var launchers = wordSet("time nohup strace ltrace sudo doas env nice timeout exec setsid stdbuf busybox xargs watch chroot unshare")

// prefixed weighs a value that is time, nohup or another runner before a command line.
func (l *look) prefixed(t []byte) {
	name, i := program(t)
	if !launchers[string(name)] || i >= len(t) || t[i] != ' ' || l.searched() {
		return
	}
	rest := bytes.TrimLeft(t[i:], " ")
	inner, end := program(rest)
	c, known := l.in.rules.commands[string(inner)]
	if known && c.start >= 30 && plainArgs(rest, end) && len(bytes.Fields(rest)) <= 8 {
		l.add(cmdi, 50, "a command line behind a program that runs it", 0, len(t))
	}
}
