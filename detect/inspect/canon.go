package inspect

// canon undoes what stands between the bytes on the wire and the text that an
// interpreter sees: URL escapes (also %uXXXX), HTML entities, JavaScript
// escapes, overlong and full-width UTF-8, letter case, NUL bytes. Every step
// shortens or keeps its input, so it works in place on one buffer.
type canon struct {
	buf    []byte
	rounds int // layers that the last text had
	flags  canonFlags
}

// canonFlags tell what was met on the way.
type canonFlags uint8

const (
	sawOverlong canonFlags = 1 << iota // UTF-8 longer than needed: no honest encoder writes it
	sawNUL
	sawWideURL // %uXXXX
	sawHidden  // an ASCII letter or bracket written as an entity or a script escape
)

// decode returns s in canonical form. The bytes stay valid until the next
// call. plus says that '+' is a blank, as in a query.
func (c *canon) decode(s string, plus bool, maxRounds int) []byte {
	c.buf = append(c.buf[:0], s...)
	c.flags = 0
	c.rounds = 0
	if plus {
		for i, b := range c.buf {
			if b == '+' {
				c.buf[i] = ' '
			}
		}
	}
	b := c.buf
	for range maxRounds {
		n, changed := c.pass(b)
		b = b[:n]
		if !changed {
			break
		}
		c.rounds++
	}
	if c.flags&sawNUL != 0 {
		b = dropNULs(b)
	}
	return b
}

// pass undoes one layer in place and lowers letters.
func (c *canon) pass(b []byte) (n int, changed bool) {
	for i := 0; i < len(b); {
		ch := b[i]
		switch {
		case ch >= 'A' && ch <= 'Z':
			ch += 32
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
		}
		b[n] = ch
		n++
		i++
	}
	return n, changed
}

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
			return c.char(r), used
		}
	case '\\':
		if r, used := jsEscape(b); used > 0 {
			c.hidden(r)
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

func (c *canon) percent(b []byte) (few, int) {
	if len(b) >= 3 {
		if hi, lo := unhex(b[1]), unhex(b[2]); hi < 16 && lo < 16 {
			v := hi<<4 | lo
			if v == 0 {
				c.flags |= sawNUL
			}
			return one(v), 3
		}
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

// foldWide maps full-width forms and slashes in disguise to ASCII.
func foldWide(r rune) rune {
	switch {
	case r >= 0xFF01 && r <= 0xFF5E:
		return r - 0xFEE0
	case r == 0x2215 || r == 0x2044:
		return '/'
	case r == 0x2216:
		return '\\'
	case r == 0xA0 || r == 0x3000:
		return ' '
	}
	return r
}

// foldUTF8 rewrites overlong and full-width sequences; used is zero for
// ordinary UTF-8 and for bytes of other charsets.
func (c *canon) foldUTF8(b []byte) (few, int) {
	switch {
	case b[0] <= 0xC1: // two bytes for what fits one; the second is often not even a continuation
		if len(b) >= 2 && b[1]&0xC0 == 0x80 {
			c.flags |= sawOverlong
			return c.char(rune(b[0]&1)<<6 | rune(b[1]&0x3F)), 2
		}
		if len(b) >= 2 && (b[1] == '/' || b[1] == '.' || b[1] == '\\') {
			c.flags |= sawOverlong
			return one(b[1]), 2
		}
	case b[0] == 0xC2 && len(b) >= 2 && b[1] == 0xA0:
		return one(' '), 2
	case b[0] == 0xE0 || b[0] == 0xF0 || b[0] == 0xF8 || b[0] == 0xFC:
		return c.overlong(b)
	case b[0]&0xF0 == 0xE0 && len(b) >= 3 && b[1]&0xC0 == 0x80 && b[2]&0xC0 == 0x80:
		r := rune(b[0]&0x0F)<<12 | rune(b[1]&0x3F)<<6 | rune(b[2]&0x3F)
		if f := foldWide(r); f != r {
			return one(byte(f)), 3
		}
	}
	return few{}, 0
}

// overlong decodes E0 80 AF and its longer forms, which all mean one ASCII byte.
func (c *canon) overlong(b []byte) (few, int) {
	n := 3
	switch b[0] {
	case 0xF0:
		n = 4
	case 0xF8:
		n = 5
	case 0xFC:
		n = 6
	}
	if len(b) < n {
		return few{}, 0
	}
	for _, x := range b[1 : n-2] {
		if x != 0x80 {
			return few{}, 0
		}
	}
	p, q := b[n-2], b[n-1]
	if p != 0x80 && p != 0x81 || q&0xC0 != 0x80 {
		return few{}, 0
	}
	c.flags |= sawOverlong
	return c.char(rune(p&1)<<6 | rune(q&0x3F)), n
}

// jsEscape reads \xHH and \uHHHH (also \u{H}), as far as they mean ASCII:
// other characters carry no syntax.
func jsEscape(b []byte) (rune, int) {
	if len(b) < 4 {
		return 0, 0
	}
	var r rune
	used := 0
	switch lower(b[1]) {
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

func unhex(b byte) byte {
	switch {
	case digit(b):
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	}
	return 255
}

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
