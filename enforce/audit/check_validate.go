package audit

import (
	"fmt"

	"github.com/portcullis/portcullis/ingest"
)

func init() {
	smuggling := rfc("9112", "11.2", "Request Smuggling")
	RegisterCheck(Check{ID: "body-unlimited", Practice: Validation, Severity: High,
		Title: "request bodies of any size are taken",
		Fix:   "bound the body, for most APIs at 1 MB, and more only on upload routes",
		Refs:  []Ref{api4, rfc("9110", "15.5.14", "413 Content Too Large")}, Judge: judgeBody})
	RegisterCheck(Check{ID: "body-large", Practice: Validation, Severity: Low,
		Title: "request bodies of more than 100 MB are taken",
		Fix:   "bound the body closer, and more only on upload routes",
		Refs:  []Ref{api4}, Judge: judgeLarge})
	RegisterCheck(Check{ID: "methods-open", Practice: Validation, Severity: Low,
		Title: "any method is forwarded",
		Fix:   "name the methods that the API has, and answer others with 405",
		Refs:  []Ref{api8, rfc("9110", "15.5.6", "405 Method Not Allowed")}, Judge: onOutside(func(r *Route) Fact { return r.Methods }, "methods-open")})
	RegisterCheck(Check{ID: "inspection-missing", Practice: Validation, Severity: Medium,
		Title: "neither a schema nor an inspection stands before the service",
		Fix:   "validate requests against the API's schema, or have a firewall or a decision service look at method, target and headers",
		Refs:  []Ref{api8, api10}, Judge: onOutside(func(r *Route) Fact { return r.Inspects }, "inspection-missing")})
	RegisterCheck(Check{ID: "headers-lax", Practice: Validation, Severity: Medium,
		Title: "malformed or ambiguous requests are let through",
		Fix:   "refuse what is not valid HTTP: gateway and service understand it differently",
		Refs:  []Ref{smuggling, api8}})
	RegisterCheck(Check{ID: "headers-large", Practice: Validation, Severity: Low,
		Title: "headers of more than 128 kB are taken",
		Fix:   "bound the header; 32 kB are plenty",
		Refs:  []Ref{api4, rfc("6585", "5", "431 Request Header Fields Too Large")}})
	RegisterCheck(Check{ID: "upgrade-tunnel", Practice: Validation, Severity: Medium,
		Title: "any upgrade that a client asks for is passed on, h2c too: it tunnels past the gateway's rules",
		Fix:   "pass on upgrades to websocket only, on the routes that need them",
		Refs:  []Ref{smuggling, rfc("9113", "3.1", "HTTP/2 Version Identification")}})
	RegisterCheck(Check{ID: "path-traversal", Practice: Validation, Severity: High,
		Title: "a request can name files outside the folder that is served",
		Fix:   "end both the location and the alias with a slash",
		Refs:  []Ref{api8, {"CWE-22 Path Traversal", "https://cwe.mitre.org/data/definitions/22.html"}}})
	RegisterCheck(Check{ID: "header-injection", Practice: Validation, Severity: High,
		Title: "a decoded part of the request is written into a header, line ends included",
		Fix:   "write the target as it was sent ($request_uri), never decoded",
		Refs:  []Ref{api8, {"CWE-113 HTTP Response Splitting", "https://cwe.mitre.org/data/definitions/113.html"}}})
	RegisterCheck(Check{ID: "target-open", Practice: Validation, Severity: High,
		Title: "the client names the server that the gateway connects to",
		Fix:   "forward to servers that the configuration names",
		Refs:  []Ref{api7, {"CWE-918 Server-Side Request Forgery", "https://cwe.mitre.org/data/definitions/918.html"}}})
	RegisterCheck(Check{ID: "path-ambiguous", Practice: Validation, Severity: Medium,
		Title: "paths are matched before they are normalised",
		Fix:   "normalise paths, and refuse or undo encoded slashes, before rules look at them",
		Refs:  []Ref{api5, rfc("3986", "6.2.2", "Syntax-Based Normalization")}})
}

// onOutside judges a fact of every route that forwards what comes from outside.
func onOutside(fact func(*Route) Fact, check string) func(*Config) {
	return func(c *Config) {
		for _, r := range c.Routes {
			if !r.Outside() || r.Kind == ingest.RouteHealth {
				continue
			}
			f := fact(r)
			if f.State == Bad && len(f.Mend) == 0 {
				f.Mend = r.mend(check)
			}
			c.Judged(r.Name, f)
		}
	}
}

func judgeBody(c *Config) {
	onOutside(func(r *Route) Fact { return r.Body }, "body-unlimited")(c)
}

// largeBody is the size, in bytes, above which a limit is hardly one.
const largeBody = 100 << 20

func judgeLarge(c *Config) {
	onOutside(func(r *Route) Fact {
		f := Fact{State: Good, At: r.Body.At, Saw: fmt.Sprintf("bodies are bounded at %d bytes", r.MaxBody)}
		switch {
		case r.MaxBody <= 0:
			return Fact{}
		case r.MaxBody > largeBody:
			f.State = Bad
		}
		return f
	}, "body-large")(c)
}
