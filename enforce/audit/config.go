package audit

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit/doc"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
)

// State says what is known of a fact. The zero State is: nothing.
type State uint8

// The states.
const (
	Untold State = iota
	Good
	Bad
)

// Fact is one thing that the configuration says, or fails to say.
type Fact struct {
	State State
	At    doc.Place
	Saw   string
	Mend  []doc.Edit // what makes a bad one good
	Mild  bool       // whether it is bad depends on what is not told, such as the gateway's version: its severity is low
}

// Door is where a gateway listens.
type Door struct {
	Name     string // the address as written
	At       doc.Place
	Local    bool // loopback or a unix socket: nobody else gets in
	TLS      bool
	Redirect Fact // of a door without TLS: all goes to https
	Versions Fact // protocol versions
	Ciphers  Fact
	Certs    []Cert
}

// Cert names a certificate file of a door.
type Cert struct {
	Path     string
	At       doc.Place
	Stapling bool // OCSP answers are stapled
}

// Limit is what bounds the requests of a route.
type Limit struct {
	State    State
	At       doc.Place
	Shared   bool    // counted for all clients together
	Forged   string  // the header from which the client is taken, which clients write
	Rate     float64 // requests a second, 0 = not known
	Status   int     // of a refusal, 0 = not known
	StatusAt doc.Place
	Mend     []doc.Edit // makes Status 429
}

// Log is where requests of a route are logged.
type Log struct {
	State   State // Bad: they are not
	At      doc.Place
	Target  string // file or address
	Central bool   // it leaves the machine, or goes to what collects it
	Lacks   []string
	Secrets []string // what of it holds secrets
	Known   bool     // Lacks and Secrets are known
}

// Route is a part of what is served. Requests of several doors may reach it.
type Route struct {
	Name     string // as the gateway writes it
	Host     string
	Path     string // a path that it serves, for knowing its kind
	At       doc.Place
	Kind     ingest.RouteKind // set by Add
	Admin    bool             // set by Add: metrics, status, administration
	Local    bool             // reached from the machine itself only
	Forwards bool             // to a service; else it is files, or an answer of its own

	Auth     Fact
	Optional bool   // Auth is Good only where the client wants it to be
	KeyInURL Fact   // Bad: the key is taken from the query
	HSTS     Fact   // Bad: not sent over TLS
	Secure   bool   // it is reached over TLS
	Limit    Limit  //
	Body     Fact   // Bad: unlimited
	MaxBody  int64  // bytes, 0 = not known
	Methods  Fact   //
	Inspects Fact   // a schema or a firewall looks at requests
	Asks     Asked  // a decision service, before requests are forwarded
	Upstream Fact   // Bad: TLS to the service is not verified
	Logs     []Log  //
	LogOff   Fact   // Bad: logging is off
	Mend     Mender // how what is missing is put in
}

// Mender makes the edits for a check that failed at a route; nil has none.
type Mender func(check string) []doc.Edit

// Config is what a gateway is told.
type Config struct {
	Gateway string
	Doors   []*Door
	Routes  []*Route
	Blind   []string // what could not be read or understood

	said     []Finding
	kept     []Pass
	findings []Finding
	passes   []Pass
	judging  *Check
	options  Options
	kinds    *enrich.Routes
}

// NewConfig returns an empty Config, for readers and for evidence of another kind.
func NewConfig(gateway string) *Config {
	return &Config{Gateway: gateway, kinds: enrich.NewRoutes(enrich.RoutesConfig{})}
}

// Say notes a fact for a check, as readers do. An untold fact says nothing.
func (c *Config) Say(check, subject string, f Fact) {
	k := checks[check]
	if k == nil {
		c.Blind = append(c.Blind, "a reader names a check that does not exist: "+check)
		return
	}
	switch f.State {
	case Good:
		c.kept = append(c.kept, Pass{k, subject, f.At, f.Saw})
	case Bad:
		c.said = append(c.said, Finding{k, f.severity(k.Severity), subject, f.At, f.Saw, f.Mend})
	}
}

// severity is that of a bad fact.
func (f Fact) severity(s Severity) Severity {
	if f.Mild {
		return min(s, Low)
	}
	return s
}

// Blinded notes what could not be read or understood.
func (c *Config) Blinded(format string, args ...any) {
	c.Blind = append(c.Blind, fmt.Sprintf(format, args...))
}

// Judged notes a verdict of the check whose Judge runs.
func (c *Config) Judged(subject string, f Fact, s ...Severity) {
	k := c.judging
	switch f.State {
	case Good:
		c.passes = append(c.passes, Pass{k, subject, f.At, f.Saw})
	case Bad:
		severity := k.Severity
		if len(s) > 0 {
			severity = s[0]
		}
		c.findings = append(c.findings, Finding{k, f.severity(severity), subject, f.At, f.Saw, f.Mend})
	}
}

// Add adds a route and finds out what it is for.
func (c *Config) Add(r *Route) *Route {
	r.Kind, r.Admin = c.kindOf(r.Path), isAdmin(r.Path)
	c.Routes = append(c.Routes, r)
	return r
}

// kindOf is what a path is for, as detection sees it too.
func (c *Config) kindOf(path string) ingest.RouteKind {
	for _, p := range []string{path, strings.TrimRight(path, "/")} {
		if p == "" {
			continue
		}
		ev := ingest.Event{Method: "POST", Target: p, Status: 200}
		if c.kinds.Resolve(&ev); ev.Kind != ingest.RouteOrdinary {
			return ev.Kind
		}
		ev = ingest.Event{Method: "GET", Target: p, Status: 200}
		if c.kinds.Resolve(&ev); ev.Kind != ingest.RouteOrdinary {
			return ev.Kind
		}
	}
	return ingest.RouteOrdinary
}

// isAdmin reports whether a path is for those who run the gateway or the service.
func isAdmin(path string) bool {
	for _, part := range strings.Split(strings.ToLower(path), "/") {
		switch part {
		case "metrics", "stats", "stub_status", "basic_status", "nginx_status", "server-status", "server-info", "haproxy",
			"actuator", "jolokia", "pprof", "phpmyadmin", "adminer", "admin", "haproxy-stats", "haproxy_stats":
			return true
		}
	}
	return false
}

// Private reports whether requests of the route need credentials: it forwards to
// a service, from outside, and is not there for those who have none yet.
func (r *Route) Private() bool {
	return r.Forwards && !r.Local && !r.Kind.TakesCredentials() && r.Kind != ingest.RouteHealth &&
		r.Kind != ingest.RouteDocs && !r.Admin && !wellKnown(r.Path)
}

// Outside reports whether the route forwards what comes from outside.
func (r *Route) Outside() bool { return r.Forwards && !r.Local }

// mend returns the edits for a check, if the reader knows any.
func (r *Route) mend(check string) []doc.Edit {
	if r.Mend == nil {
		return nil
	}
	return r.Mend(check)
}

// LocalAddress reports whether an address to listen on can be reached from the
// machine itself only.
func LocalAddress(address string) bool {
	address = strings.TrimPrefix(address, "tcp/")
	return strings.HasPrefix(address, "unix") || strings.HasPrefix(address, "/") || strings.HasPrefix(address, "abns@") ||
		strings.HasPrefix(address, "127.") || strings.HasPrefix(address, "localhost") || strings.HasPrefix(address, "[::1]") || address == "::1"
}
