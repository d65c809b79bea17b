package inspect

import "bytes"

// Words that are spelled so that no filter sees them: put together from strings, or letter
// by letter as escapes.

// hiddenWord is a word that a text has once it is put together, and what it tells.
type hiddenWord struct {
	word  string
	class class
}

// appears is where the word is in out, but not in t as it was sent; -1 where it is not.
func (w hiddenWord) appears(out, t []byte) int {
	i := bytes.Index(out, []byte(w.word))
	if i < 0 || bytes.Contains(t, []byte(w.word)) {
		return -1
	}
	return i
}

// joinedWords are names that code puts together in order to reach what is filtered.
var joinedWords = []hiddenWord{
	{"eval", xss}, {"alert", xss}, {"prompt", xss}, {"confirm", xss}, {"unescape", xss}, {"location", xss}, {"constructor", xss}, {"document", xss},
	{"settimeout", xss}, {"fromcharcode", xss}, {"javascript", xss}, {"innerhtml", xss}, {"cookie", xss},
	{"execute", code}, {"passthru", code}, {"shell_exec", code}, {"wscript.shell", code},
}

// joinedStrings weighs 'ev'+'al' and "ev\al", and letters of ASCII that were written as escapes of a
// script, whatever they say.
func (l *look) joinedStrings(ctx context) {
	if ctx == ctxAgent {
		return
	}
	t := l.text
	if l.in.canon.spelt >= spelled {
		l.add(xss, 50, "letters written as script escapes, as no encoder writes them", 0, len(t))
	}
	if l.in.canon.twice >= spelled && l.seen.has('<') {
		l.add(xss, 50, "markup with letters escaped twice, as no encoder writes them", 0, len(t))
	}
	l.divided()
	if !l.seen.any("+\\&.|") || !l.seen.any("'\"") {
		return
	}
	out := l.loose[:0]
	joins := 0
	for i := 0; i < min(len(t), joinedBytes); i++ {
		if q := t[i]; (q == '\'' || q == '"') && i > 0 && alpha(t[i-1]) {
			if n := joint(t[i:]); n > 0 && i+n < len(t) && alpha(t[i+n]) {
				i += n - 1
				joins++
				continue
			}
		}
		if t[i] == '\\' && i > 0 && i+1 < len(t) && alpha(t[i-1]) && alpha(t[i+1]) { // "ev\al" is eval
			joins++
			continue
		}
		out = append(out, t[i])
	}
	l.loose = out
	if joins == 0 {
		return
	}
	for _, w := range joinedWords {
		if i := w.appears(out, t); i >= 0 {
			l.add(w.class, 55, "the name of a script function, put together from strings", min(i, len(t)), min(i+len(w.word)+4*joins, len(t)))
			return
		}
	}
}

// joinedBytes is how much of a field is read for such words.
const joinedBytes = 1024

// joint is the length of '+' at the beginning of t, with blanks around the sign; ASP joins
// with &, PHP with a dot, SQL with ||.
func joint(t []byte) int {
	n := 1
	for n < len(t) && t[n] == ' ' {
		n++
	}
	switch {
	case n >= len(t) || !containsByte("+&.|", t[n]):
		return 0
	case t[n] == '|':
		if n++; n >= len(t) || t[n] != '|' {
			return 0
		}
	}
	n++
	for n < len(t) && t[n] == ' ' {
		n++
	}
	if n < len(t) && t[n] == t[0] {
		return n + 1
	}
	return 0
}

// dividedWords are told of when what a filter takes out stood inside of them.
var dividedWords = []hiddenWord{
	{"union select", sqli}, {"union all select", sqli}, {"onfocus=", xss}, {"onerror=", xss}, {"onload=", xss}, {"onclick=", xss}, {"onmouseover=", xss},
	{"<script", xss}, {"javascript:", xss}, {"alert(", xss},
}

// divided weighs un<>ion sel<>ect, onf<x>ocus= and uni/**/on sel/**/ect: words that are
// there once a filter has taken tags or comments out.
func (l *look) divided() {
	t := l.text
	if len(t) > joinedBytes || !l.seen.any("<'\"") && !l.holds("/*") {
		return
	}
	out, cuts := l.loose[:0], 0
	for i := 0; i < len(t); i++ {
		if !fillers[t[i]] {
			out = append(out, t[i])
			continue
		}
		if n := filler(t[i:]); n > 0 && i > 0 && containsLetter("<=/", t[i-1]) && i+n < len(t) && containsLetter("(=>/", t[i+n]) {
			i += n - 1
			cuts++
			continue
		}
		out = append(out, t[i])
	}
	l.loose = out
	if cuts == 0 {
		return
	}
	for _, w := range dividedWords {
		i := w.appears(out, t)
		if end := i + len(w.word); i >= 0 && (end == len(out) || !alpha(out[end-1]) || !alpha(out[end])) {
			l.add(w.class, 55, "a word that is whole once tags or comments inside of it are taken out", min(i, len(t)), min(i+len(w.word)+8*cuts, len(t)))
			return
		}
	}
}

// fillers are the bytes that filler looks at.
var fillers = bytesOf("\"'\\</")

// containsLetter says whether b is a letter or one of set.
func containsLetter(set string, b byte) bool { return alpha(b) || containsByte(set, b) }

// filler is the length of a quote, of <>, of a tag of a few letters, of a short comment, or
// of "," as between the texts of an array, at the beginning of t.
func filler(t []byte) int {
	if t[0] == '"' || t[0] == '\\' {
		for _, f := range [...]string{`","`, `\",\"`, `\","`} {
			if bytes.HasPrefix(t, []byte(f)) {
				return len(f)
			}
		}
	}
	switch {
	case t[0] == '\'', t[0] == '"':
		return 1
	case len(t) > 1 && t[0] == '<':
		n := 1
		for n < len(t) && n < 8 && (alnum(t[n]) || t[n] == '/') {
			n++
		}
		if n < len(t) && t[n] == '>' {
			return n + 1
		}
	case len(t) > 3 && t[0] == '/' && t[1] == '*':
		if e := bytes.Index(t[2:min(len(t), 12)], []byte("*/")); e >= 0 {
			return e + 4
		}
	}
	return 0
}
