package read

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "caddy", Doc: "Caddy's JSON; of a Caddyfile what `caddy adapt --pretty --config Caddyfile` writes", Knows: knowsCaddy, Read: readCaddy})
}

func knowsCaddy(f *doc.File) int {
	base := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
	text := string(f.Text)
	switch {
	case strings.HasPrefix(base, "Caddyfile"), strings.HasSuffix(base, ".caddyfile"):
		return 95
	case strings.Contains(text, `"apps"`) && strings.Contains(text, `"servers"`):
		return 85
	}
	return 0
}

// caddyReader reads one configuration.
type caddyReader struct {
	c    *audit.Config
	root *doc.Node
}

func readCaddy(c *audit.Config, files []*doc.File, _ audit.Options) error {
	for _, f := range files {
		if first := strings.TrimSpace(string(f.Text)); !strings.HasPrefix(first, "{") || !strings.Contains(first, `"`) || !strings.Contains(first, `"apps"`) {
			return fmt.Errorf("%s is a Caddyfile: audit what caddy makes of it, caddy adapt --pretty --config %s > caddy.json", f.Name, f.Name)
		}
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		k := &caddyReader{c: c, root: root}
		k.admin()
		servers := root.Get("apps", "http", "servers").List()
		if len(servers) == 0 {
			return errors.New("there is no server under apps.http.servers in it")
		}
		for _, s := range servers {
			k.server(s)
		}
	}
	return nil
}

// admin judges the administration endpoint, localhost:2019 unless told otherwise,
// and the log's level.
func (k *caddyReader) admin() {
	if l := k.root.Get("admin", "listen"); l.Has() && !k.root.Get("admin", "disabled").True() {
		k.c.Say("admin-open", "admin", either(audit.LocalAddress(l.Text()), l.Where(), k.root.Get("admin").Set("listen", "localhost:2019"),
			"it is reached from the machine itself only", "the administration endpoint listens on "+capped(l.Text())))
	}
	for _, l := range k.root.Get("logging", "logs").List() {
		if level := l.Get("level"); strings.EqualFold(level.Text(), "debug") {
			k.c.Say("debug-on", "logging", bad(level.Where(), l.Set("level", "INFO"), "the log has level debug"))
		}
	}
}

// caddyServer is a server with what holds for all its routes.
type caddyServer struct {
	k             *caddyReader
	s             *doc.Node
	local, secure bool
	cert          audit.Fact // a client certificate
	logs          []audit.Log
	off           audit.Fact
	plain         *doc.Node // a route that answers something else than a redirect
}

// guard is a handler that stands before others, with the paths for which it does.
type guard struct {
	paths   []string
	methods bool
	handler *doc.Node
}

// server judges a server. Caddy speaks TLS on every port but http_port, unless the
// server has neither policies nor hosts to get certificates for.
func (k *caddyReader) server(s *doc.Node) {
	httpPort := k.root.Get("apps", "http", "http_port").Text()
	if httpPort == "" {
		httpPort = "80"
	}
	policies := s.Get("tls_connection_policies").List()
	automatic := !s.Get("automatic_https", "disable").True() && hasHosts(s.Get("routes"))
	cs := &caddyServer{k: k, s: s, local: true}
	var doors []*audit.Door
	for _, l := range s.Get("listen").List() {
		d := &audit.Door{Name: s.Key + " " + l.Text(), At: l.Where(), Local: audit.LocalAddress(l.Text())}
		d.TLS = len(policies) > 0 || automatic && !strings.HasSuffix(l.Text(), ":"+httpPort)
		cs.local, cs.secure = cs.local && d.Local, cs.secure || d.TLS
		if d.TLS {
			cs.tls(d, policies)
		}
		doors = append(doors, d)
		k.c.Doors = append(k.c.Doors, d)
	}
	cs.logged()
	cs.walk(s.Get("routes"), "/", nil, 0)
	for _, d := range doors {
		if !d.TLS {
			d.Redirect = either(cs.plain == nil, d.At, nil, "all goes to https", "a route is served over plain HTTP")
		}
	}
	for _, r := range s.Get("trusted_proxies", "ranges").List() {
		open := r.Text() == "0.0.0.0/0" || r.Text() == "::/0"
		k.c.Say("client-forgeable", s.Key, either(!open, r.Where(), nil, "named networks are trusted to name the client", "every address is trusted to name the client"))
	}
}

// hasHosts reports whether a route matches hosts: Caddy gets certificates for them.
func hasHosts(routes *doc.Node) bool {
	for _, r := range routes.List() {
		for _, m := range r.Get("match").List() {
			if m.Get("host").Has() {
				return true
			}
		}
	}
	return false
}

// tls judges the connection policies. Caddy takes TLS 1.2 and 1.3 by default, with
// strong suites only.
func (cs *caddyServer) tls(d *audit.Door, policies []*doc.Node) {
	d.Versions, d.Ciphers = good(cs.s.Where(), "TLS 1.2 is the least by default"), good(cs.s.Where(), "only strong suites, by default")
	for _, p := range policies {
		if v := p.Get("protocol_min"); v.Has() {
			d.Versions = either(!weakVersion(v.Text()), v.Where(), p.Set("protocol_min", "tls1.2"), v.Text()+" is the least", v.Text()+" is accepted")
		}
		if s := p.Get("cipher_suites"); s.Has() {
			weak := weakSuites(s.Texts())
			d.Ciphers = either(len(weak) == 0, s.Where(), nil, "only strong suites", "it takes "+strings.Join(weak, ", "))
		}
		if a := p.Get("client_authentication"); a.Has() {
			mode := a.Get("mode").Text()
			cs.cert = either(mode == "" || mode == "require_and_verify", a.Where(), a.Set("mode", "require_and_verify"), "a client certificate is asked for", "client certificates are not verified")
		}
	}
	for _, f := range cs.k.root.Get("apps", "tls", "certificates", "load_files").List() {
		if file := f.Get("certificate"); file.Has() {
			d.Certs = append(d.Certs, audit.Cert{Path: file.Text(), At: file.Where(), Stapling: !cs.k.root.Get("apps", "tls", "disable_ocsp_stapling").True()})
		}
	}
}

// logged states where a server logs. Caddy logs no request unless the server has
// logs; it leaves Authorization and cookies out unless told otherwise.
func (cs *caddyServer) logged() {
	l := cs.s.Get("logs")
	if l == nil {
		cs.off = bad(cs.s.Where(), cs.s.Put("logs", map[string]any{}), "the server has no logs")
		return
	}
	cs.off = good(l.Where(), "requests are logged")
	log := audit.Log{State: audit.Good, At: l.Where(), Target: "standard error", Central: true, Known: true}
	names := []string{"default", l.Get("default_logger_name").Text()}
	for _, host := range l.Get("logger_names").List() {
		names = append(names, host.Texts()...)
	}
	for _, name := range names {
		if w := cs.k.root.Get("logging", "logs", name, "writer"); w.Get("output").Text() == "file" {
			log.Target, log.Central, log.At = w.Get("filename").Text(), false, w.Where()
		}
	}
	if c := l.Get("should_log_credentials"); c.True() {
		log.Secrets, log.At = []string{"Authorization, cookies"}, c.Where()
	}
	cs.logs = []audit.Log{log}
}
