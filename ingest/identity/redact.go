package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Redactor replaces secrets in log lines before they are kept as evidence. It holds
// no state between lines and may be used from several goroutines.
type Redactor struct{ key []byte }

// NewRedactor makes a redactor with the installation's key.
func NewRedactor(key []byte) *Redactor {
	return &Redactor{key: []byte(string(key))}
}

// Line returns the line with the values of secrets replaced by <p_XXXXXXXX>, eight
// hexadecimal digits of the value's HMAC-SHA-256. It finds query and form
// parameters and JSON members by their name (also percent-encoded, or escaped as
// nginx does), Bearer and Basic credentials, JSON Web Tokens and card numbers. What it
// has replaced it leaves alone, so twice is the same as once. The result is at most
// about twelve times as long as the line.
func (r *Redactor) Line(line string) string {
	var out strings.Builder
	kept := 0
	for i := 0; i < len(line); {
		from, to := secretAt(line, i, kept)
		if to <= from {
			i++
			continue
		}
		if !isPseudonym(line[from:to]) {
			out.WriteString(line[kept:from])
			r.write(&out, line[from:to])
			kept = to
		}
		i = to
	}
	if kept == 0 {
		return line
	}
	out.WriteString(line[kept:])
	return out.String()
}

func (r *Redactor) write(out *strings.Builder, value string) {
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(value))
	out.WriteString("<p_")
	out.WriteString(hex.EncodeToString(mac.Sum(nil)[:4]))
	out.WriteByte('>')
}

const pseudonymWidth = len("<p_0123abcd>")

func isPseudonym(s string) bool {
	if len(s) != pseudonymWidth || s[:3] != "<p_" || s[pseudonymWidth-1] != '>' {
		return false
	}
	for _, c := range []byte(s[3 : pseudonymWidth-1]) {
		if c-'0' > 9 && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// secretAt looks whether a sign of a secret stands at line[i] and returns where its
// value is. Names are looked for behind start only: what lies before was replaced.
func secretAt(line string, i, start int) (from, to int) {
	switch c := line[i]; {
	case c == '=':
		return pair(line, start, i, i+1)
	case c == ':':
		return member(line, start, i, i+1)
	case c == '%' && i+2 < len(line) && line[i+1] == '3':
		switch line[i+2] | 0x20 {
		case 'd':
			return pair(line, start, i, i+3)
		case 'a':
			return member(line, start, i, i+3)
		}
	case c|0x20 == 'b':
		return credentials(line, i)
	case c == 'e':
		return webToken(line, i)
	case c-'0' <= 9:
		return card(line, i)
	}
	return 0, 0
}

// pair takes name=value; nameEnd is the index of the "=", at that of the value.
func pair(line string, start, nameEnd, at int) (from, to int) {
	kind := secretName(nameBefore(line, start, nameEnd))
	if kind == notSecret {
		return 0, 0
	}
	if kind == secretIfOpaque {
		to = opaqueRun(line, at)
		if to < len(line) && !endsValue(line, to, kind) {
			return 0, 0
		}
		return at, to
	}
	for to = at; to < len(line) && !endsValue(line, to, kind); to++ {
	}
	return at, to
}

// endsValue tells whether a parameter's value ends before line[i].
func endsValue(line string, i int, kind secrecy) bool {
	switch c := line[i]; c {
	case '&', '"', '#', ' ', '\t':
		return true
	case ';', '/', '?':
		return kind == pathParameter
	case '\\':
		return quoteAt(line, i) > 0
	case '%':
		return strings.HasPrefix(line[i:], "%26") || strings.HasPrefix(line[i:], "%22")
	default:
		return c < ' '
	}
}

// member takes "name": "value" and "name": value, with any of the spellings of a quote,
// and a header as "Name: value".
func member(line string, start, colon, at int) (from, to int) {
	end := colon
	for end > start && line[end-1] == ' ' {
		end--
	}
	quote := quoteBefore(line, start, end)
	kind := secretName(nameBefore(line, start, end-len(quote)))
	if kind != secret {
		return 0, 0
	}
	for at < len(line) && (line[at] == ' ' || line[at] == '+' && quote == "%22") {
		at++
	}
	if quote == "" {
		return headerValue(line, at)
	}
	if strings.HasPrefix(line[at:], quote) {
		at += len(quote)
		for to = at; to < len(line) && !strings.HasPrefix(line[to:], quote); to++ {
			if line[to] == '\\' && quote == `"` && to+1 < len(line) {
				to++
			}
		}
		return at, min(to, len(line))
	}
	for to = at; to < len(line) && !strings.ContainsRune(",}] \"\\%&[{", rune(line[to])); to++ {
	}
	if word := line[at:to]; word == "null" || word == "true" || word == "false" {
		return 0, 0
	}
	return at, to
}

// headerValue takes a word, behind the name of an authentication scheme if there is one.
func headerValue(line string, at int) (from, to int) {
	for _, scheme := range []string{"bearer ", "basic ", "digest ", "token "} {
		if len(line)-at > len(scheme) && strings.EqualFold(line[at:at+len(scheme)], scheme) {
			at += len(scheme)
			break
		}
	}
	for to = at; to < len(line) && !strings.ContainsRune(" \",&\\\t", rune(line[to])); to++ {
	}
	return at, to
}

// quotes are the spellings of a quote: as it is, escaped by JSON or Apache, by nginx,
// and in a URL.
var quotes = [...]string{`\x22`, `\"`, `%22`, `"`, `'`}

func quoteAt(line string, i int) int {
	for _, q := range quotes {
		if strings.HasPrefix(line[i:], q) {
			return len(q)
		}
	}
	return 0
}

func quoteBefore(line string, start, end int) string {
	for _, q := range quotes {
		if strings.HasSuffix(line[start:end], q) {
			return q
		}
	}
	return ""
}

// credentials takes the value of "Bearer x" and "Basic x", with a blank in any
// spelling that a URL has for it.
func credentials(line string, i int) (from, to int) {
	const least = 8 // shorter ones are words: "basic auth"
	for _, scheme := range []string{"bearer", "basic"} {
		at := i + len(scheme)
		if len(line) <= at || !strings.EqualFold(line[i:at], scheme) || i > 0 && isNameByte(line[i-1]) {
			continue
		}
		switch {
		case line[at] == ' ' || line[at] == '+':
			at++
		case strings.HasPrefix(line[at:], "%20"):
			at += 3
		default:
			return 0, 0
		}
		for to = at; to < len(line) && (isNameByte(line[to]) || strings.IndexByte("~+/=%", line[to]) >= 0); to++ {
		}
		if to-at >= least {
			return at, to
		}
	}
	return 0, 0
}

// webToken takes a JSON Web Token: three base64url parts, of which the first begins with
// the encoding of {".
func webToken(line string, i int) (from, to int) {
	if !strings.HasPrefix(line[i:], "eyJ") || i > 0 && isNameByte(line[i-1]) {
		return 0, 0
	}
	dots := 0
	for to = i; to < len(line) && isNameByte(line[to]); to++ {
		if line[to] == '.' {
			dots++
		}
	}
	if dots < 2 || to-i < 24 {
		return 0, 0
	}
	return i, to
}
