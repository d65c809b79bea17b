package kibana

import "github.com/portcullis/portcullis/detect/store/elastic"

func overview(b *Board) {
	b.choose(elastic.Finding, family, rule, severity)
	b.add(elastic.Traffic, []Term{whole()},
		figure("requests", "Requests", sum("portcullis.requests", "Requests")),
		figure("denied", "Denied by our decisions", sum("portcullis.denied", "Denied")))
	b.add(elastic.Finding, nil,
		figure("findings", "Findings", count("Findings")),
		figure("subjects", "Subjects", unique(subject, "Subjects")))
	b.add(elastic.Decision, nil,
		figure("in-force", "Decisions in force", count("In force"), live()),
		figure("verified", "Seen to hold", count("Verified"), is(state, "verified")),
		figure("not-enforced", "Do not hold", count("Not enforced"), is(state, "not_enforced")),
		figure("waiting", "Proposed", count("Proposed"), is(state, "proposed")))
	b.add(elastic.Traffic, []Term{whole()}, overTime("status", "Requests by status", Bars, "", "",
		sum("portcullis.status_2xx", "2xx"), sum("portcullis.status_3xx", "3xx"), sum("portcullis.status_4xx", "4xx"), sum("portcullis.status_5xx", "5xx")))
	b.add(elastic.Finding, nil,
		overTime("families", "Findings by family", Bars, family, "Family", count("Findings")),
		top("severities", "Severity", Donut, severity, "Severity", 5, count("Findings")).wide(16),
		top("rules", "Rules", Ranked, rule, "Rule", 15, count("Findings")).wide(16),
		top("kinds", "Kinds of subjects", Donut, subjectKind, "Kind", 12, count("Findings")).wide(16),
		subjects("who", "Who").wide(24),
		top("tags", "OWASP, ATT&CK", Table, "tags", "Tag", 20, count("Findings"), unique(subject, "Subjects")))
	b.add(elastic.Access, []Term{is("portcullis.verdict", "suspicious")},
		top("countries", "Countries of suspicious requests", Map, "source.geo.country_iso_code", "Country", 250, count("Requests")))
	b.add(elastic.Decision, nil, overTime("states", "Decisions by state", Bars, state, "State", count("Decisions")))
	b.add(elastic.Finding, nil, documents("newest", "Newest findings", severity, rule, subject, route, "portcullis.count", "message"))
}

func credentialAbuse(b *Board) {
	b.choose(elastic.Finding, rule, subjectKind, subject)
	only := []Term{is(family, "credential")}
	b.add(elastic.Finding, only,
		figure("findings", "Findings", count("Findings")),
		figure("clients", "Clients", unique(subject, "Clients"), is(subjectKind, "ip", "cidr")),
		figure("accounts", "Accounts", unique(subject, "Accounts"), is(subjectKind, "account")),
		figure("tries", "Requests behind them", sum("portcullis.count", "Requests")),
		overTime("rules-time", "Findings by rule", Bars, rule, "Rule", count("Findings")))
	b.add(elastic.Traffic, []Term{whole()}, overTime("refused", "Refused logins and tokens", Lines, "", "", sum("portcullis.refused", "Refused")))
	b.add(elastic.Finding, only,
		top("rules", "Rules", Ranked, rule, "Rule", 20, count("Findings")),
		top("techniques", "ATT&CK techniques", Table, "threat.technique.id", "Technique", 20, count("Findings"), unique(subject, "Subjects")),
		subjects("who", "Clients and networks").only(is(subjectKind, "ip", "cidr", "asn", "campaign")),
		subjects("accounts-table", "Accounts, keys and sessions").only(is(subjectKind, "account", "consumer", "key", "session")),
		top("routes", "Routes", Table, route, "Route", 20, count("Findings"), sum("portcullis.count", "Requests")).only(byRoute()),
		top("severities", "Severity", Donut, severity, "Severity", 5, count("Findings")),
		documents("newest", "Newest findings", severity, rule, subject, route, "portcullis.count", "message"))
}

func injection(b *Board) {
	b.choose(elastic.Finding, rule, subject, severity)
	only, held := []Term{is(family, "injection")}, []Term{is("portcullis.verdict", "suspicious")}
	b.add(elastic.Finding, only,
		figure("findings", "Findings", count("Findings")),
		figure("clients", "Clients", unique(subject, "Clients")),
		figure("requests", "Requests behind them", sum("portcullis.count", "Requests")))
	b.add(elastic.Access, held, figure("held", "Suspicious requests", count("Requests")))
	b.add(elastic.Finding, only, overTime("rules-time", "Findings by rule", Bars, rule, "Rule", count("Findings")))
	b.add(elastic.Access, held,
		overTime("classes-time", "Suspicious requests by class", Bars, "portcullis.classes", "Class", count("Requests")),
		top("classes", "Classes", Ranked, "portcullis.classes", "Class", 25, count("Requests")).wide(16),
		top("statuses", "How they were answered", Donut, "http.response.status_code", "Status", 10, count("Requests")).wide(16),
		top("methods", "Methods", Donut, "http.request.method", "Method", 10, count("Requests")).wide(16),
		top("routes", "Routes", Table, route, "Route", 20, count("Requests"), unique("source.address", "Clients")),
		top("agents", "User agents", Table, "user_agent.original", "User agent", 20, count("Requests"), unique("source.address", "Clients")))
	b.add(elastic.Finding, only, subjects("who", "Clients"))
	b.add(elastic.Access, held,
		top("countries", "Countries", Map, "source.geo.country_iso_code", "Country", 250, count("Requests")),
		documents("newest", "Newest suspicious requests", "source.address", "http.request.method", "url.original", "http.response.status_code", "portcullis.classes"))
}

func rate(b *Board) {
	b.choose(elastic.Traffic, route, "portcullis.source")
	only := []Term{is(family, "rate")}
	b.add(elastic.Finding, only,
		figure("findings", "Findings", count("Findings")),
		figure("subjects", "Subjects", unique(subject, "Subjects")))
	b.add(elastic.Traffic, []Term{whole()},
		figure("requests", "Requests", sum("portcullis.requests", "Requests")),
		figure("errors", "Answered 5xx", sum("portcullis.status_5xx", "5xx")),
		overTime("requests-time", "Requests", Lines, "", "", sum("portcullis.requests", "Requests")),
		overTime("errors-time", "Errors", Bars, "", "", sum("portcullis.status_4xx", "4xx"), sum("portcullis.status_5xx", "5xx")),
		overTime("bytes-time", "Bytes sent", Lines, "", "", sum("portcullis.bytes_out", "Bytes")),
		overTime("busy-time", "Time that requests took, summed", Lines, "", "", sum("portcullis.duration_ns", "Time")))
	b.add(elastic.Traffic, []Term{byRoute()},
		overTime("routes-time", "Requests by route", Bars, route, "Route", sum("portcullis.requests", "Requests")),
		top("routes", "Routes", Table, route, "Route", 25, sum("portcullis.requests", "Requests"), sum("portcullis.status_4xx", "4xx"),
			sum("portcullis.status_5xx", "5xx"), sum("portcullis.bytes_out", "Bytes"), sum("portcullis.duration_ns", "Time")))
	b.add(elastic.Finding, only,
		overTime("rules-time", "Findings by rule", Bars, rule, "Rule", count("Findings")),
		subjects("who", "Who"),
		documents("newest", "Newest findings", severity, rule, subject, route, "portcullis.count", "message"))
}

func consumers(b *Board) {
	b.choose(elastic.Finding, subjectKind, rule, subject)
	only := []Term{is(subjectKind, "account", "consumer", "key", "session")}
	kind := func(id, title, name string) Panel {
		return figure(id, title, unique(subject, title), is(subjectKind, name))
	}
	b.add(elastic.Finding, only,
		kind("accounts", "Accounts", "account"), kind("consumers", "Consumers", "consumer"),
		kind("keys", "Keys", "key"), kind("sessions", "Sessions", "session"),
		overTime("kinds-time", "Findings by kind of subject", Bars, subjectKind, "Kind", count("Findings")),
		top("rules", "Rules", Ranked, rule, "Rule", 20, count("Findings")),
		subjects("accounts-table", "Accounts").only(is(subjectKind, "account")),
		subjects("consumers-table", "Consumers, keys and sessions").only(not(subjectKind, "account")),
		top("families", "Families", Donut, family, "Family", 5, count("Findings")))
	b.add(elastic.Decision, only, top("decisions", "Decisions by state", Donut, state, "State", 7, count("Decisions")))
	b.add(elastic.Access, nil, top("users", "Accounts by requests", Table, "user.name", "Account", 20, count("Requests"),
		unique("source.address", "Clients"), count("Refused", is("http.response.status_code", "401", "403"))).wide(columnsOfGrid))
	b.add(elastic.Finding, only, documents("newest", "Newest findings", severity, rule, subjectKind, subject, route, "message"))
}

func campaigns(b *Board) {
	b.choose(elastic.Finding, rule, severity, subject)
	only := []Term{is(subjectKind, "campaign")}
	b.add(elastic.Finding, only,
		figure("campaigns", "Campaigns", unique(subject, "Campaigns")),
		figure("requests", "Requests behind them", sum("portcullis.count", "Requests")))
	b.add(elastic.Finding, []Term{is(subjectKind, "route", "global")},
		figure("fleets", "Fleets seen at routes", count("Findings")),
		figure("fleet-requests", "Requests of fleets", sum("portcullis.count", "Requests")))
	b.add(elastic.Finding, only,
		overTime("time", "Campaigns", Bars, rule, "Rule", count("Campaigns")),
		top("severities", "Severity", Donut, severity, "Severity", 5, count("Campaigns")),
		top("who", "Campaigns by requests", Table, subject, "Campaign", 20, sum("portcullis.count", "Requests"), highest(severity, "Severity"), count("Hours")).drills().wide(columnsOfGrid),
		documents("newest", "Newest campaigns", severity, subject, route, "portcullis.count", "message"))
}
