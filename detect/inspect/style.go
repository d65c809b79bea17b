package inspect

import "bytes"

// styleSigns run or load something from a style sheet, without blanks.
var styleSigns = []string{
	"expression(", "javascript:", "vbscript:", "-moz-binding:", "behavior:url(", "behaviour:url(", "binding:url(", "@import",
}

// styles reads CSS as a browser does, without comments and with its escapes undone,
// in attributes and elements called style, and behind a quote that closes one.
func (l *look) styles() {
	t := l.text
	i := l.find("style")
	if !l.seen.any("(:@}") {
		return
	}
	if i < 0 {
		l.hiddenStyle(t)
		return
	}
	css, hidden := l.plainStyle(t[i:min(len(t), i+1024)])
	for _, s := range styleSigns {
		if bytes.Contains(css, []byte(s)) {
			l.add(xss, pick(hidden > 0, 60, 45), "a style that runs or loads something", i, i+48)
			return
		}
	}
	if _, body, ok := bytes.Cut(css, []byte("=")); ok && len(body) > 0 && (body[0] == '"' || body[0] == '\'') {
		body, _, _ = bytes.Cut(body[1:], body[:1])
		if shut := bytes.IndexByte(body, '}'); shut > 0 && bytes.IndexByte(body[:shut], '{') < 0 {
			l.add(xss, 50, "a style that closes a block which it did not open", i, i+48)
		}
	}
	if hidden >= 4 {
		l.add(xss, 50, "a style whose letters are written as escapes", i, i+48)
	}
}

// hiddenStyle finds a piece of a style that comments inside of words, or escapes, keep
// from being read: nobody writes a style like that.
func (l *look) hiddenStyle(t []byte) {
	if !l.holds("/*") && !l.seen.has('\\') {
		return
	}
	css, _ := l.plainStyle(t[:min(len(t), 1024)])
	for _, s := range styleSigns {
		if i := bytes.Index(css, []byte(s)); i >= 0 && !bytes.Contains(l.squeeze(), []byte(s)) {
			l.add(xss, 60, "a piece of a style that runs or loads something, hidden by comments or escapes", min(i, len(t)), min(len(t), i+48))
			return
		}
	}
}

// plainStyle returns css without blanks and comments, and how many escapes or
// comments stood inside words.
func (l *look) plainStyle(css []byte) ([]byte, int) {
	out := l.shell[:0]
	hidden := 0
	outer, inner := css[min(len(css), max(0, bytes.IndexAny(css, "\"'"))):], byte(0)
	for i := 0; i < len(css); i++ {
		switch {
		case css[i] == inner && inner != 0:
			inner = 0
		case inner == 0 && (css[i] == '"' || css[i] == '\'') && css[i] != outer[0] && bytes.IndexByte(css[i+1:], css[i]) >= 0:
			inner = css[i]
		case blank(css[i]) && inner == 0:
			continue
		case inner == 0 && css[i] == '/' && i+1 < len(css) && css[i+1] == '*':
			e := bytes.Index(css[i+2:], []byte("*/"))
			if e < 0 {
				l.shell = out
				return out, hidden
			}
			if i > 0 && alpha(css[i-1]) && i+e+4 < len(css) && alpha(css[i+e+4]) {
				hidden++
			}
			i += e + 3
			continue
		case css[i] == '\\' && i+1 < len(css):
			r, n := 0, i+1
			for n < len(css) && n < i+7 && unhex(css[n]) < 16 {
				r = r<<4 | int(unhex(css[n]))
				n++
			}
			if n > i+2 && r > 0x20 && r < 0x7F {
				out = append(out, lower(byte(r)))
				hidden++
				i = n - 1
				continue
			}
			if alpha(css[i+1]) && unhex(css[i+1]) > 15 { // \x is x
				hidden++
			}
			continue
		}
		out = append(out, css[i])
	}
	l.shell = out
	return out, hidden
}

// slashed says whether attributes begin behind a slash, as in <img/src=x>: browsers read it
// as a blank, filters may not, and nobody writes it.
func slashed(attrs []byte) bool {
	n := 0
	for n < len(attrs) && attrs[n] == '/' {
		n++
	}
	if n == 0 || n == len(attrs) || !alpha(attrs[n]) {
		return false
	}
	for n < len(attrs) && (alnum(attrs[n]) || attrs[n] == '-') {
		n++
	}
	return n+1 < len(attrs) && attrs[n] == '=' && bytes.IndexByte(attrs, '>') > n
}
