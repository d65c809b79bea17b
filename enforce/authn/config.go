// Package authn tells who a client of the API is, by what it shows: an API key of this
// installation, or an access token of an issuer that the settings name. It says what each
// route needs, and what is answered to those who do not bring it.
//
// Two things differ from what stands around it in authz. What needs credentials is refused
// when they cannot be looked at: it fails closed, whatever the blocklist does. And a path
// that servers may read in several ways needs what the strictest of these readings
// needs, so that no spelling of a route is a way around its rule.
package authn

import (
	"fmt"
	"slices"
	"strings"
)

// What a route needs.
const (
	NeedNone  = "none"
	NeedAny   = "any"
	NeedKey   = "key"
	NeedToken = "token"
)

var needs = []string{NeedNone, NeedAny, NeedKey, NeedToken}

// Config is the part of the "authz" section that is about credentials.
type Config struct {
	Access  []Rule `yaml:"access" doc:"what routes need; the first entry that fits a request counts"`
	Default string `yaml:"access_default" default:"none" enum:"none,any,key,token" doc:"what requests need that no entry of access fits: none, any (a client key or a token), key, token"`
	Keys    string `yaml:"client_keys_file" default:"" doc:"file of the clients' API keys, which \"portcullis keys client\" writes; empty = clients.keys in the state folder"`

	Tokens     []Issuer `yaml:"tokens" doc:"issuers whose access tokens are taken, shown as Authorization: Bearer"`
	TokenCache int      `yaml:"token_cache" default:"65536" doc:"verified tokens that are remembered until they end; about 500 bytes each"`
	ClientCert string   `yaml:"client_cert_header" default:"" doc:"header in which the gateway tells the client's certificate, for tokens that are bound to one (RFC 8705): X-Forwarded-Client-Cert as Envoy writes it, or the certificate as percent-encoded PEM; only one that the gateway always writes itself"`

	Quotas []Quota `yaml:"quotas" doc:"requests of consumers in a day and a month, beside the rates in limits"`

	Realm  string `yaml:"realm" default:"api" doc:"what WWW-Authenticate calls the API"`
	Secret string `yaml:"identity_secret" secret:"file" doc:"the secret that signs what an API is told of its client (X-Portcullis-Signature); without it the fields are not signed"`
}

// Rule says what a route needs.
type Rule struct {
	Route   string   `yaml:"route" doc:"path or template: {id} stands for one part of a path, /* at the end for all below and the path itself; * alone for everything"`
	Methods []string `yaml:"methods" doc:"methods that it is for, such as GET (which HEAD belongs to); empty = all"`
	Need    string   `yaml:"need" default:"any" enum:"none,any,key,token" doc:"none, any (a client key or a token), key, token"`
	Scopes  []string `yaml:"scopes" doc:"scopes that the key or the token must have, all of them"`
}

// Bounds of the settings.
const (
	maxRules  = 1000
	maxScopes = 32
	longest   = 128 // bytes of a scope, a consumer, a realm
)

// Enabled reports whether any request can be refused for its credentials.
func (c *Config) Enabled() bool {
	return c.Default != "" && c.Default != NeedNone || slices.ContainsFunc(c.Access, func(r Rule) bool { return r.Need != NeedNone })
}

// Check reports what is wrong with the settings, by key.
func (c *Config) Check(report func(key, message string)) {
	if !slices.Contains(needs, c.Default) && c.Default != "" {
		report("access_default", fmt.Sprintf("%.40q is none of %s", c.Default, strings.Join(needs, ", ")))
	}
	if c.Secret != "" && len(c.Secret) < 16 {
		report("identity_secret_file", "holds a secret shorter than 16 bytes")
	}
	if len(c.Access) > maxRules {
		report("access", fmt.Sprintf("has more than %d entries", maxRules))
	}
	if c.Realm != "" && !plainText(c.Realm) {
		report("realm", "must be up to 128 printable ASCII characters without quotes: it stands in a response header")
	}
	for i := range c.Access {
		c.Access[i].check(func(key, message string) { report(fmt.Sprintf("access[%d].%s", i, key), message) })
		if c.Access[i].Need == NeedToken && len(c.Tokens) == 0 {
			report(fmt.Sprintf("access[%d].need", i), "token needs an issuer in tokens")
		}
	}
	if c.Default == NeedToken && len(c.Tokens) == 0 {
		report("access_default", "token needs an issuer in tokens")
	}
	c.checkTokens(report)
	if len(c.Quotas) > maxQuotas {
		report("quotas", fmt.Sprintf("has more than %d entries", maxQuotas))
	}
	for i := range c.Quotas {
		c.Quotas[i].check(func(key, message string) { report(fmt.Sprintf("quotas[%d].%s", i, key), message) })
	}
}

func (c *Config) checkTokens(report func(key, message string)) {
	if len(c.Tokens) > maxIssuers {
		report("tokens", fmt.Sprintf("has more than %d issuers", maxIssuers))
	}
	if c.TokenCache < 0 || c.TokenCache > 1<<24 {
		report("token_cache", "must be from 0 (the default) to 16777216")
	}
	seen := map[string]bool{}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		t.check(func(key, message string) { report(fmt.Sprintf("tokens[%d].%s", i, key), message) })
		if seen[t.Issuer] {
			report(fmt.Sprintf("tokens[%d].issuer", i), "is there twice")
		}
		seen[t.Issuer] = true
	}
}

func (r *Rule) check(report func(key, message string)) {
	if _, err := compile(r.Route, r.Methods); err != nil {
		key := "route"
		if err.method {
			key = "methods"
		}
		report(key, err.text)
	}
	if r.Need != "" && !slices.Contains(needs, r.Need) {
		report("need", fmt.Sprintf("%.40q is none of %s", r.Need, strings.Join(needs, ", ")))
	}
	if r.Need == NeedNone && len(r.Scopes) > 0 {
		report("scopes", "need credentials: they do not go with need: none")
	}
	if len(r.Scopes) > maxScopes {
		report("scopes", fmt.Sprintf("are more than %d", maxScopes))
	}
	for i, s := range r.Scopes {
		if !ScopeName(s) {
			report(fmt.Sprintf("scopes[%d]", i), fmt.Sprintf("%.40q is no scope: it has no blanks, quotes or backslashes (RFC 6749, section 3.3)", s))
		}
	}
}

// ScopeName tells a scope-token (RFC 6749, section 3.3).
func ScopeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// plainText tells what can stand between quotes in a header.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}
