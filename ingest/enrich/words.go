package enrich

// sense is what the name of a segment may mean.
type sense uint32

const (
	wLogin       sense = 1 << iota // takes a password
	wSession                       // a login where it is written to
	wAuth                          // a login at the end of a path
	wCredentials                   // credentials
	wToken                         // issues a token
	wTokens                        // issues one where it is written to
	wRefresh                       // renews one
	wGrant                         // what an authorization server is called
	wGrantEnd                      // its other endpoints that clients authenticate to
	wThings                        // has tokens that are no credentials
	wPassword                      // password
	wReset                         // reset or sign-up by its name alone
	wResetVerb                     // the same next to an account
	wAccount                       // what has a password
	wOTP                           // a second factor
	wVerify                        // takes a code
	wNotLogin                      // next to a login, and none
	wPages                         // what people read
	wDocs                          // documentation of an API
	wHealth                        // a probe within two segments
	wHealthFirst                   // a probe as the first segment
)

func (w sense) has(any sense) bool { return w&any != 0 }

// meaning knows the names, written small and without dashes and underscores. They come from
// the documentation of what serves them: RFC 6749, 7009, 7662, 8414, 8628, 9126; OpenID Connect
// Core 1.0; Keycloak (login-actions/authenticate), IdentityServer (connect/token), Spring Security
// (/login, j_spring_security_check), Jakarta Servlet 6.0 section 13.6.3 (j_security_check), Devise
// (users/sign_in, users/password), Django (accounts/login, password_reset), Symfony (login_check),
// ASP.NET (Account/LogOn), Firebase (accounts:signInWithPassword), Supabase (auth/v1/token), Vault
// (auth/userpass/login), CouchDB (_session), WordPress (wp-login.php, xmlrpc.php), springdoc
// (v3/api-docs), Kubernetes (livez, readyz). Written 2026-11-23.
func meaning(name string) sense {
	if w := credentialWord(name); w != 0 {
		return w
	}
	switch name {
	case "blog", "blogs", "help", "wiki", "article", "articles", "post", "posts", "faq", "faqs", "guide", "guides",
		"kb", "news", "support", "tutorial", "tutorials", "static", "assets", "images", "img", "css", "js", "fonts":
		return wPages
	case "docs", "doc":
		return wPages
	case "swagger", "swaggerui", "swaggerresources", "openapi", "apidocs", "apidoc", "redoc", "graphiql", "rapidoc",
		"apiexplorer", "asyncapi", "openidconfiguration", "oauthauthorizationserver", "oauthprotectedresource", "jwks":
		return wDocs
	case "healthz", "health", "livez", "readyz", "ping", "metrics", "healthcheck":
		return wHealth
	case "ready", "live", "liveness", "readiness", "status":
		return wHealthFirst
	case "device", "devices", "push", "fcm", "apns", "notification", "notifications", "csrf", "xsrf", "card", "cards",
		"payment", "payments", "upload", "uploads", "design":
		return wThings
	}
	return 0
}

// credentialWord knows the names around credentials.
func credentialWord(name string) sense {
	switch name {
	case "login", "signin", "logon", "authenticate", "dologin", "userlogin", "adminlogin", "loginuser", "loginaction",
		"logincheck", "loginsubmit", "wplogin", "xmlrpc", "jsecuritycheck", "jspringsecuritycheck", "signinwithpassword",
		"passwordlogin", "loginwithpassword", "verifypassword", "checkpassword", "verifyotp", "otpverify", "verifymfa",
		"mfaverify", "verify2fa", "verifytotp":
		return wLogin
	case "session", "sessions":
		return wSession
	case "auth":
		return wAuth
	case "credentials", "credential":
		return wCredentials
	case "token", "accesstoken", "refreshtoken", "tokenrefresh", "oauthtoken", "authtoken", "gettoken", "createtoken",
		"issuetoken", "requesttoken", "tokenauth", "gettokenpair", "obtaintoken":
		return wToken
	case "tokens":
		return wTokens
	case "refresh", "renew":
		return wRefresh
	case "oauth", "oauth2", "connect", "openidconnect", "oidc", "openid", "idp", "sts", "identity":
		return wGrant
	case "introspect", "introspection", "revoke", "revocation", "par", "deviceauthorization", "bcauthorize", "tokeninfo":
		return wGrantEnd
	case "password", "passwd", "passwords":
		return wPassword
	case "forgot", "resetpassword", "forgotpassword", "passwordreset", "passwordforgot", "lostpassword", "recoverpassword",
		"passwordrecovery", "passwordrecover", "accountrecovery", "recoveraccount", "changepassword", "setpassword",
		"newpassword", "updatepassword", "passwordchange", "resetpasswd", "signup", "createaccount", "userregistration",
		"registeruser", "userregister":
		return wReset
	case "reset", "recover", "recovery", "register", "registration":
		return wResetVerb
	case "user", "users", "account", "accounts", "member", "members", "customer", "customers", "profile", "me":
		return wAccount
	case "mfa", "otp", "totp", "2fa", "twofactor", "twofactorauth", "secondfactor", "onetimepassword", "onetimecode":
		return wOTP
	case "verify", "verification", "validate", "check", "challenge", "confirm":
		return wVerify
	case "logout", "signout", "logoff", "callback", "authorize", "history", "attempts", "logs", "settings", "options", "providers":
		return wNotLogin
	}
	return 0
}
