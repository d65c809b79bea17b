package read

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// caddyDepth bounds nested subroutes.
const caddyDepth = 32

// walk goes through routes in order; handlers of earlier routes stand before later
// ones where their paths hold.
func (cs *caddyServer) walk(routes *doc.Node, path string, before []guard, depth int) {
	if depth > caddyDepth {
		return
	}
	guards := slices.Clone(before)
	for _, r := range routes.List() {
		paths, methods, negated := matched(r.Get("match"))
		here := path
		if len(paths) > 0 {
			here = paths[0]
		}
		inner := slices.Clone(guards)
		for _, h := range r.Get("handle").List() {
			switch {
			case h.Get("handler").Text() == "subroute":
				sub := inner
				if methods {
					sub = append(sub, guard{methods: true, handler: h})
				}
				cs.walk(h.Get("routes"), here, sub, depth+1)
				// What stands in a subroute without paths stands before what follows.
				for _, s := range h.Get("routes").List() {
					p, m, n := matched(s.Get("match"))
					for _, g := range s.Get("handle").List() {
						if !answers(g) && !n {
							inner = append(inner, guard{append(slices.Clone(paths), p...), m, g})
						}
					}
				}
			case answers(h):
				cs.route(h, here, append(slices.Clone(inner), guard{methods: methods, handler: h}))
			default:
				inner = append(inner, guard{nil, methods, h})
			}
		}
		for _, g := range inner[len(guards):] {
			if g.paths == nil {
				g.paths = paths
			}
			if !negated {
				guards = append(guards, g)
			}
		}
		// A route that refuses every method but some is a guard for what follows.
		if negated && methods {
			guards = append(guards, guard{methods: true, handler: r})
		}
	}
}

// matched reads matchers: paths, whether methods are named, and whether it is a not.
func matched(m *doc.Node) (paths []string, methods, negated bool) {
	for _, one := range m.List() {
		for _, p := range one.Get("path").Texts() {
			paths = append(paths, strings.TrimSuffix(p, "*"))
		}
		if re := one.Get("path_regexp", "pattern"); re.Has() {
			paths = append(paths, sample(re.Text()))
		}
		methods = methods || one.Get("method").Has()
		for _, n := range one.Get("not").List() {
			negated = true
			methods = methods || n.Get("method").Has()
		}
	}
	return paths, methods, negated
}

// forwardAuth reports whether a reverse_proxy asks a decision service, which is what
// the Caddyfile's forward_auth becomes.
func forwardAuth(h *doc.Node) bool {
	return h.Get("handler").Text() == "reverse_proxy" && h.Get("handle_response").Has() && h.Get("rewrite", "method").Has()
}

// answers reports whether a handler ends a request.
func answers(h *doc.Node) bool {
	switch h.Get("handler").Text() {
	case "reverse_proxy":
		return !forwardAuth(h)
	case "file_server", "static_response", "metrics", "php_fastcgi", "acme_server":
		return true
	}
	return false
}

// route states what holds for a handler that answers.
func (cs *caddyServer) route(h *doc.Node, path string, guards []guard) {
	kind := h.Get("handler").Text()
	if kind == "static_response" {
		status, _ := h.Get("status_code").Number()
		location := strings.Join(h.Get("headers", "Location").Texts(), " ")
		if status < 400 && !strings.HasPrefix(location, "https://") && !h.Get("close").True() && !h.Get("abort").True() {
			cs.plain = h
		}
		return
	}
	if !strings.Contains(path, "/.well-known/acme-challenge") {
		cs.plain = h
	}
	out := &audit.Route{Name: cs.s.Key + " " + path, Path: path, At: h.Where(), Local: cs.local, Secure: cs.secure,
		Forwards: kind == "reverse_proxy" || kind == "php_fastcgi", Logs: cs.logs, LogOff: cs.off}
	out.Auth, out.Limit = bad(out.At, nil, "no credentials are asked for"), audit.Limit{State: audit.Bad, At: out.At}
	if cs.cert.State != audit.Untold {
		out.Auth = cs.cert
	}
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	out.Body = bad(out.At, nil, "bodies of any size are passed on")
	out.Methods = bad(out.At, nil, "every method is forwarded")
	out.HSTS = bad(out.At, nil, "Strict-Transport-Security is not sent")
	var cors caddyCORS
	for _, g := range guards {
		if len(g.paths) == 0 || slices.ContainsFunc(g.paths, func(p string) bool { return strings.HasPrefix(path, p) }) {
			cs.guarded(out, g, &cors)
		}
	}
	if cors.origin != nil {
		cs.k.c.Say("cors-credentials", out.Name, either(!cors.credentials || !cors.open(), cors.origin.Where(), nil, "credentials are for named origins", "credentials are allowed for any origin"))
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
	if t := h.Get("transport", "tls"); t.Has() {
		v := t.Get("insecure_skip_verify")
		out.Upstream = either(!v.True(), t.Where(), t.Set("insecure_skip_verify", false), "the service's certificate is verified", "insecure_skip_verify takes any certificate")
	}
	cs.k.c.Add(out)
	if kind == "metrics" {
		out.Admin = true
	}
	if h.Get("browse").Has() && !out.Local && out.Auth.State == audit.Bad {
		cs.k.c.Say("listing", out.Name, bad(h.Get("browse").Where(), nil, "browse lists folders"))
	}
}

// guarded adds what a handler before a route does.
func (cs *caddyServer) guarded(out *audit.Route, g guard, cors *caddyCORS) {
	h := g.handler
	if g.methods {
		out.Methods = good(h.Where(), "methods are named")
	}
	switch kind := h.Get("handler").Text(); kind {
	case "authentication":
		out.Auth = good(h.Where(), "credentials are asked for")
		for _, p := range h.Get("providers").List() {
			if q := p.Get("from_query"); q.Has() {
				out.KeyInURL = bad(q.Where(), nil, "the token is read from the parameter %s", capped(strings.Join(q.Texts(), ", ")))
			}
		}
	case "reverse_proxy":
		if forwardAuth(h) {
			if out.Auth.State != audit.Good {
				out.Auth = good(h.Where(), "a decision service is asked")
			}
			out.Inspects = good(h.Where(), "a decision service looks at method, target and headers")
			out.Asks = audit.Asked{At: h.Where(), Portcullis: portcullisPath(h.Get("rewrite", "uri").Text())}
			if up := h.Get("upstreams").List(); len(up) > 0 {
				out.Asks.Address = up[0].Get("dial").Text()
			}
		}
	case "waf", "coraza", "appsec", "crowdsec":
		out.Inspects = good(h.Where(), "%s looks at requests", kind)
	case "request_body":
		if n, ok := h.Get("max_size").Number(); ok && n > 0 {
			out.MaxBody, out.Body = int64(n), good(h.Where(), "bodies are bounded")
		}
	case "rate_limit":
		cs.limit(out, h)
	case "headers":
		cs.headers(out, h, cors)
	}
}

// limit judges the rate_limit module of mholt/caddy-ratelimit, which answers 429.
func (cs *caddyServer) limit(out *audit.Route, h *doc.Node) {
	for _, zone := range h.Get("rate_limits").List() {
		l := audit.Limit{State: audit.Good, At: zone.Where(), Status: 429}
		key := strings.ToLower(zone.Get("key").Text())
		switch {
		case !strings.Contains(key, "{"):
			l.Shared = true
		case strings.Contains(key, "header.x-forwarded-for") || strings.Contains(key, "header.x-real-ip"):
			l.Forged = key
		}
		events, _ := zone.Get("max_events").Number()
		if span := goSpan(zone.Get("window").Text()); span > 0 {
			l.Rate = events / span
		}
		if out.Limit.State != audit.Good || l.Rate < out.Limit.Rate {
			out.Limit = l
		}
	}
}

// caddyCORS are the cross-origin headers of a route.
type caddyCORS struct {
	origin      *doc.Node
	credentials bool
}

// open reports whether any origin is let in.
func (c *caddyCORS) open() bool {
	return regexp.MustCompile(`^\*$|^\{http\.request\.header\.Origin\}$`).MatchString(strings.Join(c.origin.Texts(), " "))
}

// headers judges what is added to answers.
func (cs *caddyServer) headers(out *audit.Route, h *doc.Node, cors *caddyCORS) {
	for _, way := range []string{"set", "add"} {
		for _, v := range h.Get("response", way).List() {
			value := strings.Join(v.Texts(), " ")
			switch strings.ToLower(v.Key) {
			case "strict-transport-security":
				seconds, ok := hstsOf(value)
				out.HSTS = either(ok, v.Where(), h.Get("response", way).Set(v.Key, []string{hsts}), "Strict-Transport-Security is sent", fmt.Sprintf("max-age is %d seconds", seconds))
			case "access-control-allow-origin":
				cors.origin = v
			case "access-control-allow-credentials":
				cors.credentials = value == "true"
			}
		}
	}
}
