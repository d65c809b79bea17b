package inspect

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// jsonText reads JSON token by token as encoding/json does (RFC 8259; a test holds one
// against the other), without an allocation for a string. Numbers, true, false and null
// carry nothing: only their form is checked.
type jsonText struct {
	s    string
	at   int
	want jsonWant
	open []jsonWant // what follows the closing bracket of each level that is open
	text []byte     // of the last string that had escapes
}

// jsonWant is what may come next.
type jsonWant uint8

const (
	wantTop jsonWant = iota
	wantFirstKey
	wantKey
	wantColon
	wantMember
	wantMemberEnd
	wantFirstItem
	wantItem
	wantItemEnd
)

// jsonKind is what a token is.
type jsonKind uint8

const (
	jsonEnd    jsonKind = iota // of the text, or of what is JSON: at tells where
	jsonDelim                  // one of { } [ ]
	jsonKey                    // the name of a member
	jsonString                 // a value that is a string
	jsonPlain                  // a number, true, false or null
)

func (j *jsonText) reset(s string) {
	j.s, j.at, j.want, j.open = s, 0, wantTop, j.open[:0]
}

// next returns the next token. A string is valid until the call after.
func (j *jsonText) next() (jsonKind, string) {
	for {
		for j.at < len(j.s) && jsonBlank(j.s[j.at]) {
			j.at++
		}
		if j.at == len(j.s) {
			return jsonEnd, ""
		}
		switch b := j.s[j.at]; {
		case b == '[' && j.value():
			return j.enter(wantFirstItem)
		case b == '{' && j.value():
			return j.enter(wantFirstKey)
		case b == ']' && (j.want == wantFirstItem || j.want == wantItemEnd), b == '}' && (j.want == wantFirstKey || j.want == wantMemberEnd):
			n := len(j.open) - 1
			j.want, j.open = j.open[n], j.open[:n]
			j.at++
			return jsonDelim, j.s[j.at-1 : j.at]
		case b == ':' && j.want == wantColon:
			j.want = wantMember
			j.at++
		case b == ',' && j.want == wantItemEnd:
			j.want = wantItem
			j.at++
		case b == ',' && j.want == wantMemberEnd:
			j.want = wantKey
			j.at++
		case b == '"' && (j.want == wantKey || j.want == wantFirstKey):
			text, ok := j.str()
			if !ok {
				return jsonEnd, ""
			}
			j.want = wantColon
			return jsonKey, text
		case !j.value():
			return jsonEnd, ""
		case b == '"':
			text, ok := j.str()
			if !ok {
				return jsonEnd, ""
			}
			j.want = j.behind()
			return jsonString, text
		default:
			n := plainJSON(j.s[j.at:])
			if n == 0 {
				return jsonEnd, ""
			}
			j.at += n
			j.want = j.behind()
			return jsonPlain, ""
		}
	}
}

func jsonBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// value says whether a value may stand here.
func (j *jsonText) value() bool {
	return j.want == wantTop || j.want == wantMember || j.want == wantFirstItem || j.want == wantItem
}

// behind is what may follow a value that stands here.
func (j *jsonText) behind() jsonWant {
	switch j.want {
	case wantMember:
		return wantMemberEnd
	case wantFirstItem, wantItem:
		return wantItemEnd
	}
	return wantTop
}

func (j *jsonText) enter(want jsonWant) (jsonKind, string) {
	j.open = append(j.open, j.behind())
	j.want = want
	j.at++
	return jsonDelim, j.s[j.at-1 : j.at]
}

// str reads the string that begins here.
func (j *jsonText) str() (string, bool) {
	from, plain := j.at+1, true
	for i := from; i < len(j.s); i++ {
		switch b := j.s[i]; {
		case b == '"':
			j.at = i + 1
			if plain {
				return j.s[from:i], true
			}
			return j.unquote(j.s[from:i]), true
		case b < 0x20:
			return "", false
		case b == '\\':
			plain = false
			if i++; i < len(j.s) && j.s[i] == 'u' {
				if len(j.s)-i < 5 {
					return "", false
				}
				for _, x := range []byte(j.s[i+1 : i+5]) {
					if unhex(x) > 15 {
						return "", false
					}
				}
				i += 4
			} else if i == len(j.s) || !containsByte(`bfnrt\/"`, j.s[i]) {
				return "", false
			}
		case b >= utf8.RuneSelf:
			plain = false
		}
	}
	return "", false
}

// unquote undoes the escapes of s, and writes U+FFFD for what is no UTF-8.
func (j *jsonText) unquote(s string) string {
	out := j.text[:0]
	for i := 0; i < len(s); {
		switch b := s[i]; {
		case b == '\\' && s[i+1] == 'u':
			r := hex4(s[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(s)-i >= 6 && s[i] == '\\' && s[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[i+2:]))
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		case b == '\\':
			out = append(out, jsonEscapes[s[i+1]])
			i += 2
		case b < utf8.RuneSelf:
			out = append(out, b)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	j.text = out
	return unsafe.String(unsafe.SliceData(out), len(out))
}

var jsonEscapes = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '/': '/', '"': '"'}

// hex4 reads the four hexadecimal digits at the beginning of s.
func hex4(s string) rune {
	return rune(unhex(s[0]))<<12 | rune(unhex(s[1]))<<8 | rune(unhex(s[2]))<<4 | rune(unhex(s[3]))
}

// plainJSON is the length of the number or word at the beginning of s, or 0.
func plainJSON(s string) int {
	for _, w := range [...]string{"true", "false", "null"} {
		if len(s) >= len(w) && s[:len(w)] == w {
			return len(w)
		}
	}
	n := 0
	digits := func() bool {
		from := n
		for n < len(s) && digit(s[n]) {
			n++
		}
		return n > from
	}
	if n < len(s) && s[n] == '-' {
		n++
	}
	if n < len(s) && s[n] == '0' {
		n++
	} else if !digits() {
		return 0
	}
	if n < len(s) && s[n] == '.' {
		if n++; !digits() {
			return 0
		}
	}
	if n < len(s) && lower(s[n]) == 'e' {
		n++
		if n < len(s) && (s[n] == '+' || s[n] == '-') {
			n++
		}
		if !digits() {
			return 0
		}
	}
	return n
}
