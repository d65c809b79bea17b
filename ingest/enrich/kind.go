package enrich

import (
	"strings"
	"unsafe"

	"github.com/portcullis/portcullis/ingest"
)

// wellKnown tells what a route is for by the names that people give such routes. It looks
// at whole segments of the template, without case, dashes, underscores and the endings of
// scripts: sign-in, SignIn and sign_in.php are one name. A segment with a colon is two:
// accounts:signInWithPassword.
func wellKnown(writing bool, template string) ingest.RouteKind {
	var buf [2 * maxBytes]byte
	var r reading
	r.split(buf[:0], template)
	if r.n == 0 {
		return ingest.RouteOrdinary
	}
	r.writing = writing
	if r.names[0] == ".wellknown" {
		if r.last().has(wDocs) {
			return ingest.RouteDocs
		}
		return ingest.RouteOrdinary
	}
	// A page about logins is read, a login is written to.
	if writing || !r.words[0].has(wPages) {
		if k := r.credentials(); k != ingest.RouteOrdinary {
			return k
		}
	}
	if r.all.has(wDocs) || r.names[0] == "docs" {
		return ingest.RouteDocs
	}
	return r.health()
}

// reading is a template in words.
type reading struct {
	names   [2 * maxSegments]string
	words   [2 * maxSegments]sense
	n       int
	all     sense // of any segment
	writing bool
}

// split reads the template's segments. The names live in buf.
func (r *reading) split(buf []byte, template string) {
	start := 0
	for i := 0; i <= len(template) && r.n < len(r.names); i++ {
		var c byte = '/'
		if i < len(template) {
			c = template[i]
		}
		switch {
		case c == '/' || c == ':':
			seg := buf[start:]
			if name := bare(unsafe.String(unsafe.SliceData(seg), len(seg))); name != "" && (r.n > 0 || !isPrefix(name)) {
				r.names[r.n], r.words[r.n] = name, meaning(name)
				r.all |= r.words[r.n]
				r.n++
			}
			start = len(buf)
		case c == '-' || c == '_' || len(buf) == cap(buf):
		case c >= 'A' && c <= 'Z':
			buf = append(buf, c|0x20)
		default:
			buf = append(buf, c)
		}
	}
}

// bare drops the ending of a script or a page: login.php is login.
func bare(name string) string {
	k := strings.LastIndexByte(name, '.')
	if k <= 0 {
		return name
	}
	switch name[k+1:] {
	case "", "php", "asp", "aspx", "ashx", "asmx", "svc", "jsp", "jspx", "jsf", "faces", "do", "action", "cgi", "pl", "py", "rb",
		"cfm", "nsf", "owa", "html", "htm", "xhtml", "json", "xml", "yaml", "yml":
		return name[:k]
	}
	return name
}

// isPrefix tells segments that only lead to an API: api, v1, v2.0, rest.
func isPrefix(s string) bool { return s == "api" || s == "rest" || isVersion(s) }

func isVersion(s string) bool {
	return len(s) > 1 && len(s) <= 4 && s[0] == 'v' && s[1]-'0' <= 9
}

func (r *reading) last() sense { return r.words[r.n-1] }

// before is the segment before the last that is no version, with its name.
func (r *reading) before() (sense, string) {
	for i := r.n - 2; i >= 0; i-- {
		if !isVersion(r.names[i]) {
			return r.words[i], r.names[i]
		}
	}
	return 0, ""
}

// earlier are the words before the last segment.
func (r *reading) earlier() (all sense) {
	for _, w := range r.words[:r.n-1] {
		all |= w
	}
	return all
}

// credentials knows the routes that take a password, a grant or the like.
func (r *reading) credentials() ingest.RouteKind {
	last, earlier := r.last(), r.earlier()
	_, name := r.before()
	switch {
	case r.isToken():
		return ingest.RouteToken
	case r.isReset():
		return ingest.RouteReset
	case last.has(wLogin),
		last.has(wSession) && r.writing,
		last.has(wAuth) && (r.writing || !earlier.has(wGrant)),
		r.writing && earlier.has(wLogin) && !last.has(wNotLogin),
		earlier.has(wOTP) && last.has(wVerify),
		last.has(wOTP) && r.writing,
		last.has(wPassword) && earlier.has(wAuth) && r.writing,
		last.has(wCredentials) && name == "callback",                                    // NextAuth.js
		r.writing && r.n == 2 && r.names[0] == "administrator" && r.names[1] == "index": // Joomla
		return ingest.RouteLogin
	case last.has(wPassword):
		return ingest.RouteReset
	}
	return ingest.RouteOrdinary
}

// isToken knows the endpoints of OAuth 2.0 (RFC 6749, 7009, 7662, 8628, 9126) and what is
// built like them. The token of a device, a card or a form is none.
func (r *reading) isToken() bool {
	last, earlier := r.last(), r.earlier()
	before, name := r.before()
	switch {
	case last.has(wToken), last.has(wTokens) && r.writing:
		if before.has(wThings) {
			return false
		}
		return name != anyID || earlier.has(wGrant|wAuth)
	case last.has(wGrantEnd):
		return earlier.has(wGrant) || before.has(wAuth|wToken)
	case last.has(wRefresh):
		return before.has(wGrant | wAuth | wToken | wSession | wLogin)
	}
	return false
}

// isReset knows password reset and sign-up.
func (r *reading) isReset() bool {
	if r.all.has(wReset) {
		return true
	}
	if !r.all.has(wResetVerb) {
		return false
	}
	return r.words[0].has(wResetVerb) || r.all.has(wAccount|wAuth|wPassword|wLogin|wGrant|wCredentials)
}

// health knows the names that mean something only near the root:
// /status is a probe, /orders/{id}/status is not.
func (r *reading) health() ingest.RouteKind {
	if r.n <= 2 && (r.words[0].has(wHealth|wHealthFirst) || r.last().has(wHealth)) {
		return ingest.RouteHealth
	}
	return ingest.RouteOrdinary
}
