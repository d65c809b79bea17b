package inspect

import (
	"bytes"
	"slices"
)

// lookups resolves Log4j-style ${…} lookups from the inside out, so that
// ${${lower:j}ndi:…} and ${${::-j}${::-n}…} read as the logger reads them.
func (l *look) lookups() {
	if !l.seen.has('$') {
		return
	}
	text, escaped := l.text, l.holds(`$\{`)
	if !escaped && !l.holds("${") {
		return
	}
	if escaped { // once, for somebody on the way
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(`\{`), []byte("{")), []byte(`\}`), []byte("}"))
	}
	at := max(bytes.IndexByte(l.text, '$'), 0)
	out, nested := l.resolve(text)
	switch {
	case bytes.Contains(out, []byte("${jndi:")):
		l.addCertain(lookup, 100, "a JNDI lookup", at, at+24, true)
	case bytes.Contains(out, []byte("jndi:ldap:")), bytes.Contains(out, []byte("jndi:rmi:")), bytes.Contains(out, []byte("jndi:dns:")):
		l.addCertain(lookup, 80, "a JNDI URL among lookups", at, at+24, true)
	case nested >= 3:
		l.add(lookup, 60, "lookups that spell a word letter by letter", at, at+24)
	}
	l.named()
}

// lookupNames begin a lookup of Log4j or of a template that tells of the server.
var lookupNames = []string{"env:", "sys:", "java:", "ctx:", "hostname", "lower:", "upper:", "date:", "main:", "bundle:", "docker:", "k8s:", "base64:", "script:", "url:", "dns:"}

// named weighs the first lookup by its name.
func (l *look) named() {
	t := l.text
	for n, from := 0, 0; n < 64; n++ {
		k := bytes.Index(t[from:], []byte("${"))
		if k < 0 {
			return
		}
		i := from + k
		from = i + 2
		for _, p := range lookupNames {
			if len(t)-from >= len(p) && string(t[from:from+len(p)]) == p {
				l.add(lookup, 60, "a lookup that a logger or template resolves", i, i+len(p)+12)
				return
			}
		}
	}
}

// maxLookups bounds the nesting that is followed.
const maxLookups = 16

// resolve replaces lookups that yield a constant, in one pass with a stack of
// open "${". It says how many it replaced.
func (l *look) resolve(t []byte) (out []byte, nested int) {
	l.loose = slices.Grow(l.loose[:0], len(t))
	var open [maxLookups]int
	depth := 0
	for i := 0; i < len(t); i++ {
		if t[i] == '$' && i+1 < len(t) && t[i+1] == '{' && depth < maxLookups {
			open[depth] = len(l.loose)
			depth++
			l.loose = append(l.loose, '$', '{')
			i++
			continue
		}
		if t[i] != '}' || depth == 0 {
			from := i
			for i+1 < len(t) && (t[i+1] != '$' || depth == maxLookups) && t[i+1] != '}' {
				i++
			}
			l.loose = append(l.loose, t[from:i+1]...)
			continue
		}
		l.loose = append(l.loose, '}')
		depth--
		start := open[depth]
		body := l.loose[start+2 : len(l.loose)-1]
		if value, ok := constant(body); ok {
			n := copy(l.loose[start:], value)
			l.loose = l.loose[:start+n]
			nested++
		}
	}
	return l.loose, nested
}

// constant says what a lookup yields when that does not depend on the server:
// case changes, and defaults behind ":-".
func constant(body []byte) ([]byte, bool) {
	if bytes.HasPrefix(body, []byte("jndi:")) {
		return nil, false
	}
	if i := bytes.LastIndex(body, []byte(":-")); i >= 0 {
		return body[i+2:], true
	}
	for _, p := range [...]string{"lower:", "upper:", "date:'"} {
		if bytes.HasPrefix(body, []byte(p)) {
			return bytes.TrimRight(body[len(p):], "'"), true
		}
	}
	return nil, false
}
