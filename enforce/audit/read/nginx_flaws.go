package read

import (
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// decoded finds the variables that hold the path decoded, line ends and all.
var decoded = regexp.MustCompile(`\$(\{uri\}|\{document_uri\}|uri\b|document_uri\b)(\$is_args\$args)?`)

// responses judges what a block writes into headers.
func (n *nginxReader) responses(l *block) {
	for _, d := range append(slices.Clone(l.own("return")), append(l.set("add_header"), l.set("proxy_set_header")...)...) {
		text := d.arg(1)
		if d.Name == "return" && (!strings.HasPrefix(d.arg(0), "30") && !strings.Contains(d.arg(0), "://")) {
			continue
		}
		if d.Name == "return" && text == "" {
			text = d.arg(0)
		}
		if decoded.MatchString(text) {
			at := d.place()
			source := string(d.file.Text[d.Start:d.End])
			n.c.Say("header-injection", l.Name, bad(at, []doc.Edit{at.Swap(decoded.ReplaceAllString(source, "$$request_uri"))}, "%s writes the decoded path into a header", d.Name))
		}
	}
	n.cors(l)
}

// cors judges the cross-origin headers that hold in a block.
func (n *nginxReader) cors(l *block) {
	var origin *block
	credentials := false
	for _, d := range l.set("add_header") {
		switch strings.ToLower(d.arg(0)) {
		case "access-control-allow-origin":
			origin = d
		case "access-control-allow-credentials":
			credentials = d.arg(1) == "true"
		}
	}
	if origin == nil {
		return
	}
	value := origin.arg(1)
	n.c.Say("cors-credentials", "Access-Control-Allow-Origin", either(!credentials || value != "*" && !n.reflects(value), origin.place(), nil,
		"credentials are for named origins", "credentials are allowed for the origin "+capped(value)))
}

// reflects reports whether a value is the Origin that the client sent, for any.
func (n *nginxReader) reflects(value string) bool {
	if value == "$http_origin" || value == "${http_origin}" {
		return true
	}
	for _, m := range n.maps[value] {
		for _, row := range m.body {
			if row.Name == "default" && (row.arg(0) == "$http_origin" || row.arg(0) == "*") {
				return true
			}
		}
	}
	return false
}

// upgrade judges whether any upgrade is passed on.
func (n *nginxReader) upgrade(l *block, r *audit.Route) {
	var upgrade, connection *block
	for _, d := range l.set("proxy_set_header") {
		switch strings.ToLower(d.arg(0)) {
		case "upgrade":
			upgrade = d
		case "connection":
			connection = d
		}
	}
	if upgrade == nil || connection == nil || len(l.own("proxy_pass")) == 0 {
		return
	}
	open := upgrade.arg(1) == "$http_upgrade" && connection.arg(1) == "$http_connection"
	n.c.Say("upgrade-tunnel", r.Name, either(!open, connection.place(), connection.swap(`proxy_set_header Connection "";`),
		"upgrades are passed on as the configuration says", "Upgrade and Connection are passed on as the client sent them"))
}

// traversal judges a location that ends without a slash before an alias that ends
// with one: /files../x then leaves the folder.
func (n *nginxReader) traversal(l *block, r *audit.Route) {
	prefix := l.arg(len(l.Args) - 1)
	if len(l.Args) > 1 && l.arg(0) != "^~" {
		return
	}
	for _, d := range l.own("alias") {
		if strings.HasSuffix(d.arg(0), "/") && !strings.HasSuffix(prefix, "/") {
			head := string(l.file.Text[l.Start:l.headEnd()])
			at := strings.LastIndex(head, prefix)
			var mend []doc.Edit
			if at >= 0 {
				mend = []doc.Edit{l.file.Insert(l.Start+at+len(prefix), "/")}
			}
			n.c.Say("path-traversal", r.Name, bad(l.place(), mend, "location %s with alias %s serves %s../", capped(prefix), capped(d.arg(0)), prefix))
		} else {
			n.c.Say("path-traversal", r.Name, good(d.place(), "location and alias end alike"))
		}
	}
}

// openTarget finds variables that a client fills.
var openTarget = regexp.MustCompile(`^\$\{?(http_\w+|arg_\w+|cookie_\w+|host|\d)\b`)

// target judges whether the client names the server to forward to.
func (n *nginxReader) target(l *block, r *audit.Route) {
	for _, d := range l.own("proxy_pass", "grpc_pass", "fastcgi_pass") {
		host := hostPart(d.arg(0))
		open := openTarget.MatchString(host)
		for _, m := range n.maps[host] {
			for _, row := range m.body {
				open = open || openTarget.MatchString(hostPart(row.arg(0)))
			}
		}
		n.c.Say("target-open", r.Name, either(!open, d.place(), nil, "the server is named here", "the server to connect to is "+capped(host)+", which the client sends"))
	}
}
