package authn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis/portcullis/internal/hook"
)

// Issuer is one whose access tokens are taken.
type Issuer struct {
	Issuer     string        `yaml:"issuer" doc:"the issuer as its tokens name it (iss), such as https://login.example/realms/shop; its keys are found from there by OpenID Connect discovery"`
	Audience   []string      `yaml:"audience" doc:"names of this API, of which a token must have one (aud): without, a token for any other API would do"`
	Algorithms []string      `yaml:"algorithms" default:"RS256,PS256,ES256,EdDSA" doc:"signatures that are taken: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA; with secret_file HS256, HS384 or HS512 only"`
	Skew       time.Duration `yaml:"skew" default:"30s" doc:"how far its clock and this one may be apart"`
	Type       string        `yaml:"type" default:"" doc:"the typ that tokens must have, such as at+jwt (RFC 9068); empty = JWT, at+jwt or none"`
	Consumer   []string      `yaml:"consumer" default:"client_id,azp,sub" doc:"claims that name the consumer, best first"`
	Prefix     string        `yaml:"consumer_prefix" default:"" doc:"what stands before the consumer, where several issuers or keys know the same names"`
	JWKS       string        `yaml:"jwks_url" default:"" doc:"where its keys are; empty = as discovery says"`
	Refresh    time.Duration `yaml:"refresh" default:"5m" doc:"how often its keys are read anew; an unknown key asks for them besides, once a second at most"`
	Secret     string        `yaml:"secret" secret:"file" doc:"the secret of an issuer that signs by HMAC; it has no other keys then"`

	Introspect   string        `yaml:"introspect" default:"never" enum:"never,opaque,always" doc:"ask the issuer about tokens (RFC 7662): never, opaque (those that are no JWT), always (JWTs too, so that revoked ones are seen)"`
	Introspector string        `yaml:"introspection_url" default:"" doc:"where it is asked; empty = as discovery says"`
	ClientID     string        `yaml:"client_id" default:"" doc:"name under which it is asked"`
	ClientSecret string        `yaml:"client_secret" secret:"file" doc:"secret to that name"`
	Keep         time.Duration `yaml:"introspection_cache" default:"30s" doc:"how long what it said of a token is believed, at most until the token ends"`
}

// Values of introspect.
const (
	introspectNever  = "never"
	introspectOpaque = "opaque"
	introspectAlways = "always"
)

const maxIssuers = 16

var (
	publicAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	secretAlgorithms = []string{"HS256", "HS384", "HS512"}
)

// algorithms are the signatures that an issuer's tokens may have. An issuer has either a
// secret or public keys, and the algorithms of that kind only: so nobody can pass off a
// public key as a secret.
func (c *Issuer) algorithms() (out []jose.SignatureAlgorithm) {
	fallback := []string{"RS256", "PS256", "ES256", "EdDSA"}
	list := c.Algorithms
	if c.Secret != "" && (len(list) == 0 || slices.Equal(list, fallback)) {
		list = []string{"HS256"}
	} else if len(list) == 0 {
		list = fallback
	}
	for _, a := range list {
		out = append(out, jose.SignatureAlgorithm(a))
	}
	return out
}

func (c *Issuer) check(report func(key, message string)) {
	if c.Issuer == "" || len(c.Issuer) > 512 {
		report("issuer", "name the issuer as its tokens do (iss)")
	} else if c.Secret == "" {
		if bad := hook.BadURL(c.Issuer, "the keys that let clients in"); bad != "" {
			report("issuer", bad)
		}
	}
	for _, x := range []struct{ key, url string }{{"jwks_url", c.JWKS}, {"introspection_url", c.Introspector}} {
		if bad := hook.BadURL(x.url, "what lets clients in"); x.url != "" && bad != "" {
			report(x.key, bad)
		}
	}
	if len(c.Audience) == 0 {
		report("audience", "name this API as tokens for it do (aud): without, a token for any other API would do")
	}
	known, kind := publicAlgorithms, "a signature of public keys"
	if c.Secret != "" {
		known, kind = secretAlgorithms, "an HMAC, which alone goes with secret_file"
	}
	for _, a := range c.algorithms() {
		if !slices.Contains(known, string(a)) {
			report("algorithms", fmt.Sprintf("%.20q is not %s: %s", string(a), kind, strings.Join(known, ", ")))
		}
	}
	if c.Secret != "" && len(c.Secret) < 32 {
		report("secret_file", "holds a secret shorter than 32 bytes (RFC 7518, section 3.2)")
	}
	if c.Prefix != "" && !plainText(c.Prefix) {
		report("consumer_prefix", "must be printable ASCII without quotes: it stands in headers")
	}
	c.checkTimes(report)
}

func (c *Issuer) checkTimes(report func(key, message string)) {
	if c.Skew < 0 || c.Skew > 10*time.Minute {
		report("skew", "must be from 0 to 10m")
	}
	if c.Refresh != 0 && (c.Refresh < 10*time.Second || c.Refresh > 24*time.Hour) {
		report("refresh", "must be from 10s to 24h")
	}
	if c.Keep < 0 || c.Keep > time.Hour {
		report("introspection_cache", "must be from 0 to 1h: a revoked token is good for that long")
	}
	switch c.Introspect {
	case "", introspectNever:
	case introspectOpaque, introspectAlways:
		if c.ClientID == "" || c.ClientSecret == "" {
			report("client_id", "introspection needs client_id and client_secret_file: an issuer answers only those whom it knows")
		}
		if c.Secret != "" && c.Introspector == "" {
			report("introspection_url", "needed with secret_file: there is no discovery then")
		}
	default:
		report("introspect", fmt.Sprintf("%.40q is none of never, opaque, always", c.Introspect))
	}
}

func (c *Issuer) setDefaults() {
	if c.Refresh == 0 {
		c.Refresh = 5 * time.Minute
	}
	if len(c.Consumer) == 0 {
		c.Consumer = []string{"client_id", "azp", "sub"}
	}
}
