package inspect

import "bytes"

// Words that are spelled so that no filter sees them: put together from strings, or letter
// by letter as escapes.

// joinedWords are names that code puts together in order to reach what is filtered.
var joinedWords = []string{"eval", "alert", "prompt", "confirm", "unescape", "location", "constructor", "document", "settimeout", "fromcharcode", "javascript", "innerhtml", "cookie"}

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
	if !l.seen.any("+\\") || !l.seen.any("'\"") {
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
		if i := bytes.Index(out, []byte(w)); i >= 0 && !bytes.Contains(t, []byte(w)) {
			l.add(xss, 55, "the name of a script function, put together from strings", min(i, len(t)), min(i+len(w)+4*joins, len(t)))
			return
		}
	}
}

// joinedBytes is how much of a field is read for such words.
const joinedBytes = 1024

// joint is the length of '+' at the beginning of t, with blanks around the sign.
func joint(t []byte) int {
	n := 1
	for n < len(t) && t[n] == ' ' {
		n++
	}
	if n >= len(t) || t[n] != '+' {
		return 0
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
