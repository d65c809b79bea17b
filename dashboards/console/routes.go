package console

import (
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// access says who may use a route.
type access uint8

const (
	private access = iota // logged in, where a token is configured
	form                  // anybody, but not from another site's page
	public                // anybody: probes, style sheets
)

// route is one line of the console's surface. The list below is the only place
// where routes are made; a test compares it with openapi.json.
type route struct {
	method  string
	pattern string
	access  access
	page    bool // for people: a stranger is redirected to the login form
	serve   func(http.ResponseWriter, *http.Request) error
}

// apiRoot is where the API lives.
const apiRoot = "/api/v1"

func (rt route) api() bool { return strings.HasPrefix(rt.pattern, apiRoot+"/") }

func (s *Server) routes() []route {
	list := []route{
		{"GET", "/{$}", private, true, s.indexPage},
		{"GET", "/static/{file}", public, false, s.staticFile},
		{"GET", "/login", form, true, s.loginForm},
		{"POST", "/login", form, true, s.login},
		{"POST", "/logout", form, true, s.logout},
		{"GET", "/healthz", public, false, plainly(telemetry.Healthz())},
		{"GET", "/readyz", public, false, plainly(telemetry.Readyz(s.deps.Ready, s.may))},

		{"GET", apiRoot + "/openapi.json", private, false, s.openAPI},
		{"GET", apiRoot + "/status", private, false, s.getStatus},
		{"GET", apiRoot + "/traffic", private, false, s.getTraffic},
		{"GET", apiRoot + "/findings", private, false, s.getFindings},
		{"GET", apiRoot + "/findings/{id}", private, false, s.getFinding},
		{"GET", apiRoot + "/decisions", private, false, s.getDecisions},
		{"GET", apiRoot + "/decisions/{id}", private, false, s.getDecision},
		{"POST", apiRoot + "/decisions/{id}/release", private, false, s.decide(enforce.VerbRelease)},
		{"POST", apiRoot + "/decisions/{id}/approve", private, false, s.decide(enforce.VerbApprove)},
		{"POST", apiRoot + "/decisions/{id}/extend", private, false, s.decide(enforce.VerbExtend)},
		{"GET", apiRoot + "/allow", private, false, s.getAllowed},
		{"POST", apiRoot + "/allow", private, false, s.allow},
		{"DELETE", apiRoot + "/allow/{value}", private, false, s.disallow},
		{"GET", apiRoot + "/commands/{id}", private, false, s.getCommand},
		{"GET", apiRoot + "/events", private, false, s.events},
	}
	if s.deps.Metrics != nil {
		list = append(list, route{"GET", "/metrics", private, false, plainly(s.deps.Metrics)})
	}
	return list
}

// may reports whether the caller may see details, for routes open to all. It
// looks at the session only: a probe is no login attempt.
func (s *Server) may(r *http.Request) bool {
	if !s.auth.need {
		return true
	}
	c, err := r.Cookie(s.cookieName())
	return err == nil && s.auth.known(c.Value, s.now())
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
