package inspect

import (
	"strings"
	"unsafe"
)

// splitTarget cuts a request target into path and query. An absolute-form
// target (a proxy request) loses its scheme and host, which are no payload.
func splitTarget(s string) (path, query string) {
	if rest, ok := cutScheme(s); ok {
		s = rest
	}
	path, query, _ = strings.Cut(s, "?")
	return path, query
}

// cutScheme removes http(s)://host from the beginning of s. The host must look
// like one, or else it is kept as text to be looked at.
func cutScheme(s string) (rest string, ok bool) {
	n := 0
	switch {
	case len(s) > 7 && strings.EqualFold(s[:7], "http://"):
		n = 7
	case len(s) > 8 && strings.EqualFold(s[:8], "https://"):
		n = 8
	default:
		return s, false
	}
	for n < len(s) {
		b := s[n]
		if b == '/' || b == '?' {
			break
		}
		if !alnum(b) && b != '.' && b != '-' && b != ':' && b != '_' && b != '[' && b != ']' {
			return s, false
		}
		n++
	}
	return s[n:], true
}

// cutField takes the first name=value of a query.
func cutField(query string) (field, rest string) {
	field, rest, _ = strings.Cut(query, "&")
	return field, rest
}

func cutPair(field string) (name, value string) {
	i := strings.IndexByte(field, '=')
	if i < 0 {
		return "", field
	}
	return field[:i], field[i+1:]
}

// plainName says whether a parameter name looks like one: a name with other
// bytes means that the '=' belongs to the payload.
func plainName(name string) bool {
	for i := range len(name) {
		if b := name[i]; !nameByte(b) && b != '%' {
			return false
		}
	}
	return true
}

// nameByte says whether names of parameters have a byte.
func nameByte(b byte) bool { return word(b) || containsByte("-.[]:$@", b) }

// escapedName says whether the escapes of a plain name stand for what no name has: whoever
// escapes the '=' in it means all of it as the name.
func escapedName(name string) bool {
	for i := 0; i+2 < len(name); i++ {
		if name[i] != '%' {
			continue
		}
		hi, lo := unhex(name[i+1]), unhex(name[i+2])
		if hi < 16 && lo < 16 && !nameByte(hi<<4|lo) {
			return true
		}
	}
	return false
}

// target looks at a request target; prefix names where it stands ("referer."
// or nothing).
func (l *look) target(prefix, s string) {
	s = l.take(s)
	path, query := splitTarget(s)
	name := "path"
	if prefix != "" {
		name = prefix
	}
	l.rawQuery = query
	l.field(name, "", ctxPath, path, false)
	l.encodedSegments(name, path)
	if query == "" {
		return
	}
	if prefix == "" {
		prefix = "query"
	}
	read := l.query(prefix, query)
	if strings.Contains(query, "&&") { // an unencoded && was cut apart
		l.field(prefix, "", ctxValue, l.commanded(query[:min(len(query), read+thenBytes)]), true)
	}
}

// commanded is a query that && parts, for reading as a whole. Once enough was spent, what
// stands between two && is read once. It is valid until the next call.
func (l *look) commanded(query string) string {
	if !l.tired() {
		return query
	}
	out := l.joins[:0]
	for rest, more := query, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "&&")
		if l.repeated("\x00&&", part, ctxAny, true) {
			continue
		}
		if len(out) > 0 {
			out = append(out, "&&"...)
		}
		out = append(out, part...)
	}
	l.joins = out
	return unsafe.String(unsafe.SliceData(out), len(out))
}

// maxFields bounds the parameters that are read one by one. What follows is
// read as one text: a flood of parameters hides nothing.
const maxFields = 64

// query returns how many bytes were read one by one.
func (l *look) query(prefix, query string) (read int) {
	whole := query
	read = len(query)
	for n := 0; query != ""; n++ {
		if n == maxFields {
			read -= len(query)
			l.field(prefix, "", ctxValue, query, true)
			break
		}
		var field string
		field, query = cutField(query)
		if field == "" {
			continue
		}
		l.pair(prefix, field, n == 0, true)
	}
	if strings.Contains(whole, "&#") { // entities were cut apart
		l.field(prefix, "", ctxValue, whole[:read], true)
	}
	l.joined(prefix, whole)
	return read
}

// joined looks at the values of the first name that occurs twice as one text: some
// servers join them with commas. The pieces of an attack were looked at one by one, and
// where none passes the gate, neither does the whole.
func (l *look) joined(prefix, query string) {
	var names [8]string
	n := 0
	for rest, tries := query, 0; rest != "" && n < len(names) && tries < maxFields; tries++ {
		var field string
		field, rest = cutField(rest)
		name, _ := cutPair(field)
		if name == "" {
			continue
		}
		for _, known := range names[:n] {
			if known == name {
				l.field(prefix, name, ctxValue, l.values(query, name), true)
				return
			}
		}
		names[n] = name
		n++
	}
}

// values joins the values of a name. They are valid until the next call.
func (l *look) values(query, name string) string {
	out := l.joins[:0]
	for i := 0; i < len(query); i++ { // at the beginning of a field
		from := -1
		if strings.HasPrefix(query[i:], name) && len(query) > i+len(name) && query[i+len(name)] == '=' {
			i += len(name) + 1
			from = i
		}
		for i < len(query) && query[i] != '&' {
			i++
		}
		if from < 0 || l.tired() && l.repeated("\x00joined", query[from:i], ctxAny, true) {
			continue
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, query[from:i]...)
	}
	l.joins = out
	return unsafe.String(unsafe.SliceData(out), len(out))
}

// pair looks at one name=value. A field without '=' is a value without a name;
// base64 is tried there only where the whole query may be one value.
func (l *look) pair(prefix, field string, first, plus bool) {
	name, value := cutPair(field)
	if name == "" {
		l.field(prefix, "", ctxValue, value, plus)
		if first {
			l.packed(prefix, "", value)
		}
		return
	}
	switch {
	case !plainName(name):
		l.field(prefix+" (name)", "", ctxValue, field, plus)
	case escapedName(name):
		l.field(prefix+" (name)", "", ctxName, name, plus)
		l.field(prefix+" (name)", "", ctxValue, field, plus)
	case len(name) > 2:
		l.field(prefix+" (name)", "", ctxName, name, plus)
	}
	if first && padding(value) {
		l.encoded(prefix, "", field)
	}
	if value == "" {
		return
	}
	l.field(prefix, name, ctxValue, value, plus)
	l.packed(prefix, name, value)
}

// padding says whether what looks like a value is the padding of base64.
func padding(value string) bool { return value == "" || value == "=" }

// refererURL looks at a referer: a URL is taken apart like a target, anything
// else is text.
func (l *look) refererURL(s string) {
	if s == "" || s == "-" {
		return
	}
	if rest, ok := cutScheme(s); ok {
		l.target("referer", rest)
		return
	}
	l.whole("referer", ctxValue, s)
}

// whole looks at a text that has no parts, and that may be base64.
func (l *look) whole(name string, ctx context, s string) {
	if s != "" && s != "-" {
		s = l.take(s)
		l.field(name, "", ctx, s, false)
		l.encoded(name, "", s)
	}
}
