package inspect

import "strings"

// What programs put into a parameter: JSON, tokens, and base64 of both.

// jsonInside is how many times JSON may stand in a string of JSON.
const jsonInside = 2

// jsonValue is the JSON of a parameter, "" where it is none. An escaped one is made anew.
func jsonValue(value string) string {
	switch {
	case len(value) < 4, value[0] != '{' && value[0] != '[' && value[0] != '%':
		return ""
	case value[0] == '%' && !strings.EqualFold(value[:3], "%7b") && !strings.EqualFold(value[:3], "%5b"):
		return ""
	}
	if s := unescape(strings.ReplaceAll(value, "+", " ")); isJSON(s) {
		return s
	}
	return ""
}

// isJSON says whether all of s is an object or an array that holds a string.
func isJSON(s string) bool {
	if len(s) < 4 || s[0] != '{' && s[0] != '[' || strings.IndexByte(s, '"') < 0 {
		return false
	}
	var j jsonText
	j.reset(s)
	for {
		if kind, _ := j.next(); kind == jsonEnd {
			return j.at == len(s) && len(j.open) == 0
		}
	}
}

// packed looks into a parameter that is JSON, or text in base64 or in hexadecimal digits.
// The parameter as a whole was looked at before; the first pass needs to ask for the digits
// only, since it clears nothing that holds a double quote.
func (l *look) packed(prefix, name, value string) {
	l.encoded(prefix, name, value)
	if s := jsonValue(value); s != "" {
		l.jsonFields(prefix, name, s, 0)
	}
}

// encodedText says whether a value may be text in base64 or in hexadecimal digits.
func encodedText(value string) bool {
	if len(value) < base64Short {
		return false
	}
	a, b, c := textBits[value[0]], textBits[value[1]], textBits[value[2]]
	if (a&1 != 0 && b&2 != 0 && c&4 != 0 || (a|b|c)&32 != 0) && (base64Text(value) || paddedBase64(value)) {
		return true
	}
	return a&8 != 0 && b&16 != 0 && hexText(value)
}

// textBits are what a byte may be in text in base64, perhaps escaped, or in hexadecimal
// digits: the first digit of base64 (1), the second (2), the third (4), the first hexadecimal
// digit (8), the second (16), or the beginning of an escape (32). No byte of ASCII has its
// highest bit set, so that one look at each tells nearly all other text.
var textBits = func() (t [256]uint8) {
	for i := range t {
		v := base64Value[i]
		for place, never := range [...]uint8{32, 8, 2} {
			if v < 64 && v&never == 0 {
				t[i] |= 1 << place
			}
		}
		if i == '%' {
			t[i] |= 1 << 5
		}
		if i >= '0' && i <= '7' {
			t[i] |= 1 << 3
		}
		if unhex(byte(i)) < 16 || i|0x20 == 'x' {
			t[i] |= 1 << 4
		}
	}
	return t
}()

// encoded looks into a value that is base64 of text, a token of several such parts, or text
// in hexadecimal digits.
func (l *look) encoded(prefix, name, value string) {
	l.layer(prefix, name, value, 1)
	if hexText(value) {
		l.field(prefix, within(name, "(hex)"), ctxValue, unhexText(value), false)
	}
}

// encodedSegments looks into the parts of a path. A '/' is a digit of base64 too, so that
// each part is read to the end of the digits.
func (l *look) encodedSegments(prefix, path string) {
	for path != "" {
		if encodedText(path) {
			l.encoded(prefix, "", path)
			return
		}
		_, path, _ = strings.Cut(path, "/")
	}
}

// hexLeast is how many bytes a value of hexadecimal digits has to stand for: of an MD5 sum
// one in ten million is text by chance.
const hexLeast = 12

// hexText says whether a value is text in hexadecimal digits, as SQL has it, with 0x in
// front or without. NULs between the letters are those of UTF-16.
func hexText(s string) bool {
	if len(s) < 2*hexLeast || s[0] > '7' { // the first digit of ASCII
		return false
	}
	if s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	if len(s) < 2*hexLeast {
		return false
	}
	for i := 0; i < 2*hexLeast; i += 2 {
		hi, lo := unhex(s[i]), unhex(s[i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		if b := hi<<4 | lo; !textByte(b) && (b != 0 || i%4 != 2) {
			return false
		}
	}
	return true
}

// unhexText is the text, as far as the digits reach.
func unhexText(s string) string {
	if s[1]|0x20 == 'x' {
		s = s[2:]
	}
	out := make([]byte, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		hi, lo := unhex(s[i]), unhex(s[i+1])
		if hi > 15 || lo > 15 {
			break
		}
		if b := hi<<4 | lo; b != 0 {
			out = append(out, b)
		}
	}
	return string(out)
}
