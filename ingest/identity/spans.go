package identity

import "strings"

// quotes are the spellings of a quote: within JSON within JSON, as nginx escapes it, as
// JSON or Apache do, in a URL, and as it is.
var quotes = [...]string{`\\\"`, `\x22`, `\u0022`, `\"`, `\u0027`, `%22`, `"`, `'`}

func quoteAt(line string, i int) int {
	switch line[min(i, len(line)-1)] {
	case '\\', '%', '"', '\'':
	default:
		return 0
	}
	for _, q := range quotes {
		if strings.HasPrefix(line[i:], q) {
			return len(q)
		}
	}
	return 0
}

func quoteBefore(line string, start, end int) string {
	if end <= start {
		return ""
	}
	switch line[end-1] {
	case '"', '\'', '2', '7':
	default:
		return ""
	}
	for _, q := range quotes {
		if strings.HasSuffix(line[start:end], q) {
			return q
		}
	}
	return ""
}

// closing returns the index of the quote that closes the string whose content begins at
// from. Unless it is a plain quote itself, a plain one ends the string too: it closes the
// field around it, and the rest of the line is not the client's; and where there is no
// such field a blank or a bar does.
func closing(line string, from int, quote string, inside bool) int {
	for i := from; i < len(line); {
		switch c := line[i]; {
		case strings.HasPrefix(line[i:], quote), c == '"':
			return i
		case c == '&' && quote == "%22":
			return i
		case (c <= ' ' || c == '|') && !inside:
			return i
		}
		i += unit(line, i, quote)
	}
	return len(line)
}

// backslashes are how a backslash is written within strings of each quote.
var backslashes = map[string]string{
	`\\\"`: `\\\\`, `\"`: `\\`, `\u0022`: `\\`, `\u0027`: `\\`, `\x22`: `\x5C`, "%22": "%5C", `"`: `\`, `'`: `\`,
}

// unit is the length of what is one byte, or an escaped one, of a string in this quote.
func unit(line string, i int, quote string) int {
	if line[i] != '\\' && line[i] != '%' {
		return 1
	}
	slash, rest := backslashes[quote], line[i:]
	if !strings.HasPrefix(rest, slash) {
		if strings.HasPrefix(rest, `\"`) {
			return 2 // escaped by the field around it
		}
		return 1
	}
	for _, escaped := range [...]string{quote, slash} {
		if strings.HasPrefix(rest[len(slash):], escaped) {
			return len(slash) + len(escaped)
		}
	}
	return len(slash)
}

// containerEnd returns the index behind the array or object at line[i], or the end of
// what is there of it.
func containerEnd(line string, i int, quote string, inside bool) int {
	depth := 0
	for i < len(line) {
		switch {
		case strings.HasPrefix(line[i:], quote):
			i += len(quote)
			i = closing(line, i, quote, inside)
			if !strings.HasPrefix(line[i:], quote) {
				return i
			}
			i += len(quote)
			continue
		case line[i] == '"' || !inside && (line[i] <= ' ' || line[i] == '|'):
			return i
		case line[i] == '[' || line[i] == '{':
			depth++
		case line[i] == ']' || line[i] == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// element takes the text of <password>x</password>; the signs may be escaped, and width
// is that of the first.
func (r *Redactor) element(s *span, i, width int, open, shut string) hit {
	line := s.line
	from := i + width
	to := from
	for to < len(line) && to-from < longestField && (isNameByte(line[to]) || line[to] == ':' || line[to] == '_') {
		to++
	}
	if from >= len(line) || !isNameByte(line[from]) || !hasFold(line[to:], shut) {
		return hit{}
	}
	n := r.names.before(line, from, to)
	if n.how != secret {
		return hit{}
	}
	h := hit{from: to + len(shut), kind: n.kind, shape: shapeWhole}
	blank, inside := len(line), s.inside(i)
	for h.to = h.from; h.to < len(line); h.to++ {
		c := line[h.to]
		if hasFold(line[h.to:], open) || c == '"' || c == '|' || c == '}' || c < ' ' || c == ' ' && !inside {
			break
		}
		if (c == ' ' || c == '&') && blank == len(line) {
			blank = h.to
		}
	}
	if !hasFold(line[h.to:], open) {
		h.to = min(h.to, blank) // nothing closes it: it may be no element at all
	}
	return h
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && s[0] == prefix[0] && strings.EqualFold(s[:len(prefix)], prefix)
}

// formPart takes the value of a part of multipart/form-data (RFC 7578, section 4.2) with the
// name that stands at line[at], in quotes.
func (r *Redactor) formPart(s *span, at int) hit {
	line := s.line
	if at >= len(line) {
		return hit{}
	}
	q := quoteAt(line, at)
	if q == 0 {
		return hit{}
	}
	quote, end := line[at:at+q], at+q
	for end < len(line) && end-at < longestField && isNameByte(line[end]) {
		end++
	}
	n := r.names.before(line, at+q, end)
	if n.how != secret || !strings.HasPrefix(line[end:], quote) {
		return hit{}
	}
	i, breaks := end+len(quote), 0
	for i < len(line) {
		b := breakAt(line, i)
		if b == 0 {
			break
		}
		i, breaks = i+b, breaks+1
	}
	if breaks < 2 {
		return hit{}
	}
	h := hit{from: i, kind: n.kind, shape: shapeWhole}
	inside := s.inside(at)
	for h.to = i; h.to < len(line) && line[h.to] != '"' && line[h.to] >= ' ' && breakAt(line, h.to) == 0; h.to++ {
		if c := line[h.to]; !inside && (c == ' ' || c == '|') {
			break
		}
	}
	return h
}

// longestUserinfo bounds the look for the @ of a URL.
const longestUserinfo = 256

// userinfo takes the password of scheme://user:password@host (RFC 3986, section 3.2.1).
func (r *Redactor) userinfo(line string, at int) hit {
	if !r.passwords {
		return hit{}
	}
	colon := 0
	for i := at; i < len(line) && i-at < longestUserinfo; i++ {
		switch c := line[i]; {
		case c == ':' && colon == 0:
			colon = i
		case c == '@':
			if colon == 0 {
				return hit{}
			}
			return hit{from: colon + 1, to: i, kind: kindPlain, shape: shapeWhole}
		case c <= ' ' || strings.IndexByte("/?#\"|{}\\<>,", c) >= 0:
			return hit{}
		}
	}
	return hit{}
}

// credentials takes the value of "Bearer x" and "Basic x", with a blank in any
// spelling that a URL has for it.
func credentials(s *span, i int) hit {
	line := s.line
	const least = 8 // shorter ones are words: "basic auth"
	for _, scheme := range [...]string{"bearer", "basic"} {
		at := i + len(scheme)
		if len(line) <= at || !strings.EqualFold(line[i:at], scheme) || i > 0 && isNameByte(line[i-1]) {
			continue
		}
		switch {
		case line[at] == '+' || line[at] == ' ' && s.inside(i):
			at++
		case strings.HasPrefix(line[at:], "%20"):
			at += 3
		default:
			return hit{}
		}
		h := hit{from: at, to: at, kind: kindToken}
		if scheme == "basic" {
			h.kind = kindBasic
		}
		for h.to < len(line) && (isNameByte(line[h.to]) || strings.IndexByte("~+/=%", line[h.to]) >= 0) {
			h.to++
		}
		if h.to-at >= least && !strings.HasPrefix(line[at:], "HTTP/") {
			return h
		}
	}
	return hit{}
}

// webToken takes a JSON Web Token: three base64url parts, of which the first begins with
// the encoding of {".
func webToken(line string, i int) hit {
	if !strings.HasPrefix(line[i:], "eyJ") || i > 0 && isNameByte(line[i-1]) {
		return hit{}
	}
	dots, to := 0, i
	for ; to < len(line) && isNameByte(line[to]); to++ {
		if line[to] == '.' {
			dots++
		}
	}
	if dots < 2 || to-i < 24 {
		return hit{}
	}
	return hit{from: i, to: to, kind: kindToken}
}
