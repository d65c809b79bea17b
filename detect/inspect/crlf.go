package inspect

import "bytes"

// responseHeaders are what response splitting and mail injection write.
var responseHeaders = []string{
	"set-cookie:", "content-type:", "content-length:", "location:", "http/1.", "http/2", "x-", "refresh:", "transfer-encoding:",
	"access-control-", "link:", "host:", "remote-addr:", "cookie:", "content-disposition:", "connection:", "referer:", "user-agent:", "x-forwarded", "clear-site-data:", "content-security-policy:", "strict-transport-security:",
}

// headers weighs a line end that is followed by a header or a command: response
// splitting, a request of its own, mail injection, or talk to a line protocol.
func (l *look) headers(ctx context) {
	if ctx == ctxAgent {
		return
	}
	l.stripped()
	if !l.seen.any("\r\n\xe5\xc4") {
		return
	}
	t := l.text
	lines := 0
	for n, from := 0, 0; n < 32; n++ {
		k := bytes.IndexAny(t[from:], "\r\n")
		if k < 0 {
			break
		}
		at := from + k
		i := at
		for i < len(t) && (t[i] == '\r' || t[i] == '\n' || t[i] == ' ' || t[i] == '\t') {
			i++
		}
		from = i
		lines += l.line(t, at, i)
		if lines >= 4 {
			break
		}
	}
	l.wideLine(t)
}

// line weighs the line that begins at i, behind the line end at at.
func (l *look) line(t []byte, at, i int) int {
	before := t[:at]
	half := func(w int) int {
		if bytes.Count(before[max(0, at-200):], []byte(" ")) > 3 || bytes.IndexByte(before, '\n') >= 0 && bytes.IndexByte(before, ' ') >= 0 {
			return w / 2 // a text of several lines, as a logged body or a form holds
		}
		return w
	}
	if w := mailHeader(t[i:]); w > 0 {
		if at == 0 && l.plus && bytes.HasPrefix(t[i:], []byte("subject:")) && !bytes.ContainsAny(t[i:], "\r\n") {
			w = 50 // the value is nothing else
		}
		l.add(mail, half(w), "a line end, then a header of a mail", at, i+24)
		if w < 50 && bytes.IndexByte(t[:at], '@') > 0 {
			l.add(mail, half(30), "it stands behind an address", at, i+24)
		}
		return 1
	}
	if at == 0 && spokenAlone(t[i:]) && !l.searched() {
		l.add(mail, 50, "a command of a mail server on a line of its own, and nothing else", at, len(t))
		return 1
	}
	if c, w := mailLine(t[i:]); w > 0 {
		if c == crlf || w == 50 {
			w = half(w)
		}
		l.add(c, w, "a line end, then a command of a line protocol", at, i+24)
		return 1
	}
	if w := headerWeight(t[i:]); w > 0 {
		if !l.plus || !splits(t[i:]) {
			w = half(w)
		}
		if bytes.HasSuffix(before, []byte(" http/1.1")) || bytes.HasSuffix(before, []byte(" http/1.0")) {
			w += 20 // it ends the request line first
		}
		l.add(crlf, w, "a line end, then a header", at, i+24)
		return 1
	}
	if w := ownHeader(before, t[i:]); w > 0 && !l.searched() {
		l.add(crlf, w, "a line end, then a header", at, i+24)
		return 1
	}
	return 0
}

// ownHeader weighs a header that no list has, such as x-test-header:value behind a line end:
// its name has a dash, its value no blank before it, and no sentence stands in front of it,
// as in a text of several lines.
func ownHeader(before, t []byte) int {
	n, dashes := 0, 0
	for n < len(t) && n < 40 && (alnum(t[n]) || t[n] == '-') {
		if t[n] == '-' {
			dashes++
		}
		n++
	}
	if dashes == 0 || n < 5 || n+1 >= len(t) || t[n] != ':' || !alnum(t[n+1]) || !alpha(t[0]) {
		return 0
	}
	if len(before) > 64 || bytes.IndexByte(bytes.TrimSpace(before), ' ') >= 0 {
		return 0
	}
	return 55
}

// stripped finds the header that sets a cookie as a value or glued to one: something on
// the way took the line end out, or put a question mark there. People leave a blank before it.
func (l *look) stripped() {
	if !l.seen.has(':') {
		return
	}
	i := l.find("set-cookie: ")
	if i < 0 || i == 0 && l.searched() || i > 0 && !alnum(l.text[i-1]) && l.text[i-1] != '?' {
		return
	}
	rest := l.text[i+12:]
	n := 0
	for n < len(rest) && word(rest[n]) {
		n++
	}
	if n > 0 && n < len(rest) && rest[n] == '=' {
		l.add(crlf, 50, "a header that sets a cookie, without its line end", i, i+32)
	}
}

// wideLine finds U+560A and U+560D, whose low bytes are a line end: servers that
// cut characters to a byte write one.
func (l *look) wideLine(t []byte) {
	i := bytes.Index(t, []byte("\xe5\x98\x8a"))
	if i < 0 {
		i = bytes.Index(t, []byte("\xe5\x98\x8d"))
	}
	if i < 0 {
		if i = bytes.Index(t, []byte("\xc4\x8a")); i >= 0 && headerWeight(t[i+2:]) > 0 { // U+010A, as Node.js wrote it
			l.add(crlf, 65, "characters whose low byte is a line end, then a header", i, i+32)
		}
		return
	}
	rest := t[i:]
	for len(rest) > 2 && rest[0] == 0xE5 && rest[1] == 0x98 && (rest[2] == 0x8A || rest[2] == 0x8D) {
		rest = rest[3:]
	}
	if headerWeight(rest) > 0 || ownHeader(t[:i], rest) > 0 || len(rest) > 0 && rest[0] == '<' {
		l.add(crlf, 65, "characters whose low byte is a line end, then a header", i, i+32)
	}
}

// splits says whether the line is a header that only servers write.
func splits(t []byte) bool {
	for _, h := range [...]string{"set-cookie:", "content-length:", "http/1.", "transfer-encoding:", "access-control-"} {
		if bytes.HasPrefix(t, []byte(h)) {
			return true
		}
	}
	return false
}

func headerWeight(t []byte) int {
	for _, m := range [...]string{"get ", "post ", "head ", "put "} {
		if bytes.HasPrefix(t, []byte(m)) && (bytes.Contains(t[:min(len(t), 256)], []byte(" http/")) || bytes.HasPrefix(t[len(m):], []byte("/")) || bytes.HasPrefix(t[len(m):], []byte("http"))) {
			return 65
		}
	}
	for _, h := range responseHeaders {
		if !bytes.HasPrefix(t, []byte(h)) {
			continue
		}
		switch h {
		case "host:", "link:":
			rest := t[len(h):min(len(t), len(h)+64)]
			return pick(len(bytes.TrimSpace(rest)) > 0, 45, 20)
		case "x-":
			c := bytes.IndexByte(t[:min(len(t), 40)], ':')
			return pick(c > 2 && bytes.IndexByte(t[:c], ' ') < 0, 55, 0)
		case "location:":
			rest := bytes.TrimLeft(t[len(h):], " ")
			return pick(bytes.HasPrefix(rest, []byte("http")) || bytes.HasPrefix(rest, []byte("/")), 65, 15)
		}
		return 65
	}
	return 0
}
