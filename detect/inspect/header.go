package inspect

import (
	"strconv"
	"strings"
)

// plainHeaders carry dates, lengths and lists that browsers write; they are
// looked at as text where their bytes are unusual.
var plainHeaders = map[string]bool{
	"host": true, "connection": true, "content-length": true, "date": true, "keep-alive": true,
	"if-modified-since": true, "accept-encoding": true, "te": true, "upgrade": true,
}

// header looks at one request header and remembers the Content-Type.
func (l *look) header(name, value string, contentType *string) {
	lowerName := strings.ToLower(name)
	switch lowerName {
	case "user-agent":
		l.agent(value)
	case "referer", "referrer":
		l.refererURL(value)
	case "cookie":
		l.cookies(value)
	case "content-type":
		*contentType = value
		l.whole("header.content-type", ctxAgent, value)
	case "accept", "sec-ch-ua", "accept-language":
		l.whole("header."+lowerName, ctxAgent, value)
	case "authorization": // Basic and Bearer have base64 behind a blank
		l.whole("header."+lowerName, ctxAgent, value)
		_, credentials, _ := strings.Cut(value, " ")
		l.encoded("header."+lowerName, "", credentials)
	default:
		ctx := ctxValue
		if plainHeaders[lowerName] {
			ctx = ctxAgent
		}
		l.whole("header."+safeName(lowerName), ctx, value)
		if s := jsonValue(value); ctx == ctxValue && s != "" {
			l.jsonFields("header."+safeName(lowerName), "", s, 0)
		}
		if fileHeader(lowerName) {
			l.upload("header."+safeName(lowerName), value)
		}
	}
}

func (l *look) cookies(s string) {
	s = l.take(s)
	for s != "" {
		var c string
		c, s, _ = strings.Cut(s, ";")
		if c = strings.TrimLeft(c, " "); c != "" {
			l.pair("cookie", c, true, false)
		}
	}
}

// body splits a body into its fields by its type, or by its look where the
// type is not known or not true.
func (l *look) body(contentType, s string) {
	s = l.take(s)
	trimmed := strings.TrimLeft(s, " \t\r\n")
	switch {
	case trimmed == "":
	case strings.Contains(contentType, "json") || contentType == "" && (trimmed[0] == '{' || trimmed[0] == '['):
		l.jsonFields("body", "", trimmed, 0)
	case strings.Contains(contentType, "multipart/") || strings.HasPrefix(trimmed, "--") && strings.Contains(s, "Content-Disposition"):
		l.multipartBody(contentType, s)
	case trimmed[0] == '<':
		l.xmlBody(s)
		if !strings.Contains(contentType, "xml") { // it may be HTML
			l.field("body", "", ctxValue, s, false)
		}
	case strings.Contains(contentType, "x-www-form-urlencoded") || formLike(s):
		l.query("body", s)
		if strings.Contains(s, "&&") {
			l.field("body", "", ctxValue, l.commanded(s), true)
		}
	default:
		l.field("body", "", ctxValue, s, false)
		l.packed("body", "", s)
	}
}

// formLike says whether s begins with name=.
func formLike(s string) bool {
	i := strings.IndexByte(s, '=')
	return i > 0 && i < 128 && plainName(s[:i])
}

// jsonDepth bounds the nesting of names that are built.
const jsonDepth = 16

// jsonFields looks at every key and scalar. What does not parse is looked at as
// text. name is that of the value that the JSON stands in, which may be JSON itself;
// depth counts these.
func (l *look) jsonFields(prefix, name, s string, depth int) {
	if strings.Contains(s, `"@type"`) || strings.Contains(s, `"$`) || strings.Contains(s, `"__proto__"`) {
		l.field(prefix, name, ctxValue, s, false) // signs that span a key and its value
	}
	j := &l.json
	if depth > 0 {
		j = new(jsonText)
	}
	j.reset(s)
	path := make([]string, 0, jsonDepth)
	keyNext := make([]bool, 0, jsonDepth)
	at, named := "", false // of the values at this place
	for {
		kind, text := j.next()
		level := len(keyNext)
		switch kind {
		case jsonEnd:
			if j.at < len(s)-1 {
				l.field(prefix, name, ctxValue, s[j.at:], false)
			}
			return
		case jsonDelim:
			path, keyNext = nest(text[0], path, keyNext)
			named = false
		case jsonKey:
			path = append(path[:min(level-1, len(path))], strings.Clone(text))
			keyNext[level-1], named = false, false
			l.field(prefix+" (name)", "", pickContext(plainName(text)), text, false)
			continue
		case jsonString:
			if !named {
				at, named = within(name, dotted(path)), true
			}
			l.field(prefix, at, ctxValue, text, false)
			l.encoded(prefix, at, text)
			if depth < jsonInside && isJSON(text) {
				l.jsonFields(prefix, at, strings.Clone(text), depth+1)
			}
		}
		if d := len(keyNext); d > 0 && len(path) >= d {
			keyNext[d-1] = objectAt(path, d)
		}
	}
}

// within is the name of a member of what has a name.
func within(name, member string) string {
	if name == "" || member == "" {
		return name + member
	}
	return name + "." + member
}

// dotted is the name of a member: its place from the outside in. Of one that is deeper than
// jsonDepth the levels between are left out, since each text of a body has to be named.
func dotted(path []string) string {
	if len(path) <= jsonDepth {
		return strings.Join(path, ".")
	}
	return strings.Join(path[:jsonDepth-1], ".") + "…" + path[len(path)-1]
}

func pickContext(plain bool) context {
	if plain {
		return ctxName
	}
	return ctxValue
}

// arrayMark stands in the path for the levels that are arrays.
const arrayMark = "[]"

func nest(d byte, path []string, keyNext []bool) ([]string, []bool) {
	switch d {
	case '{':
		return append(path, ""), append(keyNext, true)
	case '[':
		return append(path, arrayMark), append(keyNext, false)
	}
	if n := len(keyNext); n > 0 {
		return path[:min(len(path), n-1)], keyNext[:n-1]
	}
	return path, keyNext
}

func objectAt(path []string, depth int) bool {
	return depth <= len(path) && path[depth-1] != arrayMark
}

// xmlBody looks at the document as a whole for entities, and at its texts and
// attribute values as values.
func (l *look) xmlBody(s string) {
	l.ev = l.ev[:0]
	l.text = l.in.canon.decode(s, false, 1)
	l.pairs.read(l.text)
	l.patterns(ctxValue)
	l.supporters()
	l.settle("body", "")
	n := 0
	for s != "" && n < 256 {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			open = len(s)
		}
		if t := strings.TrimSpace(s[:open]); t != "" {
			n++
			l.field("body", "", ctxValue, t, true)
			l.encoded("body", "", t)
		}
		s = s[open:]
		end := strings.IndexByte(s, '>')
		if end < 0 {
			return
		}
		n += l.xmlAttributes(s[:end])
		s = s[end+1:]
	}
}

func (l *look) xmlAttributes(tag string) int {
	n := 0
	for n < 32 {
		i := strings.IndexAny(tag, `"'`)
		if i < 0 {
			return n
		}
		e := strings.IndexByte(tag[i+1:], tag[i])
		if e < 0 {
			return n
		}
		l.field("body", "", ctxValue, tag[i+1:i+1+e], true)
		n++
		tag = tag[i+e+2:]
	}
	return n
}

// multipartBody looks at the parts, their names and file names.
func (l *look) multipartBody(contentType, s string) {
	for i, part := range strings.Split(s, "\n"+boundary(contentType, s)) {
		if i > 64 {
			return
		}
		head, value, ok := strings.Cut(part, "\r\n\r\n")
		if !ok {
			head, value, ok = strings.Cut(part, "\n\n")
		}
		if !ok { // not as RFC 7578 has it, but some servers read it all the same
			head, value = "", headless(part)
		}
		name := "part" + strconv.Itoa(i)
		for _, key := range [...]string{`filename="`, ` name="`} {
			if k := strings.Index(head, key); k >= 0 {
				v, _, _ := strings.Cut(head[k+len(key):], `"`)
				l.field("body (name)", "", ctxValue, v, false)
				if key == `filename="` {
					l.upload("body (name)", v)
				}
				name = v
			}
		}
		value = strings.TrimSpace(value)
		l.field("body", name, ctxValue, value, formEncoded(value))
		l.packed("body", name, value)
	}
}

// formEncoded says whether a part is written as forms are, against RFC 7578: without a blank,
// with signs for them, and escapes.
func formEncoded(s string) bool {
	return strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '+') > 0 && strings.IndexByte(s, '%') > 0
}

// boundary is what stands between the parts: the first line of the body, or else what the
// Content-Type says.
func boundary(contentType, s string) string {
	if first, _, ok := strings.Cut(strings.TrimLeft(s, " \t\r\n"), "\n"); ok && len(first) > 2 && strings.HasPrefix(first, "--") {
		return strings.TrimRight(first, " \t\r")
	}
	if _, b, ok := strings.Cut(contentType, "boundary="); ok {
		b, _, _ = strings.Cut(b, ";")
		return "--" + strings.Trim(b, "\" \t")
	}
	return "--"
}

// headless is a part without the lines that look like its head and its end.
func headless(part string) string {
	var sb strings.Builder
	for line := range strings.SplitSeq(part, "\n") {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "--") && (len(text) < 8 || !strings.EqualFold(text[:8], "content-")) {
			sb.WriteString(text + " ")
		}
	}
	return sb.String()
}
