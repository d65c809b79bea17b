package field

import "unicode/utf8"

// UndoGo undoes the escapes of a Go string literal once, as strconv.Quote writes it
// (The Go Programming Language Specification, "Rune literals"); v is what stands
// between the quotes. ok is false if an escape is none of Go's.
func (s *Scratch) UndoGo(v []byte) (_ []byte, ok bool) {
	return s.rewrite(v, '\\', func(out, v []byte) ([]byte, int) {
		if len(v) < 2 {
			return out, 0
		}
		if c := goEscape(v[1]); c != 0 {
			return append(out, c), 2
		}
		n, width := goDigits(v)
		if v[1] == 'x' && width > 0 {
			return append(out, byte(n)), width
		}
		return utf8.AppendRune(out, rune(n)), width
	})
}

func goEscape(c byte) byte {
	switch c {
	case '"', '\\', '\'':
		return c
	case 'a':
		return '\a'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return 0
}

// goDigits reads \xHH, \uHHHH or \UHHHHHHHH and returns the number with its width, 0
// if it is none of them.
func goDigits(v []byte) (n uint32, width int) {
	switch v[1] {
	case 'x':
		width = 4
	case 'u':
		width = 6
	case 'U':
		width = 10
	}
	if width == 0 || len(v) < width {
		return 0, 0
	}
	for _, c := range v[2:width] {
		if hexValue[c] > 15 {
			return 0, 0
		}
		n = n<<4 | uint32(hexValue[c])
	}
	return n, width
}
