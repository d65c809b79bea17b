package authz

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// The paths of forward-auth.
const (
	pathForward = "/authz"       // Traefik, Caddy: the answer is passed on as it is
	pathNginx   = "/authz/nginx" // auth_request: 403 for every refusal but 401, and the status in a field
)

// statusField tells NGINX which status to answer with. auth_request knows only 401
// and 403: any other refusal, 429 too, would become 500. challengeField is the
// WWW-Authenticate of a 403.
const (
	statusField    = "X-Portcullis-Status"
	challengeField = "X-Portcullis-Authenticate"
)

// problemField is the body for NGINX, which drops that of a refusal.
const problemField = "X-Portcullis-Problem"

// Handler is the HTTP side: forward-auth, /healthz and /readyz.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(pathForward, func(w http.ResponseWriter, r *http.Request) { s.forward(w, r, false) })
	mux.HandleFunc(pathNginx, func(w http.ResponseWriter, r *http.Request) { s.forward(w, r, true) })
	mux.Handle("GET /healthz", telemetry.Healthz())
	mux.Handle("GET /readyz", telemetry.Readyz(s.Health, nil))
	return mux
}

// forward answers a gateway's question about a request.
func (s *Service) forward(w http.ResponseWriter, r *http.Request, nginx bool) {
	if s.door != nil && s.cfg.Access.Keys != "" {
		if v := s.door.AdmitHTTP(keyOf(r)); !v.OK {
			// 500 is no refusal of the client's request: gateways that fail open let it pass.
			serve.Write(w, http.StatusInternalServerError, v.Wait, serve.NewProblem(http.StatusInternalServerError,
				"this gateway shows no key of authz.keys_file as X-Portcullis-Key"))
			return
		}
	}
	v := s.ask(r)
	a := answerOf(v)
	h := w.Header()
	for _, f := range a.fields[:a.n] {
		h[f.name] = []string{f.value} // names are in canonical form
	}
	h["Cache-Control"] = noStore
	if a.status == http.StatusOK {
		if v.auth.Who.Kind != "" {
			values := s.guard.Headers(&v.auth.Who, s.now())
			kept := values[:]
			for i, value := range kept {
				if value != "" {
					h[authn.IdentityHeaders[i]] = kept[i : i+1 : i+1]
				}
			}
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if nginx {
		h.Set(problemField, string(a.body))
		h.Set(statusField, strconv.Itoa(a.status))
		if a.status != http.StatusUnauthorized {
			a.status = http.StatusForbidden
			if c, ok := h[fieldAuthenticate]; ok { // of a 401 alone NGINX passes it on by itself
				h[challengeField] = c
			}
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the gateway hung up: nobody is left to tell
}

var noStore = []string{"no-store"}

// keyOf is the request as the door looks at it: the gateway's key has a field of its
// own, since X-Api-Key and Authorization are the client's.
func keyOf(r *http.Request) *http.Request {
	return &http.Request{RemoteAddr: r.RemoteAddr, Header: http.Header{"X-Api-Key": r.Header["X-Portcullis-Key"]}}
}

// ask reads what the gateway says of a request, and decides.
func (s *Service) ask(r *http.Request) verdict {
	w := s.worker()
	defer s.giveBack(w)
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		w.ev.Peer = peer.Addr().Unmap().WithZone("")
	}
	s.fill(&w.ev, r.Header)
	if s.screens() {
		w.seen = seen{fields: headerFields(r.Header)}
		w.seen.read(r, s.cfg.MaxBody)
	}
	w.guarded = true
	for _, name := range overrides {
		w.asked.Overrides = append(w.asked.Overrides, r.Header[name]...)
	}
	for _, name := range elsewhere {
		for _, target := range r.Header[name] {
			w.asked.Elsewhere = append(w.asked.Elsewhere, enrich.Path(target))
		}
	}
	v := verdict{}
	if w.identity.Trusted(w.ev.Peer) {
		if s.cfg.Authn.ClientCert != "" {
			w.asked.Cert = r.Header.Get(s.cfg.Authn.ClientCert)
		}
		v = s.decide(r.Context(), w, 1)
	} else {
		v = s.settle(w, s.undecided(r.Context(), w, stranger))
	}
	s.say(v.reason, r.RemoteAddr)
	return v
}

// overrides are fields by which some servers take a request for one of another method.
var overrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// elsewhere are fields by which some servers take a request for one of another path.
var elsewhere = []string{"X-Original-Url", "X-Rewrite-Url"}

// fill takes over the fields that forward-auth sends. The X-Forwarded ones are written by
// the gateway; the snippets in docs/authz.md have NGINX write them too.
func (s *Service) fill(ev *ingest.Event, h http.Header) {
	ev.Chain = joined(h["X-Forwarded-For"])
	ev.Forwarded = joined(h["Forwarded"])
	ev.RealIP = first(h["X-Real-Ip"])
	ev.Method = first(h["X-Forwarded-Method"])
	ev.Target = first(h["X-Forwarded-Uri"])
	ev.Host = first(h["X-Forwarded-Host"])
	ev.Agent = first(h["User-Agent"])
	ev.Key = first(h["X-Api-Key"])
	ev.Token = first(h["Authorization"])
	ev.Session = joinedBy(h["Cookie"], "; ")
	if s.cfg.Consumer != "" {
		ev.Consumer = h.Get(s.cfg.Consumer)
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// joined is a field that may stand there several times, as one list (RFC 9110,
// section 5.3).
func joined(values []string) string { return joinedBy(values, ", ") }

func joinedBy(values []string, sep string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	return strings.Join(values, sep)
}
