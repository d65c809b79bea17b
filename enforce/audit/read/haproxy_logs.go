package read

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// logs states where a frontend logs, and what.
func (h *haproxyReader) logs(s *section, r *audit.Route) {
	lines := slices.DeleteFunc(s.find("log"), func(l *hapLine) bool { return len(l.words) < 2 })
	if len(lines) == 0 {
		r.LogOff = bad(s.head.at, s.put("log /dev/log local0", "option httplog", "capture request header User-Agent len 128"), "no log is named")
		return
	}
	l := lines[0]
	if l.words[1] == "global" {
		global := h.global.find("log")
		if len(global) == 0 {
			r.LogOff = bad(l.at, h.global.put("log /dev/log local0"), "log global, and global names none")
			return
		}
		l = global[0]
	}
	r.LogOff = good(l.at, "requests are logged")
	log := audit.Log{State: audit.Good, At: l.at, Target: l.words[1], Central: true, Known: true}
	captures := strings.ToLower(strings.Join(flat(s.find("capture", "request", "header")), " ") + " " + strings.Join(flat(s.find("declare", "capture")), " "))
	format, at := "", s.head.at
	for _, f := range s.find("log-format") {
		if len(f.words) > 1 {
			format, at = f.words[1], f.at
		}
	}
	has := map[string]bool{}
	switch {
	case format != "":
		for token, field := range haproxyFields {
			if strings.Contains(format, token) {
				has[field] = true
			}
		}
		has["method"] = has["method"] || strings.Contains(format, "%r") || strings.Contains(format, "}r")
		log.At = at
	case len(s.find("option", "httplog"))+len(s.find("option", "httpslog")) > 0:
		for _, n := range needed {
			has[n] = n != "user agent"
		}
	}
	has["user agent"] = has["user agent"] || strings.Contains(captures, "user-agent")
	log.Lacks = lacks(has)
	if len(log.Lacks) == 1 && log.Lacks[0] == "user agent" && !strings.Contains(format, "capture") {
		previous := r.Mend
		r.Mend = func(check string) []doc.Edit {
			if check == "log-fields" {
				return s.put("capture request header User-Agent len 128")
			}
			if previous != nil {
				return previous(check)
			}
			return nil
		}
	}
	s.secrets(&log, captures, format)
	r.Logs = []audit.Log{log}
}

// secrets notes the headers with secrets that are logged.
func (s *section) secrets(log *audit.Log, captures, format string) {
	for _, name := range []string{"authorization", "cookie", "x-api-key"} {
		if strings.Contains(captures, " "+name+" ") || strings.Contains(strings.ToLower(format), "hdr("+name+")") {
			log.Secrets = append(log.Secrets, name)
			for _, l := range s.find("capture", "request", "header") {
				if len(l.words) > 3 && strings.EqualFold(l.words[3], name) {
					log.At = l.at
				}
			}
		}
	}
}

// flat are the words of lines.
func flat(lines []*hapLine) []string {
	var out []string
	for _, l := range lines {
		out = append(append(out, ""), l.words...)
	}
	return append(out, "")
}

// haproxyFields are the tokens of a log format that hold what detection needs.
var haproxyFields = map[string]string{
	"%ci": "client address", "[src]": "client address", "%t": "time", "%T": "time", "date": "time", "%HM": "method", "[method]": "method",
	"capture.req.method": "method", "capture.req.uri": "target", "%HU": "target", "%HP": "target", "%r": "target", "}r": "target", "[path": "target", "[url": "target", "%ST": "status", "%B": "bytes",
	"User-Agent": "user agent", "user-agent": "user agent", "%hr": "user agent",
}

// upstreamHAProxy judges TLS to the servers of a backend.
func upstreamHAProxy(back *section, r *audit.Route) {
	for _, l := range append(back.find("server"), back.find("default-server")...) {
		if slices.Contains(l.words, "ssl") || l.after("verify") == "none" {
			r.Upstream = either(l.after("verify") != "none", l.at, nil, "the service's certificate is verified", "verify none takes any certificate")
			if r.Upstream.State == audit.Bad {
				return
			}
		}
	}
}
