package inspect

import "bytes"

// Elements that run no script, but send what a page holds to another host.

// sendingAttributes name where an element sends to when it is used or loaded.
var sendingAttributes = [...]string{"formaction", "ping", "action"}

// sends weighs an attribute at base that sends to another host, without a scheme or
// with one: pages of editors hold links and images of other hosts, never these.
func (l *look) sends(base int, name, attrs []byte) {
	for _, a := range sendingAttributes {
		if a == "action" && string(name) != "form" {
			continue
		}
		i := bytes.Index(attrs, []byte(a))
		if i < 1 || word(attrs[i-1]) {
			continue
		}
		rest := bytes.TrimLeft(attrs[i+len(a):], " ")
		if len(rest) == 0 || rest[0] != '=' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " \"'`")
		if bytes.HasPrefix(rest, []byte("//")) || a != "action" && bytes.HasPrefix(rest, []byte("http")) {
			l.add(xss, pick(a == "action", 40, 55), "an HTML element that sends to another host", base+i, base+i+24)
			return
		}
	}
}

// dangling weighs an image whose address is never closed, so that it takes what follows
// in the page along: <img src='//host/?
func (l *look) dangling(at, base int, name, attrs []byte) {
	if string(name) != "img" && string(name) != "input" && string(name) != "table" && string(name) != "body" {
		return
	}
	t := l.text
	if base+len(attrs) != len(t) || bytes.IndexByte(attrs, '>') >= 0 {
		return
	}
	i := bytes.Index(attrs, []byte("src="))
	if i < 1 {
		if i = bytes.Index(attrs, []byte("background=")); i < 1 {
			return
		}
	}
	rest := attrs[i:]
	rest = rest[bytes.IndexByte(rest, '=')+1:]
	if len(rest) < 8 || l.searched() {
		return
	}
	quoted := rest[0] == '"' || rest[0] == '\''
	address := bytes.TrimLeft(rest, "\"'")
	if !bytes.HasPrefix(address, []byte("//")) && !bytes.HasPrefix(address, []byte("http")) || quoted && bytes.IndexByte(rest[1:], rest[0]) >= 0 {
		return
	}
	if last := t[len(t)-1]; last == '?' || last == '=' {
		l.add(xss, 50, "an image whose address is left open, so that it sends what follows", at, len(t))
	}
}
