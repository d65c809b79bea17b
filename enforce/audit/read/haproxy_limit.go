package read

import (
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// limit judges a rule that refuses by a rate.
func (h *haproxyReader) limit(s *section, rules []rule, r *audit.Route) audit.Limit {
	out := audit.Limit{State: audit.Bad, At: r.At}
	for _, rule := range rules {
		if !rule.denies || !slices.ContainsFunc(rule.cond, func(all []term) bool {
			return slices.ContainsFunc(all, func(t term) bool { return t.kind() == aboutRate })
		}) {
			continue
		}
		one := audit.Limit{State: audit.Good, At: rule.line.at, Status: rule.status, Shared: true}
		one.Mend = statusMend(rule)
		for _, all := range rule.cond {
			for _, t := range all {
				if t.kind() == aboutRate {
					h.counted(s, t, &one)
				}
			}
		}
		if out.State == audit.Bad || one.Rate > 0 && one.Rate < out.Rate {
			out = one
		}
	}
	if out.State == audit.Bad {
		r.Mend = func(check string) []doc.Edit {
			if check != "limit-missing" || len(s.find("stick-table")) > 0 {
				return nil
			}
			const table = "stick-table type ipv6 size 100k expire 1m store http_req_rate(10s)"
			if r.Kind.TakesCredentials() {
				end := s.head.at.File.Insert(len(s.head.at.File.Text), "\nbackend audit_login\n    "+table+"\n")
				return append(s.put("http-request track-sc1 src table audit_login if { path_beg "+r.Path+" }",
					"http-request deny deny_status 429 if { path_beg "+r.Path+" } { sc_http_req_rate(1) gt 5 }"), end)
			}
			return s.put(table, "http-request track-sc0 src", "http-request deny deny_status 429 if { sc_http_req_rate(0) gt 200 }")
		}
	}
	return out
}

// statusMend makes a rule answer 429.
func statusMend(r rule) []doc.Edit {
	text := r.line.at.FullText()
	switch {
	case r.line.words[1] != "deny":
		return nil
	case r.line.after("deny_status") != "":
		return []doc.Edit{r.line.at.Swap(strings.Replace(text, "deny_status "+r.line.after("deny_status"), "deny_status 429", 1))}
	}
	return []doc.Edit{r.line.at.Swap(strings.Replace(text, " deny", " deny deny_status 429", 1))}
}

// counted finds what a rate is counted by, and how high it may be.
func (h *haproxyReader) counted(s *section, t term, l *audit.Limit) {
	number := "0"
	if _, rest, ok := strings.Cut(t.fetch, "("); ok {
		number, _, _ = strings.Cut(strings.TrimSuffix(rest, ")"), ",")
		number = strings.TrimSuffix(number, ")")
	}
	by, table := "", ""
	if strings.Contains(t.fetch, "table_") {
		by, _, _ = strings.Cut(t.fetch, ",")
		table = number
	}
	for _, tr := range s.find("http-request", "track-sc"+number) {
		if len(tr.words) > 2 {
			by, table = tr.words[2], tr.after("table")
		}
	}
	switch {
	case by == "":
		h.c.Blinded("%s:%d: what the counter %s tracks cannot be seen", l.At.Name(), l.At.Line(), capped(number))
		l.Shared = false
	case strings.HasPrefix(by, "src") || strings.Contains(by, "ssl_c_") || strings.Contains(by, "x-api-key") || strings.Contains(by, "uthorization"):
		l.Shared = false
	case strings.Contains(strings.ToLower(by), "hdr(x-forwarded-for") || strings.Contains(strings.ToLower(by), "hdr(x-real-ip"):
		l.Shared, l.Forged = false, by
	}
	holder := s
	if b := h.backend(table); b != nil {
		holder = b
	}
	for _, st := range holder.find("stick-table") {
		_, rest, ok := strings.Cut(strings.Join(st.words, " "), "http_req_rate(")
		span, _, closed := strings.Cut(rest, ")")
		if !ok || !closed {
			continue
		}
		seconds := spanOf(span)
		for i, w := range t.rest {
			if i > 0 && (t.rest[i-1] == "gt" || t.rest[i-1] == "ge") && seconds > 0 {
				if n, err := strconv.ParseFloat(w, 64); err == nil {
					l.Rate = n / seconds
				}
			}
		}
	}
}

// spanOf reads a duration of HAProxy in seconds; a bare number is milliseconds.
func spanOf(s string) float64 {
	unit := map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1e-3}
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i < 0 {
		i = len(s)
	}
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0
	}
	return n * unit[s[i:]]
}
