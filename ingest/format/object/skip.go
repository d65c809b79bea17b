package object

// skip returns the index behind the value at line[i], or -1.
func skip(line []byte, i int) int {
	switch line[i] {
	case '"':
		if end := closing(line, i+1); end >= 0 {
			return end + 1
		}
		return -1
	case '{', '[':
		return nested(line, i)
	}
	return scalar(line, i)
}

// scalar returns the index behind a number or a word. An unquoted variable that was
// empty leaves nothing.
func scalar(line []byte, i int) int {
	for i < len(line) && !ends[line[i]] {
		i++
	}
	return i
}

// ends marks the bytes that no number or word holds; brackets mark those that nested
// stops at.
var ends, brackets = func() (e, b [256]bool) {
	for c := range 33 {
		e[c] = true
	}
	for _, c := range []byte(`,}]"{[`) {
		e[c] = c != '{' && c != '['
		b[c] = c != ','
	}
	return e, b
}()

// nested returns the index behind the object or array at line[i], or -1.
func nested(line []byte, i int) int {
	depth := 0
	for i < len(line) {
		c := line[i]
		switch {
		case !brackets[c]:
		case c == '"':
			if i = closing(line, i+1); i < 0 {
				return -1
			}
		case c == '{' || c == '[':
			depth++
		default:
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
