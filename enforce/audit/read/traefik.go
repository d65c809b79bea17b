package read

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "traefik", Doc: "Traefik's static and dynamic files, YAML or TOML, given together; what providers such as Docker add is not seen", Knows: knowsTraefik, Read: readTraefik})
}

var traefikWords = regexp.MustCompile(`(?m)^\s*\[?(entryPoints|http\.routers|http\.middlewares|certificatesResolvers)\b|^\s*routers:|^\s*"?entryPoints"?:`)

func knowsTraefik(f *doc.File) int {
	if n := len(traefikWords.FindAll(f.Text, 3)); n > 0 {
		return 60 + 5*n
	}
	return 0
}

// traefikReader reads static and dynamic files as one.
type traefikReader struct {
	c     *audit.Config
	roots []*doc.Node
}

// get is a value from the first file that has it.
func (t *traefikReader) get(keys ...string) *doc.Node {
	for _, r := range t.roots {
		if n := r.Get(keys...); n.Has() {
			return n
		}
	}
	return nil
}

// all are the members of a map in all files.
func (t *traefikReader) all(keys ...string) []*doc.Node {
	var out []*doc.Node
	for _, r := range t.roots {
		out = append(out, r.Get(keys...).List()...)
	}
	return out
}

// named finds a member of a map in any file; the provider's name behind @ is left out.
func (t *traefikReader) named(name string, keys ...string) *doc.Node {
	name, _, _ = strings.Cut(name, "@")
	return t.get(append(keys, name)...)
}

func readTraefik(c *audit.Config, files []*doc.File, _ audit.Options) error {
	t := &traefikReader{c: c}
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		t.roots = append(t.roots, root)
	}
	routers := t.all("http", "routers")
	points := t.all("entryPoints")
	if len(routers) == 0 && len(points) == 0 {
		return errors.New("there are neither entryPoints nor http.routers in it")
	}
	if len(routers) == 0 {
		c.Blinded("no router is in what was read: name the dynamic files too")
	}
	for _, p := range t.all("providers") {
		if p.Key != "file" {
			c.Blinded("what the provider %s adds is not seen here", capped(p.Key))
		}
	}
	t.static()
	logs, off := t.logs()
	for _, r := range routers {
		t.router(r, logs, off)
	}
	for _, p := range points {
		t.point(p, routers)
	}
	return nil
}

// static judges the API, debugging, and transports.
func (t *traefikReader) static() {
	api := t.get("api")
	if insecure := api.Get("insecure"); insecure.True() {
		t.c.Say("admin-open", "api", bad(insecure.Where(), api.Set("insecure", false), "api.insecure serves dashboard and API without credentials"))
	} else if !api.Has() && t.get("entryPoints").Has() {
		t.c.Say("admin-open", "api", good(t.get("entryPoints").Where(), "the API is off, as it is by default"))
	} else if api.Has() {
		t.c.Say("admin-open", "api", good(api.Where(), "the API is served by routers only"))
	}
	if d := api.Get("debug"); d.True() {
		t.c.Say("debug-on", "api", bad(d.Where(), api.Set("debug", false), "api.debug serves profiles"))
	}
	if l := t.get("log").Get("level"); strings.EqualFold(l.Text(), "DEBUG") || strings.EqualFold(l.Text(), "TRACE") {
		t.c.Say("debug-on", "log", bad(l.Where(), t.get("log").Set("level", "INFO"), "log.level is %s", capped(l.Text())))
	}
	transports := t.all("http", "serversTransports")
	if s := t.get("serversTransport"); s.Has() {
		transports = append(transports, s)
	}
	for _, s := range transports {
		if v := s.Get("insecureSkipVerify"); v.Has() {
			t.c.Say("upstream-unverified", s.Key, either(!v.True(), v.Where(), s.Set("insecureSkipVerify", false), "certificates of services are verified", "insecureSkipVerify takes any certificate"))
		}
	}
	if m := t.get("metrics", "prometheus"); m.Has() && !m.Get("manualRouting").True() {
		name := m.Get("entryPoint").Text()
		if name == "" {
			name = "traefik"
		}
		address := t.get("entryPoints", name, "address").Text()
		t.c.Say("admin-open", "metrics", either(audit.LocalAddress(address), m.Where(), nil, "metrics are reached from the machine itself only", "metrics are served on the entry point "+capped(name)))
	}
}

// point judges an entry point.
func (t *traefikReader) point(p *doc.Node, routers []*doc.Node) {
	address := p.Get("address").Text()
	address, udp := strings.CutSuffix(strings.TrimSuffix(address, "/tcp"), "/udp")
	if udp {
		return
	}
	d := &audit.Door{Name: p.Key + " " + address, At: p.Where(), Local: audit.LocalAddress(address), TLS: p.Get("http", "tls").Has()}
	redirect := p.Get("http", "redirections", "entryPoint")
	plain, secure := 0, 0
	var first *doc.Node
	for _, r := range routers {
		if !onPoint(r, p.Key) || r.Get("service").Text() == "noop@internal" {
			continue
		}
		if r.Get("tls").Has() {
			secure++
			continue
		}
		if m := t.middleware(r, "redirectScheme"); m.Get("scheme").Text() != "https" {
			plain++
			first = r
		}
	}
	d.TLS = d.TLS || secure > 0 && plain == 0
	switch {
	case redirect.Has() && (redirect.Get("scheme").Text() == "https" || !redirect.Get("scheme").Has()):
		d.Redirect = good(redirect.Where(), "all goes to https")
	case plain > 0:
		d.Redirect = bad(p.Where(), t.redirectMend(p), "router %s is served over plain HTTP", capped(first.Key))
	default:
		d.Redirect = good(p.Where(), "no router is served over plain HTTP")
	}
	t.tls(d, p)
	t.c.Doors = append(t.c.Doors, d)
	for _, kind := range []string{"forwardedHeaders", "proxyProtocol"} {
		if f := p.Get(kind); f.Has() {
			open := f.Get("insecure").True()
			for _, net := range f.Get("trustedIPs").Texts() {
				open = open || net == "0.0.0.0/0" || net == "::/0"
			}
			t.c.Say("client-forgeable", p.Key, either(!open, f.Where(), f.Set("insecure", false), "named networks are trusted to name the client", kind+" trusts everybody to name the client"))
		}
	}
	if s := p.Get("http", "sanitizePath"); s.False() {
		t.c.Say("path-ambiguous", p.Key, bad(s.Where(), p.Get("http").Set("sanitizePath", true), "paths are matched as they were sent"))
	}
}

// redirectMend sends an entry point to the one for TLS.
func (t *traefikReader) redirectMend(p *doc.Node) []doc.Edit {
	for _, other := range t.all("entryPoints") {
		if strings.HasSuffix(other.Get("address").Text(), ":443") || strings.Contains(other.Key, "secure") {
			value := map[string]any{"redirections": map[string]any{"entryPoint": map[string]string{"to": other.Key, "scheme": "https"}}}
			if http := p.Get("http"); http.Has() {
				return http.Put("redirections", value["redirections"])
			}
			return p.Put("http", value)
		}
	}
	return nil
}

// onPoint reports whether a router is reached through an entry point.
func onPoint(r *doc.Node, point string) bool {
	names := r.Get("entryPoints").Texts()
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if n == point {
			return true
		}
	}
	return false
}

// tls judges the options of the routers on an entry point. Traefik takes TLS 1.2 and
// 1.3 by default, with the suites that Go deems secure.
func (t *traefikReader) tls(d *audit.Door, p *doc.Node) {
	if !d.TLS {
		return
	}
	d.Versions, d.Ciphers = good(p.Where(), "TLS 1.2 is the least by default"), good(p.Where(), "only strong suites, by default")
	for _, o := range t.all("tls", "options") {
		if v := o.Get("minVersion"); v.Has() && d.Versions.State != audit.Bad {
			d.Versions = either(!weakVersion(v.Text()), v.Where(), o.Set("minVersion", "VersionTLS12"), v.Text()+" is the least", v.Text()+" is accepted")
		}
		if s := o.Get("cipherSuites"); s.Has() && d.Ciphers.State != audit.Bad {
			weak := weakSuites(s.Texts())
			d.Ciphers = either(len(weak) == 0, s.Where(), nil, "only strong suites", "it takes "+strings.Join(weak, ", "))
		}
	}
	for _, c := range t.all("tls", "certificates") {
		if f := c.Get("certFile"); f.Has() {
			d.Certs = append(d.Certs, audit.Cert{Path: f.Text(), At: f.Where(), Stapling: t.get("ocsp").Has()})
		}
	}
}

// middleware finds the first middleware of a kind that a router passes through, its
// entry points' included.
func (t *traefikReader) middleware(r *doc.Node, kind string) *doc.Node {
	return t.middlewareWith(r, kind, "")
}

// middlewareWith prefers one that has a key.
func (t *traefikReader) middlewareWith(r *doc.Node, kind, key string) *doc.Node {
	names := r.Get("middlewares").Texts()
	for _, p := range t.all("entryPoints") {
		if onPoint(r, p.Key) {
			names = append(names, p.Get("http", "middlewares").Texts()...)
		}
	}
	return t.search(names, kind, key, 0)
}

// search goes through middlewares and chains; of several it takes one that has a key, where
// one is named, else the first.
func (t *traefikReader) search(names []string, kind, key string, depth int) *doc.Node {
	var first *doc.Node
	for _, name := range names {
		m := t.named(name, "http", "middlewares")
		for _, have := range m.List() {
			found := have
			switch {
			case have.Key == "chain" && depth < 8:
				found = t.search(have.Get("middlewares").Texts(), kind, key, depth+1)
			case !strings.EqualFold(have.Key, kind) || !have.Has():
				continue
			}
			if found == nil {
				continue
			}
			if key == "" || found.Get(key).Has() {
				return found
			}
			if first == nil {
				first = found
			}
		}
	}
	return first
}

// logs states where Traefik logs: to standard output unless a file is named. Headers,
// User-Agent too, are dropped unless kept by name.
func (t *traefikReader) logs() ([]audit.Log, audit.Fact) {
	l := t.get("accessLog")
	static := t.get("entryPoints")
	if l == nil {
		for _, r := range t.roots {
			if n := r.Get("accessLog"); n != nil { // "accessLog:" alone switches it on
				l = n
			}
		}
	}
	if l == nil {
		if static == nil {
			return nil, audit.Fact{} // only dynamic files were named
		}
		at := static.Where()
		return nil, bad(at, nil, "accessLog is not set")
	}
	log := audit.Log{State: audit.Good, At: l.Where(), Target: "standard output", Central: true, Known: true}
	if p := l.Get("filePath"); p.Has() && !strings.HasPrefix(p.Text(), "/dev/std") {
		log.Target, log.Central = p.Text(), l.Get("otlp").Has()
	}
	mode := strings.ToLower(l.Get("fields", "headers", "defaultMode").Text())
	keeps := mode == "keep"
	for _, n := range l.Get("fields", "headers", "names").List() {
		secret := strings.EqualFold(n.Key, "authorization") || strings.EqualFold(n.Key, "cookie") || isSecretName(strings.ReplaceAll(n.Key, "-", "_"))
		if secret && n.Text() == "keep" {
			log.Secrets = append(log.Secrets, n.Key)
		}
		if strings.EqualFold(n.Key, "user-agent") {
			keeps = n.Text() == "keep"
		}
	}
	if mode == "keep" {
		names := l.Get("fields", "headers", "names")
		if !names.Get("Authorization").Has() || !names.Get("Cookie").Has() {
			log.Secrets = append(log.Secrets, "every header")
		}
	}
	if !keeps {
		log.Lacks = []string{"user agent"}
	}
	return []audit.Log{log}, good(l.Where(), "requests are logged")
}

// hstsSeconds is what a headers middleware sends.
func hstsSeconds(m *doc.Node) (f audit.Fact) {
	s := m.Get("stsSeconds")
	if !s.Has() {
		return f
	}
	n, _ := s.Number()
	return either(n >= halfYear, s.Where(), m.Set("stsSeconds", 63072000), "Strict-Transport-Security is sent", fmt.Sprintf("stsSeconds is %g", n))
}
