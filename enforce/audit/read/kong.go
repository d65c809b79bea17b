package read

import (
	"errors"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "kong", Doc: "Kong's declarative configuration (kong.yml), YAML or JSON; kong.conf is not seen", Knows: knowsKong, Read: readKong})
}

func knowsKong(f *doc.File) int {
	if strings.Contains(string(f.Text), "_format_version") {
		return 95
	}
	return 0
}

// kongReader reads one declarative configuration.
type kongReader struct {
	c    *audit.Config
	root *doc.Node
}

func readKong(c *audit.Config, files []*doc.File, _ audit.Options) error {
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		k := &kongReader{c: c, root: root}
		services := root.Get("services").List()
		if len(services) == 0 && len(root.Get("routes").List()) == 0 {
			return errors.New("there is neither a service nor a route in it")
		}
		for _, s := range services {
			for _, r := range append(s.Get("routes").List(), k.routesOf(s)...) {
				k.route(s, r)
			}
		}
		k.consumers()
	}
	c.Blinded("listeners, TLS versions and trusted_ips stand in kong.conf, which is not read")
	return nil
}

// routesOf are the routes at the top that name a service.
func (k *kongReader) routesOf(s *doc.Node) []*doc.Node {
	var out []*doc.Node
	for _, r := range k.root.Get("routes").List() {
		name := r.Get("service").Text() + r.Get("service", "name").Text()
		if name != "" && name == s.Get("name").Text() {
			out = append(out, r)
		}
	}
	return out
}

// plugin finds the plugin that holds for a route: its own, its service's, the global.
func (k *kongReader) plugin(s, r *doc.Node, name string) *doc.Node {
	for _, n := range []*doc.Node{r, s, k.root} {
		for _, p := range n.Get("plugins").List() {
			if p.Get("name").Text() != name || p.Get("enabled").False() {
				continue
			}
			if n == k.root && (p.Get("service").Has() && p.Get("service").Text() != s.Get("name").Text() ||
				p.Get("route").Has() && p.Get("route").Text() != r.Get("name").Text() || p.Get("consumer").Has()) {
				continue
			}
			return p
		}
	}
	return nil
}

func (k *kongReader) route(s, r *doc.Node) {
	paths := r.Get("paths").Texts()
	path := "/"
	if len(paths) > 0 {
		path = paths[0]
		if strings.HasPrefix(path, "~") {
			path = sample(path)
		}
	}
	name := "route " + r.Get("name").Text()
	out := &audit.Route{Name: name, Path: path, At: r.Where(), Forwards: true, Secure: true}
	k.auth(s, r, out)
	k.limit(s, r, out)
	k.bounds(s, r, out)
	k.logs(s, r, out)
	k.c.Add(out)
	plain := !r.Get("protocols").Has()
	for _, p := range r.Get("protocols").Texts() {
		plain = plain || p == "http" || p == "grpc"
	}
	k.c.Say("http-plain", name, either(!plain, r.Where(), append(r.Set("protocols", []string{"https"}), r.Set("https_redirect_status_code", 308)...),
		"only https is taken", "http is among the protocols of the route, as it is by default"))
	if p := k.plugin(s, r, "cors"); p.Has() {
		config := p.Get("config")
		open := !config.Get("origins").Has()
		for _, o := range config.Get("origins").Texts() {
			open = open || o == "*" || o == ".*"
		}
		k.c.Say("cors-credentials", name, either(!open || !config.Get("credentials").True(), p.Where(), config.Set("credentials", false), "credentials are for named origins", "credentials are allowed for any origin"))
	}
}

// auth judges the plugins that ask for credentials. key-auth and jwt read the query
// too, unless told otherwise.
func (k *kongReader) auth(s, r *doc.Node, out *audit.Route) {
	out.Auth = bad(out.At, nil, "no plugin asks for credentials")
	for _, name := range []string{"ip-restriction", "acl", "basic-auth", "hmac-auth", "ldap-auth", "ldap-auth-advanced", "mtls-auth", "oauth2", "oauth2-introspection",
		"openid-connect", "session", "key-auth-enc", "jwt", "key-auth", "opa", "forward-auth"} {
		p := k.plugin(s, r, name)
		if !p.Has() || name == "acl" || name == "session" {
			continue
		}
		config := p.Get("config")
		out.Auth = good(p.Where(), "%s asks for credentials", name)
		if a := config.Get("anonymous"); a.Has() && a.Text() != "" {
			out.Auth, out.Optional = good(a.Where(), "%s lets a request without credentials pass as a consumer", name), true
		}
		switch name {
		case "key-auth", "key-auth-enc":
			if !config.Get("key_in_query").False() {
				mend := config.Set("key_in_query", false)
				if !config.Has() {
					mend = p.Put("config", map[string]bool{"key_in_query": false})
				}
				out.KeyInURL = bad(p.Where(), mend, "key_in_query is true, as it is by default")
			}
		case "jwt":
			if names := config.Get("uri_param_names"); !names.Has() || len(names.List()) > 0 {
				mend := config.Set("uri_param_names", []string{})
				if !config.Has() {
					mend = p.Put("config", map[string][]string{"uri_param_names": {}})
				}
				out.KeyInURL = bad(p.Where(), mend, "uri_param_names takes tokens from the query, as it does by default")
			}
		}
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
}

func (k *kongReader) limit(s, r *doc.Node, out *audit.Route) {
	out.Limit = audit.Limit{State: audit.Bad, At: out.At}
	config := map[string]any{"minute": 600, "policy": "local", "limit_by": "ip"}
	out.Mend = func(check string) []doc.Edit {
		if check != "limit-missing" {
			return nil
		}
		if out.Kind.TakesCredentials() {
			config["minute"] = 30
		}
		plugin := map[string]any{"name": "rate-limiting", "config": config}
		if list := r.Get("plugins"); list.Has() {
			return list.Prepend(plugin)
		}
		return r.Put("plugins", []any{plugin})
	}
	p := k.plugin(s, r, "rate-limiting")
	if !p.Has() {
		if a := k.plugin(s, r, "rate-limiting-advanced"); a.Has() {
			out.Limit = audit.Limit{State: audit.Good, At: a.Where(), Status: 429, Shared: a.Get("config", "identifier").Text() == "service"}
		}
		return
	}
	conf := p.Get("config")
	l := audit.Limit{State: audit.Good, At: p.Where(), Status: 429}
	for _, u := range []struct {
		key     string
		seconds float64
	}{{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}} {
		if n, ok := conf.Get(u.key).Number(); ok && (l.Rate == 0 || n/u.seconds < l.Rate) {
			l.Rate = n / u.seconds
		}
	}
	switch by := conf.Get("limit_by").Text(); by {
	case "service", "path":
		l.Shared = true
	case "header":
		if h := strings.ToLower(conf.Get("header_name").Text()); h == "x-forwarded-for" || h == "x-real-ip" {
			l.Forged = h
		}
	}
	if code, ok := conf.Get("error_code").Number(); ok {
		l.Status, l.StatusAt, l.Mend = int(code), conf.Get("error_code").Where(), conf.Set("error_code", 429)
	}
	out.Limit = l
}

// bounds judges bodies, methods, inspection, TLS to the service and headers.
func (k *kongReader) bounds(s, r *doc.Node, out *audit.Route) {
	out.Body = bad(out.At, nil, "Kong takes bodies of any size unless told otherwise")
	if p := k.plugin(s, r, "request-size-limiting"); p.Has() {
		size, ok := p.Get("config", "allowed_payload_size").Number()
		if !ok {
			size = 128
		}
		unit := int64(1 << 20)
		switch p.Get("config", "size_unit").Text() {
		case "kilobytes":
			unit = 1 << 10
		case "bytes":
			unit = 1
		}
		out.MaxBody, out.Body = int64(size)*unit, good(p.Where(), "bodies are bounded")
	}
	out.Methods = either(r.Get("methods").Has(), out.At, r.Put("methods", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}), "methods are named", "every method is forwarded")
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	for _, name := range []string{"request-validator", "oas-validation", "injection-protection", "json-threat-protection", "xml-threat-protection", "opa", "modsecurity", "coraza", "pre-function"} {
		if p := k.plugin(s, r, name); p.Has() {
			out.Inspects = good(p.Where(), "%s looks at requests", name)
			if name == "pre-function" {
				out.Inspects = audit.Fact{}
			}
		}
	}
	if url := s.Get("url").Text(); strings.HasPrefix(url, "https:") || s.Get("protocol").Text() == "https" {
		out.Upstream = either(s.Get("tls_verify").True(), s.Where(), s.Set("tls_verify", true), "the service's certificate is verified", "tls_verify is not set, and off unless kong.conf says otherwise")
	}
	out.HSTS = bad(out.At, nil, "no plugin adds Strict-Transport-Security")
	for _, name := range []string{"response-transformer", "response-transformer-advanced"} {
		p := k.plugin(s, r, name)
		for _, way := range []string{"add", "replace", "append"} {
			for _, h := range p.Get("config", way, "headers").Texts() {
				if strings.HasPrefix(strings.ToLower(h), "strict-transport-security") {
					_, ok := hstsOf(h)
					out.HSTS = either(ok, p.Where(), nil, "Strict-Transport-Security is sent", "max-age is less than half a year")
				}
			}
		}
	}
}

// logs states which plugin logs; without one there is the log of Kong's nginx.
func (k *kongReader) logs(s, r *doc.Node, out *audit.Route) {
	for _, name := range []string{"http-log", "tcp-log", "udp-log", "syslog", "kafka-log", "loggly", "datadog", "opentelemetry", "file-log"} {
		p := k.plugin(s, r, name)
		if !p.Has() {
			continue
		}
		log := audit.Log{State: audit.Good, At: p.Where(), Target: name, Central: true, Known: true}
		if path := p.Get("config", "path"); name == "file-log" && path.Has() {
			log.Target, log.Central = path.Text(), strings.HasPrefix(path.Text(), "/dev/std")
		}
		out.Logs = append(out.Logs, log)
	}
	out.LogOff = good(out.At, "requests are logged")
	if len(out.Logs) == 0 {
		out.Logs = []audit.Log{{State: audit.Good, At: out.At, Target: "the access log of Kong's nginx", Known: true}}
	}
}

// consumers judges keys that stand in the configuration.
func (k *kongReader) consumers() {
	for _, c := range k.root.Get("consumers").List() {
		for _, kind := range []string{"keyauth_credentials", "basicauth_credentials", "jwt_secrets", "hmacauth_credentials"} {
			for _, cred := range c.Get(kind).List() {
				for _, key := range []string{"key", "password", "secret"} {
					if v := cred.Get(key); v.Has() && !strings.HasPrefix(v.Text(), "{vault://") && !(kind == "jwt_secrets" && key == "key") && !templated(v.Text()) {
						k.c.Say("auth-secret-in-config", "consumer "+c.Get("username").Text(), bad(cred.Where(), nil, "a %s stands here in clear", key))
					}
				}
			}
		}
	}
}
