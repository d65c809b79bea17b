package read

import (
	"errors"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "apisix", Doc: "APISIX standalone (apisix.yaml), YAML or JSON; config.yaml is not seen", Knows: knowsAPISIX, Read: readAPISIX})
}

func knowsAPISIX(f *doc.File) int {
	text := string(f.Text)
	switch {
	case strings.HasSuffix(strings.TrimSpace(text), "#END"):
		return 90
	case strings.Contains(text, "upstream") && strings.Contains(text, "routes") && (strings.Contains(text, "uri:") || strings.Contains(text, `"uri"`) || strings.Contains(text, "uris:")):
		return 70
	}
	return 0
}

// apisixReader reads one standalone configuration.
type apisixReader struct {
	c    *audit.Config
	root *doc.Node
}

func readAPISIX(c *audit.Config, files []*doc.File, _ audit.Options) error {
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		a := &apisixReader{c, root}
		routes := root.Get("routes").List()
		if len(routes) == 0 {
			return errors.New("there are no routes in it")
		}
		for _, r := range routes {
			a.route(r)
		}
		for _, cons := range root.Get("consumers").List() {
			for _, p := range cons.Get("plugins").List() {
				for _, key := range []string{"key", "secret", "password", "secret_key"} {
					if v := p.Get(key); v.Has() && !strings.HasPrefix(v.Text(), "$secret://") && !strings.HasPrefix(v.Text(), "$env://") && !templated(v.Text()) && !(p.Key == "jwt-auth" && key == "key") {
						c.Say("auth-secret-in-config", "consumer "+cons.Get("username").Text(), bad(v.Where(), nil, "a %s stands here in clear", key))
					}
				}
			}
		}
	}
	c.Blinded("listeners, TLS versions, the admin API and real-ip settings stand in config.yaml, which is not read")
	return nil
}

// byID finds an object of a list by its id.
func (a *apisixReader) byID(list, id string) *doc.Node {
	for _, n := range a.root.Get(list).List() {
		if id != "" && n.Get("id").Text() == id {
			return n
		}
	}
	return nil
}

// plugin finds the plugin that holds for a route: its own, its plugin config's, its
// service's, a global rule's. One that is switched off in its _meta does not hold.
func (a *apisixReader) plugin(r *doc.Node, name string) *doc.Node {
	places := append([]*doc.Node{r, a.byID("plugin_configs", r.Get("plugin_config_id").Text()), a.byID("services", r.Get("service_id").Text())}, a.root.Get("global_rules").List()...)
	for _, n := range places {
		if p := n.Get("plugins", name); p != nil {
			if p.Get("_meta", "disable").True() {
				continue
			}
			return p
		}
	}
	return nil
}

func (a *apisixReader) route(r *doc.Node) {
	path := r.Get("uri").Text()
	if list := r.Get("uris").Texts(); path == "" && len(list) > 0 {
		path = list[0]
	}
	path = strings.TrimSuffix(path, "*")
	name := "route " + r.Get("id").Text() + " " + path
	out := &audit.Route{Name: name, Path: path, At: r.Where(), Forwards: true, Secure: true}
	a.auth(r, out)
	a.limit(r, out)
	a.bounds(r, out)
	a.c.Add(out)
	redirect := a.plugin(r, "redirect")
	a.c.Say("http-plain", name, either(redirect.Get("http_to_https").True(), out.At, a.add(r, "redirect", map[string]any{"http_to_https": true}), "what came without TLS goes to https", "nothing sends plain HTTP to https"))
	if p := a.plugin(r, "cors"); p != nil {
		origins := p.Get("allow_origins").Text()
		open := origins == "**" || origins == "*" || origins == "" && !p.Get("allow_origins_by_regex").Has()
		a.c.Say("cors-credentials", name, either(!open || !p.Get("allow_credential").True(), p.Where(), p.Set("allow_credential", false), "credentials are for named origins", "credentials are allowed for any origin"))
	}
}

// add makes an edit that gives a route a plugin.
func (a *apisixReader) add(r *doc.Node, name string, config map[string]any) []doc.Edit {
	if p := r.Get("plugins"); p.Has() && len(p.List()) > 0 {
		return p.Put(name, config)
	}
	return nil
}

func (a *apisixReader) auth(r *doc.Node, out *audit.Route) {
	out.Auth = bad(out.At, nil, "no plugin asks for credentials")
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	for _, name := range []string{"ip-restriction", "basic-auth", "hmac-auth", "ldap-auth", "wolf-rbac", "authz-casbin", "authz-keycloak", "authz-casdoor", "openid-connect",
		"cas-auth", "multi-auth", "jwt-auth", "key-auth", "opa", "forward-auth"} {
		p := a.plugin(r, name)
		if p == nil {
			continue
		}
		out.Auth = good(p.Where(), "%s asks for credentials", name)
		out.Optional = p.Get("unauth_action").Text() == "pass" || p.Get("anonymous_consumer").Has()
		if q := p.Get("query"); q.Has() && (name == "key-auth" || name == "jwt-auth") {
			out.KeyInURL = bad(q.Where(), nil, "the key is read from the parameter %s", capped(q.Text()))
		}
		if name == "forward-auth" || name == "opa" {
			out.Inspects = good(p.Where(), "a decision service looks at method, target and headers")
		}
	}
	for _, name := range []string{"request-validation", "oas-validator", "chaitin-waf", "coraza-filter", "uri-blocker"} {
		if p := a.plugin(r, name); p != nil && name != "uri-blocker" {
			out.Inspects = good(p.Where(), "%s looks at requests", name)
		}
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no parameter is named for the key")
	}
}

// limit judges limit-count and limit-req, which answer 503 unless told otherwise.
func (a *apisixReader) limit(r *doc.Node, out *audit.Route) {
	out.Limit = audit.Limit{State: audit.Bad, At: out.At}
	out.Mend = func(check string) []doc.Edit {
		if check != "limit-missing" {
			return nil
		}
		count := 1200
		if out.Kind.TakesCredentials() {
			count = 30
		}
		return a.add(r, "limit-count", map[string]any{"count": count, "time_window": 60, "key": "remote_addr", "rejected_code": 429})
	}
	for _, name := range []string{"limit-req", "limit-count"} {
		p := a.plugin(r, name)
		if p == nil {
			continue
		}
		l := audit.Limit{State: audit.Good, At: p.Where(), Status: 503, Mend: p.Set("rejected_code", 429)}
		if code, ok := p.Get("rejected_code").Number(); ok {
			l.Status, l.StatusAt = int(code), p.Get("rejected_code").Where()
		}
		l.Rate, _ = p.Get("rate").Number()
		if count, ok := p.Get("count").Number(); ok {
			if window, ok := p.Get("time_window").Number(); ok && window > 0 {
				l.Rate = count / window
			}
		}
		key := p.Get("key").Text()
		switch {
		case key == "server_addr" || key == "http_host" || key == "host" || p.Get("key_type").Text() == "constant":
			l.Shared = true
		case strings.Contains(key, "http_x_forwarded_for") || strings.Contains(key, "http_x_real_ip"):
			l.Forged = key
		}
		out.Limit = l
	}
}

// bounds judges bodies, methods, TLS to the service, headers and logs.
func (a *apisixReader) bounds(r *doc.Node, out *audit.Route) {
	if n, ok := a.plugin(r, "client-control").Get("max_body_size").Number(); ok && n > 0 {
		out.MaxBody, out.Body = int64(n), good(a.plugin(r, "client-control").Where(), "bodies are bounded")
	} else {
		out.Body = bad(out.At, a.add(r, "client-control", map[string]any{"max_body_size": 1 << 20}), "APISIX takes bodies of any size unless told otherwise")
	}
	out.Methods = either(r.Get("methods").Has(), out.At, r.Put("methods", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}), "methods are named", "every method is forwarded")
	up := r.Get("upstream")
	if id := r.Get("upstream_id").Text(); id != "" {
		up = a.byID("upstreams", id)
	}
	if up.Get("scheme").Text() == "https" {
		out.Upstream = either(up.Get("tls", "verify").True(), up.Where(), up.Put("tls", map[string]bool{"verify": true}), "the service's certificate is verified", "tls.verify is not set")
	}
	out.HSTS = bad(out.At, nil, "no plugin adds Strict-Transport-Security")
	rewrite := a.plugin(r, "response-rewrite")
	for _, h := range append(rewrite.Get("headers", "set").List(), rewrite.Get("headers").List()...) {
		if strings.EqualFold(h.Key, "strict-transport-security") {
			_, ok := hstsOf(h.Text())
			out.HSTS = either(ok, h.Where(), nil, "Strict-Transport-Security is sent", "max-age is less than half a year")
		}
	}
	for _, name := range []string{"http-logger", "kafka-logger", "syslog", "tcp-logger", "udp-logger", "elasticsearch-logger", "loki-logger", "splunk-hec-logging",
		"clickhouse-logger", "rocketmq-logger", "skywalking-logger", "loggly", "google-cloud-logging", "sls-logger", "opentelemetry", "file-logger"} {
		if p := a.plugin(r, name); p != nil {
			target := name
			if name == "file-logger" {
				target = p.Get("path").Text()
			}
			out.Logs = append(out.Logs, audit.Log{State: audit.Good, At: p.Where(), Target: target, Central: name != "file-logger" || strings.HasPrefix(target, "/dev/std"), Known: true})
		}
	}
	out.LogOff = good(out.At, "requests are logged")
	if len(out.Logs) == 0 {
		out.Logs = []audit.Log{{State: audit.Good, At: out.At, Target: "the access log of APISIX's nginx", Known: true}}
	}
}
