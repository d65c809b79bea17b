// Package discover drafts an OpenAPI document from observed requests: routes, methods,
// parameters with their types, statuses, and how callers show who they are.
//
// It never keeps a value. What a value looks like is kept as its type, and a name, of a path
// segment or a parameter, stands in the document only if enough clients used it with success:
// so neither one visitor's data nor a scanner's guesses get into it. The same requests in the
// same order give the same document.
package discover

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// Options say what is taken for a part of the API.
type Options struct {
	Clients  int // who used a route, or a name, with success; an IPv4 address or an IPv6 /64 is one
	Requests int // answered with success
}

// Bounds. What is beyond them is counted, and left out.
const (
	maxRoutes   = 20_000 // routes and methods that were answered with success
	maxNames    = 64     // parameters of one of them
	maxName     = 40     // bytes of a name
	maxPairs    = 64     // parameters of one request
	maxClients  = 64     // that are told apart, for each route and name
	maxStatuses = 64     // of one of them
)

// Left counts what is not in the document.
type Left struct {
	Requests  int64 // that were not answered with success, and told of no route
	Odd       int64 // whose line or path cannot be read as a route
	Few       int   // routes and methods that too few clients, or requests, used
	Names     int   // parameters that too few used, or whose names are not plain
	Overflow  int64 // requests that no room was left for
	Collapsed int   // names of segments that were taken for values, and became parameters
}

// Draft gathers requests. It is for one goroutine.
type Draft struct {
	opt  Options
	left Left
	ops  map[key]*operation
}

type key struct{ route, method string }

// operation is what is known of a method on a route.
type operation struct {
	success  int64
	clients  people
	first    netip.Prefix // whose request was the first with success, in the order of addresses
	statuses map[uint16]int64
	names    map[string]*name
	other    int64  // requests with names beyond the bounds
	segments []kind // of what stands for a parameter in the path, by place
	auth     [methods]int64
}

// name is what is known of a query parameter.
type name struct {
	seen    int64 // requests with success that had it
	clients people
	kinds   kind
	often   bool // twice in one request
}

// people are clients, told apart up to a bound.
type people map[netip.Prefix]struct{}

func (p *people) add(c netip.Prefix) {
	if len(*p) >= maxClients {
		return
	}
	if *p == nil {
		*p = people{}
	}
	(*p)[c] = struct{}{}
}

// The ways in which callers show who they are.
const (
	byKey = iota
	byToken
	bySession
	byUser
	byCertificate
	methods
)

// New makes a Draft.
func New(opt Options) *Draft {
	return &Draft{opt: Options{max(opt.Clients, 1), max(opt.Requests, 1)}, ops: map[key]*operation{}}
}

// Observe takes a request in, whose route and client are known. Those that carry attacks are
// not for it.
func (d *Draft) Observe(ev *ingest.Event) {
	if ev.Flags&(ingest.FlagMalformed|ingest.FlagTruncated|ingest.FlagForgeable) != 0 || !plainRoute(ev.Route) || !plainMethod(ev.Method) {
		d.left.Odd++
		return
	}
	success := ev.Status >= 200 && ev.Status < 400
	k := key{ev.Route, ev.Method}
	op := d.ops[k]
	switch {
	case op == nil && !success:
		d.left.Requests++
		return
	case op == nil && len(d.ops) >= maxRoutes:
		d.left.Overflow++
		return
	case op == nil:
		op = &operation{statuses: map[uint16]int64{}, names: map[string]*name{}}
		d.ops[key{strings.Clone(k.route), strings.Clone(k.method)}] = op
	}
	if ev.Status >= 100 && ev.Status < 600 && (len(op.statuses) < maxStatuses || op.statuses[ev.Status] > 0) {
		op.statuses[ev.Status]++
	}
	if !success {
		return
	}
	who := client(ev.Client)
	op.success++
	op.clients.add(who)
	if !op.first.IsValid() || who.Addr().Less(op.first.Addr()) {
		op.first = who
	}
	for i, shown := range [methods]bool{ev.Key != "", ev.Token != "", ev.Session != "", ev.User != "", ev.Subject != ""} {
		if shown {
			op.auth[i]++
		}
	}
	op.path(ev)
	op.query(ev.Target, who)
}

// client is whom requests are counted for: within a /64 one sender has as many addresses as
// it likes.
func client(a netip.Addr) netip.Prefix {
	bits := 32
	if a = a.Unmap().WithZone(""); a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 32)
	}
	return p
}

// plainRoute reports whether a route is one that can stand in a document: of words that need
// no escape, and parameters.
func plainRoute(route string) bool {
	if route == "" || route[0] != '/' {
		return false
	}
	for seg := range strings.SplitSeq(route[1:], "/") {
		if strings.HasPrefix(seg, "{") {
			if seg == "{odd}" || seg == "{rest}" || !strings.HasSuffix(seg, "}") || !plainName(seg[1:len(seg)-1]) {
				return false
			}
		} else if seg != "" && !plainName(seg) {
			return false
		}
	}
	return true
}

// plainName reports whether a word is one that a program would use as a name.
func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && c != '.' && c != '[' && c != ']' && c != '~' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// valueLike reports whether a part of a name looks like an id, a hash or a token: then it is
// a value that stands where a name should.
func valueLike(word string) bool {
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return strings.ContainsRune(".-_[]~", r) }) {
		if len(part) > 3 && enrich.Template("/"+part) != "/"+part {
			return true
		}
	}
	return false
}

// plainMethod reports whether a document can have a method.
func plainMethod(m string) bool {
	switch m {
	case "GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "TRACE":
		return true
	}
	return false // OPTIONS too: browsers ask so before they call anything
}

// path notes what stands in the places of parameters. Where the path is written otherwise
// than its route, they are texts.
func (op *operation) path(ev *ingest.Event) {
	var raw []string
	for seg := range strings.SplitSeq(enrich.Path(ev.Target), "/") {
		if seg != "" {
			raw = append(raw, seg)
		}
	}
	parts := strings.Split(strings.TrimPrefix(ev.Route, "/"), "/")
	if len(op.segments) != len(parts) {
		op.segments = make([]kind, len(parts))
	}
	same := len(raw) == len(parts)
	for i, part := range parts {
		switch {
		case !strings.HasPrefix(part, "{"):
			same = same && raw[i] == part
		case same:
			op.segments[i] |= kindOf(raw[i])
		}
	}
	if !same {
		for i := range op.segments {
			op.segments[i] |= isText
		}
	}
}

// query notes the parameters of a request.
func (op *operation) query(target string, who netip.Prefix) {
	_, query, _ := strings.Cut(target, "?")
	query, _, _ = strings.Cut(query, "#")
	var had []string
	for n := 0; query != "" && n < maxPairs; n++ {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		word, value, _ := strings.Cut(pair, "=")
		if word == "" {
			continue
		}
		word, bad := openapi.Unescape(word, true)
		if bad || !plainName(word) || valueLike(word) {
			op.other++
			continue
		}
		x := op.names[word]
		if x == nil {
			if len(op.names) >= maxNames {
				op.other++
				continue
			}
			word = strings.Clone(word)
			x = &name{}
			op.names[word] = x
		}
		value, _ = openapi.Unescape(value, true)
		x.kinds |= kindOf(value)
		x.clients.add(who)
		if slices.Contains(had, word) {
			x.often = true
			continue
		}
		had = append(had, word)
		x.seen++
	}
}
