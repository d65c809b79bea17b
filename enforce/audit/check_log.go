package audit

import (
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

func init() {
	RegisterCheck(Check{ID: "log-off", Practice: Logging, Severity: Medium,
		Title: "requests are not logged",
		Fix:   "log every request that is forwarded: what is not in the log cannot be detected",
		Refs:  []Ref{api8, logGuide}, Judge: judgeLogOff})
	RegisterCheck(Check{ID: "log-fields", Practice: Logging, Severity: Low,
		Title: "the log lacks what detection needs",
		Fix:   "log client address, time, method and target, status, bytes, and user agent",
		Refs:  []Ref{logGuide}, Judge: judgeLogFields})
	RegisterCheck(Check{ID: "log-local", Practice: Logging, Severity: Medium,
		Title: "the log stays on the gateway's own disk",
		Fix:   "send it to a central place (syslog, standard output of a container, a collector), or name it as a source in Portcullis' settings",
		Refs:  []Ref{api8, rfc("5424", "", "The Syslog Protocol"), logGuide}, Judge: judgeLogLocal})
	RegisterCheck(Check{ID: "log-secrets", Practice: Logging, Severity: High,
		Title: "the log format writes secrets",
		Fix:   "leave Authorization, cookies, keys and bodies out of the log",
		Refs:  []Ref{api8, logGuide}, Judge: judgeLogSecrets})
	RegisterCheck(Check{ID: "client-forgeable", Practice: Logging, Severity: High,
		Title: "anybody is trusted to say who the client is",
		Fix:   "trust forwarding headers from the networks of your load balancers only",
		Refs:  []Ref{rfc("7239", "8.1", "Header Validity and Integrity"), api8}})
}

var logGuide = Ref{"OWASP Logging Cheat Sheet", "https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html"}

// logged are the routes whose requests have to be logged.
func (c *Config) logged(yield func(*Route) bool) {
	for _, r := range c.Routes {
		if r.Outside() && r.Kind != ingest.RouteHealth && !yield(r) {
			return
		}
	}
}

func judgeLogOff(c *Config) {
	for r := range c.logged {
		f := r.LogOff
		if f.State == Bad && len(f.Mend) == 0 {
			f.Mend = r.mend("log-off")
		}
		c.Judged(r.Name, f)
	}
}

func judgeLogFields(c *Config) {
	for r := range c.logged {
		var lacking *Log
		for i, l := range r.Logs {
			if !l.Known {
				continue
			}
			if len(l.Lacks) == 0 { // one that has all of it is enough
				c.Judged(r.Name, Fact{State: Good, At: l.At, Saw: "the log has what detection needs"})
				lacking = nil
				break
			}
			if lacking == nil || len(l.Lacks) < len(lacking.Lacks) {
				lacking = &r.Logs[i]
			}
		}
		if lacking != nil {
			c.Judged(r.Name, Fact{State: Bad, At: lacking.At, Saw: "the log lacks " + strings.Join(lacking.Lacks, ", "), Mend: r.mend("log-fields")})
		}
	}
}

func judgeLogLocal(c *Config) {
	for r := range c.logged {
		var local *Log
		for i, l := range r.Logs {
			if l.Central || collected(c.options.Collected, l.Target) {
				c.Judged(r.Name, Fact{State: Good, At: l.At, Saw: "the log goes to " + l.Target})
				local = nil
				break
			}
			if local == nil {
				local = &r.Logs[i]
			}
		}
		if local != nil {
			c.Judged(r.Name, Fact{State: Bad, At: local.At, Saw: "the log goes to " + local.Target + " only", Mend: r.mend("log-local")})
		}
	}
}

// collected reports whether something reads a log file.
func collected(patterns []string, path string) bool {
	for _, p := range patterns {
		if ok, err := filepath.Match(p, path); err == nil && ok {
			return true
		}
	}
	return false
}

func judgeLogSecrets(c *Config) {
	for r := range c.logged {
		for _, l := range r.Logs {
			switch {
			case len(l.Secrets) > 0:
				c.Judged(r.Name, Fact{State: Bad, At: l.At, Saw: "the log format writes " + strings.Join(l.Secrets, ", "), Mend: r.mend("log-secrets")})
			case l.Known:
				c.Judged(r.Name, Fact{State: Good, At: l.At, Saw: "the log format names no secret"})
			}
		}
	}
}
