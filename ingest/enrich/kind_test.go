package enrich

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

var kindNames = [...]string{"ordinary", "login", "token", "reset", "docs", "health"}

// kindTable holds, by kind, requests as "METHOD target"; a method counts for all that
// follow on its line.
const kindTable = `
login	POST /login /api/login /api/v1/users/login /api/v2.0/login /rest/auth/1/session /Account/LogOn /account/log-in /user/sign_in
login	POST /users/sign-in /accounts/login/ /auth /api/auth /authenticate /v1/auth/authenticate /login-actions/authenticate
login	POST /realms/shop/login-actions/authenticate /wp-login.php /xmlrpc.php /blog/xmlrpc.php /login.jsp /login.aspx /login.do /cgi-bin/login.cgi
login	POST /j_security_check /j_spring_security_check /login_check /v1/accounts:signInWithPassword /_session /session /api/sessions
login	POST /v1/auth/userpass/login/bob /api/auth/callback/credentials /login/password /auth/password /login/submit /auth/local/login
login	POST /mfa/verify /otp/verify /2fa/verify /auth/mfa/challenge /verify-otp /api/v1/two-factor/verify /login/otp /auth/totp /owa/auth.owa
login	POST /administrator/index.php /support/login /blog/login /oauth/auth
login	GET /login /signin /wp-login.php /auth
token	POST /oauth/token /oauth2/token /connect/token /token /api/token /auth/token /oauth2/v1/token /api/oauth2/v2.0/token /auth/v1/token
token	POST /realms/shop/protocol/openid-connect/token /realms/4711/protocol/openid-connect/token /login/oauth/access_token /oauth/accessToken
token	POST /api/login/access-token /oauth/introspect /oauth2/revoke /connect/introspect /oauth2/device_authorization /oauth/par
token	POST /auth/refresh /token/refresh /api/auth/refresh-token /wp-json/jwt-auth/v1/token /token.json /auth/tokens /tokens
reset	POST /password/reset /password/reset/4711 /forgot-password /forgot_password /users/password /users/7/password /account/reset
reset	POST /auth/forgot /api/v1/users/recover /account-recovery /lost-password /change-password /reset /accounts/password_reset
reset	POST /signup /sign-up /register /api/register /users/register /auth/register /registration /connect/register /api/Auth/resetPassword
docs	GET /swagger /swagger-ui.html /swagger/index.html /v3/api-docs /openapi.json /openapi.yaml /docs /docs/login /redoc /doc/swagger
docs	GET /.well-known/openid-configuration /.well-known/oauth-authorization-server /.well-known/jwks.json
health	GET /health /healthz /api/v1/health /livez /readyz /status /ping /metrics /actuator/health /health.html
ordinary	GET / /author /authors /authors/7 /authority /sessions-list /sessions /session /tokens /tokens/4711 /api/v1/tokens/abc /blog/login-tips
ordinary	GET /blog/login /help/sign-in /login.css /login.js /static/login.html /login-tips /loginhistory /auth/profile /authorize /oauth/authorize
ordinary	GET /openid-connect/auth /orders/7/status /cache/refresh /orders/docs /.well-known/security.txt /.well-known/change-password /users/7
ordinary	GET /authentication-methods /tokenize /registers /passwords-policy /logout /v1/products
ordinary	POST /logout /auth/logout /login/callback /devices/token /devices/7/token /push/token /csrf/token /cards/tokens /users/7/tokens
ordinary	POST /devices/register /counters/reset /cache/reset /disaster/recovery /tokens/4711 /orders /sessions/4711/items /webauthn/options
ordinary	DELETE /sessions /session /tokens
`

func TestKindTable(t *testing.T) {
	rows := 0
	for line := range strings.SplitSeq(strings.TrimSpace(kindTable), "\n") {
		want, requests, _ := strings.Cut(line, "\t")
		method, targets, _ := strings.Cut(requests, " ")
		for target := range strings.SplitSeq(targets, " ") {
			rows++
			r := NewRoutes(RoutesConfig{})
			ev := ingest.Event{Method: method, Target: target, Status: 200}
			if r.Resolve(&ev); kindNames[ev.Kind] != want {
				t.Errorf("%s %s is %s (route %s), want %s", method, target, kindNames[ev.Kind], ev.Route, want)
			}
		}
	}
	if rows < 150 {
		t.Errorf("only %d requests were read from the table", rows)
	}
}

// TestHiddenLogin: however a login is written, it is the login, and all ways of writing it
// share one route, so that per-route counts see them together.
func TestHiddenLogin(t *testing.T) {
	deep := strings.Repeat("/a", 100) + strings.Repeat("/..", 100)
	for _, target := range []string{
		"/login", "/login/", "/login//", "//login", "///login", "/login;x=1", "/;x/login", "/login;jsessionid=1?a=b", "/login?x", "/login#x",
		"/LOGIN", "/LoGiN", "/%6Cogin", "/%6c%6F%67%69%6e", "/%4Cogin", "/./login", "/x/../login", "/x/y/../../login", "/../login", "/x/..;/login",
		"/login/.", "/login/x/..", "/%2e/login", "/x/%2e%2e/login", "/x/%2E./login", "/%2Flogin", "/%2flogin", "/x%2f..%2flogin", "/%252Flogin",
		"/%256Cogin", "/%5Clogin", `/\login`, `/x\..\login`, "/login%20", "/login%00", "/login%00.png", "/login.", "/login%2e", "/login%3Bx=1",
		strings.Repeat("/", 500) + "login", strings.Repeat("/.", 500) + "/login", deep + "/login", strings.Repeat("/a/..", 300) + "/login",
		"http://shop.example/login", "HTTP://shop.example//LOGIN/",
	} {
		r := NewRoutes(RoutesConfig{})
		ev := ingest.Event{Method: "POST", Target: target, Status: 401}
		if r.Resolve(&ev); ev.Kind != ingest.RouteLogin || ev.Route != "/login" {
			t.Errorf("POST %.60q is %s on %q, want the login on /login", target, kindNames[ev.Kind], ev.Route)
		}
	}
	for target, want := range map[string]string{
		"/api%2Flogin":                                   "/api/login",
		"/API/V1/Login":                                  "/api/v1/login",
		"/a/b/c/d/e/f/g/h/i/j/login":                     "/a/b/c/d/e/f/{rest}/login",
		"/a/b/c/d/e/f/g/h/login":                         "/a/b/c/d/e/f/{rest}/login",
		"/" + strings.Repeat("abcdefghij/", 9) + "login": "/abcdefghij/abcdefghij/abcdefghij/abcdefghij/abcdefghij/abcdefghij/{rest}/login",
		"/" + strings.Repeat(strings.Repeat("x", 30)+"/", 4) + "oauth/token": "/" + strings.Repeat("x", 30) + "/" + strings.Repeat("x", 30) + "/{rest}/token",
	} {
		ev := ingest.Event{Method: "POST", Target: target, Status: 401}
		if NewRoutes(RoutesConfig{}).Resolve(&ev); !ev.Kind.TakesCredentials() || ev.Route != want {
			t.Errorf("POST %.60q is %s on %q, want %q", target, kindNames[ev.Kind], ev.Route, want)
		}
	}
	for _, target := range []string{"/LOGINS", "/Orders/X", "/a%2Fb", "/%2525", `/a\b`, "/Login.css"} {
		ev := ingest.Event{Method: "GET", Target: target, Status: 200}
		if NewRoutes(RoutesConfig{}).Resolve(&ev); ev.Kind != ingest.RouteOrdinary || strings.HasPrefix(ev.Route, "/l") {
			t.Errorf("GET %q is %s on %q, want an ordinary route left as it is", target, kindNames[ev.Kind], ev.Route)
		}
	}
}
