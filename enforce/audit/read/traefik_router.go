package read

import (
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

var (
	traefikPath   = regexp.MustCompile("Path(?:Prefix|Regexp)?\\(\\s*[`\"]([^`\"]*)[`\"]")
	traefikHost   = regexp.MustCompile("Host\\(\\s*[`\"]([^`\"]*)[`\"]")
	traefikQuery  = regexp.MustCompile("Query\\(\\s*[`\"]([^`\"=]*)")
	traefikHeader = regexp.MustCompile("Header\\(\\s*[`\"]([^`\"]*)[`\"]")
)

// router states what holds for a router.
func (t *traefikReader) router(r *doc.Node, logs []audit.Log, off audit.Fact) {
	rule := r.Get("rule").Text()
	out := &audit.Route{Name: "router " + r.Key, Path: "/", At: r.Where(), Forwards: true, Logs: logs, LogOff: off}
	if m := traefikPath.FindStringSubmatch(rule); m != nil {
		out.Path = m[1]
		if strings.Contains(m[0], "Regexp") {
			out.Path = sample(m[1])
		}
	}
	if m := traefikHost.FindStringSubmatch(rule); m != nil {
		out.Host = m[1]
	}
	service := r.Get("service").Text()
	out.Secure = r.Get("tls").Has()
	local, points := true, 0
	for _, p := range t.all("entryPoints") {
		if onPoint(r, p.Key) {
			points++
			local = local && audit.LocalAddress(p.Get("address").Text())
			out.Secure = out.Secure || p.Get("http", "tls").Has()
		}
	}
	out.Local = local && points > 0
	if !out.Secure && t.middleware(r, "redirectScheme").Get("scheme").Text() == "https" || service == "noop@internal" {
		return
	}
	t.auth(r, rule, out)
	t.limit(r, out)
	t.bounds(r, rule, out)
	t.c.Add(out)
	if strings.HasSuffix(service, "@internal") {
		out.Admin, out.Forwards = true, false
	}
}

// auth judges the middlewares that ask for credentials.
func (t *traefikReader) auth(r *doc.Node, rule string, out *audit.Route) {
	out.Auth = bad(out.At, nil, "no credentials are asked for")
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	for _, kind := range []string{"forwardAuth", "ipAllowList", "ipWhiteList", "basicAuth", "digestAuth", "jwt", "oidc", "apiKey", "oAuthIntrospection"} {
		if m := t.middleware(r, kind); m.Has() {
			out.Auth = good(m.Where(), "%s asks who it is", kind)
			if kind == "forwardAuth" {
				out.Inspects = good(m.Where(), "a decision service looks at method, target and headers")
				out.Asks = askedAt(m.Where(), m.Get("address").Text())
			}
			if q := m.Get("keySource", "query"); q.Has() {
				out.KeyInURL = bad(q.Where(), nil, "the key is read from the parameter %s", capped(q.Text()))
			}
		}
	}
	if o := t.named(r.Get("tls", "options").Text(), "tls", "options").Get("clientAuth"); o.Has() && out.Auth.State == audit.Bad {
		kind := o.Get("clientAuthType").Text()
		out.Auth = either(kind == "RequireAndVerifyClientCert", o.Where(), o.Set("clientAuthType", "RequireAndVerifyClientCert"), "a client certificate is asked for", "client certificates are not verified")
	}
	if m := traefikHeader.FindStringSubmatch(rule); m != nil && isSecretName(strings.ReplaceAll(m[1], "-", "_")) && out.Auth.State == audit.Bad {
		out.Auth = good(r.Get("rule").Where(), "the rule matches a key")
	}
	if m := traefikQuery.FindStringSubmatch(rule); m != nil && isSecretName(m[1]) {
		out.KeyInURL = bad(r.Get("rule").Where(), nil, "the key is read from the parameter %s", capped(m[1]))
	}
	if p := t.middleware(r, "plugin"); p.Has() {
		names := strings.ToLower(keysOf(p))
		if regexp.MustCompile(`waf|coraza|modsec|portcullis`).MatchString(names) {
			out.Inspects = good(p.Where(), "a firewall looks at requests")
		} else if out.Inspects.State == audit.Bad {
			out.Inspects = audit.Fact{}
		}
		if out.Auth.State == audit.Bad {
			out.Auth = audit.Fact{}
		}
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
}

// limit judges rateLimit: it counts by the client's address unless told otherwise,
// and answers 429.
func (t *traefikReader) limit(r *doc.Node, out *audit.Route) {
	out.Limit = audit.Limit{State: audit.Bad, At: out.At}
	out.Mend = func(check string) []doc.Edit { return t.mend(r, check, out.Kind.TakesCredentials()) }
	m := t.middleware(r, "rateLimit")
	if !m.Has() {
		return
	}
	average, _ := m.Get("average").Number()
	if average == 0 {
		out.Limit.At = m.Where()
		return // an average of 0 is no limit
	}
	l := audit.Limit{State: audit.Good, At: m.Where(), Status: 429, Rate: average}
	if p := m.Get("period"); p.Has() {
		if s := goSpan(p.Text()); s > 0 {
			l.Rate = average / s
		}
	}
	by := m.Get("sourceCriterion")
	header := by.Get("requestHeaderName").Text()
	switch {
	case by.Get("requestHost").True():
		l.Shared = true
	case strings.EqualFold(header, "x-forwarded-for") || strings.EqualFold(header, "x-real-ip"):
		l.Forged = header
	}
	out.Limit = l
}

// bounds judges bodies, methods and headers.
func (t *traefikReader) bounds(r *doc.Node, rule string, out *audit.Route) {
	if n, ok := t.middleware(r, "buffering").Get("maxRequestBodyBytes").Number(); ok && n > 0 {
		out.MaxBody, out.Body = int64(n), good(t.middleware(r, "buffering").Where(), "bodies are bounded")
	} else {
		out.Body = bad(out.At, nil, "bodies of any size are passed on")
	}
	out.Methods = either(strings.Contains(rule, "Method("), r.Get("rule").Where(), nil, "the rule names methods", "every method is forwarded")
	h := t.middlewareWith(r, "headers", "stsSeconds")
	out.HSTS = hstsSeconds(h)
	if out.HSTS.State == audit.Untold {
		out.HSTS = bad(out.At, h.Put("stsSeconds", 63072000), "Strict-Transport-Security is not sent")
	}
	h = t.middlewareWith(r, "headers", "accessControlAllowOriginList")
	if o := h.Get("accessControlAllowOriginList"); o.Has() {
		open := false
		for _, origin := range o.Texts() {
			open = open || origin == "*"
		}
		for _, re := range h.Get("accessControlAllowOriginListRegex").Texts() {
			open = open || re == ".*"
		}
		t.c.Say("cors-credentials", out.Name, either(!open || !h.Get("accessControlAllowCredentials").True(), o.Where(), h.Set("accessControlAllowCredentials", false),
			"credentials are for named origins", "credentials are allowed for any origin"))
	}
}

// wanted are the middlewares that patches put in.
var wanted = []struct {
	check, name, kind string
	config            map[string]any
}{
	{"limit-missing", "audit-client", "rateLimit", map[string]any{"average": 20, "burst": 40}},
	{"limit-missing", "audit-login", "rateLimit", map[string]any{"average": 30, "period": "1m", "burst": 5}},
	{"body-unlimited", "audit-body", "buffering", map[string]any{"maxRequestBodyBytes": 1 << 20}},
	{"hsts-missing", "audit-hsts", "headers", map[string]any{"stsSeconds": 63072000}},
}

// mend makes edits that define a middleware and put a router behind it. A router
// without any gets all that it lacks at once: it has one list.
func (t *traefikReader) mend(r *doc.Node, check string, login bool) []doc.Edit {
	var into *doc.Node
	for _, root := range t.roots {
		if root.At.File == r.At.File {
			into = root.Get("http", "middlewares")
		}
	}
	list := r.Get("middlewares")
	var out []doc.Edit
	var names []string
	for _, w := range wanted {
		if list.Has() && w.check != check || t.middleware(r, w.kind).Has() || w.kind == "rateLimit" && login != (w.name == "audit-login") {
			continue
		}
		define := into.Put(w.name, map[string]any{w.kind: w.config})
		if define == nil {
			return nil
		}
		out, names = append(out, define...), append(names, w.name)
	}
	switch {
	case len(names) == 0:
		return nil
	case list.Has():
		return append(out, list.Prepend(names[0])...)
	}
	return append(out, r.Put("middlewares", names)...)
}
