package audit

import (
	"fmt"
	"net/http"

	"github.com/portcullis/portcullis/ingest"
)

func init() {
	RegisterCheck(Check{ID: "limit-missing", Practice: Limits, Severity: Medium,
		Title: "a route has no rate limit",
		Fix:   "bound the requests of each client; on login and token routes more strictly",
		Refs:  []Ref{api4, api2}, Judge: judgeLimit})
	RegisterCheck(Check{ID: "limit-shared", Practice: Limits, Severity: Medium,
		Title: "a rate limit counts all clients together",
		Fix:   "count per address, key or consumer: one client can use up what is there for all",
		Refs:  []Ref{api4}, Judge: judgeShared})
	RegisterCheck(Check{ID: "limit-forgeable", Practice: Limits, Severity: High,
		Title: "a rate limit counts by a header that clients write themselves",
		Fix:   "count by the address that the trusted proxy vouches for",
		Refs:  []Ref{api4, rfc("7239", "8.1", "Header Validity and Integrity")}, Judge: judgeForgeable})
	RegisterCheck(Check{ID: "limit-login", Practice: Limits, Severity: Medium,
		Title: "a route that takes credentials is limited no more strictly than others",
		Fix:   "allow at most one try a second there, or a rate below that of the other routes",
		Refs:  []Ref{api2, api4}, Judge: judgeLogin})
	RegisterCheck(Check{ID: "limit-status", Practice: Limits, Severity: Low,
		Title: "a rate limit does not answer 429",
		Fix:   "answer 429: clients, and detection, take 503 for a broken service",
		Refs:  []Ref{rfc("6585", "4", "429 Too Many Requests")}, Judge: judgeStatus})
}

// limited are the routes that need a limit.
func (c *Config) limited(yield func(*Route) bool) {
	for _, r := range c.Routes {
		if r.Outside() && r.Kind != ingest.RouteHealth && !yield(r) {
			return
		}
	}
}

func judgeLimit(c *Config) {
	for r := range c.limited {
		severity, what := checks["limit-missing"].Severity, "no rate limit holds here"
		if r.Kind.TakesCredentials() {
			severity, what = High, "no rate limit holds here, where credentials are tried"
		}
		f := Fact{State: r.Limit.State, At: r.Limit.At, Saw: "a rate limit holds"}
		if f.State == Bad {
			f.Saw, f.Mend = what, r.mend("limit-missing")
			if f.At.File == nil {
				f.At = r.At
			}
		}
		c.Judged(r.Name, f, severity)
	}
}

func judgeShared(c *Config) {
	for r := range c.limited {
		switch {
		case r.Limit.State != Good:
		case r.Limit.Shared:
			c.Judged(r.Name, Fact{State: Bad, At: r.Limit.At, Saw: "the limit is one for all clients", Mend: r.mend("limit-shared")})
		case r.Limit.Forged == "":
			c.Judged(r.Name, Fact{State: Good, At: r.Limit.At, Saw: "the limit counts per client"})
		}
	}
}

func judgeForgeable(c *Config) {
	for r := range c.limited {
		if r.Limit.State == Good && r.Limit.Forged != "" {
			c.Judged(r.Name, Fact{State: Bad, At: r.Limit.At, Saw: "the limit counts by " + r.Limit.Forged + ", which the client sends", Mend: r.mend("limit-forgeable")})
		}
	}
}

// strict is the rate, in requests a second, that is few tries whatever others have.
const strict = 1.0

func judgeLogin(c *Config) {
	general := 0.0
	for r := range c.limited {
		if !r.Kind.TakesCredentials() {
			general = max(general, r.Limit.Rate)
		}
	}
	for r := range c.limited {
		if !r.Kind.TakesCredentials() || r.Limit.State != Good || r.Limit.Rate == 0 {
			continue
		}
		f := Fact{State: Good, At: r.Limit.At, Saw: fmt.Sprintf("%.3g requests a second", r.Limit.Rate)}
		if r.Limit.Rate > strict && r.Limit.Rate >= general {
			f.State, f.Mend = Bad, r.mend("limit-login")
		}
		c.Judged(r.Name, f)
	}
}

func judgeStatus(c *Config) {
	for r := range c.limited {
		if r.Limit.State != Good || r.Limit.Status == 0 {
			continue
		}
		at := r.Limit.StatusAt
		if at.File == nil {
			at = r.Limit.At
		}
		f := Fact{State: Good, At: at, Saw: fmt.Sprintf("refusals are answered with %d", r.Limit.Status)}
		if r.Limit.Status != http.StatusTooManyRequests {
			f.State, f.Mend = Bad, r.Limit.Mend
		}
		c.Judged(r.Name, f)
	}
}
