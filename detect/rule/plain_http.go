package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("plain-http", detect.Spec{
		Doc:     "a route is served over plain HTTP instead of being redirected to HTTPS; where it takes credentials, everybody on the way reads them",
		Family:  detect.API,
		Tags:    []string{"owasp:api8:2023", "owasp:api2:2023", "attack:T1557", "attack:T1040"},
		Needs:   "the scheme of the request (nginx: $scheme); status, method, path; Authorization, API key or cookie show credentials on other routes than logins",
		Fields:  []ingest.Fields{ingest.FieldScheme, ingest.FieldStatus},
		Helps:   ingest.FieldMethod | ingest.FieldTarget | ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession,
		State:   "about 500 bytes, up to 16 callers and 5 lines, for each route served over plain HTTP in the hour",
		Evasion: "blind where the log does not name the scheme, and behind a hop that ended TLS: the log tells how that hop came; a redirect is fine, although what came with the request was sent in the clear",
		By:      detect.ByRoute,
		Concern: detect.Lapsing,
		Advice:  true,
		Config:  func() any { return new(PlainHTTPConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &plainHTTP{newListed(env, "plain1", detect.LapsePlain, detect.LapseCredential), cfg.(*PlainHTTPConfig)}
			r.judge, r.tells = r.weighed, everyLapse
			return r, nil
		},
	})
}

// PlainHTTPConfig is the "plain-http" section of the config file.
type PlainHTTPConfig struct {
	Credentials int `yaml:"credentials" default:"1" doc:"requests in a clock hour whose credentials were taken over plain HTTP that make a medium finding (RFC 6750 section 5.3 demands TLS for every token)"`
	Requests    int `yaml:"requests" default:"10" doc:"requests answered over plain HTTP, not redirected, that are said for information"`
}

// Check implements validation for the config loader.
func (c *PlainHTTPConfig) Check(report func(key, message string)) {
	if c.Credentials < 1 {
		report("credentials", "must be at least 1")
	}
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
}

type plainHTTP struct {
	*listed
	cfg *PlainHTTPConfig
}

// Explain implements detect.Explainer.
func (r *plainHTTP) Explain(ev *ingest.Event) (bool, string) {
	switch {
	case ev.Scheme != "http":
		return false, "the request came over HTTPS, or the log does not say"
	case ev.Peer.IsValid() && ev.Peer != ev.Client:
		return false, "plain HTTP from a hop before the gateway, where TLS may have ended"
	case ev.Status >= 300 && ev.Status < 400:
		return false, "plain HTTP, and redirected"
	}
	return true, fmt.Sprintf("plain HTTP, answered %d; said from %d requests with credentials, or %d without, in a clock hour", ev.Status, r.cfg.Credentials, r.cfg.Requests)
}

func (r *plainHTTP) weighed(things []detect.Lapse) verdict {
	from, to := sameKind(things, detect.LapseCredential)
	secret, _ := sumLapses(things[from:to])
	n, clients := sumLapses(things)
	v := verdict{fires: n >= int64(r.cfg.Requests), severity: detect.Info, confidence: 0.9,
		why: fmt.Sprintf("%d requests of about %d clients were answered over plain HTTP: redirect them to HTTPS (308), and send Strict-Transport-Security there", n, clients)}
	if secret >= int64(r.cfg.Credentials) {
		v.fires, v.severity = true, detect.Medium
		v.why += fmt.Sprintf("; %d of them brought credentials, which everybody on the way could read: replace those", secret)
	}
	return v
}
