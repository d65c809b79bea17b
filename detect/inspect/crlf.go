package inspect

import "bytes"

// responseHeaders are what response splitting and mail injection write.
var responseHeaders = []string{
	"set-cookie:", "content-type:", "content-length:", "location:", "http/1.", "http/2", "x-", "refresh:", "transfer-encoding:",
	"access-control-", "link:", "host:", "remote-addr:", "cookie:", "bcc:", "cc:", "to:", "from:", "subject:", "reply-to:",
	"mime-version:", "content-disposition:", "connection:", "referer:", "user-agent:", "x-forwarded",
}

// headers weighs a line end that is followed by a header: response splitting,
// or, with bcc and its like, mail header injection.
func (l *look) headers(ctx context) {
	if ctx == ctxAgent || !l.seen.any("\r\n") {
		return
	}
	t := l.text
	for n, from := 0, 0; n < 32; n++ {
		k := bytes.IndexAny(t[from:], "\r\n")
		if k < 0 {
			return
		}
		at := from + k
		i := at
		for i < len(t) && (t[i] == '\r' || t[i] == '\n' || t[i] == ' ' || t[i] == '\t') {
			i++
		}
		from = i
		if w := headerWeight(t[i:]); w > 0 {
			if l.in.canon.rounds == 0 {
				w /= 2 // a logged body holds line ends of its own
			}
			l.add(crlf, w, "a line end, then a header", at, i+24)
			return
		}
	}
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
		case "to:", "from:", "subject:", "cc:", "host:", "link:":
			rest := t[len(h):min(len(t), len(h)+64)]
			return pick(bytes.IndexByte(rest, '@') >= 0, 45, 20)
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
