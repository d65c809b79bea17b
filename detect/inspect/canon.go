package inspect

import (
	"bytes"
	"unsafe"
)

// canon undoes what stands between the bytes on the wire and the text that an
// interpreter sees: URL escapes (also %uXXXX), HTML entities, JavaScript
// escapes, overlong and full-width UTF-8, letter case, NUL bytes. Every step
// shortens or keeps its input, so it works in place on one buffer.
type canon struct {
	buf    []byte
	blanks []byte // the same with a blank for each NUL; empty where there was none
	text   []byte // what decode returned last
	rounds int    // layers that the last text had
	flags  canonFlags
	spelt  int // ASCII letters written as script escapes
	twice  int // ASCII letters escaped as URLs do, beneath another layer
}

// canonFlags tell what was met on the way.
type canonFlags uint8

const (
	sawOverlong canonFlags = 1 << iota // UTF-8 longer than needed: no honest encoder writes it
	sawNUL
	sawWideURL  // %uXXXX
	sawPadded   // a bracket or quote as a numeric entity with leading zeros
	sawHidden   // an ASCII letter or bracket written as an entity or a script escape
	sawPieces   // an escape whose own digits were escaped
	sawDisguise // a slash, a dot, a bracket or a quote as overlong UTF-8
)

// decode returns s in canonical form. The bytes stay valid until the next
// call. plus says that '+' is a blank, as in a query.
func (c *canon) decode(s string, plus bool, maxRounds int) []byte {
	c.buf = append(c.buf[:0], s...)
	c.flags = 0
	c.rounds, c.spelt, c.twice = 0, 0, 0
	if plus {
		for i, b := range c.buf {
			if b == '+' {
				c.buf[i] = ' '
			}
		}
	}
	b := c.buf
	for range maxRounds {
		n, changed, more := c.pass(b)
		b = b[:n]
		if changed {
			c.rounds++
		}
		if !more {
			break
		}
	}
	if plus && c.rounds >= 2 {
		blanksFromPlus(b)
	}
	c.blanks = c.blanks[:0]
	if c.flags&sawNUL != 0 {
		for _, ch := range b {
			if ch == 0 {
				ch = ' '
			}
			c.blanks = append(c.blanks, ch)
		}
		b = dropNULs(b)
	}
	c.text = b
	return b
}

// blanksFromPlus reads '+' as a blank in a text without one: it was encoded twice.
func blanksFromPlus(b []byte) {
	for _, ch := range b {
		if ch == ' ' {
			return
		}
	}
	for i, ch := range b {
		if ch == '+' {
			b[i] = ' '
		}
	}
}

// place is where the last text stood, for reading it: an agent with escapes, or with what
// ends a string, a command or a tag, or that is a path of Windows, is read as a value, since
// agents hold none of these.
func (c *canon) place(ctx context) context {
	if ctx != ctxAgent {
		return ctx
	}
	drive := len(c.text) > 3 && alpha(c.text[0]) && c.text[1] == ':' && slash(c.text[2])
	if c.rounds > 0 || drive || bytes.ContainsAny(c.text, "'`$|<&") {
		return ctxValue
	}
	return ctx
}

// suspect asks the text gate about s, and about its other reading.
func (c *canon) suspect(s []byte, ctx context) bool {
	if ctx == ctxPath && len(s) > 0 && pathGate(unsafe.String(&s[0], len(s)), false) {
		return true
	}
	return ctx != ctxAgent && (c.spelt >= spelled || c.flags&sawDisguise != 0) || decoded().hit(s, ctx == ctxAgent) || len(c.blanks) > 0 && (ctx != ctxAgent || decoded().hit(c.blanks, true))
}

// pass undoes one layer in place and lowers letters. Another pass is due where more says so:
// something changed, and there is a byte left that a pass looks at.
func (c *canon) pass(b []byte) (n int, changed, more bool) {
	for i := 0; i < len(b); {
		ch := b[i]
		switch {
		case !undone[ch]:
		case ch >= 'A' && ch <= 'Z':
			ch += 32
		case ch == 0xC0 || ch == 0xC1: // as foldUTF8 does, for floods of them
			if i+1 < len(b) && b[i+1]&0xC0 == 0x80 {
				ch = lower(ch&1<<6 | b[i+1]&0x3F)
				c.overlongSign(ch)
				if ch == 0 {
					c.flags |= sawNUL
				}
				b[n] = ch
				n++
				i += 2
				changed = true
				continue
			}
			if out, used := c.foldUTF8(b[i:]); used > 0 {
				n += copy(b[n:], out.b[:out.n])
				i += used
				changed = true
				continue
			}
		case ch == '%' && i+2 < len(b) && unhex(b[i+1])|unhex(b[i+2]) < 16:
			ch = unhex(b[i+1])<<4 | unhex(b[i+2])
			if ch == 0 {
				c.flags |= sawNUL
			}
			ch = lower(ch)
			if c.rounds > 0 && alpha(ch) {
				c.twice++
			}
			b[n] = ch
			n++
			i += 3
			changed = true
			continue
		case ch == '%' || ch == '&' || ch == '\\' || ch >= 0xC0:
			out, used := c.escape(b[i:])
			if used > 0 {
				n += copy(b[n:], out.b[:out.n])
				i += used
				changed = true
				continue
			}
		case ch == 0:
			c.flags |= sawNUL
		case ch == '\t' || ch == '\v' || ch == '\f', ch == 0xA0 && (n == 0 || b[n-1] < 0x80):
			ch = ' ' // A0 alone is a blank of Latin-1, which MySQL takes for one
		}
		b[n] = ch
		n++
		i++
	}
	return n, changed, changed && anyUndone(b[:n])
}

// anyUndone says whether there is a byte left that a pass looks at.
func anyUndone(b []byte) bool {
	for _, ch := range b {
		if undone[ch] {
			return true
		}
	}
	return false
}

// undone are the bytes that pass may change; all others stay what they are.
var undone = func() (t [256]bool) {
	for i := range t {
		b := byte(i)
		t[i] = b >= 'A' && b <= 'Z' || b >= 0xC0 || containsByte("%&\\\x00\t\v\f\xa0", b)
	}
	return t
}()

// spelled is how many letters written as script escapes hide something: writers of JSON
// escape brackets and what is not ASCII, never letters.
const spelled = 4

// few holds one decoded character.
type few struct {
	b [4]byte
	n int
}

func one(b byte) few { return few{b: [4]byte{lower(b)}, n: 1} }

// escape decodes the escape at the beginning of b, and says how many bytes it
// took: zero when it is none.
func (c *canon) escape(b []byte) (few, int) {
	switch b[0] {
	case '%':
		return c.percent(b)
	case '&':
		if r, used := entity(b); used > 0 {
			c.hidden(r)
			if r < 0x80 && !alnum(byte(r)) && padded(b) {
				c.flags |= sawPadded
			}
			return c.char(r), used
		}
	case '\\':
		if r, used := jsEscape(b); used > 0 {
			c.hidden(r)
			if alpha(byte(r)) {
				c.spelt++
			}
			return c.char(r), used
		}
	default:
		return c.foldUTF8(b)
	}
	return few{}, 0
}

func (c *canon) hidden(r rune) {
	if r < 0x80 && (alpha(byte(r)) || r == '(' || r == ':') {
		c.flags |= sawHidden
	}
}

// percent decodes %uXXXX. What two digits escape, pass decodes.
func (c *canon) percent(b []byte) (few, int) {
	if len(b) > 3 && b[1] == '%' && unhex(b[2]) < 16 && unhex(b[3]) < 16 && digit(unhex(b[2])<<4|unhex(b[3])) {
		c.flags |= sawPieces
	}
	if len(b) >= 6 && lower(b[1]) == 'u' {
		if r, ok := hexRune(b[2:6]); ok {
			c.flags |= sawWideURL
			return c.char(r), 6
		}
	}
	return few{}, 0
}

// char encodes a decoded character, folded to ASCII where it is a look-alike
// that interpreters or frameworks fold too.
func (c *canon) char(r rune) few {
	r = foldWide(r)
	if r == 0 {
		c.flags |= sawNUL
	}
	if invisible(r) {
		return few{}
	}
	if r < 0x80 {
		return one(byte(r))
	}
	var f few
	switch {
	case r < 0x800:
		f.b[0], f.b[1], f.n = 0xC0|byte(r>>6), 0x80|byte(r&0x3F), 2
	case r < 0x10000:
		f.b[0], f.b[1], f.b[2], f.n = 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F), 3
	default:
		f.b[0], f.b[1] = 0xF0|byte(r>>18&7), 0x80|byte(r>>12&0x3F)
		f.b[2], f.b[3], f.n = 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F), 4
	}
	return f
}

// jsEscape reads \xHH, \uHHHH (also \u{H}) and \OOO, as far as they mean ASCII:
// other characters carry no syntax.
func jsEscape(b []byte) (rune, int) {
	if len(b) < 4 {
		return 0, 0
	}
	var r rune
	used := 0
	switch lower(b[1]) {
	case '0', '1':
		if b[2]&^7 != '0' || b[3]&^7 != '0' {
			return 0, 0
		}
		r, used = rune(b[1]-'0')<<6|rune(b[2]-'0')<<3|rune(b[3]-'0'), 4
	case 'x':
		hi, lo := unhex(b[2]), unhex(b[3])
		if hi > 15 || lo > 15 {
			return 0, 0
		}
		r, used = rune(hi)<<4|rune(lo), 4
	case 'u':
		if b[2] == '{' {
			for i := 3; i < len(b) && i < 9; i++ {
				if b[i] == '}' {
					used = i + 1
					break
				}
				v := unhex(b[i])
				if v > 15 {
					return 0, 0
				}
				r = r<<4 | rune(v)
			}
		} else if len(b) >= 6 {
			v, ok := hexRune(b[2:6])
			if !ok {
				return 0, 0
			}
			r, used = v, 6
		}
	}
	if used == 0 || r < 0x20 || r > 0x7E {
		return 0, 0
	}
	return r, used
}

// dropNULs removes NULs inside words (a filter bypass) and leaves a blank
// elsewhere (a cut string).
func dropNULs(b []byte) []byte {
	n := 0
	for i, ch := range b {
		if ch == 0 {
			if n > 0 && i+1 < len(b) && alnum(b[n-1]) && alnum(b[i+1]) {
				continue
			}
			ch = ' '
		}
		b[n] = ch
		n++
	}
	return b[:n]
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 32
	}
	return b
}

func alpha(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
func digit(b byte) bool { return b >= '0' && b <= '9' }
func alnum(b byte) bool { return alpha(b) || digit(b) }
func word(b byte) bool  { return alnum(b) || b == '_' }
func blank(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

// hexValues are the values of the hexadecimal digits; 255 for all other bytes.
var hexValues = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for v, b := range "0123456789abcdef" {
		t[b], t[capital(byte(b))] = byte(v), byte(v)
	}
	return t
}()

func unhex(b byte) byte { return hexValues[b] }

func hexRune(b []byte) (rune, bool) {
	var r rune
	for _, x := range b {
		v := unhex(x)
		if v > 15 {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}
