// Package drift compares what is asked of an API with what its documents say: what is used
// and not described, what is deprecated and used, what is described and not used, and
// parameters that are not as described. It keeps no values.
package drift

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// The kinds of rows, in the order in which they are listed.
const (
	Undocumented = "undocumented" // a route that no document has was answered with success
	Method       = "method"       // a method that no document has was
	Deprecated   = "deprecated"   // a deprecated operation was
	Parameter    = "parameter"    // a query parameter that no document has was taken
	Value        = "value"        // a parameter was taken whose value is not as described
	Unused       = "unused"       // nobody asked for the operation
)

var order = []string{Undocumented, Method, Deprecated, Parameter, Value, Unused}

// Row is one thing that differs.
type Row struct {
	Kind     string
	Method   string // empty where all of a route are meant
	Route    string
	Name     string // of the parameter; one that no document has is as a client wrote it
	Requests int64  // answered with success, 2xx or 3xx
	Clients  int    // distinct addresses, MaxClients at most; 0 where they are not known
	First    int64  // Unix nanoseconds of the first and the last; 0 where there is none
	Last     int64
	Document string // that describes the operation, and the line there
	Line     int
}

// Bounds of a report. What is beyond them is counted in Left.
const (
	MaxRows    = 10_000
	MaxClients = 10_000
)

// Report compares. It is for one goroutine.
type Report struct {
	Left int64 // requests that would have made more rows than there may be

	api    *openapi.API
	reader *openapi.Reader
	rows   map[key]*entry
	used   map[*openapi.Operation]bool
	routes map[string][]*openapi.Operation
}

type key struct{ kind, method, route, name string }

type entry struct {
	Row
	clients map[netip.Addr]struct{}
}

// New makes a Report on an API.
func New(api *openapi.API) *Report {
	r := &Report{api: api, reader: api.Reader(), rows: map[key]*entry{}, used: map[*openapi.Operation]bool{}, routes: map[string][]*openapi.Operation{}}
	for _, op := range api.Operations {
		r.routes[op.Template] = append(r.routes[op.Template], op)
	}
	return r
}

// Observe takes a request in, whose route is known.
func (r *Report) Observe(ev *ingest.Event) {
	if ev.Flags&ingest.FlagMalformed != 0 {
		return
	}
	m := r.reader.Find(r.api.Host(ev.Host), ev.Method, enrich.Path(ev.Target))
	if m.Op != nil && ev.Status != 405 && ev.Status != 501 {
		r.used[m.Op] = true
	}
	if ev.Status < 200 || ev.Status >= 400 {
		return
	}
	switch {
	case ev.API.Facts&ingest.APIUnlisted != 0:
		r.note(ev, nil, key{kind: Undocumented, route: ev.Route})
	case m.Facts&ingest.APIMethod != 0:
		r.note(ev, nil, key{Method, ev.Method, m.Template, ""})
	case m.Facts&ingest.APIDeprecated != 0:
		r.note(ev, m.Op, key{Deprecated, m.Op.Method, m.Template, ""})
	}
	if m.Op == nil {
		return
	}
	if m.Bad != "" {
		r.note(ev, m.Op, key{Value, m.Op.Method, m.Template, m.Bad})
	}
	if _, query, ok := strings.Cut(ev.Target, "?"); ok {
		r.reader.Departures(m.Op, query, func(kind ingest.DepartureKind, name string) bool {
			what := Parameter
			if kind == ingest.DepartureValue {
				what = Value
			}
			r.note(ev, m.Op, key{what, m.Op.Method, m.Template, name})
			return true
		})
	}
}

// note counts a request for a row. The texts of the key may borrow the event.
func (r *Report) note(ev *ingest.Event, op *openapi.Operation, k key) {
	x := r.row(op, k)
	if x == nil {
		return
	}
	x.Requests++
	x.span(ev.Time, ev.Time)
	if len(x.clients) < MaxClients {
		x.clients[ev.Client] = struct{}{}
	}
}

// row finds or makes a row, or returns nil when there are too many.
func (r *Report) row(op *openapi.Operation, k key) *entry {
	if x := r.rows[k]; x != nil {
		return x
	}
	if len(r.rows) >= MaxRows {
		r.Left++
		return nil
	}
	k = key{k.kind, strings.Clone(k.method), strings.Clone(k.route), strings.Clone(k.name)}
	x := &entry{Row: Row{Kind: k.kind, Method: k.method, Route: k.route, Name: k.name}, clients: map[netip.Addr]struct{}{}}
	if op != nil {
		x.Document, x.Line = op.File, op.Line
	}
	r.rows[k] = x
	return x
}

func (x *entry) span(first, last int64) {
	if x.First == 0 || first < x.First {
		x.First = first
	}
	x.Last = max(x.Last, last)
}

// Stored takes in the figures of a route, of which the methods and parameters are not known.
func (r *Report) Stored(route string, requests, answered, first, last int64) {
	ops, old := r.routes[route], true
	for _, op := range ops {
		old = old && op.Deprecated
		r.used[op] = r.used[op] || requests > 0
	}
	kind := key{kind: Deprecated, route: route}
	switch {
	case answered == 0 || len(ops) > 0 && !old:
		return
	case len(ops) == 0 && !r.api.Covers(route):
		return
	case len(ops) == 0:
		kind.kind = Undocumented
		ops = []*openapi.Operation{nil}
	}
	if x := r.row(ops[0], kind); x != nil {
		x.Requests += answered
		x.span(first, last)
	}
}

// Rows lists what differs: by kind, the most frequent first.
func (r *Report) Rows() []Row {
	var out []Row
	for _, x := range r.rows {
		x.Clients = len(x.clients)
		out = append(out, x.Row)
	}
	for _, op := range r.api.Operations {
		if !r.used[op] {
			out = append(out, Row{Kind: Unused, Method: op.Method, Route: op.Template, Document: op.File, Line: op.Line})
		}
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(b.Requests, a.Requests),
			strings.Compare(a.Route, b.Route), strings.Compare(a.Method, b.Method), strings.Compare(a.Name, b.Name))
	})
	return out
}
