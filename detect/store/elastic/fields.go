package elastic

import "slices"

// ECSVersion is the version of the Elastic Common Schema that field names and types
// follow; testdata/ecs-fields.csv is its list.
const ECSVersion = "9.5.0-dev"

// Field is one field of the mappings.
type Field struct {
	Name  string
	Type  string // as in ECS; see Store.portable
	Doc   string
	Kinds []Kind // that have it; nil = all
}

// Object types that the mapping treats apart.
const (
	typeKept = "object (kept, not indexed)"
	typeText = "keyword (kept, not indexed)"
)

var (
	subjects = []Kind{Finding, Decision}
	changing = []Kind{Finding, Decision, Traffic}
	routes   = []Kind{Access, Finding, Decision, Traffic}
	sources  = []Kind{Access, Finding, Decision}
)

// Fields returns the fields of the mappings, in the order of the documentation.
func Fields() []Field { return slices.Clone(fields) }

var fields = []Field{
	{"@timestamp", "date", "the request; when the rule fired; when the decision was made or changed; the minute", nil},
	{"ecs.version", "keyword", "version of the schema", nil},
	{"data_stream.type", "constant_keyword", "`logs` or `metrics`", nil},
	{"data_stream.dataset", "constant_keyword", "`portcullis.` and the kind", nil},
	{"data_stream.namespace", "constant_keyword", "`elasticsearch.namespace`", nil},
	{"event.kind", "keyword", "`alert`, `event` or `metric`", nil},
	{"event.category", "keyword", "`web`, `intrusion_detection` or `configuration`", nil},
	{"event.type", "keyword", "`access`, `info`, `denied`, `allowed` or `change`", nil},
	{"event.module", "keyword", "`portcullis`", nil},
	{"event.dataset", "keyword", "as `data_stream.dataset`", nil},
	{"event.id", "keyword", "id of the finding, decision, change or minute", []Kind{Finding, Decision, Audit, Traffic}},
	{"event.action", "keyword", "block, throttle, challenge or revoke; what a person did", []Kind{Decision, Audit}},
	{"event.severity", "long", "1 info, 21 low, 47 medium, 73 high, 99 critical", []Kind{Finding}},
	{"event.start", "date", "first request that counts; from when a decision holds", subjects},
	{"event.end", "date", "last request that counts; until when a decision holds", subjects},
	{"event.outcome", "keyword", "`failure` where the status is 400 or more", []Kind{Access}},
	{"event.duration", "long", "nanoseconds that the request took", []Kind{Access}},
	{"event.original", typeText, "the line, without secrets", []Kind{Access}},
	{"message", "match_only_text", "why, in one sentence", []Kind{Finding, Decision, Audit}},
	{"tags", "keyword", "OWASP and ATT&CK tags of the rule", []Kind{Finding}},
	{"observer.vendor", "keyword", "`Portcullis`", nil},
	{"observer.product", "keyword", "`Portcullis`", nil},
	{"observer.type", "keyword", "`waf`", nil},
	{"rule.id", "keyword", "the rule", subjects},
	{"rule.version", "keyword", "its version", []Kind{Finding}},
	{"rule.category", "keyword", "its family", []Kind{Finding}},
	{"rule.ruleset", "keyword", "`portcullis`", []Kind{Finding}},
	{"threat.framework", "keyword", "`MITRE ATT&CK`", []Kind{Finding}},
	{"threat.technique.id", "keyword", "techniques of the rule", []Kind{Finding}},
	{"threat.technique.subtechnique.id", "keyword", "and their sub-techniques", []Kind{Finding}},
	{"source.ip", "ip", "the client, where addresses are not hidden", sources},
	{"source.address", "keyword", "the same, or its pseudonym", sources},
	{"source.as.number", "long", "its autonomous system", sources},
	{"source.geo.country_iso_code", "keyword", "its country", sources},
	{"related.ip", "ip", "as `source.ip`", sources},
	{"related.user", "keyword", "as `user.name`", subjects},
	{"user.name", "keyword", "the account; of the audit trail, who changed something", []Kind{Access, Finding, Decision, Audit}},
	{"http.request.method", "keyword", "method as sent", []Kind{Access}},
	{"http.request.id", "keyword", "id that the gateway gave it", []Kind{Access}},
	{"http.request.referrer", "keyword", "Referer", []Kind{Access}},
	{"http.request.bytes", "long", "bytes received", []Kind{Access}},
	{"http.response.status_code", "long", "status", []Kind{Access}},
	{"http.response.body.bytes", "long", "bytes of the body sent", []Kind{Access}},
	{"http.version", "keyword", "protocol version", []Kind{Access}},
	{"url.original", "wildcard", "target as sent, without secrets", []Kind{Access}},
	{"url.path", "wildcard", "its path", []Kind{Access}},
	{"url.query", "keyword", "its query", []Kind{Access}},
	{"url.domain", "keyword", "host", []Kind{Access}},
	{"user_agent.original", "keyword", "User-Agent", []Kind{Access}},
	{"tls.version", "keyword", "TLS version", []Kind{Access}},
	{"tls.cipher", "keyword", "cipher suite", []Kind{Access}},
	{"tls.client.subject", "keyword", "subject of the client's certificate", []Kind{Access}},
	{"portcullis.subject.kind", "keyword", "kind of the subject: ip, cidr, account, route and others", subjects},
	{"portcullis.subject.value", "keyword", "the subject", subjects},
	{"portcullis.route", "keyword", "route template; empty = everything", routes},
	{"portcullis.source", "keyword", "name of the log source", []Kind{Access, Traffic}},
	{"portcullis.file", "keyword", "identity of the log file, hexadecimal", []Kind{Access}},
	{"portcullis.offset", "long", "first byte of the line in it", []Kind{Access}},
	{"portcullis.peer", "ip", "address that connected to the gateway", []Kind{Access}},
	{"portcullis.fingerprint", "keyword", "TLS fingerprint (JA3, JA4) as logged", []Kind{Access}},
	{"portcullis.verdict", "keyword", "`suspicious` where something was held against the request", []Kind{Access}},
	{"portcullis.classes", "keyword", "what it was", []Kind{Access}},
	{"portcullis.findings", "keyword", "ids of the findings behind it", []Kind{Access, Decision}},
	{"portcullis.detail", "flattened", "what is searched by term only: consumer and the pseudonyms of key, token and session; who and how many of a decision", []Kind{Access, Decision, Audit}},
	{"portcullis.count", "long", "requests that count", []Kind{Finding}},
	{"portcullis.confidence", "double", "0 to 1", []Kind{Finding}},
	{"portcullis.fired_ns", "long", "times to the nanosecond: when it fired", []Kind{Finding}},
	{"portcullis.first_ns", "long", "first seen", []Kind{Finding}},
	{"portcullis.last_ns", "long", "last seen", []Kind{Finding}},
	{"portcullis.judged_ns", "long", "when it was last judged", []Kind{Finding}},
	{"portcullis.window_ns", "long", "start of the window", []Kind{Finding}},
	{"portcullis.known_ns", "long", "since when the subject is known", []Kind{Finding}},
	{"portcullis.successes", "long", "good requests of the subject in 24 hours", subjects},
	{"portcullis.people", "long", "estimated people behind it", subjects},
	{"portcullis.members", typeKept, "who together are the subject, ranked: kind, value, score, count", []Kind{Finding}},
	{"portcullis.suspects", typeKept, "what a fleet's requests have in common and ordinary ones have not: route, agent, clients, and the ordinary successes and people", []Kind{Finding}},
	{"portcullis.evidence", typeKept, "up to five lines, without secrets", []Kind{Finding}},
	{"portcullis.version", "long", "orders the states of a document", changing},
	{"portcullis.raw", typeKept, "values that JSON or a keyword cannot hold, by field, in base64", []Kind{Finding, Decision, Audit, Traffic}},
	{"portcullis.part", "keyword", "who counted, where several count the same minute", []Kind{Traffic}},
	{"portcullis.minute", "long", "the minute, Unix seconds", []Kind{Traffic}},
	{"portcullis.requests", "long", "requests", []Kind{Traffic}},
	{"portcullis.status_2xx", "long", "of these: answered 2xx", []Kind{Traffic}},
	{"portcullis.status_3xx", "long", "3xx", []Kind{Traffic}},
	{"portcullis.status_4xx", "long", "4xx", []Kind{Traffic}},
	{"portcullis.status_5xx", "long", "5xx", []Kind{Traffic}},
	{"portcullis.refused", "long", "refused logins and tokens", []Kind{Traffic}},
	{"portcullis.denied", "long", "answered by our own enforcement", []Kind{Traffic}},
	{"portcullis.bytes_out", "long", "bytes sent", []Kind{Traffic}},
	{"portcullis.duration_ns", "long", "durations, summed", []Kind{Traffic}},
	{"portcullis.state", "keyword", "state of the decision; of a change, the new one", []Kind{Decision, Audit}},
	{"portcullis.code", "keyword", "why the decision is not in force, or does not hold; empty where all is in order", []Kind{Decision}},
	{"portcullis.by", "keyword", "who made it: `policy`, or a person", []Kind{Decision}},
	{"portcullis.decision", "keyword", "id of the decision that was changed", []Kind{Audit}},
	{"portcullis.created_ns", "long", "when it was made, to the nanosecond", []Kind{Decision}},
	{"portcullis.at_ns", "long", "when it was changed, to the nanosecond", []Kind{Audit}},
	{"portcullis.seq", "long", "orders changes of the same moment", []Kind{Audit}},
	{"portcullis.record", typeKept, "the whole decision or change, as it is read back", []Kind{Decision, Audit}},
}

// Of reports whether documents of a kind have the field, and it can be searched.
func (f Field) Of(k Kind) bool { return f.has(k) && f.Type != typeKept && f.Type != typeText }

// has reports whether documents of a kind have the field.
func (f Field) has(k Kind) bool { return f.Kinds == nil || slices.Contains(f.Kinds, k) }

// mapping is the field's entry in a mapping.
func (s *Store) mapping(f Field, k Kind) map[string]any {
	t := f.Type
	if s.portable {
		switch t {
		case "constant_keyword", "wildcard":
			t = "keyword"
		case "match_only_text":
			t = "text"
		}
	}
	switch t {
	case typeKept:
		return map[string]any{"type": "object", "enabled": false}
	case typeText:
		return map[string]any{"type": "keyword", "index": false, "doc_values": false}
	case "keyword", "wildcard":
		return map[string]any{"type": t, "ignore_above": keywordMax}
	case "flattened":
		return map[string]any{"type": t, "ignore_above": keywordMax}
	case "constant_keyword":
		return map[string]any{"type": t, "value": map[string]string{
			"data_stream.type": k.typ(), "data_stream.dataset": k.dataset(), "data_stream.namespace": s.cfg.Namespace,
		}[f.Name]}
	case "text":
		return map[string]any{"type": t, "norms": false, "index_options": "docs"}
	}
	return map[string]any{"type": t}
}
