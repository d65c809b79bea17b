package inspect

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The patterns, as data. Each file documents the format in its head.
//
//go:embed data/*.txt
var dataFiles embed.FS

// pattern is one entry of a data file.
type pattern struct {
	name    string
	class   class
	weight  int
	certain bool
	support bool // counts only beside another sign
	gated   bool // what then wants holds a byte that the first pass knows
	why     string
	in      context
	at      string // "start" of the field, "word" boundary before, "" anywhere
	then    *regexp.Regexp
	match   []string // examples that must be found
	quiet   []string // honest texts that must stay below the threshold
}

// ruleset is everything that is loaded from data. It is built once and shared.
type ruleset struct {
	patterns []pattern
	byLit    []int // pattern of a literal
	literals []string
	places   []context // where a literal counts
	support  []bool    // the literal only counts beside another sign
	matcher  *matcher
	commands map[string]command
	files    []systemFile   // their paths follow the literals in the matcher
	names    map[string]int // weights of files of servers, by name
}

// loadRules panics on a broken data file: it is part of the program, and a test
// loads it.
var loadRules = sync.OnceValue(func() *ruleset {
	r := &ruleset{}
	for _, name := range []string{"sql", "markup", "code", "shell", "misc"} {
		r.mustAddPatterns(name)
	}
	r.commands = mustLoadCommands()
	r.files, r.names = mustLoadSystemFiles()
	all := slices.Clone(r.literals)
	for _, f := range r.files {
		all = append(all, f.path)
	}
	r.matcher = newMatcher(all)
	return r
})

func mustReadData(name string) string {
	b, err := dataFiles.ReadFile("data/" + name + ".txt")
	if err != nil {
		panic("inspect: " + err.Error())
	}
	return string(b)
}

// mustAddPatterns reads entries of "key: value" lines, parted by blank lines.
func (r *ruleset) mustAddPatterns(name string) {
	for n, block := range strings.Split(mustReadData(name), "\n\n") {
		p, lits, err := parsePattern(block)
		if err != nil {
			panic(fmt.Sprintf("inspect: data/%s.txt: entry %d: %v", name, n+1, err))
		}
		if len(lits) == 0 {
			continue // comments only
		}
		id := len(r.patterns)
		r.patterns = append(r.patterns, p)
		for _, lit := range lits {
			r.literals = append(r.literals, lit)
			r.byLit = append(r.byLit, id)
			in, support := places(lit, &p)
			r.places = append(r.places, in)
			r.support = append(r.support, support)
		}
	}
}

// places keeps a literal out of agents where the first pass does not look for
// it there. A literal that the first pass does not know at all only supports
// other signs.
func places(lit string, p *pattern) (in context, support bool) {
	in = p.in
	alone := []byte("x" + lit + "x")
	if p.support || !p.gated && !decoded().hit(alone, false) {
		return in, true
	}
	if p.gated || !decoded().hit(alone, true) {
		in &^= ctxAgent
	}
	return in, false
}

func parsePattern(block string) (p pattern, lits []string, err error) {
	p.in = ctxAny
	for line := range strings.SplitSeq(block, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return p, nil, fmt.Errorf("%q is not key: value", line)
		}
		switch key {
		case "name":
			p.name = value
		case "class":
			p.class = classByName(value)
		case "weight":
			p.weight, err = strconv.Atoi(value)
		case "certain":
			p.certain = value == "yes"
		case "support":
			p.support = value == "yes"
		case "gated":
			p.gated = value == "yes"
		case "why":
			p.why = value
		case "in":
			p.in, err = parseContexts(value)
		case "at":
			p.at = value
		case "literal":
			lits = append(lits, value)
		case "then":
			p.then, err = regexp.Compile("^(?:" + value + ")")
		case "match":
			p.match = append(p.match, value)
		case "quiet":
			p.quiet = append(p.quiet, value)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return p, nil, err
		}
	}
	if len(lits) > 0 && (p.class == noClass || p.weight <= 0 || p.why == "" || p.name == "") {
		return p, nil, fmt.Errorf("%q needs name, class, weight and why", p.name)
	}
	return p, lits, nil
}

func parseContexts(s string) (context, error) {
	var c context
	for f := range strings.FieldsSeq(s) {
		switch f {
		case "path":
			c |= ctxPath
		case "value":
			c |= ctxValue
		case "name":
			c |= ctxName
		case "agent":
			c |= ctxAgent
		default:
			return 0, fmt.Errorf("unknown place %q", f)
		}
	}
	return c, nil
}

// failures are the last checks of a field that failed: what is repeated need not be
// checked again, and takes no try away from what is not.
type failures struct {
	last [4]struct {
		p      *pattern
		behind []byte
	}
	next int
}

func (f *failures) has(p *pattern, behind []byte) bool {
	for i := range f.last {
		if f.last[i].p == p && bytes.Equal(f.last[i].behind, behind) {
			return true
		}
	}
	return false
}

func (f *failures) put(p *pattern, behind []byte) {
	f.last[f.next].p, f.last[f.next].behind = p, behind
	f.next = (f.next + 1) % len(f.last)
}

// thenBytes is how far a pattern's check looks behind its literal.
const thenBytes = 96

// patterns runs the literals over the field, and behind each hit its check.
func (l *look) patterns(ctx context) {
	r := l.in.rules
	l.support = l.support[:0]
	l.failed = failures{}
	l.file = fileHit{best: -1}
	r.matcher.each(l.text, func(id int32, end int) {
		if f := int(id) - len(r.literals); f >= 0 {
			l.fileHit(f, end)
			return
		}
		p := &r.patterns[r.byLit[id]]
		at := end - len(r.literals[id])
		if r.places[id]&ctx == 0 ||
			p.at == "start" && !blankBefore(l.text, at) ||
			p.at == "word" && at > 0 && word(l.text[at-1]) && word(l.text[at]) && !escapedBefore(l.text, at) {
			return
		}
		if p.then != nil {
			if l.tries == 0 {
				return
			}
			behind := l.text[end:min(len(l.text), end+thenBytes)]
			if l.failed.has(p, behind) {
				return
			}
			l.tries--
			l.spent += costTry
			m := p.then.FindIndex(behind)
			if m == nil {
				l.failed.put(p, behind)
				return
			}
			end += m[1]
		}
		if r.support[id] {
			if len(l.support) < maxEvidence {
				l.support = append(l.support, evidence{p.class, p.weight, p.why, at, end, p.certain})
			}
			return
		}
		l.addCertain(p.class, p.weight, p.why, at, end, p.certain)
	})
}

// supporters adds the signs that mean something only beside another.
func (l *look) supporters() {
	sum := 0
	for i := range l.ev {
		sum += l.ev[i].weight
	}
	for i := 0; sum >= 15 && i < len(l.support); i++ {
		e := l.support[i]
		l.addCertain(e.class, e.weight, e.why, e.at, e.end, e.certain)
	}
}

// escapedBefore says whether a line end or a tab written as an escape stands before at.
func escapedBefore(text []byte, at int) bool {
	return at > 1 && text[at-2] == '\\' && containsByte("nrt", text[at-1])
}

// blankBefore says whether only blanks and opening quotes stand before at.
func blankBefore(text []byte, at int) bool {
	for i := at - 1; i >= 0; i-- {
		if !blank(text[i]) && text[i] != '"' && text[i] != '\'' || at-i > 8 {
			return false
		}
	}
	return true
}
