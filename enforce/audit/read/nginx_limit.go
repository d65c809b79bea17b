package read

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

var (
	// ownVars tell clients apart and cannot be chosen freely by them.
	ownVars = regexp.MustCompile(`^(binary_remote_addr|remote_addr|realip_remote_addr|proxy_protocol_addr|remote_user|jwt_.+|ssl_client_.+|http_authorization|http_x_api_key|http_apikey|cookie_.+|consumer.*|api_.+)$`)
	// saidVars are what a client says of itself.
	saidVars = regexp.MustCompile(`^(http_x_forwarded_for|proxy_add_x_forwarded_for|http_x_real_ip|http_x_client_ip|http_true_client_ip|http_cf_connecting_ip|http_forwarded|http_user_agent)$`)
)

// limit judges the limit_req that holds at a location.
func (n *nginxReader) limit(l *block) audit.Limit {
	out := audit.Limit{State: audit.Bad, At: l.place()}
	if d := l.one("limit_req_dry_run"); d.arg(0) == "on" {
		out.At = d.place()
		return out
	}
	shared, forged := true, ""
	for _, d := range l.set("limit_req") {
		zone := n.zone(d)
		out.State, out.At = audit.Good, d.place()
		if zone == nil {
			n.c.Blinded("the zone of %s:%d is not defined in what was read", d.file.Name, d.place().Line())
			shared = false
			continue
		}
		own, said := n.keyOf(zone.arg(0), 0)
		if own {
			shared = false
		} else if said != "" {
			shared, forged = false, said
		}
		if rate := rateOf(zone); rate > 0 && (out.Rate == 0 || rate < out.Rate) {
			out.Rate = rate
		}
	}
	if out.State != audit.Good {
		return out
	}
	out.Shared, out.Forged, out.Status = shared, forged, 503
	if d := l.one("limit_req_status"); d != nil {
		out.Status, _ = strconv.Atoi(d.arg(0))
		out.StatusAt, out.Mend = d.place(), d.swap("limit_req_status 429;")
	} else {
		holder := l.set("limit_req")[0].up
		out.Mend = holder.open("limit_req_status 429;")
	}
	return out
}

// zone is the limit_req_zone that a limit_req names.
func (n *nginxReader) zone(d *block) *block {
	for _, a := range d.Args {
		if name, ok := strings.CutPrefix(a, "zone="); ok {
			return n.zones[name]
		}
	}
	return nil
}

// keyOf judges what a zone counts by; maps are followed, since the usual way to leave
// some clients out is a map that gives them an empty key.
func (n *nginxReader) keyOf(key string, depth int) (own bool, said string) {
	if depth > 8 {
		return false, ""
	}
	for _, v := range variables(key) {
		switch {
		case ownVars.MatchString(v):
			own = true
		case saidVars.MatchString(v):
			said = "$" + v
		}
		for _, m := range n.maps["$"+v] {
			for _, row := range m.body {
				o, s := n.keyOf(strings.Join(row.Args, " "), depth+1)
				own = own || o
				if s != "" {
					said = s
				}
			}
			// A map from a key to a consumer's name tells consumers apart.
			if m.Name == "map" && n.dependsOn(m.arg(0), isCredential) {
				own = true
			}
		}
	}
	return own, said
}

// rateOf is a zone's rate in requests a second, 0 where it is not known.
func rateOf(zone *block) float64 {
	for _, a := range zone.Args {
		text, ok := strings.CutPrefix(a, "rate=")
		if !ok {
			continue
		}
		count, unit, _ := strings.Cut(text, "r/")
		rate, err := strconv.ParseFloat(count, 64)
		if err != nil {
			return 0
		}
		if unit == "m" {
			rate /= 60
		}
		return rate
	}
	return 0
}

// limitMend puts in a zone per address and its use; strict ones for routes that take
// credentials.
func (n *nginxReader) limitMend(l *block, strictly bool) []doc.Edit {
	top := l.within("http")
	if top == nil || len(l.own("limit_req")) > 0 {
		return nil
	}
	name, rate, burst := "audit_client", "10r/s", "20"
	if strictly {
		name, rate, burst = "audit_login", "30r/m", "5"
	}
	lines := []string{"limit_req zone=" + name + " burst=" + burst + " nodelay;"}
	if len(l.own("limit_req_status")) == 0 && l.word("limit_req_status") != "429" {
		lines = append(lines, "limit_req_status 429;")
	}
	return append(top.open("limit_req_zone $binary_remote_addr zone="+name+":10m rate="+rate+";"), l.open(lines...)...)
}
