package openapi

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// API is what documents say of an API. It does not change, and is safe for concurrent use.
type API struct {
	Operations []*Operation // by template and method
	Warnings   []string     // what is odd in the documents, and used all the same

	hosts []string // that have documents of their own, in small letters
	trees []*tree  // the first is for all other hosts; then one for each of hosts
}

// Operation is a method on a path, as a document describes it.
type Operation struct {
	Method     string
	Template   string // the route of its requests, the base path included
	Deprecated bool
	Secured    bool   // it cannot be called without credentials
	File       string // of the document
	Line       int    // where it stands there

	query  map[string]*param
	open   bool    // any query parameter is described
	places []place // of the parameters in the path that are looked at
}

// param is a parameter of an operation.
type param struct {
	name      string
	check     *check
	separator byte // between the items of a list in one value; 0: there is one
	empty     bool // the value may be left out
}

// place is where a parameter stands in the path, by segments.
type place struct {
	segment int
	param   *param
}

// Templates lists the routes that are described, each once.
func (a *API) Templates() (out []string) {
	for _, op := range a.Operations {
		if n := len(out); n == 0 || out[n-1] != op.Template {
			out = append(out, op.Template)
		}
	}
	return out
}

// Host numbers the documents that speak for a host, as the log names it.
func (a *API) Host(host string) uint8 {
	if len(a.hosts) == 0 || host == "" {
		return 0
	}
	if k := strings.LastIndexByte(host, ':'); k > 0 && host[len(host)-1] != ']' {
		host = host[:k]
	}
	for i, h := range a.hosts {
		if strings.EqualFold(h, host) {
			return uint8(i + 1)
		}
	}
	return 0
}

// Match is what is described of a method and a path.
type Match struct {
	Template string // "" where no path of the documents fits
	Facts    ingest.APIFacts
	Op       *Operation // nil where the method is not described
	Bad      string     // the first parameter in the path whose value is not as described
}

// Reader looks requests up, for one goroutine.
type Reader struct {
	api  *API
	segs []string
	buf  []byte
	last []string // of the path that was looked up
}

// Reader returns a Reader for one goroutine.
func (a *API) Reader() *Reader {
	return &Reader{api: a, segs: make([]string, 0, maxSegments), buf: make([]byte, 0, maxEscaped)}
}

// Find looks up a method and a path, without query, in the documents of a number that Host
// gave.
func (r *Reader) Find(host uint8, verb, target string) Match {
	t := r.api.trees[host]
	segs, buf := segments(target, r.segs, r.buf)
	r.last = segs
	if segs == nil {
		return Match{}
	}
	p := t.exact.find(segs)
	if p == nil {
		if p = t.fold(segs, buf); p == nil {
			if t.covered(segs) {
				return Match{Facts: ingest.APIUnlisted}
			}
			return Match{}
		}
	}
	m := Match{Template: p.template}
	switch m.Op = p.operation(verb); {
	case m.Op != nil:
		m.Facts = ingest.APIDescribed
		if m.Op.Deprecated {
			m.Facts |= ingest.APIDeprecated
		}
		if m.Op.Secured {
			m.Facts |= ingest.APISecured
		}
		m.Bad = m.Op.odd(segs)
	case verb == "OPTIONS" || verb == "": // browsers ask so before they call anything else (CORS)
		m.Facts = ingest.APIDescribed
	default:
		m.Facts = ingest.APIMethod
	}
	return m
}

// Segments are those of the path that Find looked up last, as it read them; nil where it
// could not. They are valid until the Reader is used again.
func (r *Reader) Segments() []string { return r.last }

// Covers reports whether the documents of a number that Host gave speak for a path, with
// capitals or without: there are servers that do not care.
func (r *Reader) Covers(host uint8, path string) bool {
	segs, _ := segments(path, r.segs, r.buf)
	return segs != nil && slices.ContainsFunc(r.api.trees[host].covers, func(c []string) bool {
		return len(segs) >= len(c) && slices.EqualFunc(segs[:len(c)], c, strings.EqualFold)
	})
}

// fold looks a path up whose documents write it with other capitals.
func (t *tree) fold(segs []string, buf []byte) *path {
	low := make([]string, 0, maxSegments)
	for _, s := range segs {
		at := len(buf)
		buf = lowered(buf, s)
		low = append(low, text(buf[at:]))
	}
	return t.folded.find(low)
}

// lowered appends a text with small letters for the capitals of ASCII.
func lowered(buf []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c-'A' <= 'Z'-'A' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// operation finds the operation of a method. HEAD is GET without the answer's body.
func (p *path) operation(verb string) *Operation {
	for i := range p.operations {
		if p.operations[i].name == verb {
			return p.operations[i].op
		}
	}
	if verb == "HEAD" {
		return p.operation("GET")
	}
	return nil
}

// odd names the first parameter in the path whose value is not as described.
func (op *Operation) odd(segs []string) string {
	for i := range op.places {
		if p := &op.places[i]; p.segment < len(segs) && !p.param.admits(segs[p.segment]) {
			return p.param.name
		}
	}
	return ""
}

// admits reports whether a value is as described.
func (p *param) admits(v string) bool {
	if v == "" && p.empty || p.check == nil {
		return true
	}
	if p.separator == 0 {
		return p.check.admits(v)
	}
	for rest, more := v, true; more; {
		var item string
		if item, rest, more = cut(rest, p.separator); !p.check.admits(item) {
			return false
		}
	}
	return true
}

func cut(s string, sep byte) (item, rest string, more bool) {
	if k := strings.IndexByte(s, sep); k >= 0 {
		return s[:k], s[k+1:], true
	}
	return s, "", false
}

// sorted puts operations in the order of their routes.
func sorted(list []*Operation) {
	slices.SortStableFunc(list, func(a, b *Operation) int {
		if c := strings.Compare(a.Template, b.Template); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
}

// Covers reports whether the documents that are for all hosts speak for a path.
func (a *API) Covers(path string) bool {
	segs, _ := segments(path, make([]string, 0, maxSegments), nil)
	return segs != nil && a.trees[0].covered(segs)
}
