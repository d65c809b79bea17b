// Package enrich adds to an event what can be told of it without other events: the route,
// which is the template of its path, and what the route is for; where the client's
// address is registered; what kind of program the user agent names, and whether a
// crawler is the one it says it is.
//
// A template is a pure function of method and path, so that each worker, each machine
// and each replay writes the same text. How many templates have a number of their own
// is bounded: an attacker who invents paths cannot make tables that are indexed
// by route grow.
package enrich

import (
	"math/bits"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// RoutesConfig is the "routes" section of the config file. The lists name
// paths ("/api/v1/login") or templates ("/users/{id}/password"), in which {id} and any
// other name in braces stand for one segment, whatever it holds.
type RoutesConfig struct {
	Templates    []string `yaml:"templates" doc:"Templates of your API, such as /shops/{shop}/carts/{cart}, tried before the guess. A name in braces stands for one segment; capitals and small letters are the same."`
	MaxTemplates int      `yaml:"max_templates" default:"2000" doc:"Route templates that get a number of their own, per worker; all others share one. An API of 500 operations needs 500."`
	Login        []string `yaml:"login" doc:"Paths or templates that take a password, besides the well-known names."`
	Token        []string `yaml:"token" doc:"Paths or templates that issue tokens (OAuth 2.0), besides the well-known names."`
	Reset        []string `yaml:"reset" doc:"Paths or templates of password reset and sign-up, besides the well-known names."`
	Docs         []string `yaml:"docs" doc:"Paths or templates of API documentation, besides the well-known names."`
	Health       []string `yaml:"health" doc:"Paths or templates that probes and monitors call, besides the well-known names."`
	Ordinary     []string `yaml:"ordinary" doc:"Paths or templates that are none of these although they look like it."`
}

// Check reports paths that can never match.
func (c *RoutesConfig) Check(report func(key, message string)) {
	if c.MaxTemplates < 0 {
		report("max_templates", "must not be negative")
	}
	for _, p := range c.Templates {
		if why := badPattern(p); why != "" {
			report("templates", why)
		}
	}
	seen := map[string]string{}
	c.lists(func(key string, _ ingest.RouteKind, paths []string) {
		for _, p := range paths {
			if why := badPattern(p); why != "" {
				report(key, why)
			} else if other, twice := seen[p]; twice && other != key {
				report(key, "this path is in "+other+" too")
			}
			seen[p] = key
		}
	})
}

func (c *RoutesConfig) lists(yield func(key string, kind ingest.RouteKind, paths []string)) {
	yield("login", ingest.RouteLogin, c.Login)
	yield("token", ingest.RouteToken, c.Token)
	yield("reset", ingest.RouteReset, c.Reset)
	yield("docs", ingest.RouteDocs, c.Docs)
	yield("health", ingest.RouteHealth, c.Health)
	yield("ordinary", ingest.RouteOrdinary, c.Ordinary)
}

// Other is the RouteID of all templates beyond the bound, and of those that no request
// has shown to exist yet. Numbers of routes of their own begin above it.
const Other = 1

const (
	memoSlots   = 1 << 12
	longestMemo = 256 // bytes of method and path; longer ones are computed each time
	defaultMax  = 2000
)

// Routes finds routes. It is for one goroutine; make one per worker. A RouteID means
// something only together with the Routes that gave it.
type Routes struct {
	max  int
	ids  map[string]*route
	own  *patterns // configured; nil when there are none
	api  *openapi.API
	docs *openapi.Reader // of api; nil when there are no documents
	memo []slot
	work []byte
}

// route is what is known of one template.
type route struct {
	text  string
	id    uint32
	kinds [2]ingest.RouteKind // for methods that read, and that write
	api   bool                // a document has it
}

// slot remembers the route of one method and path. Its key's bytes are reused, so
// that many different paths do not allocate.
type slot struct {
	key    []byte // method, blank, path
	method int
	text   string
	id     uint32
	kind   ingest.RouteKind
	host   uint8 // whose documents were asked
	said   openapi.Match
}

// NewRoutes makes a finder of routes.
func NewRoutes(cfg RoutesConfig) *Routes {
	r := &Routes{
		max:  cfg.MaxTemplates,
		ids:  map[string]*route{},
		memo: make([]slot, memoSlots),
	}
	if r.max <= 0 {
		r.max = defaultMax
	}
	// What the operator names has a number from the start: nobody can use them up before.
	r.own = newPatterns(cfg)
	for _, text := range r.own.texts() {
		r.add(text)
	}
	return r
}

// Resolve sets the event's Route, RouteID and Kind. Route and Kind depend on nothing but
// method, path and config. A template gets a RouteID of its own with the first
// request whose status shows that the route exists, as long as there is room.
func (r *Routes) Resolve(ev *ingest.Event) {
	if ev.Flags&ingest.FlagMalformed != 0 || ev.Target == "" {
		ev.Route, ev.RouteID, ev.Kind = Malformed, Other, ingest.RouteOrdinary
		return
	}
	path := ev.Target
	if path[0] == '/' {
		if k := strings.IndexByte(path, '?'); k >= 0 {
			path = path[:k]
		}
	} else {
		path = Path(path)
	}
	size := len(ev.Method) + 1 + len(path)
	var host uint8
	if r.docs != nil {
		host = r.api.Host(ev.Host)
	}
	if size > longestMemo {
		said := r.compute(ev, path, host)
		r.describe(ev, &said)
		return
	}
	s := &r.memo[hash(ev.Method, path)%memoSlots]
	if s.method == len(ev.Method) && len(s.key) == size && string(s.key[s.method+1:]) == path && s.host == host &&
		string(s.key[:s.method]) == ev.Method && (s.id != Other || len(r.ids) >= r.max || !exists(ev.Status)) {
		ev.Route, ev.RouteID, ev.Kind = s.text, s.id, s.kind
		r.describe(ev, &s.said)
		return
	}
	s.said = r.compute(ev, path, host)
	s.key = append(append(append(s.key[:0], ev.Method...), ' '), path...)
	s.method, s.text, s.id, s.kind, s.host = len(ev.Method), ev.Route, ev.RouteID, ev.Kind, host
	r.describe(ev, &s.said)
}

// hash finds a memo's slot. It looks at the beginning, the middle and the end: two paths
// that share these take turns in a slot, which costs time and nothing else.
func hash(method, path string) uint64 {
	h := uint64(len(path)) * 0x9e3779b97f4a7c15
	if method != "" {
		h += uint64(method[0])
	}
	if n := len(path); n >= 8 {
		h ^= word(path) ^ bits.RotateLeft64(word(path[n-8:]), 23) ^ bits.RotateLeft64(word(path[(n-8)/2:]), 41)
	} else {
		for i := range n {
			h = h<<8 + h>>56 + uint64(path[i])
		}
	}
	h *= 0xd6e8feb86659fd93
	return h >> 40
}

// word reads eight bytes.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// compute finds the route the long way: the documents' before the operator's own, and that
// before the guess. It returns what the documents say.
func (r *Routes) compute(ev *ingest.Event, path string, host uint8) (said openapi.Match) {
	path = Path(path) // a fragment, which no client should send, is part of the memo's key
	if r.docs != nil {
		said = r.docs.Find(host, ev.Method, path)
	}
	p := r.own.find(path)
	switch {
	case said.Template != "":
		r.work = append(r.work[:0], said.Template...)
	case p != nil:
		r.work = append(r.work[:0], p.text...)
	default:
		r.work = appendTemplate(r.work[:0], path)
	}
	known, ok := r.ids[string(r.work)]
	if !ok && exists(ev.Status) {
		known = r.add(string(r.work))
	}
	writing := writes(ev.Method)
	if known != nil {
		ev.Route, ev.RouteID, ev.Kind = known.text, known.id, known.kinds[0]
		if writing {
			ev.Kind = known.kinds[1]
		}
		if known.api {
			said.Facts &^= ingest.APIUnlisted // an odd way to write what is described
		}
	} else {
		ev.Route, ev.RouteID = string(r.work), Other
		ev.Kind = wellKnown(writing, ev.Route)
	}
	if p != nil && p.fixed {
		ev.Kind = p.kind
	}
	return said
}

// add gives a template a number, or returns nil when all are taken.
func (r *Routes) add(text string) *route {
	if len(r.ids) >= r.max {
		return nil
	}
	known := &route{text: text, id: uint32(len(r.ids)) + Other + 1}
	known.kinds = [2]ingest.RouteKind{wellKnown(false, text), wellKnown(true, text)}
	r.ids[text] = known
	return known
}

// writes tells the methods that send something.
func writes(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

// exists tells whether an answer shows that there is such a route: a scanner that
// asks for a thousand invented paths must not use up the numbers. What is refused
// is left out too, since our own blocks answer so.
func exists(status uint16) bool {
	switch status {
	case 400, 403, 404, 405, 410, 414, 429, 431, 444, 494, 501, 505:
		return false
	}
	return true
}

// Path returns the path of a request target: without scheme and authority, query and
// fragment.
func Path(target string) string {
	if !strings.HasPrefix(target, "/") {
		if k := strings.Index(target, "://"); k > 0 && k < 10 {
			rest := target[k+3:]
			if k = strings.IndexAny(rest, "/?#"); k < 0 {
				return "/"
			}
			if target = rest[k:]; target[0] != '/' {
				return "/"
			}
		}
	}
	if k := strings.IndexByte(target, '?'); k >= 0 {
		target = target[:k]
	}
	if k := strings.IndexByte(target, '#'); k >= 0 {
		target = target[:k]
	}
	return target
}

// Template returns the route template of a path or target: pure, at most maxBytes
// long, printable ASCII.
func Template(target string) string {
	if target == "" {
		return Malformed
	}
	return string(appendTemplate(nil, Path(target)))
}
