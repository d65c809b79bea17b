package read

import (
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
)

// authModules are directives with which a request needs credentials, unless they
// are off.
var authModules = []string{"auth_request", "auth_basic", "auth_jwt", "auth_oidc", "auth_digest", "auth_gss", "auth_ldap", "auth_pam"}

// auth judges what a location asks for. optional says that a request may do without.
func (n *nginxReader) auth(s, l *block) (f audit.Fact, optional bool) {
	for _, name := range authModules {
		if d := l.one(name); d != nil && d.arg(0) != "off" {
			f = good(d.place(), "%s asks for credentials", name)
		}
	}
	network, all := n.network(l)
	if f.State == audit.Good && l.word("satisfy") == "any" && all {
		f.Saw = "satisfy any: an address on the allow list does, and every address is"
		return f, true
	}
	if f.State != audit.Good {
		f = network
	}
	if f.State != audit.Good {
		f, optional = n.clientCert(s)
	}
	if guard := n.guards(s, l); guard.State == audit.Good || f.State == audit.Untold && guard.State == audit.Bad {
		return guard, false
	}
	if f.State == audit.Untold && luaAccess(l) != nil {
		n.c.Blinded("what the code at %s:%d asks for cannot be told", luaAccess(l).file.Name, luaAccess(l).place().Line())
		return f, false
	}
	if f.State == audit.Untold {
		f = bad(l.place(), nil, "no credentials are asked for")
	}
	return f, optional
}

// network judges allow and deny: Good where only named networks get in. all says
// that every address is allowed.
func (n *nginxReader) network(l *block) (f audit.Fact, all bool) {
	var rules []*block
	for b := l; b != nil && len(rules) == 0; b = b.up {
		rules = b.own("allow", "deny")
	}
	for _, d := range rules {
		if d.arg(0) == "all" || d.arg(0) == "0.0.0.0/0" {
			if d.Name == "deny" {
				return good(d.place(), "only named networks get in"), false
			}
			return f, true
		}
	}
	return f, len(rules) == 0
}

// closed reports whether a location lets nobody in: deny all, and no allow before it.
func closed(l *block) bool {
	for b := l; b != nil; b = b.up {
		if rules := b.own("allow", "deny"); len(rules) > 0 {
			return rules[0].Name == "deny" && rules[0].arg(0) == "all" && l.word("satisfy") != "any"
		}
	}
	return false
}

// clientCert judges ssl_verify_client.
func (n *nginxReader) clientCert(s *block) (f audit.Fact, optional bool) {
	d := s.one("ssl_verify_client")
	switch d.arg(0) {
	case "on":
		return good(d.place(), "a client certificate is asked for"), false
	case "optional", "optional_no_ca":
		return good(d.place(), "a client certificate is looked at"), true
	}
	return f, false
}

// guards judges the ifs of the location and its server that refuse by something that
// carries credentials. One that only asks whether a key is there is Bad.
func (n *nginxReader) guards(s, l *block) (f audit.Fact) {
	for b := l; b != nil; b = b.up {
		for _, i := range b.own("if") {
			for _, r := range i.own("return") {
				code := r.arg(0)
				if code != "401" && code != "403" && code != "444" || !n.dependsOn(strings.Trim(i.arg(0), "()"), isCredential) {
					continue
				}
				if n.presence(i) {
					if f.State == audit.Untold {
						f = bad(i.place(), nil, "it is asked only whether a key is there, any will do")
					}
					continue
				}
				return good(i.place(), "a request is refused unless its key is known")
			}
		}
		if b == s {
			break
		}
	}
	return f
}

// credentialVar are variables that carry credentials.
var credentialVar = regexp.MustCompile(`^(http_authorization|http_cookie|cookie_.+|jwt_.+|ssl_client_(verify|s_dn|fingerprint|serial|i_dn).*|remote_user|secure_link)$`)

func isCredential(v string) bool {
	if name, ok := strings.CutPrefix(v, "http_"); ok && isSecretName(strings.ReplaceAll(name, "-", "_")) {
		return true
	}
	if name, ok := strings.CutPrefix(v, "arg_"); ok && isSecretName(name) {
		return true
	}
	return credentialVar.MatchString(v)
}

var variable = regexp.MustCompile(`\$\{?([a-zA-Z0-9_]+)\}?`)

// variables are the names of the variables in a text.
func variables(text string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// dependsOn reports whether a text holds a variable of a kind, also by way of maps.
func (n *nginxReader) dependsOn(text string, is func(string) bool) bool {
	return n.depends(text, is, 0)
}

func (n *nginxReader) depends(text string, is func(string) bool, depth int) bool {
	for _, v := range variables(text) {
		if is(v) {
			return true
		}
		for _, m := range n.maps["$"+v] {
			if depth < 8 && n.depends(m.arg(0), is, depth+1) {
				return true
			}
		}
	}
	return false
}

// stranger stands for a key that nobody knows.
const stranger = "x-unknown-x"

// presence reports whether a condition lets any value pass that is not empty: the
// variable is the client's own, or a map gives strangers a value that passes.
func (n *nginxReader) presence(i *block) bool {
	v := strings.TrimPrefix(strings.Trim(i.arg(0), "()"), "!")
	if strings.HasPrefix(v, "$ssl_client_verify") || strings.HasPrefix(v, "$secure_link") || strings.HasPrefix(v, "$jwt_") {
		return false
	}
	return !holds(i, n.ofStranger(v, 0))
}

// ofStranger is the value of a variable where the key is one that nobody knows; maps of
// maps are followed.
func (n *nginxReader) ofStranger(v string, depth int) string {
	maps := n.maps[v]
	if len(maps) == 0 || depth > 8 {
		return stranger
	}
	from, value := n.ofStranger(maps[0].arg(0), depth+1), ""
	for _, row := range maps[0].body {
		pattern, isRegexp := strings.CutPrefix(row.Name, "~")
		switch {
		case row.Name == "default":
			value = row.arg(0)
		case row.Name == from:
			return n.written(row.arg(0), depth)
		case isRegexp:
			if re, err := regexp.Compile(strings.TrimPrefix(pattern, "*")); err == nil && re.MatchString(from) {
				return n.written(row.arg(0), depth)
			}
		}
	}
	return n.written(value, depth)
}

// written is the value that a row of a map gives, which may be another variable.
func (n *nginxReader) written(value string, depth int) string {
	if strings.HasPrefix(value, "$") {
		return n.ofStranger(value, depth+1)
	}
	return value
}

// holds reports whether the condition of an if is true for a value of its variable.
func holds(i *block, value string) bool {
	words := strings.Fields(strings.Trim(strings.Join(i.Args, " "), "()"))
	if len(words) == 1 {
		return value != "" && value != "0"
	}
	want := ""
	if len(words) > 2 {
		want = strings.Trim(strings.Join(words[2:], " "), `"'`)
	}
	matches := func() bool {
		re, err := regexp.Compile(want)
		return err == nil && re.MatchString(value)
	}
	switch words[1] {
	case "=":
		return value == want
	case "!=":
		return value != want
	case "~", "~*":
		return matches()
	case "!~", "!~*":
		return !matches()
	}
	return false
}

// keyInURL judges whether a key is taken from the query: by a guard, a map that is
// used, the key of a limit, or a header to the service.
func (n *nginxReader) keyInURL(s, l *block) audit.Fact {
	isArg := func(v string) bool {
		name, ok := strings.CutPrefix(v, "arg_")
		return ok && isSecretName(name)
	}
	uses := append(l.set("proxy_set_header"), l.set("auth_jwt")...)
	for b := l; b != nil; b = b.up {
		uses = append(uses, b.own("if")...)
		if b == s {
			break
		}
	}
	if d := l.one("auth_request"); d != nil {
		for _, sub := range s.own("location") {
			if sub.arg(len(sub.Args)-1) == d.arg(0) {
				uses = append(uses, sub.set("proxy_set_header")...)
			}
		}
	}
	for _, d := range uses {
		text := strings.Join(d.Args, " ")
		if !n.dependsOn(text, isArg) {
			continue
		}
		for _, v := range variables(text) {
			for _, m := range n.maps["$"+v] {
				if n.dependsOn(m.arg(0), isArg) {
					return bad(m.place(), nil, "the key is read from %s", capped(m.arg(0)))
				}
			}
		}
		return bad(d.place(), nil, "the key is read from the query")
	}
	if _, ok := n.anyAuth(s, l); ok {
		return good(l.place(), "no key is read from the query")
	}
	return audit.Fact{}
}

// anyAuth reports whether a location asks for credentials at all.
func (n *nginxReader) anyAuth(s, l *block) (audit.Fact, bool) {
	f, _ := n.auth(s, l)
	return f, f.State == audit.Good
}
