package console

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/internal/telemetry"
)

// policy is the Content-Security-Policy of every answer: our own files only, no
// inline script or style, no framing, and no string ever parsed as HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// harden sets the headers that hold for every answer, whatever it is. HSTS is
// left out on purpose: the console often has a certificate of the operator's own
// authority, and HSTS would outlive it in browsers.
func harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// knownHost stops DNS rebinding: a page of a stranger's name that was made to
// resolve to this machine still sends the stranger's name as Host. An address is
// never rebound, so the one that the connection came in on is known too.
func (s *Server) knownHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if loopback(host) || s.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == addr.Unmap().WithZone("")
}

// hostNames are the configured names plus the one listened on.
func hostNames(cfg Config) map[string]bool {
	known := make(map[string]bool, len(cfg.Hosts)+1)
	for _, h := range cfg.Hosts {
		known[strings.ToLower(strings.TrimSuffix(h, "."))] = true
	}
	if host, _, err := net.SplitHostPort(cfg.listen()); err == nil && host != "" {
		if addr, err := netip.ParseAddr(host); err != nil || !addr.IsUnspecified() {
			known[strings.ToLower(host)] = true
		}
	}
	return known
}

// sameSite refuses what another site's page sent. For reads this keeps a page
// elsewhere from holding all event streams; for writes it is the CSRF check. The
// standard library compares Sec-Fetch-Site, and Origin where that is missing.
func (s *Server) sameSite(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return newProblem(http.StatusForbidden, "a page of another site may not use the console")
	}
	if err := s.origin.Check(r); err != nil {
		return newProblem(http.StatusForbidden, "the request came from another origin")
	}
	return nil
}

// jsonBody demands the content type that a form of another site cannot send
// without a preflight, which the console never grants.
func jsonBody(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "send the request with Content-Type: application/json")
	}
	return nil
}

// front is what every request meets first, known route or not.
func (s *Server) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		if !s.knownHost(r) {
			s.fail(w, r, newProblem(http.StatusMisdirectedRequest,
				fmt.Sprintf("the console is not known as %s: add the name to console.hosts", telemetry.Quote(r.Host))))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// visit reports whether a browser opens a page, as when a person follows a link: that may
// come from anywhere, an alert for one, and changes nothing.
func visit(rt route, r *http.Request) bool {
	return rt.page && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// guard wraps a route: where the request comes from, who asks, whether they may and how
// often, what it carries.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := s.pass(w, r, rt)
		if err == nil && r != nil {
			err = rt.serve(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// pass lets a request through to its route; nil = it was answered.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, rt route) (*http.Request, error) {
	if rt.access != public && !visit(rt, r) {
		if err := s.sameSite(r); err != nil {
			return r, err
		}
	}
	if rt.access == private {
		who, ok := s.admit(w, r, rt.page)
		if !ok {
			return nil, nil
		}
		r = who.as(r)
		if err := who.may(rt.role); err != nil {
			return r, err
		}
		if err := s.allowance(r, who, rt.method); err != nil {
			return r, err
		}
	}
	if !rt.api() {
		return r, nil
	}
	if rt.method != http.MethodGet {
		return r, jsonBody(r)
	}
	return r, rt.known(r)
}
