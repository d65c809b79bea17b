package inspect

import "bytes"

// plusWords are words of SQL that no sign can stand beside.
var plusWords = []string{"and", "or", "union", "select", "like", "where", "is", "xor"}

// pluses reads a '+' that was escaped as a blank where it stands beside such a word: the
// blank was encoded twice by hand. Other signs are kept: 1+2+and+3=3.
func (l *look) pluses(text []byte) {
	l.loose = append(l.loose[:0], text...)
	t, found := l.loose, false
	for i := 0; i+1 < len(t); i++ {
		if i > 0 && t[i] != '+' {
			continue
		}
		from := i
		if t[i] == '+' {
			from++
		}
		for _, w := range plusWords {
			if end := from + len(w); end < len(t) && t[end] == '+' && bytes.HasPrefix(t[from:], []byte(w)) {
				if from > i {
					t[i] = ' '
				}
				t[end], found = ' ', true
				break
			}
		}
	}
	if !found {
		return
	}
	l.sql.scan(t, 0, false)
	l.statements(&l.sql)
	for _, q := range [...]byte{'\'', '"'} {
		if i := bytes.IndexByte(t, q); i >= 0 && i+1 < len(t) {
			l.sql.scan(t, i+1, true)
			l.sql.phrase = false
			l.statements(&l.sql)
		}
	}
}
