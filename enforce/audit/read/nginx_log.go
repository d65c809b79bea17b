package read

import (
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// nginxFields are the variables of a log format that hold what detection needs.
var nginxFields = map[string]string{
	"remote_addr": "client address", "realip_remote_addr": "client address", "proxy_protocol_addr": "client address",
	"http_x_forwarded_for": "client address", "binary_remote_addr": "client address",
	"time_local": "time", "time_iso8601": "time", "msec": "time",
	"request_method": "method", "request_uri": "target", "uri": "target", "request": "target",
	"status": "status", "body_bytes_sent": "bytes", "bytes_sent": "bytes", "http_user_agent": "user agent",
}

// logs states where requests are logged. Without access_log nginx writes the combined
// format to a file that is compiled in.
func (n *nginxReader) logs(l *block, r *audit.Route) {
	list := l.set("access_log")
	if len(list) == 0 {
		top := l.within("server")
		r.LogOff = good(top.place(), "requests are logged by default")
		r.Logs = []audit.Log{{State: audit.Good, At: top.place(), Target: "the default file", Known: true}}
		return
	}
	for _, d := range list {
		if d.arg(0) == "off" {
			continue
		}
		target := d.arg(0)
		log := audit.Log{State: audit.Good, At: d.place(), Target: target,
			Central: strings.HasPrefix(target, "syslog:") || target == "/dev/stdout" || target == "/dev/stderr" || strings.HasPrefix(target, "/dev/fd/")}
		log.Lacks, log.Secrets, log.Known = n.format(d.arg(1))
		r.Logs = append(r.Logs, log)
	}
	r.LogOff = either(len(r.Logs) > 0, list[0].place(), list[0].logOn(), "requests are logged", "access_log is off")
}

// logOn writes what the block around an "access_log off" has in its place.
func (b *block) logOn() []doc.Edit {
	if outer := b.up.up.set("access_log"); len(outer) > 0 && outer[0].arg(0) != "off" {
		return b.swap(string(outer[0].file.Text[outer[0].Start:outer[0].End]))
	}
	return b.swap("access_log syslog:server=unix:/dev/log combined;")
}

// format judges a log format by name.
func (n *nginxReader) format(name string) (missing, secrets []string, known bool) {
	if name == "" || name == "combined" || strings.Contains(name, "=") {
		return nil, nil, true
	}
	d := n.forms[name]
	if d == nil {
		return nil, nil, false
	}
	has := map[string]bool{}
	for _, v := range variables(strings.Join(d.Args[1:], " ")) {
		has[nginxFields[v]] = true
		if v == "request" {
			has["method"] = true
		}
		if logsSecret(v) && !slices.Contains(secrets, "$"+v) {
			secrets = append(secrets, "$"+v)
		}
	}
	return lacks(has), secrets, true
}

var secretVar = regexp.MustCompile(`^(http_(proxy_)?authorization|http_cookie|request_body|(sent|upstream)_http_set_cookie)$`)

// logsSecret reports whether a variable holds a secret.
func logsSecret(v string) bool {
	for _, prefix := range []string{"http_", "arg_", "cookie_"} {
		if name, ok := strings.CutPrefix(v, prefix); ok && isSecretName(name) {
			return true
		}
	}
	return secretVar.MatchString(v)
}
