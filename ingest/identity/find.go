package identity

import "strings"

// hit is a value that is a secret: line[from:to].
type hit struct {
	from, to int
	kind     byte
	shape    shape
	inner    shape  // of shapeList: what its strings are
	quote    string // of shapeBare and shapeList: how their strings are quoted
}

// shape says what of a value is secret.
type shape uint8

const (
	shapeWhole     shape = iota // all of it
	shapeBare                   // all of it; its replacement is a string where it was a number
	shapeScheme                 // what follows the name of an authentication scheme, if there is one
	shapeCookies                // the values of a=b; c=d
	shapeSetCookie              // the value of a=b; Path=/; Secure
	shapeList                   // the strings of an array, or of an object's members
)

func (h hit) found() bool { return h.to > h.from }

// shapeOf is the shape that a value has by the name before it.
func shapeOf(n nature) shape {
	switch {
	case n.set:
		return shapeSetCookie
	case n.cookie:
		return shapeCookies
	case n.kind == kindToken:
		return shapeScheme
	}
	return shapeWhole
}

// span is a line being looked through from left to right.
type span struct {
	line  string
	start int // names are looked for behind it only: what lies before was replaced
	seen  int // quotes are counted up to here
	odd   bool
}

// inside tells whether line[i] stands within plain quotes, where all is one field's. Only
// there may a secret hold blanks and bars: outside of quotes the log goes on behind
// them, and a line without its next field would be unreadable, which hides the request.
func (s *span) inside(i int) bool {
	for ; s.seen < i; s.seen++ {
		switch s.line[s.seen] {
		case '"':
			s.odd = !s.odd
		case '\\':
			s.seen++
		}
	}
	return s.odd
}

// secretAt looks whether a sign of a secret stands at line[i] and returns the value.
func (r *Redactor) secretAt(s *span, i int) hit {
	line := s.line
	switch c := line[i]; {
	case c == '=':
		return r.pair(s, i, i+1)
	case c == ':':
		return r.colon(s, i, i+1)
	case c == '<':
		return r.element(s, i, 1, "<", ">")
	case c == '%' && i+2 < len(line) && line[i+1] == '3':
		switch line[i+2] | 0x20 {
		case 'd':
			return r.pair(s, i, i+3)
		case 'a':
			return r.colon(s, i, i+3)
		case 'c':
			return r.element(s, i, 3, line[i:i+3], "%3"+string(line[i+2]+2))
		}
	case c == '\\':
		return r.escaped(s, i)
	case c|0x20 == 'b' && r.tokens:
		return credentials(s, i)
	case c == 'e' && r.tokens:
		return webToken(line, i)
	case c-'0' <= 9 && r.cards:
		from, to := card(line, i)
		return hit{from: from, to: to, kind: kindPlain, shape: shapeWhole}
	}
	return hit{}
}

// escaped takes the signs = and < as JSON encoders that keep HTML safe write them.
func (r *Redactor) escaped(s *span, i int) hit {
	line := s.line
	const width = len(`\u003d`)
	if len(line)-i < width || line[i+1] != 'u' || line[i+2:i+5] != "003" {
		return hit{}
	}
	switch line[i+5] | 0x20 {
	case 'd':
		return r.pair(s, i, i+width)
	case 'c':
		return r.element(s, i, width, line[i:i+width], `\u003`+string(line[i+5]+2))
	}
	return hit{}
}

// pair takes name=value; nameEnd is the index of the "=", at that of the value.
func (r *Redactor) pair(s *span, nameEnd, at int) hit {
	line := s.line
	n := r.names.before(line, s.start, nameEnd)
	switch n.how {
	case notSecret, kept:
		return hit{}
	case pairName:
		return r.formPart(s, at)
	}
	nested := at-nameEnd > 1 // the "=" itself is escaped, so an escaped & ends the value
	h := hit{from: at, to: at, kind: n.kind, shape: shapeOf(n)}
	if q := quoteAt(line, at); q > 0 && line[nameEnd] != '%' && at+q < len(line) && !endsField(line[at+q]) {
		h.from = at + q
		h.to = closing(line, h.from, line[at:at+q], s.inside(nameEnd))
		return h
	}
	switch {
	case n.how == secretIfOpaque:
		if h.to = opaqueRun(line, at); h.to < len(line) && !endsValue(line, h.to, n.how, nested) {
			return hit{}
		}
		return h
	case h.shape == shapeScheme && schemeLen(line[at:]) > 0:
		return hit{} // credentials looks at what follows
	case n.cookie:
		h.shape = shapeWhole
	}
	for h.to < len(line) && !endsValue(line, h.to, n.how, nested) {
		h.to++
	}
	return h
}

// endsField tells whether a quote before c closed a field rather than opened a value:
// "GET /?token=" 200.
func endsField(c byte) bool { return c <= ' ' || strings.IndexByte(",|;:)]}\"", c) >= 0 }

// endsValue tells whether a parameter's value ends before line[i]. It ends where a log
// may go on, even if a raw | or } could belong to it: a line that no longer parses
// would hide the request.
func endsValue(line string, i int, how secrecy, nested bool) bool {
	switch c := line[i]; c {
	case '&', '"', '#', ' ', '\t', '|', '}':
		return true
	case ';', '/', '?':
		return how == pathParameter
	case '\\':
		return quoteAt(line, i) > 0 || breakAt(line, i) > 0 || ampersandAt(line, i)
	case '%':
		return nested && (strings.HasPrefix(line[i:], "%26") || strings.HasPrefix(line[i:], "%22"))
	default:
		return c < ' '
	}
}

// ampersandAt tells whether an escaped & < or > stands at line[i].
func ampersandAt(line string, i int) bool {
	rest := line[i:]
	return len(rest) >= 6 && rest[1] == 'u' && (rest[2:6] == "0026" || strings.EqualFold(rest[2:6], "003c")) || strings.HasPrefix(rest, `\x26`)
}

// breakAt returns the length of an escaped line end at line[i], or 0.
func breakAt(line string, i int) int {
	for _, b := range [...]string{`\r`, `\n`, `\x0D`, `\x0A`, `\x0d`, `\x0a`, "%0D", "%0A", "%0d", "%0a"} {
		if strings.HasPrefix(line[i:], b) {
			return len(b)
		}
	}
	return 0
}

// colon takes members, headers, and the password of a URL.
func (r *Redactor) colon(s *span, colon, at int) hit {
	line := s.line
	if line[colon] == ':' && strings.HasPrefix(line[at:], "//") {
		return r.userinfo(line, at+2)
	}
	end := colon
	for end > s.start && line[end-1] == ' ' {
		end--
	}
	quote := quoteBefore(line, s.start, end)
	n := r.names.before(line, s.start, end-len(quote))
	if n.how == notSecret || n.how == kept {
		return hit{}
	}
	inside := s.inside(colon) || quote == `"` || headline(line, end-len(quote))
	for at < len(line) && (line[at] == ' ' && inside || line[at] == '+' && quote == "%22") {
		at++
	}
	switch {
	case at >= len(line):
		return hit{}
	case quote != "" && (n.how == pairName || n.how == secretIfOpaque):
		return r.nameValue(line, at, quote, inside)
	case n.how != secret:
		return hit{}
	case quote == "":
		return headerValue(line, at, n)
	}
	return memberValue(line, at, quote, n, inside)
}

// memberValue takes the value of a secret's name in an object whose strings have this quote.
func memberValue(line string, at int, quote string, n nature, inside bool) hit {
	h := hit{from: at, kind: n.kind, shape: shapeOf(n), quote: quote}
	if strings.HasPrefix(line[at:], quote) {
		h.from += len(quote)
		h.to = closing(line, h.from, quote, inside)
		return h
	}
	if line[at] == '[' || line[at] == '{' && n.cookie {
		h.shape, h.inner, h.to = shapeList, h.shape, containerEnd(line, at, quote, inside)
		if line[at] == '{' {
			h.inner = shapeWhole // a member for each cookie
		}
		return h
	}
	for h.to = at; h.to < len(line) && strings.IndexByte(",}] \"\\%&[{|", line[h.to]) < 0; h.to++ {
	}
	if word := line[at:h.to]; word == "null" || word == "true" || word == "false" || blank(word) {
		return hit{}
	}
	h.shape = shapeBare
	return h
}

// headline tells whether a line begins with the name that ends at end, as in a dump of
// headers.
func headline(line string, end int) bool {
	for end > 0 && isNameByte(line[end-1]) {
		end--
	}
	return end == 0
}

// headerValue takes a word, behind the name of an authentication scheme if there is one,
// or a list of cookies.
func headerValue(line string, at int, n nature) hit {
	h := hit{from: at, kind: n.kind, shape: shapeOf(n)}
	if line[at-1] == ' ' { // as a header is written
		if n.cookie {
			h.to = cookiesEnd(line, at)
			return h
		}
		h.from += schemeLen(line[at:])
	}
	for h.to = h.from; h.to < len(line) && line[h.to] > ' ' && strings.IndexByte("\",&\\|}", line[h.to]) < 0; h.to++ {
	}
	h.shape = shapeWhole
	return h
}

// schemeLen returns the length of a scheme's name and its blank at the beginning of s, or 0.
func schemeLen(s string) int {
	k := strings.IndexByte(s[:min(len(s), longestScheme+1)], ' ')
	if k < 1 || k+1 >= len(s) {
		return 0
	}
	if _, rest := cutScheme(s[:k] + " x"); rest == "x" {
		return k + 1
	}
	return 0
}

// cookiesEnd returns where a list of cookies ends that no quotes enclose: a blank is
// within it if it follows a semicolon and a name=... follows it.
func cookiesEnd(line string, i int) int {
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case c == ' ' && (line[i-1] != ';' || !namesCookie(line[i+1:])), c == '"', c == '|', c == '}', c < ' ':
			return i
		case c == '\\' && (quoteAt(line, i) > 0 || breakAt(line, i) > 0):
			return i
		}
	}
	return i
}

// namesCookie tells whether s begins with name=.
func namesCookie(s string) bool {
	for i := 0; i < len(s) && i < longestField; i++ {
		if s[i] == '=' {
			return i > 0
		}
		if !isNameByte(s[i]) {
			break
		}
	}
	return false
}

// protocolIn returns the index at which a value ends that swallowed the end of a request
// line, or its length.
func protocolIn(value string) int {
	const least = len(" HTTP/2")
	k := strings.LastIndex(value, " HTTP/")
	if k < 0 || len(value)-k > least+2 {
		if strings.HasPrefix(value, "HTTP/") {
			return 0
		}
		return len(value)
	}
	return k
}

// nameValue takes the value of {"name":"X-Api-Key","value":"x"} and of its kin, such as
// OpenTelemetry's {"key":"...","value":{"stringValue":"x"}}.
func (r *Redactor) nameValue(line string, at int, quote string, inside bool) hit {
	if !strings.HasPrefix(line[at:], quote) {
		return hit{}
	}
	from := at + len(quote)
	end := from
	for end < len(line) && end-from < longestField && (isNameByte(line[end])) {
		end++
	}
	n := r.names.before(line, from, end)
	if n.how != secret || !strings.HasPrefix(line[end:], quote) {
		return hit{}
	}
	i := skip(line, end+len(quote), ",")
	if !strings.HasPrefix(line[i:], quote) {
		return hit{}
	}
	from = i + len(quote)
	for end = from; end < len(line) && end-from < longestField && isNameByte(line[end]); end++ {
	}
	switch strings.ToLower(line[from:end]) {
	case "value", "values", "val", "v", "stringvalue", "string_value":
	default:
		return hit{}
	}
	if !strings.HasPrefix(line[end:], quote) {
		return hit{}
	}
	if i = skip(line, end+len(quote), ":"); i >= len(line) {
		return hit{}
	}
	if line[i] == '{' {
		return hit{from: i, to: containerEnd(line, i, quote, inside), kind: n.kind, shape: shapeList, inner: shapeOf(n), quote: quote}
	}
	return memberValue(line, i, quote, n, inside)
}

// skip passes over blanks and the bytes of set.
func skip(line string, i int, set string) int {
	for i < len(line) && (line[i] == ' ' || strings.IndexByte(set, line[i]) >= 0) {
		i++
	}
	return i
}
