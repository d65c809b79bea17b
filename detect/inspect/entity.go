package inspect

// entityNames are the HTML entities that stand for syntax. The four with
// loose set work without a semicolon in browsers.
var entityNames = map[string]struct {
	r     rune
	loose bool
}{
	"lt": {'<', true}, "gt": {'>', true}, "amp": {'&', true}, "quot": {'"', true},
	"apos": {'\'', false}, "colon": {':', false}, "lpar": {'(', false}, "rpar": {')', false},
	"tab": {'\t', false}, "newline": {'\n', false}, "sol": {'/', false}, "bsol": {'\\', false},
	"semi": {';', false}, "comma": {',', false}, "period": {'.', false}, "equals": {'=', false},
	"lbrace": {'{', false}, "rbrace": {'}', false}, "lcub": {'{', false}, "rcub": {'}', false},
	"lsqb": {'[', false}, "rsqb": {']', false}, "lbrack": {'[', false}, "rbrack": {']', false},
	"grave": {'`', false}, "dollar": {'$', false}, "num": {'#', false}, "excl": {'!', false},
	"nbsp": {' ', true}, "lowbar": {'_', false}, "plus": {'+', false}, "percnt": {'%', false},
	"ast": {'*', false}, "vert": {'|', false}, "hat": {'^', false}, "commat": {'@', false},
}

// entity reads the HTML entity at the beginning of b, which starts with '&'.
// used is zero when it is none.
func entity(b []byte) (r rune, used int) {
	if len(b) < 3 {
		return 0, 0
	}
	if b[1] == '#' {
		return numericEntity(b)
	}
	var name [8]byte
	n := 0
	for n < len(name) && n+1 < len(b) && alpha(b[n+1]) {
		name[n] = lower(b[n+1])
		n++
	}
	if n < 2 {
		return 0, 0
	}
	e, ok := entityNames[string(name[:n])]
	if !ok {
		return 0, 0
	}
	if n+1 < len(b) && b[n+1] == ';' {
		return e.r, n + 2
	}
	if e.loose {
		return e.r, n + 1
	}
	return 0, 0
}

// numericEntity reads &#60; and &#x3c;, with any number of leading zeros and
// with or without the semicolon.
func numericEntity(b []byte) (rune, int) {
	i, base := 2, rune(10)
	if lower(b[2]) == 'x' {
		i, base = 3, 16
	}
	start := i
	var r rune
	for i < len(b) && i < start+12 {
		v := rune(unhex(b[i]))
		if v >= base {
			break
		}
		r = r*base + v
		if r > 0x10FFFF {
			return 0, 0
		}
		i++
	}
	if i == start || r == 0 {
		return 0, 0
	}
	if i < len(b) && b[i] == ';' {
		i++
	}
	return r, i
}

// padded says whether a numeric entity has zeros in front that no encoder writes.
func padded(b []byte) bool {
	i := 2
	if len(b) > 3 && lower(b[2]) == 'x' {
		i = 3
	}
	return i+1 < len(b) && b[i] == '0' && b[i+1] == '0'
}
