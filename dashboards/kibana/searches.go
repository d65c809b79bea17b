package kibana

import "github.com/portcullis/portcullis/detect/store/elastic"

// Searches are the saved searches for Discover.
func Searches() []Search {
	return []Search{
		{prefix + "search-findings", "[Portcullis] Findings", "All findings.", elastic.Finding, nil, []string{severity, rule, subjectKind, subject, route, "portcullis.count", "message"}},
		{prefix + "search-grave", "[Portcullis] Grave findings", "Findings of high and critical severity.", elastic.Finding, []Term{is(severity, "73", "99")}, []string{severity, rule, subject, route, "message"}},
		{prefix + "search-decisions", "[Portcullis] Decisions", "All decisions.", elastic.Decision, nil, []string{state, "event.action", subject, route, rule, "portcullis.code", "message"}},
		{prefix + "search-failed", "[Portcullis] Decisions that do not hold", "Decisions that a gateway has, and that the log shows not to hold.", elastic.Decision, []Term{is(state, "not_enforced")}, []string{"event.action", subject, route, "portcullis.code", "message"}},
		{prefix + "search-suspicious", "[Portcullis] Suspicious requests", "Requests that were held against a client.", elastic.Access, []Term{is("portcullis.verdict", "suspicious")}, []string{"source.address", "http.request.method", "url.original", "http.response.status_code", "portcullis.classes"}},
		{prefix + "search-audit", "[Portcullis] Audit trail", "Who changed what, and why.", elastic.Audit, nil, []string{"user.name", "event.action", state, "portcullis.decision", "message"}},
	}
}
