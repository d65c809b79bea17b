package read

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// stats judges the pages that HAProxy serves itself.
func (h *haproxyReader) stats(s *section, local bool) {
	admin := func(l *hapLine, path string) {
		r := &audit.Route{Name: s.kind + " " + s.name + " " + path, Path: "/stats", At: l.at, Local: local}
		r.Auth = bad(l.at, nil, "no credentials are asked for")
		for _, a := range append(s.find("stats", "auth"), s.find("stats", "http-request")...) {
			r.Auth = good(a.at, "credentials or a network are asked for")
			if a.is("stats", "auth") && len(a.words) > 2 && !strings.Contains(a.words[2], "$") {
				h.c.Say("auth-secret-in-config", r.Name, bad(a.at, nil, "the password of the statistics stands here in clear"))
			}
		}
		for _, rule := range h.rules(s, path) {
			if rule.denies && rule.about(aboutCredential, aboutSource) {
				r.Auth = good(rule.line.at, "credentials or a network are asked for")
			}
		}
		h.c.Add(r)
	}
	if list := append(s.find("stats", "enable"), s.find("stats", "uri")...); len(list) > 0 {
		path := "/haproxy?stats"
		if uri := s.find("stats", "uri"); len(uri) > 0 && len(uri[0].words) > 2 {
			path = uri[0].words[2]
		}
		admin(list[0], path)
	}
	for _, l := range s.find("http-request", "use-service") {
		if strings.Contains(l.words[2], "prometheus") {
			admin(l, "/metrics")
		}
	}
}

// rule is an http-request rule as it concerns one path.
type rule struct {
	line   *hapLine
	denies bool
	status int
	cond   condition // what is left of it; nil always holds
	always bool
}

// about reports whether every way in which a rule may apply has a term of one of
// these kinds: a rule without is no guard of that kind.
func (r rule) about(kinds ...termKind) bool {
	if r.always {
		return false
	}
	for _, all := range r.cond {
		if !slices.ContainsFunc(all, func(t term) bool { return slices.Contains(kinds, t.kind()) }) {
			return false
		}
	}
	return len(r.cond) > 0
}

// statusOf are the statuses with which HAProxy refuses unless told otherwise.
var statusOf = map[string]int{"deny": 403, "tarpit": 500, "auth": 401, "reject": 0, "silent-drop": 0, "return": 200}

// rules are the http-request rules of a section that may concern a path.
func (h *haproxyReader) rules(s *section, path string) []rule {
	var out []rule
	for _, l := range s.find("http-request") {
		if len(l.words) < 2 {
			continue
		}
		cond := s.conditionOf(l)
		rest, ok := cond.at(path)
		if !ok {
			continue
		}
		r := rule{line: l, cond: rest, always: cond == nil}
		r.status, r.denies = statusOf[l.words[1]]
		for _, name := range []string{"deny_status", "status"} {
			if n, err := strconv.Atoi(l.after(name)); err == nil {
				r.status = n
			}
		}
		if l.words[1] == "return" && r.status < 400 {
			r.denies = false
		}
		out = append(out, r)
	}
	return out
}

// routes makes a route of each backend that a frontend leads to.
func (h *haproxyReader) routes(s *section, local, secure bool) {
	add := func(l *hapLine, path string, back *section) {
		name := s.kind + " " + s.name
		if back != nil && back != s {
			name += " to " + back.name
		}
		r := &audit.Route{Name: name, Path: path, At: l.at, Local: local, Secure: secure, Forwards: true}
		h.facts(s, back, r)
		h.c.Add(r)
	}
	for _, l := range s.find("use_backend") {
		path := "/"
		for _, all := range s.conditionOf(l) {
			for _, t := range all {
				if t.kind() == aboutPath && !t.not && path == "/" {
					path = t.samplePath()
				}
			}
		}
		if len(l.words) > 1 {
			add(l, path, h.backend(l.words[1]))
		}
	}
	for _, l := range s.find("default_backend") {
		if len(l.words) > 1 {
			add(l, "/", h.backend(l.words[1]))
		}
	}
	if s.kind == "listen" && len(s.find("server")) > 0 {
		add(s.head, "/", s)
	}
	// Routes that rules name, such as a login, are looked at too.
	seen := map[string]bool{}
	for _, l := range s.find("http-request") {
		for _, all := range s.conditionOf(l) {
			for _, t := range all {
				path := t.samplePath()
				if t.kind() == aboutPath && !seen[path] && len(s.find("default_backend")) > 0 {
					seen[path] = true
					r := &audit.Route{Name: s.kind + " " + s.name + " " + path, Path: path, At: l.at, Local: local, Secure: secure, Forwards: true}
					h.facts(s, h.backend(s.find("default_backend")[0].words[1]), r)
					if h.refused(s, path) {
						r.Forwards = false
					}
					h.c.Add(r)
				}
			}
		}
	}
}

// refused reports whether a path is always refused.
func (h *haproxyReader) refused(s *section, path string) bool {
	return slices.ContainsFunc(h.rules(s, path), func(r rule) bool {
		return r.denies && (r.always || slices.ContainsFunc(r.cond, func(all []term) bool { return len(all) == 0 })) || r.line.words[1] == "use-service"
	})
}

// facts states what holds for a route.
func (h *haproxyReader) facts(s, back *section, r *audit.Route) {
	rules := h.rules(s, r.Path)
	if back != nil && back != s {
		rules = append(rules, h.rules(back, r.Path)...)
	}
	h.auth(s, rules, r)
	r.Limit = h.limit(s, rules, r)
	r.Methods = bad(r.At, s.put("http-request deny deny_status 405 unless { method GET HEAD POST PUT PATCH DELETE OPTIONS }"), "every method is forwarded")
	r.Body = bad(r.At, s.put("http-request deny deny_status 413 if { req.body_size gt 1048576 }"), "HAProxy passes on bodies of any size unless told otherwise")
	for _, rule := range rules {
		if !rule.denies {
			continue
		}
		for _, all := range rule.cond {
			for _, t := range all {
				switch t.kind() {
				case aboutMethod:
					r.Methods = good(rule.line.at, "methods that are not named are refused")
				case aboutSize:
					r.Body = good(rule.line.at, "bodies are bounded")
					for _, w := range t.rest {
						r.MaxBody = max(r.MaxBody, sizeOf(w))
					}
				}
			}
		}
	}
	r.Inspects = bad(r.At, nil, "nothing looks at the request before it is forwarded")
	for _, sec := range []*section{s, back} {
		if sec == nil {
			continue
		}
		for _, l := range append(sec.find("filter", "spoe"), sec.find("http-request", "send-spoe-group")...) {
			r.Inspects = good(l.at, "an agent looks at requests")
		}
		if r.Inspects.State == audit.Bad && len(luaRules(sec)) > 0 {
			r.Inspects = audit.Fact{}
		}
	}
	if a, ok := asksPortcullis(rules); ok {
		r.Asks, r.Inspects = a, good(a.At, "Portcullis is asked, with the target as it was sent")
		if r.Auth.State != audit.Good {
			r.Auth, r.KeyInURL = good(a.At, "Portcullis is asked"), good(a.At, "no key is read from the query")
		}
	}
	h.responses(s, back, r)
	h.logs(s, r)
	if back != nil {
		upstreamHAProxy(back, r)
	}
}

// luaRules are rules that run code: what they ask for cannot be told.
func luaRules(s *section) []*hapLine {
	return slices.DeleteFunc(s.find("http-request"), func(l *hapLine) bool { return len(l.words) < 2 || !strings.HasPrefix(l.words[1], "lua.") })
}

// auth judges what a route asks for.
func (h *haproxyReader) auth(s *section, rules []rule, r *audit.Route) {
	r.Auth = bad(r.At, nil, "no credentials are asked for")
	if lua := luaRules(s); len(lua) > 0 || len(s.find("filter", "spoe")) > 0 {
		r.Auth = audit.Fact{}
	}
	for _, b := range s.find("bind") {
		switch b.after("verify") {
		case "required":
			r.Auth = good(b.at, "a client certificate is asked for")
		case "optional":
			r.Auth, r.Optional = good(b.at, "a client certificate is looked at"), true
		}
	}
	for _, rule := range rules {
		if rule.line.words[1] == "auth" && rule.always {
			r.Auth, r.Optional = good(rule.line.at, "a password is asked for"), false
		}
		if !rule.denies || !rule.about(aboutCredential, aboutSource) || rule.about(aboutRate) {
			continue
		}
		present := true
		for _, all := range rule.cond {
			for _, t := range all {
				switch {
				case t.kind() == aboutCredential && !t.presence() || t.kind() == aboutSource:
					present = false
				}
				if m := paramFetch.FindStringSubmatch(t.fetch); m != nil && isSecretName(m[1]) {
					r.KeyInURL = bad(rule.line.at, nil, "the key is read from the parameter %s", capped(m[1]))
				}
			}
		}
		switch {
		case !present:
			r.Auth, r.Optional = good(rule.line.at, "a request is refused unless its credentials are known"), false
		case r.Auth.State != audit.Good:
			r.Auth = bad(rule.line.at, nil, "it is asked only whether a key is there, any will do")
		}
	}
	if r.Auth.State == audit.Good && r.KeyInURL.State == audit.Untold {
		r.KeyInURL = good(r.Auth.At, "no key is read from the query")
	}
}

// responses judges what is added to answers.
func (h *haproxyReader) responses(s, back *section, r *audit.Route) {
	r.HSTS = bad(s.head.at, s.put("http-after-response set-header Strict-Transport-Security "+hsts), "Strict-Transport-Security is not sent")
	var origin *hapLine
	credentials := false
	for _, sec := range []*section{s, back} {
		if sec == nil {
			continue
		}
		for _, l := range append(sec.find("http-response"), sec.find("http-after-response")...) {
			if len(l.words) < 4 || l.words[1] != "set-header" && l.words[1] != "add-header" {
				continue
			}
			switch strings.ToLower(l.words[2]) {
			case "strict-transport-security":
				seconds, ok := hstsOf(strings.Join(l.words[3:], " "))
				r.HSTS = either(ok, l.at, []doc.Edit{l.at.Swap(l.words[0] + " set-header Strict-Transport-Security " + hsts)},
					"Strict-Transport-Security is sent", fmt.Sprintf("max-age is %d seconds", seconds))
			case "access-control-allow-origin":
				origin = l
			case "access-control-allow-credentials":
				credentials = l.words[3] == "true"
			}
		}
	}
	if origin != nil {
		open := origin.words[3] == "*" || strings.Contains(origin.words[3], "hdr(") && !slices.Contains(origin.words, "if")
		h.c.Say("cors-credentials", r.Name, either(!credentials || !open, origin.at, nil, "credentials are for named origins",
			"credentials are allowed for the origin "+capped(origin.words[3])))
	}
}
