package read

import (
	"errors"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "krakend", Doc: "krakend.json, with flexible configuration already rendered", Knows: knowsKrakenD, Read: readKrakenD})
}

func knowsKrakenD(f *doc.File) int {
	text := string(f.Text)
	if strings.Contains(text, `"endpoints"`) && strings.Contains(text, `"backend"`) && strings.Contains(text, `"version"`) {
		return 92
	}
	return 0
}

// krakenReader reads one configuration.
type krakenReader struct {
	c      *audit.Config
	root   *doc.Node
	local  bool
	secure bool
	hsts   audit.Fact
	logs   []audit.Log
}

func readKrakenD(c *audit.Config, files []*doc.File, _ audit.Options) error {
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		endpoints := root.Get("endpoints").List()
		if len(endpoints) == 0 {
			return errors.New("there are no endpoints in it")
		}
		k := &krakenReader{c: c, root: root, local: audit.LocalAddress(root.Get("listen_ip").Text())}
		k.door()
		k.wide()
		for _, e := range endpoints {
			k.endpoint(e)
		}
	}
	return nil
}

// door judges where KrakenD listens: it takes TLS 1.3 only, unless told otherwise.
func (k *krakenReader) door() {
	tls := k.root.Get("tls")
	port := k.root.Get("port").Text()
	if port == "" {
		port = "8080"
	}
	d := &audit.Door{Name: k.root.Get("listen_ip").Text() + ":" + port, At: k.root.Where(), Local: k.local, TLS: tls.Has() && !tls.Get("disabled").True()}
	if p := k.root.Get("port"); p.Has() {
		d.At = p.Where()
	}
	k.secure = d.TLS
	security := k.root.Get("extra_config", "security/http")
	if d.TLS {
		d.Versions, d.Ciphers = good(tls.Where(), "TLS 1.3 is the least by default"), good(tls.Where(), "only strong suites, by default")
		if v := tls.Get("min_version"); v.Has() {
			d.Versions = either(!weakVersion(v.Text()), v.Where(), tls.Set("min_version", "TLS12"), v.Text()+" is the least", v.Text()+" is accepted")
		}
		if file := tls.Get("public_key"); file.Has() {
			d.Certs = append(d.Certs, audit.Cert{Path: file.Text(), At: file.Where()})
		}
		for _, pair := range tls.Get("keys").List() {
			if file := pair.Get("public_key"); file.Has() {
				d.Certs = append(d.Certs, audit.Cert{Path: file.Text(), At: file.Where()})
			}
		}
	}
	d.Redirect = either(security.Get("ssl_redirect").True(), d.At, nil, "what came without TLS goes to https", "it is served over plain HTTP")
	k.c.Doors = append(k.c.Doors, d)
	seconds, _ := security.Get("sts_seconds").Number()
	mend := security.Set("sts_seconds", 63072000)
	at := d.At
	if security.Has() {
		at = security.Where()
	} else if extra := k.root.Get("extra_config"); extra.Has() {
		mend = extra.Put("security/http", map[string]any{"sts_seconds": 63072000})
	}
	k.hsts = either(seconds >= halfYear, at, mend, "Strict-Transport-Security is sent", "sts_seconds is less than half a year")
}

// wide judges what holds for all endpoints.
func (k *krakenReader) wide() {
	extra := k.root.Get("extra_config")
	router := extra.Get("router")
	mend := router.Set("hide_version_header", true)
	at := k.root.Where()
	if router.Has() {
		at = router.Where()
	} else {
		mend = extra.Put("router", map[string]any{"hide_version_header": true})
	}
	k.c.Say("banner", "X-Krakend", either(router.Get("hide_version_header").True(), at, mend, "the version is not told", "every answer carries the version in X-Krakend"))
	for _, key := range []string{"debug_endpoint", "echo_endpoint"} {
		if d := k.root.Get(key); d.True() {
			k.c.Say("debug-on", key, bad(d.Where(), k.root.Set(key, false), "%s is on", key))
		}
	}
	for _, key := range []string{"allow_insecure_connections"} {
		if d := k.root.Get(key); d.True() {
			k.c.Say("upstream-unverified", key, bad(d.Where(), k.root.Set(key, false), "any certificate of a service is taken"))
		}
	}
	if c := k.root.Get("client_tls", "allow_insecure_connections"); c.True() {
		k.c.Say("upstream-unverified", "client_tls", bad(c.Where(), k.root.Get("client_tls").Set("allow_insecure_connections", false), "any certificate of a service is taken"))
	}
	if cors := extra.Get("security/cors"); cors.Has() {
		open := !cors.Get("allow_origins").Has()
		for _, o := range cors.Get("allow_origins").Texts() {
			open = open || o == "*"
		}
		k.c.Say("cors-credentials", "security/cors", either(!open || !cors.Get("allow_credentials").True(), cors.Where(), cors.Set("allow_credentials", false), "credentials are for named origins", "credentials are allowed for any origin"))
	}
	if t := router.Get("trusted_proxies"); t.Has() {
		open := false
		for _, net := range t.Texts() {
			open = open || net == "0.0.0.0/0" || net == "::/0"
		}
		k.c.Say("client-forgeable", "trusted_proxies", either(!open, t.Where(), nil, "named networks are trusted to name the client", "every address is trusted to name the client"))
	}
	log := audit.Log{State: audit.Good, At: k.root.Where(), Target: "standard output", Central: true}
	if router.Get("disable_access_log").True() {
		log.State = audit.Bad
		log.At = router.Get("disable_access_log").Where()
	}
	if l := extra.Get("telemetry/logging"); l.Has() {
		if strings.EqualFold(l.Get("level").Text(), "DEBUG") {
			k.c.Say("debug-on", "telemetry/logging", bad(l.Get("level").Where(), l.Set("level", "WARNING"), "the log has level DEBUG"))
		}
	}
	k.logs = []audit.Log{log}
}

// endpoint states what holds for an endpoint.
func (k *krakenReader) endpoint(e *doc.Node) {
	path := e.Get("endpoint").Text()
	method := e.Get("method").Text()
	if method == "" {
		method = "GET"
	}
	out := &audit.Route{Name: method + " " + path, Path: path, At: e.Where(), Local: k.local, Secure: k.secure, Forwards: true, HSTS: k.hsts}
	if p := e.Get("endpoint"); p.Has() {
		out.At = p.Where()
	}
	extra := e.Get("extra_config")
	k.auth(extra, out)
	k.limit(extra, out)
	out.Methods = good(out.At, "an endpoint has one method")
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	for _, name := range []string{"validation/json-schema", "validation/cel", "validation/response-json-schema", "plugin/http-server", "modifier/lua-endpoint"} {
		if v := extra.Get(name); v.Has() && name != "validation/response-json-schema" {
			out.Inspects = good(v.Where(), "%s looks at requests", name)
		}
	}
	if e.Get("input_query_strings").List() == nil && e.Get("input_headers").List() == nil && (method == "GET" || method == "HEAD" || method == "DELETE") {
		out.Inspects = good(out.At, "neither parameters nor headers are passed on")
	}
	for _, q := range e.Get("input_query_strings").List() {
		if isSecretName(q.Text()) {
			out.KeyInURL = bad(q.Where(), nil, "the parameter %s is passed on to the service", capped(q.Text()))
		}
	}
	out.Logs = k.logs
	out.LogOff = either(k.logs[0].State == audit.Good, k.logs[0].At, k.root.Get("extra_config", "router").Set("disable_access_log", false), "requests are logged", "disable_access_log is true")
	k.c.Add(out)
}

func (k *krakenReader) auth(extra *doc.Node, out *audit.Route) {
	out.Auth = bad(out.At, nil, "nothing asks for credentials")
	if k.root.Get("tls", "enable_mtls").True() {
		out.Auth = good(k.root.Get("tls", "enable_mtls").Where(), "a client certificate is asked for")
	}
	keys := extra.Get("auth/api-keys")
	if !keys.Has() && extra.Get("auth/api-keys") != nil {
		keys = k.root.Get("extra_config", "auth/api-keys")
	}
	if keys.Has() {
		out.Auth = good(keys.Where(), "an API key is asked for")
		for _, place := range []*doc.Node{keys, k.root.Get("extra_config", "auth/api-keys")} {
			if s := place.Get("strategy"); s.Text() == "query_string" {
				out.KeyInURL = bad(s.Where(), place.Set("strategy", "header"), "the key is read from the query")
			}
		}
	}
	for _, name := range []string{"auth/basic", "auth/gcp"} {
		if v := extra.Get(name); v.Has() {
			out.Auth = good(v.Where(), "%s asks for credentials", name)
		}
	}
	if v := extra.Get("auth/validator"); v.Has() {
		out.Auth = good(v.Where(), "a token is asked for")
		if d := v.Get("disable_jwk_security"); d.True() {
			k.c.Say("auth-token-unverified", out.Name, bad(d.Where(), v.Set("disable_jwk_security", false), "the keys are fetched over plain HTTP: whoever stands between can sign tokens"))
		}
		if a := v.Get("alg"); strings.EqualFold(a.Text(), "none") {
			k.c.Say("auth-token-unverified", out.Name, bad(a.Where(), v.Set("alg", "RS256"), "alg is none"))
		}
	}
	for _, c := range k.root.Get("extra_config", "auth/api-keys", "keys").List() {
		if v := c.Get("key"); v.Has() && !c.Get("hash").Has() && !k.root.Get("extra_config", "auth/api-keys", "hash").Has() && !templated(v.Text()) {
			k.c.Say("auth-secret-in-config", "auth/api-keys", bad(v.Where(), nil, "a key stands here in clear"))
		}
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
}

// limit judges the router's rate limits: client_max_rate counts per client and
// answers 429, max_rate counts all together and answers 503.
func (k *krakenReader) limit(extra *doc.Node, out *audit.Route) {
	out.Limit = audit.Limit{State: audit.Bad, At: out.At}
	l := extra.Get("qos/ratelimit/router")
	if !l.Has() {
		l = k.root.Get("extra_config", "qos/ratelimit/service")
	}
	out.Mend = func(check string) []doc.Edit {
		if check != "limit-missing" || l.Has() {
			return nil
		}
		rate := 20
		if out.Kind.TakesCredentials() {
			rate = 1
		}
		return extra.Put("qos/ratelimit/router", map[string]any{"client_max_rate": rate, "strategy": "ip"})
	}
	client, _ := l.Get("client_max_rate").Number()
	all, _ := l.Get("max_rate").Number()
	every := 1.0
	if e := l.Get("every"); e.Has() && goSpan(e.Text()) > 0 {
		every = goSpan(e.Text())
	}
	switch {
	case client > 0:
		out.Limit = audit.Limit{State: audit.Good, At: l.Where(), Rate: client / every, Status: 429}
		if key := strings.ToLower(l.Get("key").Text()); key == "x-forwarded-for" || key == "x-real-ip" {
			out.Limit.Forged = key
		}
	case all > 0:
		out.Limit = audit.Limit{State: audit.Good, At: l.Where(), Rate: all / every, Shared: true}
	}
}
