package read

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// forwarding are the directives that hand a request to a service, or let it write.
var forwarding = []string{"proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "dav_methods",
	"content_by_lua_block", "content_by_lua_file", "js_content"}

// locations judges the locations of a block, nested ones too.
func (n *nginxReader) locations(s, b *block) {
	for _, l := range b.own("location") {
		path := l.arg(len(l.Args) - 1)
		if strings.HasPrefix(path, "@") || len(l.own("internal")) > 0 {
			continue // reached from other locations only
		}
		if slices.ContainsFunc(l.own("return"), func(r *block) bool { return true }) && len(l.own("location")) == 0 {
			n.responses(l)
			continue
		}
		final := n.final(s, l)
		r := &audit.Route{Name: strings.TrimSpace(serverName(s) + " location " + strings.Join(l.Args, " ")), Host: serverName(s), At: l.place(),
			Path: nginxPath(l), Local: n.local(s), Secure: n.secure(s), Forwards: forwards(final)}
		if closed(l) {
			r.Forwards = false
		}
		n.facts(s, l, final, r)
		n.c.Add(r)
		if len(l.own("stub_status", "api", "status")) > 0 {
			r.Admin = true
		}
		n.locations(s, l)
	}
}

// nginxPath is a path that a location serves.
func nginxPath(l *block) string {
	path := l.arg(len(l.Args) - 1)
	if strings.HasPrefix(l.arg(0), "~") {
		return sample(path)
	}
	return path
}

// forwards reports whether a location, or an if in it, hands requests on.
func forwards(l *block) bool {
	for _, d := range l.body {
		if slices.Contains(forwarding, d.Name) && d.arg(0) != "off" {
			return true
		}
		if (d.Name == "if" || d.Name == "limit_except") && forwards(d) {
			return true
		}
	}
	return false
}

// final is the location that answers: the named one that try_files or error_page
// leads to where the location itself does not forward.
func (n *nginxReader) final(s, l *block) *block {
	if forwards(l) {
		return l
	}
	for _, d := range l.own("try_files", "error_page") {
		for _, a := range d.Args {
			if !strings.HasPrefix(a, "@") {
				continue
			}
			for _, named := range s.own("location") {
				if named.arg(0) == a && forwards(named) {
					return named
				}
			}
		}
	}
	return l
}

// facts states what holds at a location: what is asked before the request is handed
// on at the location that it enters, headers and logs at the one that answers.
func (n *nginxReader) facts(s, enter, final *block, r *audit.Route) {
	r.Auth, r.Optional = n.auth(s, enter)
	if final != enter && r.Auth.State != audit.Good {
		r.Auth, r.Optional = n.auth(s, final)
	}
	r.KeyInURL = n.keyInURL(s, final)
	r.Limit = n.limit(enter)
	if final != enter && r.Limit.State == audit.Bad {
		r.Limit = n.limit(final)
	}
	n.body(enter, r)
	r.Methods = n.methods(s, enter, final)
	r.Inspects = n.inspects(s, enter, final)
	if r.Asks = n.asks(s, enter); r.Asks.At.File == nil {
		r.Asks = n.asks(s, final)
	}
	r.HSTS = n.hsts(s, final)
	r.Upstream = upstreamTLS(final)
	n.logs(final, r)
	r.Mend = func(check string) []doc.Edit { return n.mend(s, enter, r, check) }
	n.responses(final)
	n.upgrade(final, r)
	n.traversal(enter, r)
	n.target(enter, r)
	for _, d := range final.set("autoindex") {
		if d.arg(0) == "on" && !r.Local && r.Auth.State != audit.Good {
			n.c.Say("listing", r.Name, bad(d.place(), d.swap("autoindex off;"), "autoindex is on"))
		}
	}
	for _, d := range append(final.set("proxy_set_header"), final.set("fastcgi_param")...) {
		if isSecretName(d.arg(0)) && d.arg(1) != "" && !strings.Contains(d.arg(1), "$") && len(d.arg(1)) > 8 {
			n.c.Say("auth-secret-in-config", r.Name, bad(d.place(), nil, "%s is set to a value that stands here", capped(d.arg(0))))
		}
	}
}

// body judges client_max_body_size, which is 1m where it is not set.
func (n *nginxReader) body(l *block, r *audit.Route) {
	d := l.one("client_max_body_size")
	switch {
	case d == nil:
		r.MaxBody, r.Body = 1<<20, good(l.place(), "bodies are bounded at 1m, the default")
	case templated(d.arg(0)):
	case sizeOf(d.arg(0)) == 0:
		r.Body = bad(d.place(), d.swap("client_max_body_size 1m;"), "client_max_body_size 0 is no bound")
	default:
		r.MaxBody, r.Body = sizeOf(d.arg(0)), good(d.place(), "bodies are bounded at %s", capped(d.arg(0)))
	}
}

// methods judges whether the methods are named.
func (n *nginxReader) methods(s, enter, final *block) audit.Fact {
	for _, l := range []*block{enter, final} {
		for _, d := range l.own("limit_except") {
			return good(d.place(), "methods other than %s are limited", strings.Join(d.Args, " "))
		}
	}
	for b := enter; b != nil; b = b.up {
		for _, i := range b.own("if") {
			if len(i.own("return")) > 0 && n.dependsOn(i.arg(0), func(v string) bool { return v == "request_method" }) {
				return good(i.place(), "methods that are not named are refused")
			}
		}
		if b == s {
			break
		}
	}
	if len(final.own("grpc_pass")) > 0 {
		return audit.Fact{} // gRPC has one method only, and refuses others itself
	}
	return bad(enter.place(), nil, "every method is forwarded")
}

// inspects judges whether a firewall or a decision service sees the request.
func (n *nginxReader) inspects(s, enter, final *block) audit.Fact {
	for _, l := range []*block{enter, final} {
		for name, on := range map[string]string{"modsecurity": "on", "app_protect_enable": "on", "SecRulesEnabled": "", "coraza": "on", "waf": "on"} {
			if d := l.one(name); d != nil && (on == "" || d.arg(0) == on) {
				return good(d.place(), "%s looks at requests", name)
			}
		}
		if luaAccess(l) != nil {
			return audit.Fact{}
		}
		if d := l.one("auth_request"); d != nil && d.arg(0) != "off" {
			for _, sub := range s.own("location") {
				if sub.arg(len(sub.Args)-1) != d.arg(0) {
					continue
				}
				for _, h := range sub.set("proxy_set_header") {
					if strings.Contains(h.arg(1), "$request_uri") {
						return good(d.place(), "a decision service is asked, with the target as it was sent")
					}
				}
			}
		}
	}
	return bad(enter.place(), nil, "nothing looks at the request before it is forwarded")
}

// luaAccess is code that may ask for anything: what it does cannot be told.
func luaAccess(l *block) *block {
	for _, name := range []string{"access_by_lua_block", "access_by_lua_file", "access_by_lua", "rewrite_by_lua_block", "rewrite_by_lua_file", "js_access"} {
		if d := l.one(name); d != nil {
			return d
		}
	}
	return nil
}

// hsts judges Strict-Transport-Security among the headers that hold.
func (n *nginxReader) hsts(s, l *block) audit.Fact {
	list := l.set("add_header")
	for _, d := range append(slices.Clone(list), l.set("more_set_headers")...) {
		text := strings.Join(d.Args, " ")
		if !strings.HasPrefix(strings.ToLower(text), "strict-transport-security") {
			continue
		}
		if strings.Contains(text, "$") || templated(text) {
			return audit.Fact{}
		}
		seconds, ok := hstsOf(text)
		return either(ok, d.place(), d.swap(`add_header Strict-Transport-Security "`+hsts+`" always;`), "Strict-Transport-Security is sent",
			fmt.Sprintf("max-age is %d seconds", seconds))
	}
	line := `add_header Strict-Transport-Security "` + hsts + `" always;`
	if len(list) > 0 && list[0].up != s {
		holder := list[0].up
		outer := holder.up.set("add_header")
		for _, d := range outer {
			if strings.EqualFold(d.arg(0), "Strict-Transport-Security") {
				return bad(list[0].place(), holder.open(line), "an add_header here hides the Strict-Transport-Security of the block around it")
			}
		}
		return bad(list[0].place(), holder.open(line), "Strict-Transport-Security is not sent")
	}
	return bad(s.place(), s.open(line), "Strict-Transport-Security is not sent")
}

// upstreamTLS judges whether the service's certificate is verified.
func upstreamTLS(l *block) audit.Fact {
	for _, kind := range []string{"proxy", "grpc", "uwsgi"} {
		for _, d := range l.own(kind + "_pass") {
			if !regexp.MustCompile(`^(https|grpcs|suwsgi)://`).MatchString(d.arg(0)) {
				continue
			}
			v := l.one(kind + "_ssl_verify")
			if v != nil && v.arg(0) == "on" {
				return good(v.place(), "the service's certificate is verified")
			}
			return bad(d.place(), l.open(kind+"_ssl_verify on;", kind+"_ssl_server_name on;", kind+"_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;"),
				"%s_ssl_verify is off by default", kind)
		}
	}
	return audit.Fact{}
}

// mend puts in what is missing at a location.
func (n *nginxReader) mend(s, l *block, r *audit.Route, check string) []doc.Edit {
	switch check {
	case "methods-open":
		return s.open(`if ($request_method !~ ^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$) {`, `    return 405;`, `}`)
	case "limit-missing", "limit-shared", "limit-forgeable", "limit-login":
		return n.limitMend(l, r.Kind.TakesCredentials())
	case "docs-public", "admin-open":
		if len(l.own("allow", "deny")) > 0 {
			return nil
		}
		return l.open("allow 127.0.0.1;", "allow ::1;", "deny all;")
	case "log-local":
		if top := l.within("http"); top != nil && len(l.set("access_log")) > 0 && l.set("access_log")[0].up == top {
			return top.open("access_log syslog:server=unix:/dev/log combined;")
		}
	case "log-off":
		return nil
	}
	return nil
}
