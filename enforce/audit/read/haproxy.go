package read

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "haproxy", Doc: "haproxy.cfg; several files in the order in which HAProxy is given them", Knows: knowsHAProxy, Read: readHAProxy})
}

var haproxySection = regexp.MustCompile(`(?m)^(global|defaults|frontend|backend|listen)\b[^{;]*$`)

func knowsHAProxy(f *doc.File) int {
	if n := len(haproxySection.FindAll(f.Text, 4)); n > 0 && !strings.Contains(string(f.Text), "server {") {
		return 50 + 5*n
	}
	return 0
}

// hapLine is a line, cut into words.
type hapLine struct {
	words []string
	at    doc.Place
}

// is reports whether a line begins with these words.
func (l *hapLine) is(words ...string) bool {
	return len(l.words) >= len(words) && slices.Equal(l.words[:len(words)], words)
}

// after is the word that follows another, "" where it is not there.
func (l *hapLine) after(word string) string {
	if i := slices.Index(l.words, word); i >= 0 && i+1 < len(l.words) {
		return l.words[i+1]
	}
	return ""
}

// section is a proxy with what it inherits.
type section struct {
	kind, name string
	head       *hapLine
	lines      []*hapLine
	from       *section // the defaults that hold
}

// find are the lines that begin with these words: the section's own, then those of
// its defaults.
func (s *section) find(words ...string) []*hapLine {
	var out []*hapLine
	for depth := 0; s != nil && depth < 16; s, depth = s.from, depth+1 {
		for _, l := range s.lines {
			if l.is(words...) {
				out = append(out, l)
			}
		}
	}
	return out
}

// mode is http or tcp; tcp is HAProxy's default.
func (s *section) mode() string {
	if l := s.find("mode"); len(l) > 0 && len(l[0].words) > 1 {
		return l[0].words[1]
	}
	return "tcp"
}

// put makes an edit that adds lines at the beginning of a section.
func (s *section) put(lines ...string) []doc.Edit {
	if s == nil || s.head == nil {
		return nil
	}
	return []doc.Edit{s.head.at.Behind("\n    " + strings.Join(lines, "\n    "))}
}

// haproxyWords cuts a line as HAProxy does: quotes, backslashes, comments.
func haproxyWords(line string) []string {
	var out []string
	var b strings.Builder
	quote, in := byte(0), false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && c == '#':
			i = len(line)
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r'):
			if in {
				out = append(out, b.String())
			}
			b.Reset()
			in = false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// haproxyReader reads one configuration.
type haproxyReader struct {
	c        *audit.Config
	o        audit.Options
	sections []*section
	global   *section
}

func readHAProxy(c *audit.Config, files []*doc.File, o audit.Options) error {
	h := &haproxyReader{c: c, o: o, global: &section{kind: "global"}}
	for _, f := range files {
		h.parse(f)
	}
	fronts := 0
	for _, s := range h.sections {
		if s.kind == "userlist" {
			h.users(s)
		}
		if s.kind != "frontend" && s.kind != "listen" {
			continue
		}
		fronts++
		h.front(s)
	}
	for _, s := range h.sections {
		if s.kind == "backend" {
			h.lax(s)
		}
	}
	h.wide()
	if fronts == 0 {
		return errors.New("there is neither a frontend nor a listen section in it")
	}
	return nil
}

// parse adds the sections of a file.
func (h *haproxyReader) parse(f *doc.File) {
	var at *section
	var last *section // defaults
	start := 0
	for _, raw := range strings.SplitAfter(string(f.Text), "\n") {
		words := haproxyWords(strings.TrimRight(raw, "\n"))
		lead := len(raw) - len(strings.TrimLeft(raw, " \t"))
		l := &hapLine{words, f.At(start+lead, start+len(strings.TrimRight(raw, " \t\r\n")))}
		start += len(raw)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers", "mailers", "cache",
			"program", "http-errors", "ring", "log-forward", "fcgi-app", "crt-store", "traces", "log-profile", "acme":
			at = &section{kind: words[0], head: l}
			if len(words) > 1 {
				at.name = words[1]
			}
			at.from = last
			if name := l.after("from"); name != "" {
				for _, s := range h.sections {
					if s.kind == "defaults" && s.name == name {
						at.from = s
					}
				}
			}
			switch at.kind {
			case "global":
				h.global, at.from = at, nil
			case "defaults":
				if l.after("from") == "" {
					at.from = nil
				}
				last = at
			}
			h.sections = append(h.sections, at)
			// bind may stand in the line of a listen section in old files.
			continue
		}
		if at != nil && words[0] != ".if" && words[0] != ".endif" {
			at.lines = append(at.lines, l)
		}
	}
}

// section finds a proxy by kind and name.
func (h *haproxyReader) backend(name string) *section {
	for _, s := range h.sections {
		if (s.kind == "backend" || s.kind == "listen") && s.name == name {
			return s
		}
	}
	return nil
}

// users judges the passwords of a userlist.
func (h *haproxyReader) users(s *section) {
	for _, l := range s.find("user") {
		if slices.Contains(l.words, "insecure-password") && !strings.Contains(l.after("insecure-password"), "$") {
			h.c.Say("auth-secret-in-config", "userlist "+s.name, bad(l.at, nil, "the password of %s stands here in clear", capped(l.words[1])))
		}
	}
}

// wide judges the sockets of the runtime API.
func (h *haproxyReader) wide() {
	for _, l := range h.global.find("stats", "socket") {
		if len(l.words) < 3 {
			continue
		}
		address := strings.TrimPrefix(strings.TrimPrefix(l.words[2], "ipv4@"), "ipv6@")
		h.c.Say("admin-open", "stats socket", either(audit.LocalAddress(address) || strings.HasPrefix(address, "fd@") || !strings.Contains(address, ":"), l.at, nil,
			"the runtime API is reached from the machine itself only", "the runtime API listens on "+capped(address)))
	}
}

// front judges a frontend or listen section: its doors, its statistics, its routes.
func (h *haproxyReader) front(s *section) {
	http := s.mode() == "http"
	local, secure := true, false
	for _, b := range s.find("bind") {
		if len(b.words) < 2 {
			continue
		}
		d := &audit.Door{Name: strings.TrimSpace(s.kind + " " + s.name + " " + b.words[1]), At: b.at, Local: audit.LocalAddress(b.words[1]), TLS: slices.Contains(b.words, "ssl")}
		local, secure = local && d.Local, secure || d.TLS
		if d.TLS {
			h.tls(d, b)
		} else if http {
			d.Redirect = h.redirects(s, b)
		}
		if http || d.TLS {
			h.c.Doors = append(h.c.Doors, d)
		}
	}
	if !http {
		h.c.Blinded("%s %s passes bytes on (mode tcp): what is in them is not judged here", s.kind, s.name)
		return
	}
	h.lax(s)
	h.stats(s, local)
	h.routes(s, local, secure)
}

// redirects judges whether a frontend sends to https what came without TLS.
func (h *haproxyReader) redirects(s *section, bind *hapLine) audit.Fact {
	for _, l := range append(s.find("http-request", "redirect"), s.find("redirect")...) {
		if l.after("scheme") == "https" || strings.HasPrefix(l.after("location"), "https://") || strings.HasPrefix(l.after("prefix"), "https://") {
			return good(l.at, "what came without TLS goes to https")
		}
	}
	if onlyStats(s) {
		return audit.Fact{}
	}
	var mend []doc.Edit
	if slices.ContainsFunc(s.find("bind"), func(b *hapLine) bool { return slices.Contains(b.words, "ssl") }) {
		mend = s.put("http-request redirect scheme https code 301 unless { ssl_fc }")
	}
	return bad(bind.at, mend, "it is served over plain HTTP")
}

// onlyStats reports whether a section serves statistics and nothing else.
func onlyStats(s *section) bool {
	return len(s.find("default_backend"))+len(s.find("use_backend"))+len(s.find("server")) == 0
}

// tls judges a bind line with what global says by default. Since 2.2 the least
// version is TLS 1.2 unless told otherwise.
func (h *haproxyReader) tls(d *audit.Door, b *hapLine) {
	options := b
	if b.after("ssl-min-ver") == "" && !slices.ContainsFunc(b.words, func(w string) bool { return strings.HasPrefix(w, "force-") }) {
		if l := h.global.find("ssl-default-bind-options"); len(l) > 0 {
			options = l[0]
		}
	}
	least := options.after("ssl-min-ver")
	for _, w := range options.words {
		if strings.HasPrefix(w, "force-") {
			least = strings.TrimPrefix(w, "force-")
		}
	}
	switch {
	case least == "":
		d.Versions = good(b.at, "TLS 1.2 is the least by default, since HAProxy 2.2")
	case weakVersion(least):
		d.Versions = bad(options.at, []doc.Edit{options.at.Swap(strings.Replace(options.at.FullText(), least, "TLSv1.2", 1))}, "%s is accepted", capped(least))
	default:
		d.Versions = good(options.at, "%s is the least", least)
	}
	ciphers, at := b.after("ciphers"), b.at
	if l := h.global.find("ssl-default-bind-ciphers"); ciphers == "" && len(l) > 0 && len(l[0].words) > 1 {
		ciphers, at = l[0].words[1], l[0].at
	}
	if ciphers == "" {
		mend := h.global.put("ssl-default-bind-ciphers " + intermediate)
		d.Ciphers = bad(b.at, mend, "no ciphers are named: OpenSSL's default takes suites without forward secrecy")
	} else {
		weak := weakSuites(strings.Split(ciphers, ":"))
		d.Ciphers = either(len(weak) == 0, at, []doc.Edit{at.Swap(strings.Replace(at.FullText(), ciphers, intermediate, 1))}, "only strong suites", "it takes "+strings.Join(weak, ", "))
	}
	if crt := b.after("crt"); strings.HasPrefix(crt, "/") && strings.HasSuffix(crt, ".pem") {
		d.Certs = append(d.Certs, audit.Cert{Path: crt, At: b.at, Stapling: slices.Contains(b.words, "ocsp-update") || !h.o.Missing(crt+".ocsp")})
	}
}

// lax judges options that let malformed requests through, and set-src.
func (h *haproxyReader) lax(s *section) {
	for _, name := range []string{"accept-invalid-http-request", "accept-unsafe-violations-in-http-request"} {
		for _, l := range s.find("option", name) {
			h.c.Say("headers-lax", s.name, bad(l.at, []doc.Edit{l.at.Swap("no option " + name)}, "%s lets through what is no valid HTTP", name))
		}
	}
	for _, l := range s.find("http-request", "set-dst") {
		text := strings.Join(l.words, " ")
		h.c.Say("target-open", s.name, either(!strings.Contains(text, "url_ip") && !strings.Contains(text, "hdr"), l.at, nil, "the server is named here", "the server to connect to is taken from the request"))
	}
	for _, l := range s.find("http-request", "set-src") {
		if strings.Contains(strings.Join(l.words, " "), "hdr") {
			h.c.Say("client-forgeable", s.name, either(slices.Contains(l.words, "if"), l.at, nil, "the client is taken from a header under a condition",
				"every peer is trusted to name the client in a header"))
		}
	}
}
