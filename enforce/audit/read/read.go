// Package read holds one reader per gateway. Each registers itself; whoever wants
// them imports this package. A reader states facts with their places, and leaves
// out what it cannot tell.
package read

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// good and bad make facts.
func good(at doc.Place, format string, args ...any) audit.Fact {
	return audit.Fact{State: audit.Good, At: at, Saw: fmt.Sprintf(format, args...)}
}

func bad(at doc.Place, mend []doc.Edit, format string, args ...any) audit.Fact {
	return audit.Fact{State: audit.Bad, At: at, Saw: fmt.Sprintf(format, args...), Mend: mend}
}

// either is good or bad by a condition.
func either(ok bool, at doc.Place, mend []doc.Edit, yes, no string) audit.Fact {
	if ok {
		return good(at, "%s", yes)
	}
	return bad(at, mend, "%s", no)
}

// capped bounds what a configuration says before it is repeated.
func capped(s string) string { return fmt.Sprintf("%.80q", s) }

// template finds what a template engine will fill in: ${PORT}, {{ x }}, %%X%%.
var template = regexp.MustCompile(`\$\{[A-Z][A-Z0-9_]*\}|\{\{|\{\$|\{env\.`)

// templated reports whether a value is not known before a template is filled.
func templated(s string) bool { return template.MatchString(s) }

// secretName finds names of parameters and headers that carry keys or tokens.
var secretName = regexp.MustCompile(`(?i)^(x[_-])?(api|access|auth|app|client|secret|session|id|jwt|bearer|private|subscription|consumer)?[_-]?(key|token|secret|jwt|apikey|auth|authorization|password|passwd|pwd|sig|signature)$|^sid$|^ses(sion)?(id)?$|^(php|j)sess(ion)?id$`)

// isSecretName reports whether a name is one of those.
func isSecretName(name string) bool { return secretName.MatchString(name) }

// sample turns the pattern of a route into a path that it would match, so that its
// kind can be known. Of alternatives it takes the first.
func sample(pattern string) string {
	s := regexp.MustCompile(`^\(\?[a-zA-Z]+\)`).ReplaceAllString(pattern, "") // flags
	s = strings.TrimLeft(s, "^~")
	s = strings.TrimSuffix(s, "$")
	s = regexp.MustCompile(`\(\?[a-zA-Z:<>!=_P]*`).ReplaceAllString(s, "(")
	s = regexp.MustCompile(`\[[^\]]*\][*+?]?|\.[*+]|\\[dw][*+]?`).ReplaceAllString(s, "x")
	for range 8 { // innermost alternatives first
		t := regexp.MustCompile(`\(([^()|]*)(\|[^()]*)?\)[*+?]?`).ReplaceAllString(s, "$1")
		if t == s {
			break
		}
		s = t
	}
	s = strings.NewReplacer(`\`, "", "?", "", "*", "", "+", "").Replace(s)
	if s, _, _ = strings.Cut(s, "|"); !strings.HasPrefix(s, "/") {
		s = "/" + s
	}
	return s
}

// sizeOf reads a size such as 10m, 1MB, 8192; -1 is none.
func sizeOf(s string) int64 {
	s = strings.ToLower(strings.TrimSpace(s))
	end := len(s)
	for end > 0 && (s[end-1] < '0' || s[end-1] > '9') {
		end--
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s[:end]), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	shift := 0
	switch strings.Trim(s[end:], " ib") {
	case "k":
		shift = 10
	case "m":
		shift = 20
	case "g":
		shift = 30
	}
	if n > 1<<62>>shift {
		return 1 << 62
	}
	return n << shift
}

// needed are the fields that detection needs of a log, and what they are called.
var needed = []string{"client address", "time", "method", "target", "status", "bytes", "user agent"}

// lacks lists the needed fields that are not there.
func lacks(has map[string]bool) []string {
	var out []string
	for _, n := range needed {
		if !has[n] {
			out = append(out, n)
		}
	}
	return out
}

// hstsOf judges the value of Strict-Transport-Security.
func hstsOf(value string) (seconds int64, ok bool) {
	m := regexp.MustCompile(`(?i)max-age\s*=\s*"?(\d+)`).FindStringSubmatch(value)
	if m == nil {
		return 0, false
	}
	seconds, err := strconv.ParseInt(m[1], 10, 64)
	return seconds, err == nil && seconds >= halfYear
}

// halfYear is the shortest span, in seconds, that counts: Mozilla's Observatory asks
// for six months.
const halfYear = 15768000

// hsts is the value that patches set, Mozilla's.
const hsts = "max-age=63072000"

// intermediate are the suites of Mozilla's intermediate configuration, version 5.7.
const intermediate = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"

// weakSuites lists what of an OpenSSL cipher string, or a list of suites, is weak.
func weakSuites(list []string) []string {
	var out []string
	for _, suite := range list {
		s := strings.ToUpper(suite)
		if s == "" || strings.IndexByte("!-+@", s[0]) >= 0 {
			continue
		}
		switch {
		case regexp.MustCompile(`RC4|3DES|DES-CBC|_DES_|^DES|MD5|NULL|EXP|^LOW$|^MEDIUM$|ADH|AECDH|ANON|SEED|IDEA|RC2|^ALL$|COMPLEMENTOF`).MatchString(s),
			regexp.MustCompile(`^(TLS_RSA_|AES\d+-|AES$|KRSA$|RSA$|HIGH$|DEFAULT$|CAMELLIA)`).MatchString(s) && !forwardOnly(list):
			if !slices.Contains(out, suite) {
				out = append(out, suite)
			}
		}
	}
	return out
}

// forwardOnly reports whether suites without forward secrecy are taken out.
func forwardOnly(list []string) bool {
	for _, s := range list {
		switch strings.ToUpper(s) {
		case "!KRSA", "!RSA", "-KRSA":
			return true
		}
	}
	return false
}

// weakVersion reports whether a protocol version is older than TLS 1.2.
func weakVersion(name string) bool {
	name = strings.NewReplacer(" ", "", "_", ".", "VERSIONTLS", "", "TLSV", "", "TLS", "").Replace(strings.ToUpper(name))
	switch strings.TrimPrefix(name, ".") {
	case "1", "1.0", "10", "1.1", "11", "SSLV2", "SSLV3", "SSL3", "SSL3.0", "SSL2":
		return true
	}
	return false
}

// goSpan reads a duration of Go in seconds; a bare number is seconds.
func goSpan(s string) float64 {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d.Seconds()
}
