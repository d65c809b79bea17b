package audit

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

func init() {
	RegisterCheck(Check{ID: "docs-public", Practice: Exposure, Severity: Medium,
		Title: "the API's documentation is public",
		Fix:   "put it behind a login, or publish on purpose what is meant for all",
		Refs:  []Ref{api9}, Judge: judgeDocs})
	RegisterCheck(Check{ID: "admin-open", Practice: Exposure, Severity: High,
		Title: "metrics, status or administration can be reached from outside",
		Fix:   "listen on the machine's own address, or ask for credentials or a network there",
		Refs:  []Ref{api8, api5}, Judge: judgeAdmin})
	RegisterCheck(Check{ID: "banner", Practice: Exposure, Severity: Low,
		Title: "answers name the gateway's version",
		Fix:   "switch it off: it tells which published weakness to try",
		Refs:  []Ref{api8, rfc("9110", "17.12", "Disclosure of Product Information")}})
	RegisterCheck(Check{ID: "cors-credentials", Practice: Exposure, Severity: High,
		Title: "any site may read answers with the user's credentials",
		Fix:   "name the origins that may, and reflect none that is not on that list",
		Refs:  []Ref{api8, {"Fetch Standard, CORS protocol and credentials", "https://fetch.spec.whatwg.org/#cors-protocol-and-credentials"}}})
	RegisterCheck(Check{ID: "listing", Practice: Exposure, Severity: Medium,
		Title: "folders without an index page are listed",
		Fix:   "switch the listing off",
		Refs:  []Ref{api8}})
	RegisterCheck(Check{ID: "debug-on", Practice: Exposure, Severity: Medium,
		Title: "debugging is switched on",
		Fix:   "switch it off in production: it shows what is inside",
		Refs:  []Ref{api8}})
}

func judgeDocs(c *Config) {
	for _, r := range c.Routes {
		if r.Kind != ingest.RouteDocs || r.Local || r.Auth.State == Untold || wellKnown(r.Path) {
			continue
		}
		f := r.Auth
		if f.State == Bad {
			f = Fact{State: Bad, At: r.At, Saw: "documentation is served to anybody", Mend: r.mend("docs-public")}
		}
		c.Judged(r.Name, f)
	}
}

func judgeAdmin(c *Config) {
	for _, r := range c.Routes {
		if !r.Admin || r.Auth.State == Untold && !r.Local {
			continue
		}
		switch {
		case r.Local:
			c.Judged(r.Name, Fact{State: Good, At: r.At, Saw: "it is reached from the machine itself only"})
		case r.Auth.State == Good:
			c.Judged(r.Name, r.Auth)
		default:
			c.Judged(r.Name, Fact{State: Bad, At: r.At, Saw: "it is served to anybody", Mend: r.mend("admin-open")})
		}
	}
}

// wellKnown reports whether a document is public by its standard (RFC 8615).
func wellKnown(path string) bool { return strings.Contains(path, "/.well-known/") }
