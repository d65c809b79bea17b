package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// RedactConfig says what counts as a secret in a line.
type RedactConfig struct {
	Classes []string `yaml:"classes" default:"keys,tokens,cookies,passwords,cards" doc:"What is replaced: keys (API keys), tokens (Authorization, JSON Web Tokens, OAuth parameters), cookies (and session ids), passwords (and client secrets), cards (payment card numbers), emails, ibans (bank accounts)."`
	Names   []string `yaml:"names" doc:"More names of headers, parameters and members whose value is a secret. Case and punctuation do not matter."`
	Keep    []string `yaml:"keep" doc:"Names whose value is no secret here, whatever they look like."`
	Bus     bool     `yaml:"bus" default:"false" doc:"Replace them already in the lines between collection and detection. What is stored or shown never holds them; within one process this changes nothing but the work, and an attack inside such a value is then not seen."`
}

// Check reports classes that do not exist, and names that are none.
func (c *RedactConfig) Check(report func(key, message string)) {
	checkWords("classes", c.Classes, allClasses, report)
	for key, list := range map[string][]string{"names": c.Names, "keep": c.Keep} {
		for i, n := range list {
			if s := squeeze(n); len(s) < 3 || len(n) >= longestField || strings.IndexFunc(n, func(c rune) bool { return c > 127 || !isNameByte(byte(c)) }) >= 0 {
				report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no name: want 3 to %d letters, digits, - _ .", capped(n), longestField-1))
			}
		}
	}
}

// Redactor replaces secrets in log lines before they are kept as evidence, or leave
// the machine. It may be used from several goroutines.
type Redactor struct {
	cfg   Config
	mint  *mint
	names *vocabulary

	tokens, passwords, cards, emails, ibans bool
}

// Redactor makes a redactor that agrees with the resolvers of the same config.
func (c Config) Redactor() (*Redactor, error) {
	c = withDefaults(c)
	if c.Redact.Classes == nil {
		c.Redact.Classes = []string{classKeys, classTokens, classCookies, classPasswords, classCards}
	}
	var problem error
	c.Redact.Check(func(key, message string) {
		if problem == nil {
			problem = fmt.Errorf("identity: redact.%s: %s", key, message)
		}
	})
	if problem != nil {
		return nil, problem
	}
	m, err := newMint(&c)
	if err != nil {
		return nil, err
	}
	has := func(class string) bool { return slices.Contains(c.Redact.Classes, class) }
	return &Redactor{
		cfg: c, mint: m, names: newVocabulary(has, c.Redact.Names, c.Redact.Keep, c.SessionCookies),
		tokens: has(classTokens), passwords: has(classPasswords), cards: has(classCards), emails: has(classEmails), ibans: has(classIBANs),
	}, nil
}

// Line returns the line with the values of secrets replaced by <k_X> (API keys), <t_X>
// (tokens), <s_X> (sessions), X being the digits of the pseudonym that detection knows
// them by, or by <p_X> with half as many digits. It finds query and form parameters, JSON
// members, headers, cookies, XML elements and multipart fields by their name (also
// percent-encoded, or escaped as nginx or JSON does), Bearer and Basic credentials, JSON Web
// Tokens and card numbers. What it has replaced it leaves alone, so twice is the same as
// once. The result is at most about twelve times as long as the line.
func (r *Redactor) Line(line string) string { return r.opened(r.redact(line, false)) }

// redact replaces a line's secrets: by sealed pseudonyms, or by what people see.
func (r *Redactor) redact(line string, seal bool) string {
	var out strings.Builder
	if r.names == nil {
		return "" // a Redactor that nobody made: better no line than one with its secrets
	}
	kept, escapes, look := 0, hasEscapes(line), span{line: line}
	for i := r.next(line, 0, escapes); i < len(line); {
		h := r.secretAt(&look, i)
		if h.found() {
			h.to = h.from + protocolIn(line[h.from:h.to])
		}
		if !h.found() {
			i = r.next(line, i+1, escapes)
			continue
		}
		out.WriteString(line[kept:h.from])
		r.replace(&out, line[h.from:h.to], h, seal)
		kept, look.start = h.to, h.to
		i = r.next(line, h.to, escapes)
	}
	if kept > 0 {
		out.WriteString(line[kept:])
		line = out.String()
	}
	if r.emails || r.ibans {
		line = r.personal(line)
	}
	return line
}

// opened shows the seals of Batch for which no name stands: of a card number, or of a token
// in a path, which were known by what the seal has replaced.
func (r *Redactor) opened(line string) string {
	var out strings.Builder
	kept := 0
	for at := strings.IndexByte(line, '_'); at >= 0; {
		if p, to := r.sealAt(line, at-1); p != nil {
			out.WriteString(line[kept : at-1])
			show(&out, p.name)
			kept, at = to, to-1
		}
		n := strings.IndexByte(line[at+1:], '_')
		if n < 0 {
			break
		}
		at += n + 1
	}
	if kept == 0 {
		return line
	}
	out.WriteString(line[kept:])
	return out.String()
}

// sealAt opens the seal that begins at from; nil: there is none. to is its end.
func (r *Redactor) sealAt(line string, from int) (p *minted, to int) {
	const more = 1 + pseudonymDigits
	if from < 0 || len(line)-from < pseudonymWidth+more || !isDigits(line[from+2:from+pseudonymWidth]) {
		return nil, 0
	}
	for end := from + pseudonymWidth; end < len(line); {
		if line[end] == '~' { // a name, up to the tag
			n := strings.IndexByte(line[end:min(len(line), from+longestSealed)], '.')
			if n < 0 {
				return nil, 0
			}
			end += n
		}
		if len(line)-end < more || line[end] != '.' || !isDigits(line[end+1:end+more]) {
			return nil, 0
		}
		end += more
		if p, _, ok := r.mint.unseal(line[from], line[from:end]); ok {
			return p, end
		}
	}
	return nil, 0
}

// replace writes what stands for a value of some shape.
func (r *Redactor) replace(out *strings.Builder, value string, h hit, seal bool) {
	switch h.shape {
	case shapeWhole:
		r.write(out, value, h.kind, seal)
	case shapeBare:
		out.WriteString(h.quote)
		r.write(out, value, h.kind, seal)
		out.WriteString(h.quote)
	case shapeScheme:
		r.writeScheme(out, value, seal)
	case shapeCookies, shapeSetCookie:
		r.writeCookies(out, value, h, seal)
	case shapeList:
		r.writeList(out, value, h, seal)
	}
}

// writeScheme keeps the name of an authentication scheme.
func (r *Redactor) writeScheme(out *strings.Builder, value string, seal bool) {
	kind, rest := cutScheme(value)
	if len(rest) == len(value) {
		r.write(out, value, kindToken, seal)
		return
	}
	at := strings.Index(value, rest) // behind blanks and the scheme
	out.WriteString(value[:at])
	letter := byte(kindToken)
	if kind.basic {
		letter = kindBasic
	}
	r.write(out, rest, letter, seal)
	out.WriteString(value[at+len(rest):])
}

// writeCookies keeps the names of cookies; of Set-Cookie also what is no cookie.
func (r *Redactor) writeCookies(out *strings.Builder, list string, h hit, seal bool) {
	for n := 0; ; n++ {
		pair, rest, more := strings.Cut(list, ";")
		eq := strings.IndexByte(pair, '=')
		switch {
		case h.shape == shapeSetCookie && n > 0:
			out.WriteString(pair)
		case eq < 0 && strings.Trim(pair, " ") == "":
			out.WriteString(pair)
		default:
			r.writeCookie(out, pair, eq+1, seal)
		}
		if !more {
			return
		}
		out.WriteByte(';')
		list = rest
	}
}

// writeCookie replaces the value of name=value, which begins at from. Quotes around it are
// not of the value.
func (r *Redactor) writeCookie(out *strings.Builder, pair string, from int, seal bool) {
	for from < len(pair) && pair[from] == ' ' {
		from++
	}
	to := max(from, len(strings.TrimRight(pair, " ")))
	if from < to {
		if q := quoteAt(pair, from); q > 0 && to-from >= 2*q && pair[from:from+q] == pair[to-q:to] {
			from, to = from+q, to-q
		}
	}
	out.WriteString(pair[:from])
	if from < to {
		r.write(out, pair[from:to], kindSession, seal)
	}
	out.WriteString(pair[to:])
}

// writeList replaces the strings of an array, and of an object those that are no names.
func (r *Redactor) writeList(out *strings.Builder, list string, h hit, seal bool) {
	one := hit{kind: h.kind, shape: h.inner}
	kept := 0
	for i := 0; i < len(list); i++ {
		if !strings.HasPrefix(list[i:], h.quote) {
			continue
		}
		from := i + len(h.quote)
		to := closing(list, from, h.quote, true)
		i = to + len(h.quote) - 1
		if after := skip(list, min(to+len(h.quote), len(list)), ""); to == from || after < len(list) && list[after] == ':' {
			continue
		}
		out.WriteString(list[kept:from])
		r.replace(out, list[from:to], one, seal)
		kept = to
	}
	out.WriteString(list[kept:])
}

// write replaces one value.
func (r *Redactor) write(out *strings.Builder, value string, kind byte, seal bool) {
	plain := unescape(value)
	if blank(plain) || !seal && isPseudonym(value) {
		out.WriteString(value)
		return
	}
	if !seal && sealedShape(plain) {
		if p, _, ok := r.mint.unseal(plain[0], plain); ok {
			show(out, p.name)
			return
		}
	}
	d := r.mint.digest(kind, plain)
	p, ok := r.mint.cache.Get(d)
	if !ok {
		p = r.mint.make(kind, plain)
		r.cfg.describe(p, kind, plain)
		p.seal = r.mint.sealed(p, p.user+p.consumer)
		r.mint.cache.Add(d, p)
	}
	if seal {
		out.WriteString(p.seal)
		return
	}
	show(out, p.name)
}

// show writes a pseudonym as it stands in evidence.
func show(out *strings.Builder, name string) {
	if name[0] == kindPlain {
		name = name[:shortPseudonym-2]
	}
	out.WriteByte('<')
	out.WriteString(name)
	out.WriteByte('>')
}

const shortPseudonym = len("<p_0123abcd>")

// isPseudonym tells what show has written.
func isPseudonym(s string) bool {
	if len(s) != shortPseudonym && len(s) != pseudonymWidth+2 || s[0] != '<' || s[2] != '_' || s[len(s)-1] != '>' {
		return false
	}
	return strings.IndexByte("ktsp", s[1]) >= 0 && isDigits(s[3:len(s)-1])
}

// Batch replaces the secrets of all lines by sealed pseudonyms, before a batch leaves the
// machine. A Resolver with Config.Sealed makes of these the same Key, Token and Session as
// of the raw lines. Where a line's length changed it fills b.Sizes, so that positions stay
// those of the file. Do it once: what looks like a seal in a raw line is a client's word.
func (r *Redactor) Batch(b *ingest.Batch) {
	for i := range b.Rejects {
		b.Rejects[i].Sample = r.Line(b.Rejects[i].Sample)
	}
	data := str(b.Data)
	g := r.glance(data)
	var out []byte
	kept := 0 // what lies before it is in out
	for at := g.seek(0); at < len(data); {
		from := strings.LastIndexByte(data[:at], '\n') + 1
		end := len(data)
		if n := strings.IndexByte(data[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		line := strings.TrimRight(data[from:end], "\r\n")
		if red := r.redact(line, true); red != line {
			if out == nil {
				out = make([]byte, 0, len(data)+len(data)/4)
			}
			out = append(append(out, data[kept:from]...), red...)
			kept = from + len(line)
		}
		at = g.seek(end)
	}
	if out == nil {
		return
	}
	if b.Sizes == nil {
		b.Sizes = make([]int32, 0, b.Lines())
		for c := b.Begin(); b.Next(&c); {
			b.Sizes = append(b.Sizes, int32(c.Size))
		}
	}
	b.Data = append(out, data[kept:]...)
}
