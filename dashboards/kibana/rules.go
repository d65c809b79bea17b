package kibana

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// A watch is what is worth telling: documents that match. It becomes a detection rule of
// Elastic Security, an alert rule of Kibana, or both.
type watch struct {
	id, name, about string
	over            elastic.Kind
	where           []Term
	severity        string // low, medium, high, critical
	risk            int
	tactic          [2]string // id and name of ATT&CK
	technique       [2]string
	detection       bool
	alert           bool
}

func watches() []watch {
	finding := func(id, name, about, severity string, risk int, tactic, technique [2]string, alert bool, where ...Term) watch {
		return watch{id, name, about, elastic.Finding, where, severity, risk, tactic, technique, true, alert}
	}
	grave := is(severity, "47", "73", "99")
	access, entry := [2]string{"TA0006", "Credential Access"}, [2]string{"TA0001", "Initial Access"}
	return []watch{
		finding("takeover", "Account taken over", "A login succeeded after a run of refused ones.", "critical", 99, access, [2]string{"T1110", "Brute Force"}, true, is(rule, "auth-takeover")),
		finding("credential", "Credential abuse", "Credentials are guessed, stuffed, sprayed or shared.", "high", 73, access, [2]string{"T1110", "Brute Force"}, false, is(family, "credential"), grave),
		finding("injection", "Injection", "Requests carry payloads that attack what is behind the gateway.", "high", 73, entry, [2]string{"T1190", "Exploit Public-Facing Application"}, false, is(family, "injection"), grave),
		finding("rate", "Flood or spike", "Requests far beyond the norm of a client, a route or the whole.", "medium", 47, [2]string{"TA0040", "Impact"}, [2]string{"T1499", "Endpoint Denial of Service"}, false, is(family, "rate"), grave),
		finding("recon", "Reconnaissance", "A client looks for what is exposed.", "medium", 47, [2]string{"TA0043", "Reconnaissance"}, [2]string{"T1595", "Active Scanning"}, false, is(family, "recon"), grave),
		finding("api", "Abuse of an API", "Objects or functions of others are tried, or the API is used beside its documents.", "medium", 47, entry, [2]string{"T1190", "Exploit Public-Facing Application"}, false, is(family, "api"), grave),
		finding("campaign", "Campaign", "Many clients act as one.", "high", 73, entry, [2]string{"T1190", "Exploit Public-Facing Application"}, true, is(subjectKind, "campaign")),
		finding("grave", "Grave finding", "A finding of high or critical severity.", "high", 73, entry, [2]string{"T1190", "Exploit Public-Facing Application"}, true, is(severity, "73", "99")),
		{"not-enforced", "A decision does not hold", "A gateway has a decision, and the log shows that the client gets through.", elastic.Decision, []Term{is(state, "not_enforced")},
			"high", 73, [2]string{}, [2]string{}, true, true},
		{"released", "A person took a decision back", "A decision was released before its time.", elastic.Audit, []Term{is(state, "released"), not("user.name", "policy", "gateway")},
			"low", 21, [2]string{}, [2]string{}, false, true},
	}
}

const attackSite = "https://attack.mitre.org/"

// DetectionRules are those of Elastic Security. They come switched off: who wants them
// does so after a look at the dashboards.
func DetectionRules() []map[string]any {
	var out []map[string]any
	for _, w := range watches() {
		if w.detection {
			out = append(out, w.detectionRule())
		}
	}
	return out
}

func (w watch) detectionRule() object {
	threat := list{}
	if w.tactic[0] != "" {
		threat = append(threat, object{"framework": "MITRE ATT&CK",
			"tactic":    object{"id": w.tactic[0], "name": w.tactic[1], "reference": attackSite + "tactics/" + w.tactic[0] + "/"},
			"technique": list{object{"id": w.technique[0], "name": w.technique[1], "reference": attackSite + "techniques/" + w.technique[0] + "/", "subtechnique": list{}}}})
	}
	mapping, required := list{}, list{}
	if w.over == elastic.Finding {
		for _, s := range Severities[1:] {
			mapping = append(mapping, object{"field": severity, "operator": "equals", "value": fmt.Sprint(s.Number), "severity": s.Name})
		}
	}
	for _, t := range w.where {
		required = append(required, object{"name": t.Field, "type": typeOf(t.Field)})
	}
	index := list{}
	for _, p := range strings.Split(viewOf(w.over).Pattern(), ",") {
		index = append(index, p)
	}
	return object{
		"rule_id": prefix + w.id, "name": "Portcullis: " + w.name, "description": w.about, "type": "query", "language": "kuery", "query": kql(w.where), "index": index,
		"filters": list{}, "risk_score": w.risk, "risk_score_mapping": list{}, "severity": w.severity, "severity_mapping": mapping, "threat": threat,
		// Findings come a little after the request that fired them; what was seen before is not told twice.
		"interval": "1m", "from": "now-15m", "to": "now", "max_signals": 100,
		"enabled": false, "immutable": false, "version": 1, "author": list{"Portcullis"}, "license": "Apache-2.0",
		"tags": list{"Portcullis"}, "references": list{}, "false_positives": list{}, "exceptions_list": list{}, "actions": list{},
		"related_integrations": list{}, "required_fields": required, "setup": "", "output_index": "",
		"note": "Open the Investigation dashboard of Portcullis for the subject: all findings, decisions and requests are there.",
	}
}

// AlertRule is an alert rule of Kibana: the body of POST /api/alerting/rule/ID.
type AlertRule struct {
	ID   string         `json:"id"`
	Body map[string]any `json:"body"`
}

// AlertRules are ES|QL queries that tell when they find rows. They come switched off and
// without actions: connectors are one's own. Ids are those of a space ("" is the default
// one), since an id of a rule can be used once in a Kibana.
func AlertRules(space string) []AlertRule {
	if space == "" {
		space = "default"
	}
	var out []AlertRule
	add := func(id, name, query string, minutes int) {
		out = append(out, AlertRule{fixedID("alert", space, id), object{
			"name": "Portcullis: " + name, "rule_type_id": ".es-query", "consumer": "stackAlerts", "enabled": false, "tags": list{"Portcullis"}, "actions": list{},
			"schedule": object{"interval": "1m"},
			"params": object{"searchType": "esqlQuery", "esqlQuery": object{"esql": query}, "timeField": timeField, "timeWindowSize": minutes, "timeWindowUnit": "m",
				"threshold": list{0}, "thresholdComparator": ">", "size": 100, "groupBy": "all"},
		}})
	}
	for _, w := range watches() {
		if w.alert {
			add(w.id, w.name, w.esql(), 15)
		}
	}
	add("silence", "No traffic is counted", strings.Join([]string{"FROM " + viewOf(elastic.Traffic).Pattern(),
		"STATS newest = MAX(" + timeField + ")", "WHERE newest < NOW() - 15 minutes"}, "\n| "), 24*60)
	return out
}

// esql lists the documents of a watch.
func (w watch) esql() string {
	keep := map[elastic.Kind]string{
		elastic.Finding:  strings.Join([]string{timeField, severity, rule, subjectKind, subject, route, "portcullis.count", "message"}, ", "),
		elastic.Decision: strings.Join([]string{timeField, state, "event.action", subjectKind, subject, route, rule, "portcullis.code", "message"}, ", "),
		elastic.Audit:    strings.Join([]string{timeField, "user.name", state, "portcullis.decision", "message"}, ", "),
	}[w.over]
	return strings.Join([]string{"FROM " + viewOf(w.over).Pattern(), "WHERE " + strings.Join(esqlWhere(w.where), " AND "), "KEEP " + keep, "SORT " + timeField + " DESC", "LIMIT 100"}, "\n| ")
}
