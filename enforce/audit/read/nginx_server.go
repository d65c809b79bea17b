package read

import (
	"net"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// listens makes the doors of a server, and notes whose TLS settings hold on each
// address: those of its default server.
func (n *nginxReader) listens(s *block) {
	list := s.own("listen")
	if len(list) == 0 {
		n.doors[s] = append(n.doors[s], &audit.Door{Name: "*:80 " + serverName(s), At: s.place()})
		return
	}
	for _, l := range list {
		address := l.arg(0)
		if !strings.ContainsAny(address, ":.") && !strings.HasPrefix(address, "localhost") || strings.HasPrefix(address, "*:") {
			address = "*:" + strings.TrimPrefix(address, "*:")
		}
		door := &audit.Door{Name: strings.TrimSpace(address + " " + serverName(s)), At: l.place(), Local: audit.LocalAddress(address),
			TLS: slices.Contains(l.Args, "ssl") || slices.Contains(l.Args, "quic") || s.word("ssl") == "on"}
		n.doors[s] = append(n.doors[s], door)
		if door.TLS && (n.heads[address] == nil || slices.Contains(l.Args, "default_server")) {
			n.heads[address] = s
		}
	}
}

// serverName is what a server is called in findings.
func serverName(s *block) string {
	for _, d := range s.own("server_name") {
		if name := d.arg(0); name != "" && name != "_" {
			return name
		}
	}
	return ""
}

// server judges a server and its locations.
func (n *nginxReader) server(s *block) {
	n.lax(s)
	n.banner(s)
	for _, b := range append(s.own("if"), s) {
		n.responses(b)
	}
	for _, d := range n.doors[s] {
		if d.TLS {
			address, _, _ := strings.Cut(d.Name, " ")
			n.tls(d, s, n.heads[address])
		} else {
			d.Redirect = n.redirects(s)
		}
		n.c.Doors = append(n.c.Doors, d)
	}
	if !answersAll(s) {
		n.locations(s, s)
	}
}

// answersAll reports whether a server answers everything itself before any location
// is looked at.
func answersAll(s *block) bool { return len(s.own("return")) > 0 }

// banner judges server_tokens.
func (n *nginxReader) banner(s *block) {
	d := s.one("server_tokens")
	switch {
	case d == nil:
		top := s.within("http")
		if top == nil {
			top = s
		}
		n.c.Say("banner", "server_tokens", bad(top.place(), top.open("server_tokens off;"), "server_tokens is not set, and on by default"))
	case d.arg(0) == "on" || d.arg(0) == "build":
		n.c.Say("banner", "server_tokens", bad(d.place(), d.swap("server_tokens off;"), "server_tokens is on"))
	default:
		n.c.Say("banner", "server_tokens", good(d.place(), "the version is not told"))
	}
}

// redirects judges whether a server without TLS sends everything to https.
func (n *nginxReader) redirects(s *block) audit.Fact {
	for _, r := range s.own("return") {
		switch {
		case toHTTPS(r):
			return good(r.place(), "all goes to https")
		case refuses(r):
			return good(r.place(), "nothing is served")
		}
	}
	for _, i := range s.own("if") {
		cond := strings.Join(i.Args, " ")
		plain := strings.Contains(cond, "$scheme") || strings.Contains(cond, "$https") || strings.Contains(cond, "$http_x_forwarded_proto") || strings.Contains(cond, "$http_x_scheme")
		if plain && slices.ContainsFunc(append(i.own("return"), i.own("rewrite")...), toHTTPS) {
			return good(i.place(), "all that came without TLS goes to https")
		}
	}
	for _, r := range s.own("rewrite") {
		if toHTTPS(r) {
			return good(r.place(), "all goes to https")
		}
	}
	locations := s.own("location")
	for _, l := range locations {
		path := l.arg(len(l.Args) - 1)
		if strings.Contains(path, "/.well-known/acme-challenge") || len(l.own("internal")) > 0 {
			continue
		}
		if returns := l.own("return"); len(returns) == 0 || !toHTTPS(returns[0]) && !refuses(returns[0]) {
			return bad(n.plainAt(s), n.redirectMend(s), "location %s is served over plain HTTP", capped(path))
		}
	}
	if len(locations) == 0 {
		return bad(n.plainAt(s), n.redirectMend(s), "the site is served over plain HTTP")
	}
	return good(s.place(), "every location goes to https or refuses")
}

// plainAt is where a server listens without TLS.
func (n *nginxReader) plainAt(s *block) doc.Place {
	for _, d := range n.doors[s] {
		if !d.TLS && !d.Local {
			return d.At
		}
	}
	return s.place()
}

// redirectMend sends a server to https where it, or one of the same name, has TLS.
func (n *nginxReader) redirectMend(s *block) []doc.Edit {
	for _, other := range n.servers {
		if !slices.ContainsFunc(n.doors[other], func(d *audit.Door) bool { return d.TLS }) {
			continue
		}
		if other == s {
			return s.open(`if ($scheme != "https") {`, `    return 301 https://$host$request_uri;`, `}`)
		}
		if name := serverName(s); name != "" && name == serverName(other) {
			return s.open("return 301 https://$host$request_uri;")
		}
	}
	return nil
}

// toHTTPS reports whether a return or rewrite sends to https.
func toHTTPS(d *block) bool {
	for _, a := range d.Args {
		if strings.HasPrefix(a, "https://") {
			return true
		}
	}
	return false
}

// refuses reports whether a return refuses.
func refuses(d *block) bool {
	code := d.arg(0)
	return d.Name == "return" && len(code) == 3 && code[0] == '4'
}

// tls judges the TLS settings of a door: nginx takes protocols and ciphers from the
// default server of the address, before it knows the name that is asked for.
func (n *nginxReader) tls(d *audit.Door, s, head *block) {
	if head == nil {
		head = s
	}
	if head.word("ssl_reject_handshake") == "on" && head == s {
		return
	}
	p := head.one("ssl_protocols")
	const want = "ssl_protocols TLSv1.2 TLSv1.3;"
	switch {
	case p == nil:
		d.Versions = bad(head.place(), head.open(want), "ssl_protocols is not set: older releases of nginx accept TLS 1.0 and 1.1 by default")
		d.Versions.Mild = true
	case !templated(strings.Join(p.Args, " ")):
		old := slices.Collect(func(yield func(string) bool) {
			for _, a := range p.Args {
				if weakVersion(a) && !yield(a) {
					return
				}
			}
		})
		d.Versions = either(len(old) == 0, p.place(), p.swap(want), strings.Join(p.Args, " ")+" are accepted", strings.Join(old, " ")+" is accepted")
	}
	d.Ciphers = n.ciphers(head, p)
	for _, cert := range s.set("ssl_certificate") {
		if path := cert.arg(0); !strings.HasPrefix(path, "data:") && !strings.HasPrefix(path, "engine:") && !templated(path) {
			if !strings.HasPrefix(path, "/") {
				path = strings.TrimPrefix(n.dir+"/"+path, strings.TrimSuffix(n.o.Root, "/")) // as if below it: Root is put before it again
			}
			d.Certs = append(d.Certs, audit.Cert{Path: path, At: cert.place(), Stapling: s.word("ssl_stapling") == "on"})
		}
	}
}

// ciphers judges ssl_ciphers, which TLS 1.3 does not ask.
func (n *nginxReader) ciphers(head, protocols *block) audit.Fact {
	if protocols != nil && strings.Join(protocols.Args, " ") == "TLSv1.3" {
		return good(protocols.place(), "TLS 1.3 has no weak suites")
	}
	c := head.one("ssl_ciphers")
	want := "ssl_ciphers " + intermediate + ";"
	if c == nil {
		return bad(head.place(), head.open(want), "ssl_ciphers is not set: HIGH:!aNULL:!MD5 takes suites without forward secrecy")
	}
	if templated(c.arg(0)) {
		return audit.Fact{}
	}
	weak := weakSuites(strings.FieldsFunc(c.arg(0), func(r rune) bool { return strings.ContainsRune(": ,", r) }))
	return either(len(weak) == 0, c.place(), c.swap(want), "only strong suites", "it takes "+strings.Join(weak, ", "))
}

// local reports whether a server can be reached from its own machine only.
func (n *nginxReader) local(s *block) bool {
	for _, d := range n.doors[s] {
		if !d.Local {
			return false
		}
	}
	return true
}

// secure reports whether a server can be reached over TLS.
func (n *nginxReader) secure(s *block) bool {
	return slices.ContainsFunc(n.doors[s], func(d *audit.Door) bool { return d.TLS })
}

// hostPart is the host and port of a URL to forward to.
func hostPart(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	host, _, _ := strings.Cut(rest, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}
