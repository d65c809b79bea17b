package inspect

import "bytes"

// schemes are URL schemes that fetch or run something on the server.
var schemes = []struct {
	name   string
	class  class
	weight int
}{
	{"php://filter", rfi, 80}, {"php://input", rfi, 80}, {"php://", rfi, 60}, {"expect://", rfi, 80}, {"phar://", rfi, 65},
	{"zip://", rfi, 50}, {"data://", rfi, 60}, {"glob://", rfi, 50}, {"zlib://", rfi, 55}, {"compress.zlib://", rfi, 65},
	{"compress.bzip2://", rfi, 65}, {"ogg://", rfi, 50}, {"rar://", rfi, 50}, {"ssh2.", rfi, 55}, {"jar:http", rfi, 60},
	{"jar:file", rfi, 60}, {"netdoc:", ssrf, 60}, {"file://", ssrf, 55}, {"gopher://", ssrf, 70}, {"dict://", ssrf, 65},
	{"sftp://", ssrf, 25}, {"tftp://", ssrf, 50}, {"ldap://", ssrf, 50}, {"ldaps://", ssrf, 50}, {"rmi://", ssrf, 60}, {"smb://", ssrf, 35},
	{"local_file://", ssrf, 60}, {"file:/", ssrf, 50}, {"ftp://", ssrf, 15}, {"unix:/", ssrf, 30},
}

// urls weighs URLs in values. An http URL in a parameter is honest by itself.
func (l *look) urls(ctx context) {
	if ctx == ctxAgent || ctx == ctxPath {
		return
	}
	t := l.text
	l.includes()
	l.hostOnly(ctx)
	colon := bytes.IndexByte(t, ':')
	if colon < 0 {
		l.metadata(ctx)
		return
	}
	if l.holds(":/") {
		for i := range schemes {
			s := &schemes[i]
			k := l.find(s.name)
			if k < 0 || k > 0 && alnum(t[k-1]) {
				continue
			}
			w := s.weight
			if k == 0 && w == 25 && fetchName(l.name) && !calledBack(l.name) {
				w = 50 // a server is told to fetch it
			}
			if k > 8 && bytes.IndexByte(t[:k], ' ') >= 0 && (s.weight < 80 || !containsByte("'\"=", t[k-1])) {
				w /= 2 // spoken of, not asked for
			}
			l.add(s.class, w, "a URL scheme that servers should not follow", k, k+len(s.name)+16)
			break
		}
		l.remote()
	}
	l.metadata(ctx)
}

// remote weighs an http URL that is the whole value: where it points, and
// whether it ends as an include would need it to.
func (l *look) remote() {
	t := l.text
	n := bytes.Index(t[:min(len(t), 24)], []byte("://")) + 3
	if n < 5 || !schemeName(t[:n-3]) {
		return
	}
	host := t[n:]
	if i := bytes.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	if at := bytes.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if e := bytes.IndexByte(host, ']'); e >= 0 {
		host = host[:e+1]
	} else if i := bytes.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	l.inside(host, t[n:], n)
	if calledOut(host) {
		l.add(ssrf, 60, "a host by which tools for attacks are told that a server called it", n, n+len(host))
	}
	l.userinfo(t[n:], n)
	if t[0] != 'h' && t[0] != 'f' {
		return
	}
	rest := t[n:]
	if l.name != "" && includeName(bytes.ToLower([]byte(l.name))) && !calledBack(l.name) {
		l.add(rfi, 50, "a remote URL in a variable that names code", 0, len(t))
	}
	numeric := len(host) > 6 && digit(host[0]) && digit(host[len(host)-1])
	path := rest
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	script := hasAnySuffix(path, ".php", ".txt", ".jsp", ".asp", ".aspx", ".sh", ".pl", ".cgi", ".inc", ".phtml", ".jar", ".php5", ".dat", ".gif", ".jpg", ".png")
	code := script && !hasAnySuffix(path, ".gif", ".jpg", ".png", ".txt", ".jar", ".aspx", ".asp", ".php", ".jsp")
	switch {
	case webShellNames[string(path[1+bytes.LastIndexByte(path, '/'):])]:
		l.add(rfi, 55, "a URL of a web shell by its usual name", 0, len(t))
	case len(rest) > 1 && rest[len(rest)-1] == '?':
		l.add(rfi, pick(script, 55, 35), "a remote URL that ends in ?, so that what is appended is ignored", 0, len(t))
	case l.in.canon.flags&sawNUL != 0:
		l.add(rfi, 60, "a remote URL with a NUL byte", 0, len(t))
	case numeric && script && !hasAnySuffix(path, ".gif", ".jpg", ".png"):
		l.add(rfi, 50, "a script at a numeric address", 0, len(t))
	case code:
		l.add(rfi, 20, "a remote script", 0, len(t))
	}
}

// webShellNames are file names under which the best known web shells are handed round.
var webShellNames = wordSet(`c99.php c99.txt c99.gif c99.jpg c100.php c99shell.php r57.php r57.txt r57.gif r57shell.php
	b374k.php wso.php wso2.php wso.txt indoxploit.php alfa.php mini.php.txt shell.php.txt`)

func hasAnySuffix(b []byte, suffixes ...string) bool {
	for _, s := range suffixes {
		if bytes.HasSuffix(b, []byte(s)) {
			return true
		}
	}
	return false
}

// metadata weighs cloud metadata addresses without a scheme.
func (l *look) metadata(_ context) {
	if i := l.find("169.254.169.254"); i >= 0 {
		l.add(ssrf, pick(i < 9, 60, 30), "the cloud metadata address", i, i+15)
	}
}

// schemeName says whether t may be a URL scheme (RFC 3986 section 3.1).
func schemeName(t []byte) bool {
	for i, b := range t {
		if !alpha(b) && (i == 0 || !digit(b) && b != '+' && b != '-' && b != '.') {
			return false
		}
	}
	return len(t) > 0
}

// calledBack says whether a parameter is one that OAuth clients are sent back by.
func calledBack(name string) bool {
	for _, w := range [...]string{"redirect", "callback", "return", "origin", "referer", "referrer", "next", "continue", "base", "state"} {
		if len(name) >= len(w) && containsFold(name, w) {
			return true
		}
	}
	return false
}

// containsFold says whether s holds the lower-case word w in any case.
func containsFold(s, w string) bool {
	for i := 0; i+len(w) <= len(s); i++ {
		j := 0
		for j < len(w) && lower(s[i+j]) == w[j] {
			j++
		}
		if j == len(w) {
			return true
		}
	}
	return false
}

// userinfo weighs a host name before an @, which readers take for the host.
func (l *look) userinfo(rest []byte, n int) {
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := bytes.LastIndexByte(rest[:end], '@')
	if at > 0 && bytes.IndexByte(rest[:at], '.') > 0 && bytes.IndexByte(rest[:at], ':') < 0 {
		l.add(ssrf, 50, "a URL with one host name before the @ and another behind", n, n+end)
	}
}
