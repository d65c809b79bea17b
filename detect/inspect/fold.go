package inspect

// foldWide maps characters that stand for an ASCII one to it: full-width and
// small forms, letters in mathematical fonts and circles, blanks of every width,
// slashes, quotes and brackets in disguise. Databases, frameworks and Windows'
// best-fit tables fold them too.
func foldWide(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r >= 0xFF01 && r <= 0xFF5E:
		return r - 0xFEE0
	case r >= 0x1D400 && r <= 0x1D7FF:
		return foldFont(r)
	case r >= 0x2460 && r <= 0x2468:
		return '1' + r - 0x2460
	case r == 0x24EA:
		return '0'
	case r == 0x3002 || r == 0xFF61:
		return '.'
	case r >= 0x24B6 && r <= 0x24CF:
		return 'A' + r - 0x24B6
	case r >= 0x24D0 && r <= 0x24E9:
		return 'a' + r - 0x24D0
	case r >= 0x2000 && r <= 0x200A:
		return ' '
	}
	if f, ok := lookAlikes[r]; ok {
		return f
	}
	return r
}

// foldFont reads the mathematical alphabets: 13 of 52 letters, later the digits.
func foldFont(r rune) rune {
	switch {
	case r <= 0x1D6A3:
		n := (r - 0x1D400) % 52
		if n < 26 {
			return 'A' + n
		}
		return 'a' + n - 26
	case r >= 0x1D7CE:
		return '0' + (r-0x1D7CE)%10
	}
	return r
}

// lookAlikes are single characters that are folded. U+EFC8 and U+F025 are how IIS
// read an overlong slash.
var lookAlikes = map[rune]rune{
	0xA0: ' ', 0x85: ' ', 0x1680: ' ', 0x202F: ' ', 0x205F: ' ', 0x3000: ' ',
	0x2215: '/', 0x2044: '/', 0x29F8: '/', 0xEFC8: '/', 0xF025: '/', 0x2216: '\\', 0xFE68: '\\', 0x29F5: '\\',
	0x2024: '.', 0xFE52: '.',
	0x02B9: '\'', 0x02BC: '\'', 0x02C8: '\'', 0x2032: '\'', 0x02BA: '"', 0x2033: '"',
	0x017F: 's', 0x0131: 'i', 0x212A: 'k',
	0x2039: '<', 0x203A: '>', 0x2329: '<', 0x232A: '>', 0x3008: '<', 0x3009: '>', 0xFE64: '<', 0xFE65: '>',
	0xFE59: '(', 0xFE5A: ')', 0xFE5B: '{', 0xFE5C: '}', 0xFE66: '=', 0xFE60: '&', 0xFE61: '*', 0xFE62: '+', 0xFE54: ';', 0xFE55: ':', 0xFE69: '$', 0xFE6A: '%',
}

// invisible says whether r shows nothing and is dropped by what cleans input.
func invisible(r rune) bool {
	return r == 0xAD || r >= 0x200B && r <= 0x200D || r == 0x2060 || r == 0xFEFF
}

// foldUTF8 rewrites overlong, invisible and look-alike sequences; used is zero for
// ordinary UTF-8 and for bytes of other charsets.
func (c *canon) foldUTF8(b []byte) (few, int) {
	switch {
	case b[0] <= 0xC1: // two bytes for what fits one; the second is often not even a continuation
		if len(b) >= 2 && b[1]&0xC0 == 0x80 {
			c.overlongSign(b[0]&1<<6 | b[1]&0x3F)
			return c.char(rune(b[0]&1)<<6 | rune(b[1]&0x3F)), 2
		}
		if len(b) >= 2 && (b[1] == '/' || b[1] == '.' || b[1] == '\\') {
			c.flags |= sawOverlong
			return one(b[1]), 2
		}
		return few{}, 0
	case b[0] == 0xE0 && len(b) >= 2 && b[1] < 0xA0, b[0] == 0xF0 && len(b) >= 2 && b[1] < 0x90, b[0] >= 0xF8:
		return c.overlong(b)
	}
	r, n := sequence(b)
	if n == 0 || r < 0x85 {
		return few{}, 0
	}
	if invisible(r) {
		return few{}, n
	}
	if f := foldWide(r); f != r {
		return one(byte(f)), n
	}
	return few{}, 0
}

// sequence reads one well-formed sequence of two to four bytes.
func sequence(b []byte) (rune, int) {
	n := 2
	r := rune(b[0] & 0x1F)
	switch {
	case b[0] >= 0xF0:
		n, r = 4, rune(b[0]&7)
	case b[0] >= 0xE0:
		n, r = 3, rune(b[0]&0x0F)
	}
	if len(b) < n {
		return 0, 0
	}
	for _, x := range b[1:n] {
		if x&0xC0 != 0x80 {
			return 0, 0
		}
		r = r<<6 | rune(x&0x3F)
	}
	return r, n
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
	c.overlongSign(p&1<<6 | q&0x3F)
	return c.char(rune(p&1)<<6 | rune(q&0x3F)), n
}

// overlongSign notes an overlong sequence that means b.
func (c *canon) overlongSign(b byte) {
	c.flags |= sawOverlong
	switch b {
	case '/', '\\', '.', '<', '>', '\'', '"':
		c.flags |= sawDisguise
	}
}
