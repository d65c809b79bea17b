package audit

import "github.com/portcullis/portcullis/ingest"

func init() {
	RegisterCheck(Check{ID: "auth-missing", Practice: Authentication, Severity: High,
		Title: "a route forwards requests without credentials",
		Fix:   "ask for an API key, a token or a client certificate before the request is forwarded; leave out only login, token, health and public pages, by name",
		Refs:  []Ref{api2, api5}, Judge: judgeAuth})
	RegisterCheck(Check{ID: "auth-optional", Practice: Authentication, Severity: High,
		Title: "credentials are looked at, but a request without them passes too",
		Fix:   "refuse requests whose credentials are missing or wrong with 401",
		Refs:  []Ref{api2, rfc("9110", "15.5.2", "401 Unauthorized")}, Judge: judgeOptional})
	RegisterCheck(Check{ID: "auth-key-in-url", Practice: Authentication, Severity: High,
		Title: "a key or token is taken from the URL",
		Fix:   "take it from the Authorization or x-api-key header: URLs end up in logs, histories and Referer headers",
		Refs:  []Ref{api2, rfc("6750", "2.3", "URI Query Parameter"), rfc("9110", "17.9", "Disclosure of Sensitive Information in URIs")}, Judge: judgeKeyInURL})
	RegisterCheck(Check{ID: "auth-token-unverified", Practice: Authentication, Severity: Critical,
		Title: "tokens are accepted without checking signature, algorithm or expiry",
		Fix:   "pin the algorithm to an asymmetric one, check signature, issuer, audience and expiry",
		Refs:  []Ref{api2, rfc("8725", "3.1", "Perform Algorithm Verification")}})
	RegisterCheck(Check{ID: "auth-secret-in-config", Practice: Authentication, Severity: Medium,
		Title: "a password or key stands in the configuration in clear",
		Fix:   "name a file, a variable or a vault instead, and rotate the secret",
		Refs:  []Ref{api8}})
}

func judgeAuth(c *Config) {
	for _, r := range c.Routes {
		if !r.Private() {
			continue
		}
		f := r.Auth
		if f.State == Bad {
			f.Mend = append(f.Mend, r.mend("auth-missing")...)
		}
		c.Judged(r.Name, f)
	}
}

func judgeOptional(c *Config) {
	for _, r := range c.Routes {
		if r.Private() && r.Auth.State == Good && r.Optional {
			c.Judged(r.Name, Fact{State: Bad, At: r.Auth.At, Saw: r.Auth.Saw, Mend: r.mend("auth-optional")})
		}
	}
}

func judgeKeyInURL(c *Config) {
	for _, r := range c.Routes {
		if r.Outside() && r.Kind != ingest.RouteHealth {
			c.Judged(r.Name, r.KeyInURL)
		}
	}
}
