package inspect

import "bytes"

// schemes are URL schemes that fetch or run something on the server.
var schemes = []struct {
	name   string
	class  class
	weight int
}{
	{"php://filter", rfi, 80}, {"php://input", rfi, 80}, {"php://", rfi, 60}, {"expect://", rfi, 80}, {"phar://", rfi, 65},
	{"zip://", rfi, 45}, {"data://", rfi, 60}, {"glob://", rfi, 50}, {"zlib://", rfi, 55}, {"compress.zlib://", rfi, 65},
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
	n := 0
	switch {
	case bytes.HasPrefix(t, []byte("http://")):
		n = 7
	case bytes.HasPrefix(t, []byte("https://")):
		n = 8
	case bytes.HasPrefix(t, []byte("ftp://")):
		n = 6
	default:
		return
	}
	host := t[n:]
	if i := bytes.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	if at := bytes.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if i := bytes.IndexByte(host, ':'); i >= 0 && bytes.IndexByte(host, '[') < 0 {
		host = host[:i]
	}
	if w := inner(host); w > 0 {
		l.add(ssrf, w, "a URL to the server itself or its network", n, n+len(host))
	}
	rest := t[n:]
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
	case numeric && script:
		l.add(rfi, 45, "a script at a numeric address", 0, len(t))
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
		bytes.Equal(host, []byte("100.100.100.200")), bytes.HasPrefix(host, []byte("[fd00:ec2")):
		return 75
	case bytes.Equal(host, []byte("localhost")), bytes.HasPrefix(host, []byte("127.")), bytes.HasPrefix(host, []byte("0.0.0.0")),
		bytes.HasPrefix(host, []byte("[::")), bytes.Equal(host, []byte("0")):
		return 40
	case bytes.HasPrefix(host, []byte("0x")) && len(host) > 6, allDigits(host) && len(host) > 7:
		return 60
	case dottedOctal(host):
		return 60
	case bytes.HasPrefix(host, []byte("10.")), bytes.HasPrefix(host, []byte("192.168.")):
		return 25
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
