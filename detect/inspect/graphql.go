package inspect

import "bytes"

// Limits of honest GraphQL documents. Apollo, GitHub and Shopify refuse depths of 10
// to 15 by default or by advice; a page of a client asks for one field a few times.
const (
	maxGraphDepth   = 12
	maxGraphAliases = 10
)

// graphql weighs introspection, deep nesting, and one field under many aliases,
// which is how one request guesses many passwords.
func (l *look) graphql() {
	t := l.text
	if !l.seen.has('{') || !l.seen.has('}') {
		return
	}
	for _, w := range [...]string{"__schema", "__type(", "__type (", " on __type", " on __schema"} {
		i := l.find(w)
		if i < 0 || w == "__schema" && !opens(t[i+len(w):]) {
			continue
		}
		if i == 0 || w[0] == ' ' || bytes.IndexByte(t[:i], '{') >= 0 {
			l.add(graphql, 55, "asks a GraphQL service for its schema", i, i+24)
		}
	}
	if !document(t) {
		return
	}
	depth, aliases, at := measure(t)
	if depth > maxGraphDepth {
		l.add(graphql, 55, "a GraphQL query nested deeper than clients need", 0, 48)
	}
	if aliases > maxGraphAliases {
		l.add(graphql, 55, "one GraphQL field under many aliases", at, at+48)
	}
}

func opens(t []byte) bool {
	t = bytes.TrimLeft(t, " \t\r\n")
	return len(t) > 0 && t[0] == '{'
}

// document says whether t begins like a GraphQL document, not like JSON.
func document(t []byte) bool {
	t = bytes.TrimLeft(t, " \t\r\n")
	for _, w := range [...]string{"query", "mutation", "subscription", "fragment"} {
		if bytes.HasPrefix(t, []byte(w)) && len(t) > len(w) && !word(t[len(w)]) {
			return true
		}
	}
	if len(t) < 2 || t[0] != '{' {
		return false
	}
	t = bytes.TrimLeft(t[1:], " \t\r\n")
	return len(t) > 0 && (alpha(t[0]) || t[0] == '_')
}

// measure counts the depth of the document, and how often the field that is
// aliased most often is aliased; at is where that field stands first.
func measure(t []byte) (depth, aliases, at int) {
	type field struct {
		name []byte
		n    int
		at   int
	}
	var seen [8]field
	open, parens := 0, 0
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '{':
			if parens == 0 {
				open++
				depth = max(depth, open)
			}
		case '}':
			if parens == 0 {
				open--
			}
		case '(':
			parens++
		case ')':
			parens = max(0, parens-1)
		case '"':
			e := bytes.IndexByte(t[i+1:], '"')
			if e < 0 {
				return depth, aliases, at
			}
			i += e + 1
		case ':':
			if parens > 0 || open == 0 {
				continue
			}
			j := i + 1
			for j < len(t) && blank(t[j]) {
				j++
			}
			end := j
			for end < len(t) && word(t[end]) {
				end++
			}
			for k := range seen {
				f := &seen[k]
				if f.n == 0 || bytes.Equal(f.name, t[j:end]) {
					if f.n == 0 {
						f.name, f.at = t[j:end], j
					}
					if f.n++; f.n > aliases {
						aliases, at = f.n, f.at
					}
					break
				}
			}
			i = end - 1
		}
	}
	return depth, aliases, at
}
