// Package authz answers for each request, while the gateway waits, whether it may
// pass: forward-auth over HTTP (NGINX auth_request, Traefik, Caddy), and Envoy's
// ext_authz and rate limit services over gRPC.
//
// The list is the one that every gateway gets: Service is an enforce.Gateway, so its
// decisions are pushed, verified and reconciled like those of any other. A
// request reads one immutable snapshot of it, which an Apply replaces at once: no
// answer waits for a lock or for an update.
//
// What cannot be decided (no list yet, one that nobody confirmed for long, an address
// that no trusted hop vouches for) passes, except on the routes that the settings
// name. Each such answer is counted by its reason. Credentials are another matter: what
// needs them (package authn) never passes without.
package authz

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Config is the "authz" section of the config file.
type Config struct {
	Listen     string `yaml:"listen" default:"" doc:"address for forward-auth over HTTP, such as 127.0.0.1:8471; empty = off"`
	ListenGRPC string `yaml:"listen_grpc" default:"" doc:"address for Envoy's ext_authz and rate limit services (gRPC), such as 127.0.0.1:8472; empty = off"`

	FailClosed []string      `yaml:"fail_closed" doc:"paths that are refused with 503 when nothing can be decided; one that ends with / stands for all below it. Everything else passes then"`
	MaxAge     time.Duration `yaml:"max_age" default:"5m" doc:"a list that the enforcer has not confirmed for this long is not used any more; 0 = it is used for ever"`
	Limits     []Limit       `yaml:"limits" doc:"standing rate limits, for all who ask"`
	Cells      int           `yaml:"cells" default:"262144" doc:"clients that standing limits tell apart at once (16 bytes each); the one that came closest to a full quota is forgotten first"`
	Consumer   string        `yaml:"consumer_header" default:"" doc:"header in which the gateway names the authenticated consumer; only one that it always writes itself, since a client may send any"`

	Authn authn.Config `yaml:",inline"`

	MaxBody  int      `yaml:"max_body" default:"65536" doc:"bytes of a request's body that are read, where the gateway sends it; at most 1 MiB"`
	Validate Validate `yaml:"validate" doc:"requests are held against OpenAPI documents"`
	Inspect  Inspect  `yaml:"inspect" doc:"requests are looked at for injection attacks"`

	Access serve.Access `yaml:",inline"`
}

// Limit is one standing rate limit.
type Limit struct {
	Name  string  `yaml:"name" doc:"its name in the RateLimit fields and metrics"`
	Route string  `yaml:"route" default:"" doc:"route template that it is for, as findings show it: /login, /orders/{id}; empty = all requests together"`
	Per   string  `yaml:"per" default:"client" enum:"client,consumer,key,session" doc:"whose requests are counted together: client (an IPv4 address, an IPv6 /64), consumer, key (API key or token), session; who shows none is counted by client"`
	Rate  float64 `yaml:"rate" doc:"requests a second"`
	Burst int     `yaml:"burst" default:"0" doc:"requests above the rate that pass at once"`
}

// Bounds of the settings.
const (
	maxLimits = 64
	minCells  = 1 << 10
	maxCells  = 1 << 26
	maxRate   = 1e6
	maxBurst  = 1e6
)

// Enabled reports whether it listens at all.
func (c *Config) Enabled() bool { return c.Listen != "" || c.ListenGRPC != "" }

// Check reports what is wrong with the settings, by key.
func (c *Config) Check(report func(key, message string)) {
	if c.Listen != "" {
		c.Access.CheckFor(report, "listen", c.Listen)
	}
	if c.ListenGRPC != "" {
		c.Access.CheckFor(report, "listen_grpc", c.ListenGRPC)
	}
	if c.MaxAge < 0 {
		report("max_age", "must not be negative")
	}
	if c.Cells != 0 && (c.Cells < minCells || c.Cells > maxCells) {
		report("cells", fmt.Sprintf("must be from %d to %d", minCells, maxCells))
	}
	c.checkScreen(report)
	for i, p := range c.FailClosed {
		if !strings.HasPrefix(p, "/") {
			report(fmt.Sprintf("fail_closed[%d]", i), "is no path: it begins with /")
		}
	}
	if len(c.Limits) > maxLimits {
		report("limits", fmt.Sprintf("are more than %d: every request is counted for each that fits it", maxLimits))
	}
	names := map[string]bool{}
	for i := range c.Limits {
		l := &c.Limits[i]
		l.check(func(key, message string) { report(fmt.Sprintf("limits[%d].%s", i, key), message) })
		if names[l.Name] {
			report(fmt.Sprintf("limits[%d].name", i), fmt.Sprintf("%.40q is the name of another limit", l.Name))
		}
		names[l.Name] = true
	}
}

func (l *Limit) check(report func(key, message string)) {
	if !plainName(l.Name) {
		report("name", "must be 1 to 40 letters, digits, - and _: it stands in a response header")
	}
	if l.Route != "" && !strings.HasPrefix(l.Route, "/") {
		report("route", "is no route template: it begins with /")
	}
	switch l.Per {
	case "", perClient, perConsumer, perKey, perSession:
	default:
		report("per", fmt.Sprintf("%.40q is none of client, consumer, key, session", l.Per))
	}
	if !(l.Rate > 0) || l.Rate > maxRate {
		report("rate", fmt.Sprintf("must be above 0 and at most %g requests a second", float64(maxRate)))
	}
	if l.Burst < 0 || l.Burst > maxBurst {
		report("burst", fmt.Sprintf("must be from 0 to %g", float64(maxBurst)))
	}
}

// plainName tells a name that can stand between quotes in a header.
func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 40
}
