package rule

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("weak-tls", detect.Spec{
		Doc:     "a client is served over SSL 3.0, TLS 1.0 or 1.1, or with a cipher that is broken: a matter of hygiene",
		Family:  detect.API,
		Tags:    []string{"owasp:api8:2023", "attack:T1557", "attack:T1040"},
		Needs:   "TLS version (nginx: $ssl_protocol), cipher ($ssl_cipher)",
		Fields:  []ingest.Fields{ingest.FieldTLS | ingest.FieldCipher},
		Helps:   ingest.FieldTLS | ingest.FieldCipher,
		State:   "about 150 bytes and up to 8 lines, only for clients with such a request in the last ten minutes",
		Evasion: "blind where the log names neither version nor cipher; what was refused in the handshake is in no access log",
		Concern: detect.Any,
		Config:  func() any { return new(WeakTLSConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*WeakTLSConfig)
			r := &weakTLS{surge: newSurge(env, "tls1", 0), cfg: c}
			r.span = newSpan(600)
			r.allowed = func(detect.Standing) uint32 { return uint32(c.Requests) }
			r.judge = r.weighed
			return r, nil
		},
	})
}

// WeakTLSConfig is the "weak-tls" section of the config file.
type WeakTLSConfig struct {
	Requests int `yaml:"requests" default:"1" doc:"requests within ten minutes that make a finding, which is never more than low (RFC 8996 forbids TLS 1.0 and 1.1, RFC 7568 SSL 3.0, RFC 7465 RC4)"`
}

// Check implements validation for the config loader.
func (c *WeakTLSConfig) Check(report func(key, message string)) {
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
}

type weakTLS struct {
	*surge
	cfg *WeakTLSConfig
}

// weakness says what is wrong with a connection, "" if nothing.
func weakness(ev *ingest.Event) string {
	switch ev.TLS {
	case "SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1":
		return ev.TLS
	}
	if ev.Cipher == "" {
		return ""
	}
	for _, word := range [...]string{"RC4", "NULL", "EXP", "DES-CBC3", "3DES", "ADH", "AECDH", "MD5"} {
		for part := range strings.FieldsFuncSeq(ev.Cipher, func(c rune) bool { return c == '_' || c == ' ' }) {
			if part == word || strings.HasPrefix(part, word+"-") || strings.HasSuffix(part, "-"+word) || strings.Contains(part, "-"+word+"-") {
				return "cipher " + word
			}
		}
	}
	return ""
}

// Observe implements detect.Rule.
func (r *weakTLS) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.TLS == "" && ev.Cipher == "" || ev.TLS == "TLSv1.3" {
		return
	}
	if what := weakness(ev); what != "" {
		r.count(ev, slot, func() string { return what })
	}
}

// Explain implements detect.Explainer.
func (r *weakTLS) Explain(ev *ingest.Event) (bool, string) {
	if what := weakness(ev); what != "" {
		return true, fmt.Sprintf("served over %s; a finding from %d", what, r.cfg.Requests)
	}
	return false, "the connection was good, or the log does not say"
}

func (r *weakTLS) weighed(e *episode) detect.Finding {
	f := e.finding()
	f.Severity, f.Confidence = detect.Low, 0.9
	f.Why = fmt.Sprintf("%d requests since %s over a connection that others may read", e.count, clock(e.first))
	if len(e.evidence) > 0 {
		f.Why += ": " + e.evidence[0].Note
	}
	return f
}
