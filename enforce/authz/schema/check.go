package schema

import (
	"net/http"
	"path"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// Checker holds requests against rules, for one goroutine at a time.
type Checker struct {
	visitor
	rules  *Rules
	reader *openapi.Reader
	faults []Fault
}

// Checker returns a Checker for one goroutine.
func (r *Rules) Checker() *Checker {
	return &Checker{rules: r, reader: r.api.Reader(), faults: make([]Fault, 0, maxFaults)}
}

// Check says what is wrong with a request.
func (c *Checker) Check(q *Request) Verdict {
	c.visitor, c.faults = visitor{most: maxSteps + 2*len(q.Body)}, c.faults[:0]
	raw, query, _ := strings.Cut(relative(q.Target), "?")
	host := c.rules.api.Host(q.Host)
	if odd(raw) && !c.rules.opt.PassSpelling && (c.reader.Covers(host, raw) || c.reader.Covers(host, loosest(raw))) {
		return c.whole(Spelling, http.StatusBadRequest, "path", "", "is written in a way that servers read differently")
	}
	m := c.reader.Find(host, q.Method, raw)
	switch {
	case m.Op != nil:
	case m.Facts == ingest.APIDescribed: // OPTIONS, which browsers ask before they call anything else
		return Verdict{}
	case c.rules.opt.PassUnknown:
		return Verdict{}
	case m.Facts&ingest.APIMethod != 0:
		v := c.whole(Method, http.StatusMethodNotAllowed, "", "", "the path has no such method")
		v.Route, v.Allow = m.Template, c.rules.allowed[m.Template]
		return v
	case c.reader.Covers(host, loosest(raw)) && raw != "*":
		return c.whole(Route, http.StatusNotFound, "path", "", "there is no such path")
	default:
		return Verdict{} // the documents do not speak for it
	}
	if name := otherMethod(q); name != "" && !c.rules.opt.PassSpelling {
		return c.whole(Spelling, http.StatusBadRequest, "header", name, "names another method, which some servers take for the real one")
	}
	o := c.rules.ops[m.Op]
	v := Verdict{Method: m.Op.Method, Route: m.Template}
	if c.parameters(o, q, query); len(c.faults) > 0 {
		v.Kind, v.Status = Parameter, http.StatusBadRequest
	} else if kind, status := c.body(o, q); kind != "" {
		v.Kind, v.Status = kind, status
	} else {
		return Verdict{}
	}
	v.Faults = c.faults
	return v
}

// overrides are fields by which some servers let a POST be another method.
var overrides = [...]struct{ lower, canonical string }{
	{"x-http-method-override", "X-Http-Method-Override"}, {"x-http-method", "X-Http-Method"}, {"x-method-override", "X-Method-Override"},
}

// otherMethod is the name of a field that names another method than that of the request.
func otherMethod(q *Request) string {
	for _, f := range overrides {
		if v, there := q.field(f.lower, f.canonical); there && !strings.EqualFold(strings.TrimSpace(v), q.Method) {
			return f.canonical
		}
	}
	return ""
}

// whole is a verdict on a request as a whole.
func (c *Checker) whole(kind Kind, status int, in, name, why string) Verdict {
	c.fault(in, name, why)
	return Verdict{Kind: kind, Status: status, Faults: c.faults}
}

// fault notes what is wrong, as long as there is room.
func (c *Checker) fault(in, name, why string) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, Fault{in, name, why})
	}
}

// relative is a target without scheme and host, which proxies may be sent.
func relative(target string) string {
	if target == "" || target[0] == '/' {
		return target
	}
	k := strings.Index(target, "://")
	if k < 0 || k > 8 {
		return target
	}
	target = target[k+3:]
	k = strings.IndexAny(target, "/?")
	switch {
	case k < 0:
		return "/"
	case target[k] == '?':
		return "/" + target[k:]
	}
	return target[k:]
}

// odd reports whether servers read a path differently: dot segments, escaped slashes and
// dots, backslashes, escapes of escapes, control characters.
func odd(path string) bool {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' || c < 0x20 || c == 0x7f:
			return true
		case c == '/' && dots(path[i+1:]):
			return true
		case c == '%':
			if i+2 >= len(path) || openapi.Unhex(path[i+1]) > 15 || openapi.Unhex(path[i+2]) > 15 {
				return true
			}
			switch d := openapi.Unhex(path[i+1])<<4 | openapi.Unhex(path[i+2]); {
			case d == '/' || d == '\\' || d == '.' || d < 0x20 || d == 0x7f:
				return true
			case d == '%' && i+4 < len(path) && openapi.Unhex(path[i+3]) < 16 && openapi.Unhex(path[i+4]) < 16:
				return true
			}
		}
	}
	return false
}

// dots reports whether a path begins with the segment . or .., parameters behind it or not.
func dots(rest string) bool {
	n := 0
	for n < len(rest) && n < 3 && rest[n] == '.' {
		n++
	}
	return (n == 1 || n == 2) && (n == len(rest) || rest[n] == '/' || rest[n] == ';')
}

// deepPath is how many segments tell whether documents speak for a path.
const deepPath = 16

// loosest reads a path as the server would that resolves most, as far as to tell whether
// documents speak for it.
func loosest(raw string) string {
	for range 3 {
		next, _ := openapi.Unescape(raw, false)
		if next == raw {
			break
		}
		raw = next
	}
	segs := strings.Split(strings.ReplaceAll(raw, `\`, "/"), "/")
	for i, s := range segs {
		segs[i], _, _ = strings.Cut(s, ";")
	}
	clean := path.Clean("/" + strings.Join(segs, "/"))
	at := 0
	for range deepPath {
		next := strings.IndexByte(clean[at+1:], '/')
		if next < 0 {
			at = len(clean)
			break
		}
		at += 1 + next
	}
	return strings.ReplaceAll(clean[:at], "%", "_") // what is still an escape stands in no prefix
}
