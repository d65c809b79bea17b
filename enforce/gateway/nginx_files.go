package gateway

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

const nginxBanner = "# Written by Portcullis and replaced at every push: changes made here are lost.\n"

// httpFile renders the include for http {}. It depends on the state and the
// settings only, so that equal states are equal bytes.
func (s *nginxState) httpFile(cfg NginxConfig) []byte {
	b := make([]byte, 0, 16<<10+48*len(s.deny)+96*len(s.throttle))
	b = append(b, nginxBanner...)
	b = append(b, "# It belongs into http {}, behind any map_hash_ line.\n\n"...)
	b = append(b, "# Whom to refuse; the longest prefix decides, by the address after realip.\ngeo $portcullis_deny {\n\tdefault 0;\n"...)
	for _, p := range s.deny {
		b = append(p.AppendTo(append(b, '\t')), " 1;\n"...)
	}
	b = append(b, "}\n\n# Whom to throttle: by which class, and who shares one budget.\ngeo $portcullis_everywhere {\n\tdefault \"\";\n"...)
	for _, t := range s.throttle {
		b = append(t.prefix.AppendTo(append(b, '\t')), ' ')
		b = append(append(b, t.class.name()...), ";\n"...)
	}
	b = append(b, "}\n\ngeo $portcullis_who {\n\tdefault \"\";\n"...)
	for _, t := range s.throttle {
		b = append(t.prefix.AppendTo(append(b, '\t')), ' ')
		b = append(t.prefix.AppendTo(b), ";\n"...)
	}
	b = append(b, "}\n\n"...)
	b = append(b, s.routesPart()...)
	b = append(b, s.agentsPart()...)
	b = append(b, s.namesPart(cfg)...)
	b = append(b, s.slowPart(cfg)...)
	return append(b, nginxZones(cfg, s.classes)...)
}

// routesPart renders who is refused or throttled on which route, all by labels: a
// prefix and a route make a pair.
func (s *nginxState) routesPart() string {
	var b strings.Builder
	b.WriteString("# Routes, and prefixes that are hit on some only.\nmap $uri $portcullis_route {\n\tdefault \"\";\n")
	for _, r := range s.routes() {
		pattern, _ := routePattern(r) // normal has asked for it
		fmt.Fprintf(&b, "\t\"~%s\" r%s;\n", pattern, label(r))
	}
	b.WriteString("}\nmap $portcullis_route $portcullis_closed {\n\tdefault \"\";\n")
	for _, r := range s.closed {
		fmt.Fprintf(&b, "\tr%s 1;\n", label(r))
	}
	b.WriteString("}\ngeo $portcullis_prefix {\n\tdefault \"\";\n")
	last := netip.Prefix{}
	for _, p := range s.pairs {
		if p.prefix != last {
			fmt.Fprintf(&b, "\t%s p%s;\n", p.prefix, label(p.prefix.String()))
		}
		last = p.prefix
	}
	const key = `"$portcullis_prefix $portcullis_route"`
	b.WriteString("}\nmap " + key + " $portcullis_pair {\n\tdefault \"\";\n")
	for _, p := range s.pairs {
		if p.deny {
			fmt.Fprintf(&b, "\t\"p%s r%s\" 1;\n", label(p.prefix.String()), label(p.route))
		}
	}
	b.WriteString("}\nmap " + key + " $portcullis_pair_class {\n\tdefault \"\";\n")
	for _, p := range s.pairs {
		if !p.deny {
			fmt.Fprintf(&b, "\t\"p%s r%s\" %s;\n", label(p.prefix.String()), label(p.route), p.class.name())
		}
	}
	b.WriteString("}\nmap $portcullis_pair_class $portcullis_narrow { \"\" $portcullis_wide; default $portcullis_pair_class; }\n")
	b.WriteString("map $portcullis_pair_class $portcullis_narrow_who { \"\" $portcullis_wide_who; default " + key + "; }\n\n")
	return b.String()
}

// nginxZones renders a zone for every class, whose key is empty (and so not
// limited) for everybody else, and the values of the answer's headers.
func nginxZones(cfg NginxConfig, classes []nginxClass) string {
	var b strings.Builder
	for _, c := range classes {
		name := c.name()
		fmt.Fprintf(&b, "map $portcullis_class $portcullis_%s { default \"\"; %s $portcullis_subject; }\n", name, name)
		fmt.Fprintf(&b, "%s%s:%dk rate=%s;\n", zonePrefix(name), name, cfg.ZoneKB, c.limit())
	}
	b.WriteString("\nmap $limit_req_status $portcullis_rejected { default \"\"; REJECTED $portcullis_class; }\n")
	header := func(variable string, value func(nginxClass) string) {
		fmt.Fprintf(&b, "map $portcullis_rejected $%s {\n\tdefault \"\";\n", variable)
		for _, c := range classes {
			fmt.Fprintf(&b, "\t%s %s;\n", c.name(), value(c))
		}
		b.WriteString("}\n")
	}
	header("portcullis_retry_after", func(c nginxClass) string {
		_, seconds := c.perWindow()
		return fmt.Sprint(seconds)
	})
	header("portcullis_ratelimit", func(c nginxClass) string {
		_, seconds := c.perWindow()
		return fmt.Sprintf(`'"portcullis";r=0;t=%d'`, seconds)
	})
	header("portcullis_ratelimit_policy", func(c nginxClass) string {
		requests, seconds := c.perWindow()
		return fmt.Sprintf(`'"portcullis";q=%d;w=%d'`, requests, seconds)
	})
	fmt.Fprintf(&b, "\ninclude %s;\n", filepath.Join(cfg.Dir, NginxHeadersFile))
	return b.String()
}

// zonePrefix is how the line of a class's zone begins; keptClasses reads it back.
func zonePrefix(name string) string {
	return "limit_req_zone $portcullis_" + name + " zone=portcullis_"
}

// keptClasses lists the classes that a file offers. They stay once used: the
// server file then only ever refers to zones that are there, whichever of the
// two files a crash leaves older.
func keptClasses(old []byte) []nginxClass {
	var kept []nginxClass
	for _, c := range nginxClasses() {
		if bytes.Contains(old, []byte(zonePrefix(c.name()))) {
			kept = append(kept, c)
		}
	}
	return kept
}

// nginxServerFile renders the include for server {}. It changes only when a
// class is used for the first time: each costs every request some 0.2 µs.
func nginxServerFile(cfg NginxConfig, classes []nginxClass) []byte {
	var b strings.Builder
	b.WriteString(nginxBanner)
	b.WriteString("# It belongs into server {}, as its first line: a return before it would win.\n\n")
	b.WriteString("if ($portcullis_deny) { return 403; }\nif ($portcullis_closed) { return 403; }\nif ($portcullis_pair) { return 403; }\n")
	for _, kind := range slices.Sorted(maps.Keys(cfg.Subjects)) {
		fmt.Fprintf(&b, "if (%s = $portcullis_is_%s) { return 403; }\n", cfg.Subjects[kind], kind)
	}
	b.WriteByte('\n')
	b.WriteString("# A location with a limit_req of its own inherits none of these: include this\n# file there too.\n")
	for _, c := range classes {
		fmt.Fprintf(&b, "limit_req zone=portcullis_%s", c.name())
		if n := nginxBursts[c.burst]; n > 0 {
			fmt.Fprintf(&b, " burst=%d nodelay", n)
		}
		b.WriteString(";\n")
	}
	b.WriteString("limit_req_status 429;\n")
	return []byte(b.String())
}

// nginxHeadersFile renders the headers of a 429 (RFC 6585, RFC 9110 section
// 10.2.3, draft-ietf-httpapi-ratelimit-headers). At http level they add to the
// site's own and are empty, so not sent, for anybody who is not throttled. A
// server or location with an add_header of its own inherits none of http's: it
// still answers 429, and gets the headers by including this file.
func nginxHeadersFile() []byte {
	return []byte(nginxBanner + `# Already in effect at http level. A server or location that has an add_header of
# its own inherits none; include this file beside it to send these there too.

add_header Retry-After $portcullis_retry_after always;
add_header RateLimit $portcullis_ratelimit always;
add_header RateLimit-Policy $portcullis_ratelimit_policy always;
`)
}
