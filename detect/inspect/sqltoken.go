package inspect

import "bytes"

// The SQL scanner reads lower-cased text as the databases do, all at once: it
// knows the comments, strings and numbers of MySQL, PostgreSQL, SQL Server,
// Oracle and SQLite, and where they disagree it takes the reading that an
// attacker would need.

// sqlKind is the kind of a token.
type sqlKind uint8

const (
	sqlNone sqlKind = iota
	sqlNumber
	sqlString
	sqlWord
	sqlVar // @x, @@x, :x
	sqlCmp
	sqlOp // + - * / % || && ^ ~ ! & |
	sqlOpen
	sqlClose
	sqlComma
	sqlSemi
	sqlDot
	sqlComment // to the end of the line or of the text
	sqlOther
)

// sqlTok is a token of the text between at and end.
type sqlTok struct {
	kind    sqlKind
	kw      keyword
	open    bool // a string or comment that does not end
	at, end int32
	match   int32 // of a parenthesis: its partner, or -1
}

// maxSQLTokens bounds a scan. UNION with 255 columns needs 520.
const maxSQLTokens = 640

// sqlScan is the token list of one reading of a text.
type sqlScan struct {
	text   []byte
	toks   []sqlTok
	stack  []int32
	broken bool // the reading begins behind a quote that the attacker closed
	from   int
	phrase bool // the text begins with this quote and the reading behind its partner: "a" AND "b"
}

// scan reads text[from:].
func (s *sqlScan) scan(text []byte, from int, broken bool) {
	s.scanSome(text, from, broken, maxSQLTokens)
}

// scanSome reads so many tokens of text[from:].
func (s *sqlScan) scanSome(text []byte, from int, broken bool, most int) {
	s.text, s.from, s.broken = text, from, broken
	s.toks = s.toks[:0]
	s.stack = s.stack[:0]
	for i := from; i < len(text) && len(s.toks) < most; {
		if text[i] <= ' ' { // SQL Server takes all of these for blanks
			i++
			continue
		}
		i = s.token(i)
	}
}

func (s *sqlScan) put(k sqlKind, at, end int) int {
	s.toks = append(s.toks, sqlTok{kind: k, at: int32(at), end: int32(end), match: -1})
	return end
}

func (s *sqlScan) peek(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func (s *sqlScan) token(i int) int {
	b := s.text[i]
	switch {
	case digit(b) || b == '.' && digit(s.peek(i+1)):
		return s.number(i)
	case alpha(b) || b == '_' || b >= 0x80 || b == '$':
		return s.word(i)
	case b == '\'' || b == '"' || b == '`':
		return s.str(i, b)
	}
	switch b {
	case '-':
		if s.peek(i+1) == '-' {
			return s.lineComment(i, 2)
		}
	case '#':
		return s.lineComment(i, 1)
	case '/':
		if s.peek(i+1) == '*' {
			return s.blockComment(i)
		}
	case '*':
		if s.peek(i+1) == '/' { // the end of an executable comment
			return i + 2
		}
	case '(', ')':
		return s.paren(i, b)
	case ',':
		return s.put(sqlComma, i, i+1)
	case ';':
		return s.put(sqlSemi, i, i+1)
	case '@', ':':
		if b == '@' && s.peek(i+1) == '>' { // JSON contains
			return s.put(sqlCmp, i, i+2)
		}
		if b == ':' && s.peek(i+1) == ':' && alpha(s.peek(i+2)) && len(s.toks) > 0 { // a cast
			return s.cast(i)
		}
		return s.variable(i)
	case '.':
		return s.put(sqlDot, i, i+1)
	case '\\':
		if s.peek(i+1) == 'n' && (!word(s.peek(i+2)) || bytes.HasPrefix(s.text[i+2:], []byte("union"))) { // NULL, as MySQL spells it too
			s.put(sqlWord, i, i+2)
			s.toks[len(s.toks)-1].kw = kwNull
			return i + 2
		}
	}
	return s.operator(i, b)
}

func (s *sqlScan) number(i int) int {
	j := i
	if s.text[i] == '0' && s.peek(i+1) == 'x' {
		for j = i + 2; unhex(s.peek(j)) < 16 && j < len(s.text); j++ {
		}
		return s.put(sqlNumber, i, j)
	}
	for digit(s.peek(j)) || s.peek(j) == '.' {
		j++
	}
	if s.peek(j) == 'e' && digit(s.peek(j+1)) {
		for j++; digit(s.peek(j)); j++ {
		}
	}
	return s.put(sqlNumber, i, j)
}

func (s *sqlScan) word(i int) int {
	j := i
	for j < len(s.text) && sqlLetters[s.text[j]] {
		j++
	}
	if j-i == 1 && s.peek(j) == '\'' && containsByte("nxbeqr", s.text[i]) && j+1 < len(s.text) {
		return s.str(j, '\'') // n'text', x'41'
	}
	s.put(sqlWord, i, j)
	if j-i <= maxKeyword && keywordLengths[s.text[i]]>>(j-i)&1 != 0 {
		s.toks[len(s.toks)-1].kw = sqlKeywords[string(s.text[i:j])]
	}
	return j
}

// sqlLetters may stand inside of a word.
var sqlLetters = func() (t [256]bool) {
	for i := range t {
		b := byte(i)
		t[i] = word(b) || b >= 0x80 || b == '$'
	}
	return t
}()

// keywordLengths says by a bit how long the keywords are that begin with a byte.
var keywordLengths = func() (t [256]uint32) {
	for w := range sqlKeywords {
		t[w[0]] |= 1 << len(w)
	}
	return t
}()

func (s *sqlScan) str(i int, q byte) int {
	j := i + 1
	for j < len(s.text) {
		switch {
		case s.text[j] == '\\' && j+1 < len(s.text):
			j += 2
			continue
		case s.text[j] != q:
			j++
			continue
		case s.peek(j+1) == q && j+2 < len(s.text): // a doubled quote, unless it ends the text
			j += 2
			continue
		}
		return s.put(sqlString, i, j+1)
	}
	s.put(sqlString, i, len(s.text))
	s.toks[len(s.toks)-1].open = true
	return len(s.text)
}

func (s *sqlScan) lineComment(i, n int) int {
	j := i + n
	for j < len(s.text) && s.text[j] != '\n' {
		j++
	}
	s.put(sqlComment, i, j)
	return j
}

// blockComment skips a comment as the blank that it is. MySQL runs what is in
// /*! */, so only its marker is skipped.
func (s *sqlScan) blockComment(i int) int {
	if s.peek(i+2) == '!' {
		for i += 3; digit(s.peek(i)); i++ {
		}
		return i
	}
	for j := i + 2; j+1 < len(s.text); j++ {
		if s.text[j] == '*' && s.text[j+1] == '/' {
			return j + 2
		}
	}
	s.put(sqlComment, i, len(s.text))
	s.toks[len(s.toks)-1].open = true
	return len(s.text)
}

func (s *sqlScan) paren(i int, b byte) int {
	n := int32(len(s.toks))
	if b == '(' {
		s.put(sqlOpen, i, i+1)
		s.stack = append(s.stack, n)
		return i + 1
	}
	s.put(sqlClose, i, i+1)
	if k := len(s.stack); k > 0 {
		o := s.stack[k-1]
		s.stack = s.stack[:k-1]
		s.toks[o].match, s.toks[n].match = n, o
	}
	return i + 1
}

func (s *sqlScan) variable(i int) int {
	j := i + 1
	for s.peek(j) == '@' || s.peek(j) == ':' {
		j++
	}
	k := j
	for word(s.peek(k)) || s.peek(k) == '.' {
		k++
	}
	if s.text[i] == ':' || k == j { // ::int is a cast, :name a placeholder, alone it is punctuation
		return s.put(sqlOther, i, max(j, i+1))
	}
	return s.put(sqlVar, i, k)
}

// cast skips ::type, which belongs to the term before it.
func (s *sqlScan) cast(i int) int {
	for i += 2; word(s.peek(i)); i++ {
	}
	s.toks[len(s.toks)-1].end = int32(i)
	return i
}

func (s *sqlScan) operator(i int, b byte) int {
	next := s.peek(i + 1)
	switch b {
	case '?':
		if next == '|' || next == '&' {
			return s.put(sqlCmp, i, i+2)
		}
	case '=', '<', '>':
		j := i + 1
		for s.peek(j) == '=' || s.peek(j) == '>' || s.peek(j) == '<' || s.peek(j) == '@' && b == '<' && j == i+1 {
			j++
		}
		return s.put(sqlCmp, i, j)
	case '!':
		if next == '=' || next == '<' || next == '>' {
			return s.put(sqlCmp, i, i+2)
		}
		return s.put(sqlOp, i, i+1)
	case '|', '&':
		if next == b {
			s.put(sqlOp, i, i+2)
			s.toks[len(s.toks)-1].kw = kwOr
			return i + 2
		}
		return s.put(sqlOp, i, i+1)
	case '+', '-', '*', '/', '%', '^', '~':
		return s.put(sqlOp, i, i+1)
	}
	return s.put(sqlOther, i, i+1)
}
