package inspect

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// mutator makes inputs out of a corpus.
type mutator struct {
	corpus []string
	rnd    *rand.Rand
	buf    []byte
	other  []byte // takes turns with buf
	in     soakInput
}

// soakBytes bounds most inputs; one in 1024 is as long as what is inspected.
const soakBytes = 96

// input is the next input. It is valid until the call after.
func (m *mutator) input() *soakInput {
	m.buf = append(m.buf[:0], m.some()...)
	for range 1 + m.rnd.IntN(4) {
		mutations[m.rnd.IntN(len(mutations))](m)
	}
	limit := soakBytes
	if m.rnd.IntN(1024) == 0 {
		limit = 9 << 10
		for len(m.buf) > 0 && len(m.buf) < limit {
			m.buf = append(m.buf, m.buf...)
		}
	}
	m.buf = m.buf[:min(len(m.buf), limit)]
	m.place(string(m.buf))
	return &m.in
}

// some is a text of the corpus; of a long one a piece.
func (m *mutator) some() string {
	s := m.corpus[m.rnd.IntN(len(m.corpus))]
	if len(s) > soakBytes {
		at := m.rnd.IntN(len(s) - soakBytes)
		s = s[at : at+soakBytes]
	}
	return s
}

// place puts the text into a request.
func (m *mutator) place(s string) {
	m.in = soakInput{text: s, ev: ingest.Event{Target: "/"}}
	ev := &m.in.ev
	switch m.rnd.IntN(12) {
	case 0:
		m.in.place, ev.Target = "target", s
	case 1:
		m.in.place, ev.Target = "path", "/api/"+s
	case 2:
		m.in.place, ev.Target = "name", "/x?"+s+"=1"
	case 3:
		m.in.place, ev.Target = "two values of a name", "/x?a=1&a="+s
	case 4:
		m.in.place, ev.Agent = "agent", s
	case 5:
		m.in.place, ev.Referer = "referer", s
	case 6:
		m.in.place, ev.Referer = "referer's query", "https://www.example.com/?q="+s
	case 7:
		types := [...]string{"application/json", "application/x-www-form-urlencoded", "text/xml", "multipart/form-data; boundary=x"}
		m.in.place, ev.Body, m.in.contentType = "body", s, types[m.rnd.IntN(len(types))]
	default:
		m.in.place, ev.Target = "value", "/search?page=1&id="+s
	}
}

// at is a place in the text, len(buf) included.
func (m *mutator) at() int { return m.rnd.IntN(len(m.buf) + 1) }

// span is a piece of the text.
func (m *mutator) span() (from, to int) {
	from = m.at()
	return from, min(len(m.buf), from+m.rnd.IntN(24))
}

// insert puts s at i.
func (m *mutator) insert(i int, s string) {
	m.buf = append(m.buf, s...)
	copy(m.buf[i+len(s):], m.buf[i:len(m.buf)-len(s)])
	copy(m.buf[i:], s)
}

// rewrite replaces a span by what each of its bytes becomes.
func (m *mutator) rewrite(each func(out []byte, b byte) []byte) {
	from, to := m.span()
	if m.rnd.IntN(4) == 0 {
		from, to = 0, len(m.buf)
	}
	out := append(m.other[:0], m.buf[:from]...)
	for _, b := range m.buf[from:to] {
		out = each(out, b)
	}
	m.buf, m.other = append(out, m.buf[to:]...), m.buf
}

// soakTokens are put in anywhere: what the languages of the classes are made of.
var soakTokens = append([]string{
	"%", "%25", "%00", "%u", "%c0%af", "&#", "&lt;", ";", "'", "\"", "`", "\\", "\\x", "\\u{", "/*", "*/", "--", "#", "\n", "\r\n", "\x00", "+", " ",
	" or ", " and ", "=", "1", "0x", "(", ")", "{{", "}}", "${", "}", "<", ">", "<!", "../", "..\\", "//", "://", "[", "]", "|", "&", "&&", "$(", "=(",
	"select", "union", "from", "script", "on", "javascript:", "data:", "base64,", "@", "@@", "::", ",", "\xc2\xbc", "\xef\xbc\x9c", "\xff", "\u200b", "_", "N",
}, heavy...)

const hexDigits = "0123456789abcdef"

// mutations change m.buf.
var mutations = []func(m *mutator){
	func(m *mutator) { // a bit
		if len(m.buf) > 0 {
			m.buf[m.rnd.IntN(len(m.buf))] ^= 1 << m.rnd.IntN(8)
		}
	},
	func(m *mutator) { // a byte
		if len(m.buf) > 0 {
			m.buf[m.rnd.IntN(len(m.buf))] = byte(m.rnd.Uint32())
		}
	},
	func(m *mutator) { m.insert(m.at(), soakTokens[m.rnd.IntN(len(soakTokens))]) },
	func(m *mutator) { m.insert(m.at(), soakTokens[m.rnd.IntN(len(soakTokens))]) },
	func(m *mutator) { // without a piece
		from, to := m.span()
		m.buf = append(m.buf[:from], m.buf[to:]...)
	},
	func(m *mutator) { // a piece twice
		from, to := m.span()
		m.insert(m.at(), string(m.buf[from:to]))
	},
	func(m *mutator) { // the end of another text
		other := m.some()
		m.buf = append(m.buf[:m.at()], other[m.rnd.IntN(len(other)+1):]...)
	},
	func(m *mutator) { // a piece of another text inside
		other := m.some()
		from := m.rnd.IntN(len(other) + 1)
		m.insert(m.at(), other[from:min(len(other), from+m.rnd.IntN(40))])
	},
	func(m *mutator) { m.buf = m.buf[:m.at()] },
	func(m *mutator) { // the other case
		m.rewrite(func(out []byte, b byte) []byte {
			if alpha(b) {
				b ^= 0x20
			}
			return append(out, b)
		})
	},
	func(m *mutator) { // escaped, once or more often
		m.rewrite(func(out []byte, b byte) []byte { return append(out, '%', hexDigits[b>>4], hexDigits[b&15]) })
	},
	func(m *mutator) { // escaped where it must be
		m.rewrite(func(out []byte, b byte) []byte {
			if alnum(b) {
				return append(out, b)
			}
			return append(out, '%', hexDigits[b>>4], hexDigits[b&15])
		})
	},
	func(m *mutator) {
		m.rewrite(func(out []byte, b byte) []byte {
			return append(out, '%', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		})
	},
	func(m *mutator) {
		m.rewrite(func(out []byte, b byte) []byte {
			return append(out, '&', '#', 'x', hexDigits[b>>4], hexDigits[b&15], ';')
		})
	},
	func(m *mutator) {
		m.rewrite(func(out []byte, b byte) []byte { return append(out, '\\', 'x', hexDigits[b>>4], hexDigits[b&15]) })
	},
	func(m *mutator) { // overlong
		m.rewrite(func(out []byte, b byte) []byte { return append(out, 0xC0|b>>6, 0x80|b&0x3F) })
	},
	func(m *mutator) { // full-width
		m.rewrite(func(out []byte, b byte) []byte {
			if b > 0x20 && b < 0x7F {
				return append(out, string(rune(b)+0xFEE0)...)
			}
			return append(out, b)
		})
	},
	func(m *mutator) { // comments and other blanks for blanks
		with := [...]string{"/**/", "\t", "\n", "+", "%20", "${IFS}", "/*x*/", "%0b"}[m.rnd.IntN(8)]
		m.buf = []byte(strings.ReplaceAll(string(m.buf), " ", with))
	},
	func(m *mutator) { m.buf = []byte(base64.StdEncoding.EncodeToString(m.buf)) },
	func(m *mutator) { m.buf = []byte(`{"a":"` + string(m.buf) + `"}`) },
}
