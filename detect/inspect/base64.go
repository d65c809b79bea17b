package inspect

import (
	"encoding/base64"
	"strings"
)

// base64Min is the shortest value tried as base64: 12 decoded bytes. Shorter
// ones decode to text by chance.
const base64Min = 16

// base64Short is the shortest that is tried where its padding says that it is base64: 7
// decoded bytes.
const base64Short = 10

// textByte says whether a byte is one of plain text.
func textByte(b byte) bool { return b >= 0x20 && b <= 0x7E || b == '\t' || b == '\n' || b == '\r' }

// paddedBase64 says whether a value begins with base64 of a short text and its padding.
func paddedBase64(s string) bool {
	n := 0
	for _, end := range [...]int{10, 11, 14, 15} { // where padding may begin
		if end < len(s) && (s[end] == '=' || s[end] == '%') {
			n = end
			break
		}
	}
	if n == 0 {
		return false
	}
	if rest := s[n:]; rest[0] != '=' && (len(rest) < 3 || rest[0] != '%' || rest[1] != '3' || rest[2]|0x20 != 'd') {
		return false
	}
	var v uint32
	for i := range n {
		if base64Value[s[i]] > 63 {
			return false
		}
		v = v<<6 | uint32(base64Value[s[i]])
		if k := i % 4; k > 0 {
			if !textByte(byte(v >> (6 - 2*k))) {
				return false
			}
		}
	}
	return true
}

// base64Text says whether a value may be base64 of text: its first 12 decoded
// bytes are all printable. A random token passes once in about 150 000. '+', '/' and
// '=' may be escaped.
func base64Text(s string) bool {
	if len(s) < base64Min || base64Value[s[0]] > 31 && s[0] != '%' { // no letter of ASCII begins with it
		return false
	}
	var out [12]byte
	at := 0
	for i := range 4 {
		var v uint32
		for range 4 {
			if at >= len(s) {
				return false
			}
			b := s[at]
			if b == '%' && at+2 < len(s) {
				if hi, lo := unhex(s[at+1]), unhex(s[at+2]); hi < 16 && lo < 16 {
					b = hi<<4 | lo
					at += 2
				}
			}
			at++
			x := base64Value[b]
			if x > 63 {
				return false
			}
			v = v<<6 | uint32(x)
		}
		out[i*3], out[i*3+1], out[i*3+2] = byte(v>>16), byte(v>>8), byte(v)
		for _, b := range out[i*3 : i*3+3] {
			if !textByte(b) {
				return false
			}
		}
	}
	return true
}

// base64Value maps the standard and the URL alphabet; a blank is a '+' that a
// form decoder has been at.
var base64Value = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	const std = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(std) {
		t[std[i]] = uint8(i)
	}
	t['-'], t['_'], t[' '] = 62, 63, 62
	return t
}()

// payload is what may be base64 in a value: all of it, or what a data URL holds.
func payload(value string) string {
	if len(value) < 16 || value[0]|0x20 != 'd' || value[4] != ':' && value[4] != '%' {
		return value
	}
	head := unescape(value[:min(len(value), 192)])
	if i := strings.Index(head[:min(len(head), 96)], "base64,"); i > 0 && head[4] == ':' {
		return unescape(value)[i+7:]
	}
	return value
}

// unescape undoes URL escapes without lowering letters, as base64 needs it.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// base64Layers is how often a value is taken for base64 of base64.
const base64Layers = 2

// layer looks into a value that is base64 of text, or a token of several such parts.
func (l *look) layer(prefix, name, value string, depth int) {
	value = payload(value)
	if !base64Text(value) && !paddedBase64(value) {
		return
	}
	if name != "" {
		name += " "
	}
	name += "(base64)"
	for rest, parts := unescape(value), 0; parts < 3 && (parts == 0 || base64Text(rest)); parts++ {
		enc := standardBase64(rest)
		rest = rest[len(enc):]
		enc = enc[:len(enc)&^3+tail(len(enc)&3)]
		dec := make([]byte, base64.RawStdEncoding.DecodedLen(len(enc)))
		n, _ := base64.RawStdEncoding.Decode(dec, enc) // what precedes an error is looked at
		text := string(dec[:n])
		l.field(prefix, name, ctxValue, text, false)
		if isJSON(text) { // a JSON Web Token (RFC 7519)
			l.jsonFields(prefix, name, text, 1)
		}
		if depth < base64Layers {
			l.layer(prefix, name, text, depth+1)
		}
		if formLike(text) && !l.inside64 {
			l.inside64 = true
			l.query(prefix, text)
			l.inside64 = false
		}
		if rest == "" || rest[0] != '.' {
			return
		}
		rest = rest[1:]
	}
}

// standardBase64 returns the base64 at the beginning of s in the standard
// alphabet.
func standardBase64(s string) []byte {
	enc := make([]byte, 0, len(s))
	for i := range len(s) {
		b := s[i]
		if base64Value[b] > 63 {
			break
		}
		switch b {
		case '-', ' ':
			b = '+'
		case '_':
			b = '/'
		}
		enc = append(enc, b)
	}
	return enc
}

// tail is how many of the bytes behind the last whole group can be decoded.
func tail(n int) int {
	if n == 1 {
		return 0
	}
	return n
}
