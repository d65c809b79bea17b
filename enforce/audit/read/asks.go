package read

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// askedAt is a decision service at a URL. That of Portcullis is known by its path.
func askedAt(at doc.Place, address string) audit.Asked {
	a := audit.Asked{At: at, Address: address}
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		a.Address = u.Host
		a.Portcullis = portcullisPath(u.Path)
	}
	return a
}

var portcullisAsk = regexp.MustCompile(`^/authz(/nginx)?(\?|$)`)

// portcullisPath reports whether a path is one of Portcullis' decision service.
func portcullisPath(path string) bool { return portcullisAsk.MatchString(path) }

// asks is the decision service of a location: what the location that auth_request names
// forwards to, by way of an upstream too.
func (n *nginxReader) asks(s, l *block) audit.Asked {
	d := l.one("auth_request")
	if d == nil || d.arg(0) == "off" {
		return audit.Asked{}
	}
	for _, sub := range s.own("location") {
		if sub.arg(len(sub.Args)-1) != d.arg(0) {
			continue
		}
		for _, pass := range sub.own("proxy_pass") {
			a := askedAt(d.place(), pass.arg(0))
			for _, up := range s.within("http").own("upstream") {
				if servers := up.own("server"); up.arg(0) == a.Address && len(servers) > 0 {
					a.Address = servers[0].arg(0)
				}
			}
			return a
		}
	}
	return audit.Asked{}
}

// asksPortcullis finds the action of the script beside the reference configuration, where
// another rule refuses by what it found out.
func asksPortcullis(rules []rule) (audit.Asked, bool) {
	refuses := slices.ContainsFunc(rules, func(r rule) bool {
		return r.denies && strings.Contains(strings.Join(r.line.words, " "), "var(txn.portcullis")
	})
	for _, r := range rules {
		if r.line.words[1] == "lua.portcullis" && refuses {
			return audit.Asked{At: r.line.at, Portcullis: true}, true
		}
	}
	return audit.Asked{}, false
}
