package kibana

import "github.com/portcullis/portcullis/detect/store/elastic"

func decisions(b *Board) {
	b.choose(elastic.Decision, state, "event.action", rule, subject)
	inState := func(id, title, name string) Panel { return figure(id, title, count(title), is(state, name)) }
	b.add(elastic.Decision, nil,
		inState("proposed", "Proposed", "proposed"), inState("approved", "Approved, on the way", "approved"),
		inState("pushed", "Pushed, not yet seen to hold", "pushed"), inState("verified", "Verified", "verified"),
		inState("failed", "Failed: do not hold", "not_enforced"), inState("expired", "Expired", "expired"),
		inState("released", "Released before their time", "released"),
		figure("shared", "People behind subjects in force", sum("portcullis.people", "People"), live()),
		overTime("states-time", "Decisions by state", Bars, state, "State", count("Decisions")),
		overTime("actions-time", "Decisions by action", Bars, "event.action", "Action", count("Decisions")),
		top("codes", "Why not in force, or not holding", Ranked, "portcullis.code", "Reason", 20, count("Decisions")).wide(16),
		top("actions", "Actions", Donut, "event.action", "Action", 6, count("Decisions")).wide(16),
		top("kinds", "Kinds of subjects", Donut, subjectKind, "Kind", 12, count("Decisions")).wide(16),
		top("rules", "Rules: decisions and what became of them", Table, rule, "Rule", 25, count("Decisions"), count("Verified", is(state, "verified")),
			count("Not enforced", is(state, "not_enforced")), count("Released", is(state, "released")), count("Proposed", is(state, "proposed"))),
		top("collateral", "Collateral: subjects with most good requests in 24 hours", Table, subject, "Subject", 20,
			sum("portcullis.successes", "Good requests"), sum("portcullis.people", "People"), count("Decisions")).drills())
	b.add(elastic.Audit, nil,
		overTime("changes", "Changes by state reached", Bars, state, "State", count("Changes")),
		top("by", "Who changes decisions", Table, "user.name", "Who", 20, count("Changes"), count("Released", is(state, "released"))))
	b.add(elastic.Audit, []Term{is(state, "released"), not("user.name", "policy", "gateway")},
		figure("regret", "Regret: taken back by people", unique("portcullis.decision", "Decisions")).wide(24),
		top("regret-by", "Taken back, by whom", Donut, "user.name", "Who", 10, unique("portcullis.decision", "Decisions")))
	b.add(elastic.Decision, nil, documents("newest", "Newest decisions", state, "event.action", subject, route, rule, "portcullis.code", "message"))
	b.add(elastic.Audit, nil, documents("trail", "Audit trail", "user.name", "event.action", state, "portcullis.decision", "message"))
}

func completeness(b *Board) {
	b.choose(elastic.Traffic, "portcullis.source")
	newest := func(over elastic.Kind, id, title string) {
		b.add(over, nil, figure(id, title, highest(timeField, title)))
	}
	newest(elastic.Traffic, "newest-traffic", "Newest minute of traffic")
	newest(elastic.Access, "newest-request", "Newest request")
	newest(elastic.Finding, "newest-finding", "Newest finding")
	newest(elastic.Decision, "newest-decision", "Newest decision")
	b.add(elastic.Traffic, []Term{whole()},
		figure("counted", "Requests counted", sum("portcullis.requests", "Requests")),
		figure("minutes", "Minutes with traffic", unique("portcullis.minute", "Minutes")),
		overTime("minutes-time", "Requests counted: a gap is silence, or blindness", Bars, "portcullis.source", "Source", sum("portcullis.requests", "Requests")),
		overTime("parts-time", "Documents of traffic by who counted", Bars, "portcullis.part", "Part", count("Documents")))
	b.add(elastic.Access, nil,
		figure("kept", "Requests kept", count("Requests")),
		figure("kept-held", "Of these suspicious", count("Requests"), is("portcullis.verdict", "suspicious")),
		top("sources", "Sources", Table, "portcullis.source", "Source", 25, count("Requests kept"), highest(timeField, "Newest")),
		overTime("sources-time", "Requests kept by source", Bars, "portcullis.source", "Source", count("Requests")))
	b.add(elastic.Finding, nil, overTime("findings-time", "Findings", Bars, "", "", count("Findings")))
}

func investigate(b *Board) {
	b.Controls = []Control{{Over: elastic.Finding, Field: subject, Title: "Subject", One: true}, {Over: elastic.Finding, Field: "source.address", Title: "Address", One: true}}
	b.add(elastic.Finding, nil,
		figure("findings", "Findings", count("Findings")),
		figure("rules", "Rules", unique(rule, "Rules")),
		figure("worst", "Highest severity", highest(severity, "Severity")),
		figure("requests", "Requests that count", sum("portcullis.count", "Requests")),
		figure("successes", "Good requests in 24 hours", highest("portcullis.successes", "Good requests")),
		figure("people", "People behind it", highest("portcullis.people", "People")))
	b.add(elastic.Decision, nil, figure("decisions", "Decisions", count("Decisions")), figure("in-force", "In force", count("In force"), live()))
	b.add(elastic.Finding, nil, overTime("timeline", "Findings by rule", Bars, rule, "Rule", count("Findings")))
	b.add(elastic.Access, nil,
		overTime("requests-time", "Requests kept, by status", Bars, "http.response.status_code", "Status", count("Requests")),
		top("paths", "Paths", Table, "url.path", "Path", 20, count("Requests")).wide(16),
		top("agents", "User agents", Table, "user_agent.original", "User agent", 10, count("Requests")).wide(16),
		top("statuses", "Statuses", Donut, "http.response.status_code", "Status", 12, count("Requests")).wide(16))
	b.add(elastic.Finding, nil,
		top("routes", "Routes", Ranked, route, "Route", 10, count("Findings")).only(byRoute()),
		top("why", "Findings by rule", Table, rule, "Rule", 20, count("Findings"), sum("portcullis.count", "Requests"), highest(severity, "Severity")),
		documents("found", "Findings", severity, rule, subject, route, "portcullis.count", "message"))
	b.add(elastic.Decision, nil, documents("decided", "Decisions", state, "event.action", subject, route, rule, "message"))
	b.add(elastic.Access, nil, documents("asked", "Requests", "source.address", "http.request.method", "url.original", "http.response.status_code", "user_agent.original"))
	b.add(elastic.Audit, nil, documents("trail", "Audit trail", "user.name", "event.action", state, "portcullis.decision", "message"))
}
