package inspect

import (
	"bytes"
	"net/netip"
)

// Hosts that only the server itself can reach, in the spellings that resolvers take.

// inner weighs hosts that only the server itself can reach.
func inner(host []byte) int {
	switch {
	case len(host) == 0:
		return 0
	case bytes.HasPrefix(host, []byte("169.254.")), bytes.Equal(host, []byte("metadata.google.internal")), bytes.Equal(host, []byte("metadata.packet.net")),
		bytes.Equal(host, []byte("100.100.100.200")), bytes.Equal(host, []byte("instance-data")), bytes.Equal(host, []byte("192.0.0.192")), bytes.HasPrefix(host, []byte("[fd00:ec2")), bytes.Equal(host, []byte("metadata")):
		return 75
	case bytes.Equal(host, []byte("0")), bytes.HasPrefix(host, []byte("[::")) && len(host) > 5, bytes.HasPrefix(host, []byte("127.")) && !fourParts(host),
		bytes.HasPrefix(host, []byte("0.0.0.0")), hasAnySuffix(host, ".nip.io", ".xip.io", ".sslip.io", ".localtest.me", ".lvh.me", ".lacolhost.com"),
		shortAddress(host), bytes.Equal(host, []byte("host.docker.internal")), bytes.Equal(host, []byte("gateway.docker.internal")), bytes.Equal(host, []byte("host.containers.internal")),
		bytes.Equal(host, []byte("ip6-localhost")), bytes.Equal(host, []byte("ip6-loopback")), bytes.Equal(host, []byte("localhost.localdomain")),
		bytes.Equal(host, []byte("localtest.me")), bytes.Equal(host, []byte("lvh.me")), hasAnySuffix(host, ".svc", ".svc.cluster.local"):
		return 60
	case overflowing(host):
		return 60
	case bytes.Equal(host, []byte("localhost")), bytes.HasPrefix(host, []byte("127.")), bytes.Equal(host, []byte("[::1]")), bytes.Equal(host, []byte("[::]")):
		return 40
	case bytes.HasPrefix(host, []byte("0x")) && len(host) > 6, allDigits(host) && len(host) > 7:
		return 60
	case dottedOctal(host):
		return 60
	case bytes.HasPrefix(host, []byte("[")) && bytes.Contains(host, []byte("169.254.")):
		return 75
	case host[0] == '[' && innerSix(host):
		return 60
	case bytes.HasPrefix(host, []byte("10.")) && fourParts(host), bytes.HasPrefix(host, []byte("192.168.")), private172(host):
		return 30
	}
	return 0
}

// innerSix says whether host is an address of version 6 in brackets that only a server
// itself or its network has, in whichever spelling, or one of version 4 inside of it.
func innerSix(host []byte) bool {
	text := host[1:]
	if e := bytes.IndexAny(text, "]%"); e >= 0 {
		text = text[:e]
	}
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return false
	}
	if a.Is4In6() {
		return true // a URL has it as it is
	}
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

// overflowing says whether host is four numbers of which one is over 255, which some
// resolvers take modulo 256.
func overflowing(host []byte) bool {
	if !fourParts(host) {
		return false
	}
	over := false
	for p := range bytes.SplitSeq(host, []byte(".")) {
		if len(p) == 0 || len(p) > 3 {
			return false
		}
		over = over || len(p) == 3 && string(p) > "255"
	}
	return over
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

// outOfBand are hosts by which tools for attacks are told that a server called them: Burp
// Suite, Interactsh, and services of their kind.
var outOfBand = []string{"burpcollaborator.net", "oastify.com", "interact.sh", "dnslog.cn", "ceye.io", "bxss.me", "xss.ht", "xss.report", "r87.me", "dnslog.link", "requestrepo.com"}

// calledOut says whether host is one of them, or below one.
func calledOut(host []byte) bool {
	for _, h := range outOfBand {
		if bytes.HasSuffix(host, []byte(h)) && (len(host) == len(h) || host[len(host)-len(h)-1] == '.') {
			return true
		}
	}
	return false
}

// insidePath weighs a URL in a path that only the server itself can reach, in a spelling that
// no link has.
func (l *look) insidePath() {
	i := l.find("://")
	if i < 1 || !alpha(l.text[i-1]) {
		return
	}
	host := l.text[i+3:]
	if e := bytes.IndexAny(host, "/?#:"); e >= 0 && host[0] != '[' {
		host = host[:e]
	} else if e := bytes.IndexByte(host, ']'); e >= 0 {
		host = host[:e+1]
	}
	if inner(host) >= 60 {
		l.add(ssrf, 55, "a URL in the path to the server itself or its network", i, i+3+len(host))
	}
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

// innerNames are hosts of that kind which no one else has. The gates know a part of each.
var innerNames = []string{
	"host.docker.internal", "gateway.docker.internal", "host.containers.internal", "metadata.google.internal",
	"localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ipv6-localhost", "localhost",
}

// fetchNames are parameters whose value a server fetches.
var fetchNames = []string{"url", "uri", "link", "src", "source", "dest", "destination", "target", "feed", "host", "domain", "site", "proxy", "webhook", "fetch", "remote", "endpoint", "server", "image"}

// hostOnly weighs a value that begins with the name of such a host without a scheme, and
// goes on with a port or a path. The commonest of them, localhost, must stand in a
// parameter that servers fetch from.
func (l *look) hostOnly(ctx context) {
	if ctx != ctxValue {
		return
	}
	t := l.text
	l.schemeless(t)
	for _, name := range innerNames {
		if !bytes.HasPrefix(t, []byte(name)) {
			continue
		}
		rest := t[len(name):]
		if len(rest) == 0 || rest[0] != '/' && (rest[0] != ':' || len(rest) < 2 || !digit(rest[1])) {
			continue
		}
		if name != "localhost" || fetchName(l.name) && !calledBack(l.name) {
			l.add(ssrf, 55, "a URL without a scheme to the server itself or its network", 0, len(name)+8)
		}
		return
	}
}

func fetchName(name string) bool {
	for _, w := range fetchNames {
		if containsFold(name, w) {
			return true
		}
	}
	return false
}

// schemeless weighs //127.0.0.1/, which takes the scheme of the page, and http:///x,
// and http:\\x, whose slashes parsers put right and filters do not see.
func (l *look) schemeless(t []byte) {
	rest, odd := t, false
	if r, ok := bytes.CutPrefix(t, []byte("http:")); ok {
		rest, odd = r, true
	} else if r, ok := bytes.CutPrefix(t, []byte("https:")); ok {
		rest, odd = r, true
	}
	n := 0
	for n < len(rest) && n < 8 && (slash(rest[n]) || odd && rest[n] == '@') {
		n++
	}
	marks := string(rest[:n])
	if odd && (marks == "" || marks == "//" || !slash(marks[0])) || !odd && marks != "//" {
		return
	}
	host := rest[n:]
	if i := bytes.IndexAny(host, "/?#\\"); i >= 0 {
		host = host[:i]
	}
	if i := bytes.IndexByte(host, ':'); i >= 0 && host[0] != '[' {
		host = host[:i]
	}
	if w := inner(host); w >= 40 && !allDigits(host) {
		l.add(ssrf, max(w, 50), "a URL to the server itself or its network, with slashes that filters do not see", 0, len(t)-len(rest)+n+len(host))
	}
}
