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
	colon := bytes.IndexByte(t, ':')
	if colon < 0 {
		l.metadata(ctx)
		return
	}
	if bytes.Contains(t, []byte(":/")) {
		for i := range schemes {
			s := &schemes[i]
			k := bytes.Index(t, []byte(s.name))
			if k < 0 || k > 0 && alnum(t[k-1]) {
				continue
			}
			w := s.weight
			if k > 8 && bytes.IndexByte(t[:k], ' ') >= 0 {
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

func hasAnySuffix(b []byte, suffixes ...string) bool {
	for _, s := range suffixes {
		if bytes.HasSuffix(b, []byte(s)) {
			return true
		}
	}
	return false
}

// inner weighs hosts that only the server itself can reach.
func inner(host []byte) int {
	switch {
	case len(host) == 0:
		return 0
	case bytes.HasPrefix(host, []byte("169.254.")), bytes.Equal(host, []byte("metadata.google.internal")),
		bytes.Equal(host, []byte("100.100.100.200")), bytes.HasPrefix(host, []byte("[fd00:ec2")), bytes.Equal(host, []byte("metadata")):
		return 75
	case bytes.Equal(host, []byte("0")), bytes.HasPrefix(host, []byte("[::")) && len(host) > 5, bytes.HasPrefix(host, []byte("127.")) && !fourParts(host),
		bytes.HasPrefix(host, []byte("0.0.0.0")), hasAnySuffix(host, ".nip.io", ".xip.io", ".sslip.io", ".localtest.me", ".lvh.me", ".lacolhost.com"),
		shortAddress(host), bytes.Equal(host, []byte("host.docker.internal")), bytes.Equal(host, []byte("gateway.docker.internal")), bytes.Equal(host, []byte("host.containers.internal")),
		bytes.Equal(host, []byte("ip6-localhost")), bytes.Equal(host, []byte("ip6-loopback")), bytes.Equal(host, []byte("localhost.localdomain")),
		bytes.Equal(host, []byte("localtest.me")), bytes.Equal(host, []byte("lvh.me")), hasAnySuffix(host, ".svc", ".svc.cluster.local"):
		return 60
	case bytes.Equal(host, []byte("localhost")), bytes.HasPrefix(host, []byte("127.")), bytes.Equal(host, []byte("[::1]")), bytes.Equal(host, []byte("[::]")):
		return 40
	case bytes.HasPrefix(host, []byte("0x")) && len(host) > 6, allDigits(host) && len(host) > 7:
		return 60
	case dottedOctal(host):
		return 60
	case bytes.HasPrefix(host, []byte("10.")) && fourParts(host), bytes.HasPrefix(host, []byte("192.168.")), private172(host):
		return 30
	}
	return 0
}

func allDigits(b []byte) bool {
	for _, x := range b {
		if !digit(x) {
			return false
		}
	}
	return true
}

// dottedOctal says whether host is an address with octal or hex parts, which
// no honest URL has.
func dottedOctal(host []byte) bool {
	parts, odd := 0, false
	for p := range bytes.SplitSeq(host, []byte(".")) {
		if len(p) == 0 || !digit(p[0]) {
			return false
		}
		for _, x := range p[1:] {
			if !digit(x) && x != 'x' && unhex(x) > 15 {
				return false
			}
		}
		odd = odd || len(p) > 1 && p[0] == '0'
		parts++
	}
	return odd && parts == 4
}

// metadata weighs cloud metadata addresses without a scheme.
func (l *look) metadata(_ context) {
	if i := bytes.Index(l.text, []byte("169.254.169.254")); i >= 0 {
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

// shortAddress says whether host is an address of fewer than four numbers, or of hex and
// octal ones, which resolvers take and people do not write.
func shortAddress(host []byte) bool {
	dots := bytes.Count(host, []byte("."))
	if dots == 0 || dots > 2 || len(host) < 4 {
		return false
	}
	for p := range bytes.SplitSeq(host, []byte(".")) {
		if !allDigits(p) && !bytes.HasPrefix(p, []byte("0x")) || len(p) == 0 {
			return false
		}
	}
	return true
}

// fourParts says whether host is four numbers.
func fourParts(host []byte) bool {
	for _, b := range host {
		if !digit(b) && b != '.' {
			return false
		}
	}
	return bytes.Count(host, []byte(".")) == 3
}

// private172 says whether host is in 172.16.0.0/12 (RFC 1918).
func private172(host []byte) bool {
	if !bytes.HasPrefix(host, []byte("172.")) || !fourParts(host) {
		return false
	}
	second, _, _ := bytes.Cut(host[4:], []byte("."))
	return len(second) == 2 && (second[0] == '1' && second[1] >= '6' || second[0] == '2' || string(second) == "30" || string(second) == "31")
}

// servicePorts are those of caches, databases and daemons that speak without a login,
// and of remote administration; web servers do not listen there.
var servicePorts = []string{"22", "23", "25", "111", "135", "139", "445", "1433", "1521", "2049", "2375", "2376", "2379", "3306", "3389", "4243", "5432", "5672", "5984", "5985", "6379", "6443", "8500", "9000", "9092", "9200", "9300", "10250", "10255", "11211", "15672", "27017", "50070"}

// inside weighs a URL to the server itself or its network. A loopback address is how
// native applications are called back (RFC 8252 section 7.3), so there the name of
// the parameter and the port count.
func (l *look) inside(host, rest []byte, at int) {
	w := inner(host)
	if w == 0 {
		return
	}
	if port := portOf(rest, host); w < 60 {
		for _, p := range servicePorts {
			if string(port) == p {
				w += 20
			}
		}
	}
	if w == 40 && !calledBack(l.name) {
		w = 50
	}
	l.add(ssrf, w, "a URL to the server itself or its network", at, at+len(host))
}

// portOf is the port behind host in rest, which may begin with user@.
func portOf(rest, host []byte) []byte {
	i := bytes.Index(rest, host)
	if i < 0 {
		return nil
	}
	rest, ok := bytes.CutPrefix(rest[i+len(host):], []byte(":"))
	if !ok {
		return nil
	}
	n := 0
	for n < len(rest) && digit(rest[n]) {
		n++
	}
	return rest[:n]
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
