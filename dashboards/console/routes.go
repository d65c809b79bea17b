package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// access says who may use a route.
type access uint8

const (
	private access = iota // who has the route's role
	form                  // anybody, but not from another site's page
	public                // anybody: probes, style sheets
)

// route is one line of the console's surface. The lists below are the only place where
// routes are made: openapi.json is generated from them, and tests go through all of them
// with every role.
type route struct {
	method  string
	pattern string
	access  access
	role    Role // the least that a private route needs
	page    bool // for people: a stranger is redirected to the login form
	serve   func(http.ResponseWriter, *http.Request) error
	doc     *operation // nil: not a part of the API
}

// apiRoot is where the API lives.
const apiRoot = "/api/v1"

func (rt route) api() bool { return strings.HasPrefix(rt.pattern, apiRoot+"/") }

// known refuses parameters that the route does not have, or has twice: a misspelt filter
// must not read as "all".
func (rt route) known(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the query string could not be read")
	}
	names := rt.doc.queryNames()
	for name, given := range values {
		if !slices.Contains(names, name) {
			return badRequest(fmt.Sprintf("unknown parameter %s: known are %s", telemetry.Quote(name), strings.Join(names, ", ")))
		}
		if len(given) > 1 {
			return badRequest(fmt.Sprintf("parameter %s is given more than once", name))
		}
	}
	return nil
}

func (s *Server) routes() []route {
	return slices.Concat(s.pageRoutes(), s.readRoutes(), s.writeRoutes(), s.alertRoutes(), s.backtestRoutes(), s.plainRoutes())
}

// pageRoutes are what people open.
func (s *Server) pageRoutes() []route {
	list := []route{
		{method: "GET", pattern: "/static/{file}", access: public, serve: s.staticFile},
		{method: "GET", pattern: "/login", access: form, page: true, serve: s.loginForm},
		{method: "POST", pattern: "/login", access: form, page: true, serve: s.login},
		{method: "GET", pattern: "/login/oidc", access: form, page: true, serve: s.toProvider},
		// The provider sends people here, so it comes from another site; the sealed cookie and
		// its state say whether the login was begun here.
		{method: "GET", pattern: callbackPath, access: public, page: true, serve: s.fromProvider},
		{method: "POST", pattern: "/logout", access: form, page: true, serve: s.logout},
		{method: "GET", pattern: "/docs", role: Viewer, page: true, serve: s.docsPage},
	}
	for _, p := range pages {
		pattern := "/" + p.Name
		if p.Name == "" {
			pattern = "/{$}"
		}
		list = append(list, route{method: "GET", pattern: pattern, role: Viewer, page: true, serve: s.page(p)})
	}
	return list
}

// readRoutes are what programs and the pages read.
func (s *Server) readRoutes() []route {
	get := func(path string, serve func(http.ResponseWriter, *http.Request) error, doc operation) route {
		return route{method: "GET", pattern: apiRoot + path, role: Viewer, serve: serve, doc: &doc}
	}
	list := []route{
		get("/status", s.getStatus, operation{id: "getStatus", summary: "What runs now.", answer: statusJSON{}}),
		get("/me", s.getMe, operation{id: "getMe", summary: "Who asks, and what they may do.", answer: meJSON{}}),
		get("/traffic", s.getTraffic, operation{id: "getTraffic", summary: "Requests by the minute, the last hour unless asked otherwise.", answer: trafficJSON{}, query: []param{
			since, until, {name: "route", doc: "A route template; without it the traffic as a whole."},
			{name: "step", doc: "Minutes, 1 to 1440, to add up over all sources into one; without it each minute of each source by itself."},
		}}),
		get("/summary", s.getSummary, operation{id: "getSummary", summary: "Findings counted by rule, severity and kind of subject, and decisions by state; the last 24 hours unless asked otherwise.", answer: summaryJSON{}, query: []param{since, until}}),
		get("/findings", s.getFindings, operation{id: "getFindings", summary: "Findings, the newest first.", answer: findingsJSON{}, query: []param{
			since, until, {name: "rule", doc: "Name of the rule."}, {name: "family", doc: "Family of the rule."}, ofKind, bySubject,
			{name: "severity", doc: "Least severity.", enum: severityNames()}, limit, cursor,
		}}),
		get("/findings/{id}", s.getFinding, operation{id: "getFinding", summary: "One finding.", answer: findingJSON{}}),
		get("/decisions", s.getDecisions, operation{id: "getDecisions", summary: "Decisions, the newest first.", answer: decisionsJSON{}, query: []param{
			{name: "state", doc: "Only in this state.", enum: stateNames()}, {name: "live", doc: "Only those that belong on the gateways.", kind: "boolean"},
			bySubject, since, limit, cursor,
		}}),
		get("/decisions/{id}", s.getDecision, operation{id: "getDecision", summary: "One decision with its history.", answer: decisionStoryJSON{}}),
		get("/subject", s.getSubject, operation{id: "getSubject", summary: "All that is known of one client, consumer, route or other subject.", answer: subjectStoryJSON{}, query: []param{required(bySubject), since}}),
		get("/rules", s.getRules, operation{id: "getRules", summary: "The detectors: whether they are on and act, what they found and decided, and what people took back; of the last 30 days unless asked otherwise.", answer: rulesJSON{}, query: []param{since}}),
		get("/changes", s.getChanges, operation{id: "getChanges", summary: "Every change of every decision, the newest first.", answer: changesJSON{}, query: []param{
			{name: "people", doc: "Only what a person did.", kind: "boolean"}, {name: "value", doc: "Only of decisions on this value, such as 192.0.2.7."}, since, limit, cursor,
		}}),
		get("/commands", s.getCommands, operation{id: "getCommands", summary: "What people asked for and what came of it, the newest first.", answer: commandsJSON{}, query: []param{since, limit, cursor}}),
		get("/commands/{id}", s.getCommand, operation{id: "getCommand", summary: "What became of a write.", answer: commandJSON{}}),
		get("/allow", s.getAllowed, operation{id: "getAllowed", summary: "Who is never acted on.", answer: allowsJSON{}}),
		get("/events", s.events, operation{id: "getEvents", media: "text/event-stream", summary: "What is new, as server-sent events: status once a second, finding and decision as they come, backtest when one begins, is further or ends, resync when the lists should be read again, trouble when the store cannot be read. Read the lists after the stream is open.", status: []int{503}}),
		get("/documents", s.getDocuments, operation{id: "getDocuments", summary: "The documents of the API behind the gateway.", answer: documentsJSON{}}),
		get("/documents/{name}", s.getPublished, operation{id: "getDocument", summary: "One of them, as it is in its file: JSON, or YAML (application/yaml).", answer: map[string]any{}, status: []int{404}}),
		get("/openapi.json", s.openAPI, operation{id: "getOpenAPI", summary: "This document.", answer: map[string]any{}}),
	}
	keys := get("/keys", s.getKeys, operation{id: "getKeys", summary: "The API keys: names, roles and ends. No key is shown.", answer: keysJSON{}})
	keys.role = Admin
	return append(list, keys)
}

// writeRoutes are what a person or a program may do.
func (s *Server) writeRoutes() []route {
	write := func(method, path string, role Role, serve func(http.ResponseWriter, *http.Request) error, id, summary string, body any) route {
		return route{method: method, pattern: apiRoot + path, role: role, serve: serve,
			doc: &operation{id: id, summary: summary, body: body, answer: commandJSON{}, status: []int{202, 409, 422}}}
	}
	return []route{
		write("POST", "/decisions/{id}/release", Operator, s.decide(enforce.VerbRelease), "releaseDecision", "Take a decision off the gateways, or dismiss a proposed one.", reasonJSON{}),
		write("POST", "/decisions/{id}/approve", Operator, s.decide(enforce.VerbApprove), "approveDecision", "Put a proposed decision in force.", reasonJSON{}),
		write("POST", "/decisions/{id}/extend", Operator, s.decide(enforce.VerbExtend), "extendDecision", "Make a decision last longer.", extensionJSON{}),
		write("POST", "/allow", Operator, s.allow, "addAllowed", "Never act on an address, a network or kind:value.", allowOrderJSON{}),
		write("DELETE", "/allow/{value}", Operator, s.disallow, "removeAllowed", "Remove an entry; write the / of a network as %2F.", reasonJSON{}),
		write("POST", "/panic", Admin, s.switchPanic(enforce.VerbPanic), "panic", "Take every decision off the gateways, and put nothing in force until resume.", reasonJSON{}),
		write("POST", "/resume", Admin, s.switchPanic(enforce.VerbResume), "resume", "End the panic: new findings are acted on again.", reasonJSON{}),
	}
}

// plainRoutes are what monitoring asks.
func (s *Server) plainRoutes() []route {
	list := []route{
		{method: "GET", pattern: "/healthz", access: public, serve: plainly(telemetry.Healthz()),
			doc: &operation{id: "getHealth", summary: "200 while the process serves at all.", media: "text/plain"}},
		{method: "GET", pattern: "/readyz", access: public, serve: plainly(telemetry.Readyz(s.deps.Ready, s.may)),
			doc: &operation{id: "getReady", summary: "200 once sources are read and state is loaded.", media: "text/plain", status: []int{503}}},
	}
	if s.deps.Metrics != nil {
		list = append(list, route{method: "GET", pattern: "/metrics", role: Viewer, serve: plainly(s.deps.Metrics),
			doc: &operation{id: "getMetrics", summary: "Prometheus metrics.", media: "text/plain"}})
	}
	return list
}

// may reports whether the caller may see details, for routes open to all. It
// looks at the session only: a probe is no login attempt.
func (s *Server) may(r *http.Request) bool {
	_, ok := s.seated(r)
	return ok
}

// plainly turns a handler that answers its own errors into a route's function.
func plainly(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// mux serves the routes, and tells what is not one.
func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	methods := map[string]bool{}
	for _, rt := range s.routes() {
		mux.Handle(rt.method+" "+rt.pattern, s.guard(rt))
		methods[rt.method] = true
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var known []string
		for m := range methods {
			probe := r.Clone(r.Context())
			probe.Method = m
			if _, pattern := mux.Handler(probe); pattern != "/" {
				known = append(known, m)
			}
		}
		if len(known) == 0 {
			s.fail(w, r, notFound("there is nothing at "+telemetry.Quote(r.URL.Path)))
			return
		}
		w.Header().Set("Allow", strings.Join(known, ", "))
		s.fail(w, r, newProblem(http.StatusMethodNotAllowed, "this address does not take "+telemetry.Quote(r.Method)))
	})
	return mux
}
