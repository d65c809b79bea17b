package enrich

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// wellKnown tells what a route is for by the names that people give such routes. It
// looks at whole segments of the template, in lower case.
func wellKnown(writing bool, template string) ingest.RouteKind {
	var buf [maxBytes + 8]byte
	lower := buf[:0]
	for i := range min(len(template), cap(buf)) {
		c := template[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	var segs [maxSegments]string
	n := 0
	// The string does not leave this function.
	for s := range strings.SplitSeq(strings.TrimPrefix(string(lower), "/"), "/") {
		if n < len(segs) && (n > 0 || !isPrefix(s)) {
			segs[n] = s
			n++
		}
	}
	if n == 0 {
		return ingest.RouteOrdinary
	}
	last, before := segs[n-1], ""
	if n > 1 {
		before = segs[n-2]
	}
	if k := byLast(writing, last, before); k != ingest.RouteOrdinary {
		return k
	}
	for _, s := range segs[:n] {
		switch s {
		case "reset", "forgot", "reset-password", "forgot-password", "forgot_password", "reset_password", "password-reset",
			"password_reset", "passwordreset", "forgotpassword", "resetpassword", "signup", "sign-up", "sign_up", "register", "registration":
			return ingest.RouteReset
		case "swagger", "swagger-ui", "swagger-ui.html", "swagger-resources", "swagger.json", "swagger.yaml",
			"openapi", "openapi.json", "openapi.yaml", "openapi.yml", "api-docs", "apidocs", "redoc", "graphiql":
			return ingest.RouteDocs
		}
	}
	return byFirst(segs[:n])
}

// isPrefix tells segments that only lead to an API: api, v1, rest.
func isPrefix(s string) bool {
	return s == "api" || s == "rest" || len(s) > 1 && len(s) <= 3 && s[0] == 'v' && s[1]-'0' <= 9
}

// byLast knows the routes that a segment at the end makes.
func byLast(writing bool, last, before string) ingest.RouteKind {
	switch last {
	case "login", "signin", "sign-in", "sign_in", "logon", "log-in", "authenticate", "wp-login.php", "login.php", "xmlrpc.php":
		return ingest.RouteLogin
	case "auth", "session", "sessions":
		// Reading one's sessions is no login.
		if writing || last == "auth" {
			return ingest.RouteLogin
		}
	case "token", "tokens", "access_token":
		if last != "tokens" || writing {
			return ingest.RouteToken
		}
	case "introspect", "revoke":
		if before == "oauth" || before == "oauth2" || before == "token" || before == "connect" {
			return ingest.RouteToken
		}
	case "refresh":
		if before == "token" || before == "auth" || before == "oauth" {
			return ingest.RouteToken
		}
	case "password":
		return ingest.RouteReset
	}
	return ingest.RouteOrdinary
}

// byFirst knows the names that mean something only near the root:
// /status is a probe, /orders/{id}/status is not.
func byFirst(segs []string) ingest.RouteKind {
	if len(segs) > 2 {
		if segs[0] == "docs" {
			return ingest.RouteDocs
		}
		return ingest.RouteOrdinary
	}
	switch segs[0] {
	case "docs":
		return ingest.RouteDocs
	case "healthz", "health", "livez", "readyz", "ready", "live", "liveness", "readiness", "ping", "status", "metrics", "healthcheck", "health-check":
		return ingest.RouteHealth
	}
	switch segs[len(segs)-1] {
	case "healthz", "health", "livez", "readyz", "ping", "metrics", "healthcheck":
		return ingest.RouteHealth
	}
	return ingest.RouteOrdinary
}
