package inspect

import "strings"

// secretWords name values that must not leave the verdict.
var secretWords = []string{"pass", "pwd", "secret", "token", "apikey", "api_key", "auth", "session"}

// fragment is the part of text that a person is shown: around at..end,
// printable, without the values of secrets, at most MatchedBytes long.
func fragment(text []byte, at, end int) string {
	at = max(0, min(at, len(text)))
	end = max(at, min(end, len(text)))
	from, to := max(0, at-8), min(len(text), end+24)
	to = min(to, from+MatchedBytes)
	var sb strings.Builder
	sb.Grow(to - from)
	for i := from; i < to; i++ {
		b := text[i]
		if b < 0x20 || b > 0x7E {
			b = '.'
		}
		sb.WriteByte(b)
	}
	return redact(sb.String())
}

// redact replaces what follows name= or name: of a secret by asterisks, up to
// the next delimiter, and the inside of digit runs as long as a card number.
func redact(s string) string {
	var b []byte
	edit := func() []byte {
		if b == nil {
			b = []byte(s)
		}
		return b
	}
	for _, w := range secretWords {
		for from := 0; ; {
			i := strings.Index(s[from:], w)
			if i < 0 {
				break
			}
			i += from + len(w)
			from = i
			for i < len(s) && (word(s[i]) || s[i] == '"' || s[i] == '\'') {
				i++
			}
			if i >= len(s) || s[i] != '=' && s[i] != ':' {
				continue
			}
			for i++; i < len(s) && (alnum(s[i]) || s[i] == '.' || s[i] == '_' || s[i] == '-'); i++ {
				edit()[i] = '*'
			}
		}
	}
	for i := 0; i < len(s); {
		n := i
		for n < len(s) && digit(s[n]) {
			n++
		}
		if n-i >= 12 {
			for k := i + 4; k < n-2; k++ {
				edit()[k] = '*'
			}
		}
		i = max(n, i+1)
	}
	if b == nil {
		return s
	}
	return string(b)
}

// safeName is a parameter's name as it may be shown: printable and short.
func safeName(name string) string {
	const most = 48
	name = limit(name, most)
	for i := range len(name) {
		if name[i] <= 0x20 && name[i] != ' ' || name[i] > 0x7E {
			return strings.Map(func(r rune) rune {
				if r < 0x20 || r > 0x7E {
					return '.'
				}
				return r
			}, name)
		}
	}
	return strings.Clone(name)
}
