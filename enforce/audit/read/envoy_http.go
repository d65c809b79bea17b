package read

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// envoyHTTP is one HTTP connection manager.
type envoyHTTP struct {
	e             *envoyReader
	hcm           *doc.Node
	name          string
	local, secure bool
	certs         *doc.Node // require_client_certificate
}

// filter is the first HTTP filter of a kind.
func (h *envoyHTTP) filter(kind string) *doc.Node {
	for _, f := range h.hcm.Get("http_filters").List() {
		if kindOf(f) == kind && !f.Get("disabled").True() {
			return f.Get("typed_config")
		}
	}
	return nil
}

// add makes an edit that puts a filter before the first one.
func (h *envoyHTTP) add(name, kind string, config map[string]any) []doc.Edit {
	config["@type"] = "type.googleapis.com/" + kind
	return h.hcm.Get("http_filters").Prepend(map[string]any{"name": name, "typed_config": config})
}

// judge states what holds for the whole manager, then each route.
func (h *envoyHTTP) judge() {
	say := func(check string, f audit.Fact) { h.e.c.Say(check, h.name, f) }
	hcm := h.hcm
	if !h.local && !hcm.Get("original_ip_detection_extensions").Has() {
		say("client-forgeable", either(hcm.Get("use_remote_address").True(), hcm.Where(), hcm.Set("use_remote_address", true),
			"the client is who connects, or who trusted hops name", "use_remote_address is not set: X-Forwarded-For is believed from anybody"))
	}
	action := hcm.Get("common_http_protocol_options", "headers_with_underscores_action")
	var mend []doc.Edit
	if common := hcm.Get("common_http_protocol_options"); common.Has() {
		mend = common.Set("headers_with_underscores_action", "REJECT_REQUEST")
	} else {
		mend = hcm.Put("common_http_protocol_options", map[string]string{"headers_with_underscores_action": "REJECT_REQUEST"})
	}
	say("headers-lax", either(action.Has() && action.Text() != "ALLOW", hcm.Where(), mend, "headers with underscores do not pass",
		"headers with underscores pass, which a service may take for others"))
	if o := hcm.Get("http_protocol_options", "allow_chunked_length"); o.True() {
		say("headers-lax", bad(o.Where(), hcm.Get("http_protocol_options").Set("allow_chunked_length", false), "requests with both Content-Length and Transfer-Encoding pass"))
	}
	for key, value := range map[string]any{"normalize_path": true, "merge_slashes": true} {
		say("path-ambiguous", either(hcm.Get(key).True(), hcm.Where(), hcm.Set(key, value), key+" is set", key+" is not set"))
	}
	slashes := hcm.Get("path_with_escaped_slashes_action").Text()
	say("path-ambiguous", either(slashes != "" && slashes != "KEEP_UNCHANGED" && slashes != "IMPLEMENTATION_SPECIFIC_DEFAULT", hcm.Where(),
		hcm.Set("path_with_escaped_slashes_action", "UNESCAPE_AND_REDIRECT"), "encoded slashes are refused or undone", "encoded slashes reach the service as they are"))
	if kb, ok := hcm.Get("max_request_headers_kb").Number(); ok {
		say("headers-large", either(kb <= 128, hcm.Get("max_request_headers_kb").Where(), hcm.Set("max_request_headers_kb", 60), "headers are bounded", fmt.Sprintf("headers may have %g kB", kb)))
	}
	if hcm.Get("rds").Has() {
		h.e.c.Blinded("the routes of %s come over RDS and are not seen here", h.name)
	}
	logs, off := h.logs()
	for _, vh := range hcm.Get("route_config", "virtual_hosts").List() {
		for _, r := range vh.Get("routes").List() {
			h.route(vh, r, logs, off)
		}
	}
}

// redirects judges whether all of a manager without TLS goes to https.
func (h *envoyHTTP) redirects(at doc.Place) audit.Fact {
	for _, vh := range h.hcm.Get("route_config", "virtual_hosts").List() {
		if t := vh.Get("require_tls").Text(); t == "ALL" || t == "EXTERNAL_ONLY" {
			continue
		}
		for _, r := range vh.Get("routes").List() {
			refuses, _ := r.Get("direct_response", "status").Number()
			acme := strings.Contains(matchPath(r.Get("match")), "/.well-known/acme-challenge")
			if !r.Get("redirect", "https_redirect").True() && r.Get("redirect", "scheme_redirect").Text() != "https" && refuses < 400 && !acme {
				return bad(at, vh.Put("require_tls", "ALL"), "a route of %s is served over plain HTTP", capped(vh.Get("name").Text()))
			}
		}
	}
	return good(at, "all goes to https")
}

// matchPath is a path that a route matches.
func matchPath(m *doc.Node) string {
	for _, key := range []string{"path", "prefix", "path_separated_prefix"} {
		if p := m.Get(key); p.Has() {
			return p.Text()
		}
	}
	if re := m.Get("safe_regex", "regex"); re.Has() {
		return sample(re.Text())
	}
	return "/"
}

func (h *envoyHTTP) route(vh, r *doc.Node, logs []audit.Log, off audit.Fact) {
	path := matchPath(r.Get("match"))
	at := r.Get("match").Where()
	out := &audit.Route{Name: vh.Get("name").Text() + " " + path, Path: path, At: at, Local: h.local, Secure: h.secure,
		Forwards: r.Get("route").Has() && vh.Get("require_tls").Text() != "ALL" || r.Get("route").Has() && h.secure, Logs: logs, LogOff: off}
	h.auth(vh, r, path, out)
	h.limit(vh, r, out)
	h.body(vh, r, out)
	out.Methods = bad(at, nil, "every method is forwarded")
	for _, hd := range r.Get("match", "headers").List() {
		if hd.Get("name").Text() == ":method" {
			out.Methods = good(hd.Where(), "the route is for named methods")
		}
	}
	if rbac := h.filter("RBAC"); rbac.Has() && strings.Contains(string(rbac.At.File.Text), ":method") {
		out.Methods = good(rbac.Where(), "methods that are not named are refused")
	}
	out.HSTS = h.hsts(vh, r)
	out.Upstream = h.e.upstream(r.Get("route", "cluster").Text())
	h.cors(vh, r, out)
	h.e.c.Add(out)
}

// keysOf are all keys below a node.
func keysOf(n *doc.Node) string {
	var b strings.Builder
	for _, item := range n.List() {
		if item != n {
			b.WriteString(item.Key + " " + keysOf(item))
		}
	}
	return b.String()
}

// limit judges local and global rate limits.
func (h *envoyHTTP) limit(vh, r *doc.Node, out *audit.Route) {
	out.Limit = audit.Limit{State: audit.Bad, At: out.At}
	actions := append(r.Get("route", "rate_limits").List(), vh.Get("rate_limits").List()...)
	own, forged := false, ""
	for _, l := range actions {
		for _, a := range l.Get("actions").List() {
			header := strings.ToLower(a.Get("request_headers", "header_name").Text())
			switch {
			case a.Get("remote_address").Has() || strings.Contains(keysOf(a), "remote_address") || strings.Contains(keysOf(a), "metadata"):
				own = true
			case header == "x-forwarded-for" || header == "x-real-ip":
				forged = header
			case isSecretName(strings.ReplaceAll(header, "-", "_")):
				own = true
			}
		}
	}
	if own {
		forged = ""
	}
	if f := h.filter("RateLimit"); f.Has() && len(actions) > 0 {
		out.Limit = audit.Limit{State: audit.Good, At: actions[0].Where(), Shared: !own && forged == "", Forged: forged, Status: 429}
		if s, ok := f.Get("rate_limited_status", "code").Number(); ok {
			out.Limit.Status, out.Limit.StatusAt, out.Limit.Mend = int(s), f.Get("rate_limited_status").Where(), f.Get("rate_limited_status").Set("code", 429)
		}
	}
	local := h.filter("LocalRateLimit")
	if o := override(vh, r, "LocalRateLimit"); o.Has() && local.Has() {
		if local = o; o.Get("disabled").True() {
			local = nil
		}
	}
	if !local.Has() || out.Limit.State == audit.Good || !local.Get("token_bucket").Has() {
		return
	}
	if !local.Get("filter_enabled").Has() || !local.Get("filter_enforced").Has() {
		out.Limit.At = local.Where()
		h.e.c.Blinded("%s: a local rate limit without filter_enabled and filter_enforced does nothing", h.name)
		return
	}
	out.Limit = audit.Limit{State: audit.Good, At: local.Where(), Shared: !own || !local.Get("descriptors").Has(), Status: 429, Rate: bucketRate(local.Get("token_bucket"))}
	if d := local.Get("descriptors").List(); len(d) > 0 && own {
		out.Limit.Rate = bucketRate(d[0].Get("token_bucket"))
	}
	if s, ok := local.Get("status", "code").Number(); ok {
		out.Limit.Status, out.Limit.StatusAt, out.Limit.Mend = int(s), local.Get("status").Where(), local.Get("status").Set("code", 429)
	}
}

// bucketRate is what a token bucket lets through, in requests a second.
func bucketRate(b *doc.Node) float64 {
	tokens, ok := b.Get("tokens_per_fill").Number()
	if !ok {
		tokens, _ = b.Get("max_tokens").Number()
	}
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(b.Get("fill_interval").Text(), "s"), 64)
	if err != nil || seconds <= 0 {
		return 0
	}
	return tokens / seconds
}

// body judges the buffer filter: without it Envoy streams bodies of any size.
func (h *envoyHTTP) body(vh, r *doc.Node, out *audit.Route) {
	b := h.filter("Buffer")
	if o := override(vh, r, "Buffer"); o.Has() && b.Has() {
		if o.Get("disabled").True() {
			b = nil
		} else {
			b = o.Get("buffer")
		}
	}
	if size, ok := b.Get("max_request_bytes").Number(); ok && size > 0 {
		out.MaxBody, out.Body = int64(size), good(b.Where(), "bodies are bounded")
		return
	}
	out.Body = bad(out.At, h.add("envoy.filters.http.buffer", "envoy.extensions.filters.http.buffer.v3.Buffer", map[string]any{"max_request_bytes": 1 << 20}), "bodies of any size are passed on")
}

// hsts judges the headers that route, host or table add.
func (h *envoyHTTP) hsts(vh, r *doc.Node) audit.Fact {
	table := h.hcm.Get("route_config")
	for _, n := range []*doc.Node{r, vh, table} {
		for _, add := range n.Get("response_headers_to_add").List() {
			if strings.EqualFold(add.Get("header", "key").Text(), "strict-transport-security") {
				seconds, ok := hstsOf(add.Get("header", "value").Text())
				return either(ok, add.Where(), add.Get("header").Set("value", hsts), "Strict-Transport-Security is sent", fmt.Sprintf("max-age is %d seconds", seconds))
			}
		}
	}
	header := map[string]any{"header": map[string]string{"key": "strict-transport-security", "value": hsts}}
	mend := table.Put("response_headers_to_add", []any{header})
	if list := table.Get("response_headers_to_add"); list.Has() {
		mend = list.Prepend(header)
	}
	return bad(table.Where(), mend, "Strict-Transport-Security is not sent")
}

// cors judges the policy of a route or its host.
func (h *envoyHTTP) cors(vh, r *doc.Node, out *audit.Route) {
	p := override(vh, r, "Cors")
	if !p.Has() {
		return
	}
	open := false
	for _, m := range p.Get("allow_origin_string_match").List() {
		re := m.Get("safe_regex", "regex").Text()
		prefix := m.Get("prefix")
		open = open || m.Get("exact").Text() == "*" || re == ".*" || re == ".+" || regexp.MustCompile(`^(https?(://)?)?$`).MatchString(prefix.Text()) && prefix.Has()
	}
	h.e.c.Say("cors-credentials", out.Name, either(!open || !p.Get("allow_credentials").True(), p.Where(), nil, "credentials are for named origins", "credentials are allowed for any origin"))
}

// envoyFields are the operators of a log format that hold what detection needs.
var envoyFields = map[string]string{
	"%DOWNSTREAM_REMOTE_ADDRESS": "client address", "%DOWNSTREAM_DIRECT_REMOTE": "client address", "%REQ(X-FORWARDED-FOR)": "client address",
	"%START_TIME": "time", "%REQ(:METHOD)": "method", "PATH": "target", "%RESPONSE_CODE%": "status", "%BYTES_SENT%": "bytes", "%REQ(USER-AGENT)": "user agent",
}

// logs states where the manager logs.
func (h *envoyHTTP) logs() ([]audit.Log, audit.Fact) {
	list := h.hcm.Get("access_log").List()
	if len(list) == 0 {
		mend := h.hcm.Put("access_log", []any{map[string]any{"name": "envoy.access_loggers.stdout",
			"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"}}})
		return nil, bad(h.hcm.Where(), mend, "no access_log is named")
	}
	var out []audit.Log
	for _, l := range list {
		config := l.Get("typed_config")
		log := audit.Log{State: audit.Good, At: l.Where(), Target: kindOf(l), Central: kindOf(l) != "FileAccessLog"}
		if p := config.Get("path"); p.Has() {
			log.Target = p.Text()
			log.Central = strings.HasPrefix(p.Text(), "/dev/std") || strings.HasPrefix(p.Text(), "/dev/fd/")
		}
		format := config.Get("log_format")
		if strings.HasSuffix(kindOf(l), "GrpcAccessLogConfig") || !format.Has() {
			log.Known = kindOf(l) != "OpenTelemetryAccessLogConfig"
		} else {
			text := strings.ToUpper(valuesOf(format))
			has := map[string]bool{}
			for op, field := range envoyFields {
				has[field] = has[field] || strings.Contains(text, op)
			}
			log.Known, log.Lacks = true, lacks(has)
			for _, m := range regexp.MustCompile(`%REQ\(([A-Z0-9_-]+)`).FindAllStringSubmatch(text, -1) {
				if name := strings.ToLower(m[1]); name == "authorization" || name == "cookie" || isSecretName(strings.ReplaceAll(name, "-", "_")) {
					log.Secrets = append(log.Secrets, name)
				}
			}
		}
		out = append(out, log)
	}
	return out, good(list[0].Where(), "requests are logged")
}

// valuesOf are all scalars below a node.
func valuesOf(n *doc.Node) string {
	text := n.Text()
	for _, item := range n.Items {
		text += " " + valuesOf(item)
	}
	return text
}
