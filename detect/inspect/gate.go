package inspect

// A gate is a Shift-And automaton: every position of every literal is one bit,
// and one table look-up per byte advances all of them at once. It answers which
// literals occur, and costs the same for any input of a given length.
//
// Two gates stand before the full look. The raw gate reads the bytes as they
// were sent: without a hit there is nothing to decode and nothing to find. The
// text gate reads decoded, lower-cased text and knows the words that make even
// plain letters worth a look; textTable is how it reads.

// textWords is the size of the text gate in 64-bit words. The raw gate has two.
const textWords = 9

type rawGate struct {
	next       [256][2]uint64
	start, end [2]uint64
}

type textGate struct {
	next  [256][textWords]uint64
	start [textWords]uint64
	end   [textWords]uint64 // a hit anywhere
	head  [textWords]uint64 // a hit in an agent or referer, where () ; , and URLs are ordinary
}

// rawSpecials are bytes that are never part of a plain target: they encode, or
// they are the syntax of some language.
const rawSpecials = " \"'<>();|`${}\\^%+#*\x7f"

// textSpecials are the same for decoded text, where blanks are ordinary.
const textSpecials = "\"'<>|`${}\\^\x7f"

// textOrdinary are specials in values, but ordinary in a user agent.
const textOrdinary = "();#&"

// rawLiterals make plain bytes worth decoding and a second look. They are the
// shortest parts that ordinary targets seldom hold.
var rawLiterals = []string{
	"--", "&&", "0x", "/etc", "/proc", "/bin", "-inf", ".ini", "o0ab", "__p",
	"toty", "9.254", "pt:", "ta:", "sslo", "l-st",
	"ava.", "avax", "cmd=", "aced", "aaea", "gasv", "bahv", "!!", "[[", "sfor", "osur", "efac", "sun.", "apac", "ognl", "alho", ".int", ".oas",
}

// rawPair is worth it too: any of the first bytes, then any of the second. It
// tells .. // /. :/ =/ ?/ ~/ in two positions.
var rawPair = [2]string{"./:=?~", "./"}

// textLiterals make decoded text worth the full look. Those with agent set
// count in user agents and referers too. N stands for any byte but a letter.
var textLiterals = []struct {
	word  string
	agent bool
}{
	{"..", true}, {"_/", false}, {"/.", false}, {"/./", true}, {"--", true}, {"&&", true}, {"://", false}, {"/*", true},
	{":/", false}, {"0x2", true}, {"0x5", true}, {"/etc/", true}, {"/proc/", true}, {"/bin/", true},
	{"/var/", false}, {"/root", false}, {"/usr/", false}, {"/opt/", false}, {"/home/", false}, {" /", false}, {" -", false}, {"ping", false}, {"system32", true}, {"web-inf", true},
	{".ini", true}, {"ro0ab", true}, {"__pro", true}, {"prototyp", true}, {"169.254", true},
	{"script:", true}, {"data:", true}, {"NorN", false}, {"NandN", false}, {"union", true}, {"select", true},
	{"NbyN", false}, {"NhavingN", false}, {"NxorN", false}, {"NwhereN", false},
	{"allow_url", true}, {"auto_pre", true},
	{"() ", true}, {"sloader", true}, {"l-stdin", true},
	{"java.", false}, {"javax.", false}, {"aced0005", false}, {"aaeaaad", false}, {"gasv", false}, {"bahv", false},
	{"transfo", false}, {"closure", false}, {"tefact", false}, {"onefact", false},
	{"NexistN", false}, {"NdefinedN", false}, {"errorlevel", false}, {"cmdextv", false}, {"com.sun.", false}, {"ognl.", false}, {"sun.misc", false}, {"sun.refl", false},
	{"g.apach", false}, {"opensym", false},
	{"\xc2\xbc", false}, {"\xe5\x98\x8a", false}, {"\xe5\x98\x8d", false}, {"[[", true}, {"--- !", false}, {"!!py", false}, {"!!ja", false},
	{"alhos", false}, {".inter", false}, {"NifN", false}, {"case w", false}, {"exec ", false}, {"xecute ", false}, {"clare @", false}, {"Nad4-", false}, {"okie: ", false}, {"\xc4\x8a", false},
	{"?/", false}, {"*/", false}, {"~/", false}, {"exec+", false}, {"xecute+", false}, {"clare+@", false}, {"case+w", false}, {"php:/", true}, {"expect:/", true}, {"gopher:/", true},
	{".oast", true}, {"interact.sh", true}, {"burpcoll", true}, {"dnslog", true}, {"bxss.", true},
}

var rawBytes = mustRawGate()

func mustRawGate() *rawGate {
	g := &rawGate{start: [2]uint64{1}, end: [2]uint64{1}}
	for i := range 256 {
		if b := byte(i); b < 0x20 || b >= 0x80 || containsByte(rawSpecials, b) {
			g.next[b][0] |= 1
		}
	}
	for p, set := range rawPair {
		for i := range len(set) {
			g.next[set[i]][0] |= 2 << p
		}
	}
	g.start[0] |= 2
	g.end[0] |= 4
	bit := 3
	for _, lit := range rawLiterals {
		if bit/64 != (bit+len(lit)-1)/64 {
			bit = (bit/64 + 1) * 64
		}
		if bit+len(lit) > 128 {
			panic("inspect: the raw gate has more than 128 positions")
		}
		g.start[bit/64] |= 1 << (bit % 64)
		for i := range len(lit) {
			g.next[lit[i]][bit/64] |= 1 << (bit % 64)
			g.next[capital(lit[i])][bit/64] |= 1 << (bit % 64)
			bit++
		}
		g.end[(bit-1)/64] |= 1 << ((bit - 1) % 64)
	}
	return g
}

func newTextGate() *textGate {
	g := new(textGate)
	put := func(p int, b byte) { g.next[b][p/64] |= 1 << (p % 64) }
	mark := func(m *[textWords]uint64, p int) { m[p/64] |= 1 << (p % 64) }
	for p := range 2 {
		mark(&g.start, p)
		mark(&g.end, p)
	}
	mark(&g.head, 0)
	for i := range 256 {
		switch b := byte(i); {
		case b < 0x20 || containsByte(textSpecials, b):
			put(0, b)
		case containsByte(textOrdinary, b):
			put(1, b)
		}
	}
	bit := 2
	for _, l := range textLiterals {
		if bit/64 != (bit+len(l.word)-1)/64 {
			bit = (bit/64 + 1) * 64
		}
		mark(&g.start, bit)
		for i := range len(l.word) {
			if l.word[i] == 'N' {
				for b := range 256 {
					if !alpha(byte(b)) {
						put(bit, byte(b))
					}
				}
			}
			put(bit, l.word[i])
			bit++
		}
		mark(&g.end, bit-1)
		if l.agent {
			mark(&g.head, bit-1)
		}
	}
	return g
}

// hit says whether s needs a second look. Two halves run side by side, since
// each step waits for the one before.
func (g *rawGate) hit(s string) bool {
	if len(s) >= 32 {
		return g.hitHalves(s)
	}
	var d0, d1, h0, h1 uint64
	for i := 0; i < len(s); i++ {
		t := &g.next[s[i]]
		d0 = (d0<<1 | g.start[0]) & t[0]
		d1 = (d1<<1 | g.start[1]) & t[1]
		h0 |= d0
		h1 |= d1
	}
	return h0&g.end[0]|h1&g.end[1] != 0
}

// rawOverlap is one less than the longest raw literal: the second half starts
// that much early, so that nothing falls between.
const rawOverlap = 4

func (g *rawGate) hitHalves(s string) bool {
	mid := len(s) / 2
	b := s[mid-rawOverlap:]
	a := s[:len(b)] // reads on into the second half, which does no harm
	var d0, d1, e0, e1, h0, h1 uint64
	s0, s1 := g.start[0], g.start[1]
	for i := 0; i < len(b); i++ {
		t, u := &g.next[a[i]], &g.next[b[i]]
		d0 = (d0<<1 | s0) & t[0]
		e0 = (e0<<1 | s0) & u[0]
		d1 = (d1<<1 | s1) & t[1]
		e1 = (e1<<1 | s1) & u[1]
		h0 |= d0 | e0
		h1 |= d1 | e1
	}
	return h0&g.end[0]|h1&g.end[1] != 0
}

// step is the set of positions behind d and one more byte.
func (g *textGate) step(d [textWords]uint64, b byte) [textWords]uint64 {
	for w := range d {
		d[w] = (d[w]<<1 | g.start[w]) & g.next[b][w]
	}
	return d
}

// meets says whether d holds a position of m.
func (g *textGate) meets(d, m *[textWords]uint64) bool {
	for w := range d {
		if d[w]&m[w] != 0 {
			return true
		}
	}
	return false
}

func capital(b byte) byte {
	if b >= 'a' && b <= 'z' {
		return b - 32
	}
	return b
}

func containsByte(s string, b byte) bool {
	for i := range len(s) {
		if s[i] == b {
			return true
		}
	}
	return false
}
