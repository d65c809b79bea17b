package identity

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// schemes of HTTP authentication (IANA's registry, and what is common besides), lower
// case. per request: the credentials differ with each, so they name nobody.
var schemes = map[string]scheme{
	"bearer": {}, "token": {}, "apikey": {}, "api-key": {}, "oauth": {}, "dpop": {}, "privatetoken": {}, "gnap": {},
	"basic":  {basic: true},
	"digest": {perRequest: true}, "negotiate": {perRequest: true}, "ntlm": {perRequest: true}, "hawk": {perRequest: true},
	"hoba": {perRequest: true}, "mutual": {perRequest: true}, "scram-sha-1": {perRequest: true}, "scram-sha-256": {perRequest: true},
	"signature": {perRequest: true}, "aws4-hmac-sha256": {perRequest: true}, "vapid": {perRequest: true},
}

const longestScheme = 16

type scheme struct{ basic, perRequest bool }

// cutScheme splits the value of an Authorization header. Without a scheme that is known
// the whole of it is the credentials.
func cutScheme(s string) (kind scheme, credentials string) {
	s = strings.Trim(s, " \t")
	k := strings.IndexByte(s, ' ')
	if k < 1 || k > longestScheme {
		return scheme{}, s
	}
	var low [longestScheme]byte
	for i := range k {
		low[i] = s[i]
		if c := s[i]; c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	kind, known := schemes[string(low[:k])]
	if !known {
		return scheme{}, s
	}
	return kind, strings.TrimLeft(s[k:], " \t")
}

// token replaces the token by its pseudonym and returns the consumer that it claims.
// Credentials of schemes that differ with every request are dropped.
func (r *Resolver) token(ev *ingest.Event) (claimed string) {
	kind, credentials := cutScheme(ev.Token)
	ev.Token = ""
	if kind.perRequest || blank(credentials) {
		return ""
	}
	letter := byte(kindToken)
	if kind.basic {
		letter = kindBasic
	}
	p := r.minted(letter, credentials)
	ev.Token = p.name
	if kind.basic {
		if r.cfg.BasicUser && ev.User == "" {
			ev.User = p.user
		}
		return ""
	}
	// A refused token is the word of somebody who was not believed: it must not make
	// a consumer of whoever it names.
	if ev.Status == 401 {
		return ""
	}
	return p.consumer
}

// describe adds what a secret tells of its owner, unless a seal told it already.
func (c *Config) describe(p *minted, kind byte, secret string) {
	switch {
	case p.consumer != "" || p.user != "":
	case kind == kindBasic && c.BasicUser:
		p.user = basicUser(secret)
	case kind == kindToken && slices.Contains(c.Consumer, consumerJWT):
		p.consumer = c.claim(secret)
	}
}

// basicUser returns the user-id of Basic credentials (RFC 7617, section 2).
func basicUser(credentials string) string {
	if len(credentials) > 4096 {
		return ""
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(credentials, "="))
	if err != nil {
		return ""
	}
	user, _, ok := strings.Cut(string(b), ":")
	if !ok || len(user) > longestName || !printable(user) {
		return ""
	}
	return user
}

// longestToken bounds the tokens whose claims are read.
const longestToken = 8 << 10

// claim returns the consumer that a JSON Web Token names (RFC 7519). Nobody here verifies
// it: the caller marks it as claimed. A token of alg "none", which no gateway that
// checks tokens would take, names nobody, nor does an encrypted one.
func (c *Config) claim(token string) string {
	if len(token) > longestToken || !strings.HasPrefix(token, "eyJ") || strings.Count(token, ".") != 2 {
		return ""
	}
	head, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	alg := text(members(head)["alg"])
	if alg == "" || strings.EqualFold(alg, "none") {
		return ""
	}
	claims := members(body)
	for _, name := range c.JWTClaims {
		who := text(claims[name])
		if who == "" {
			continue
		}
		if c.JWTIssuer {
			who = text(claims["iss"]) + "|" + who
		}
		if len(who) <= longestName {
			return who
		}
	}
	return ""
}

// members decodes one part of a token.
func members(part string) map[string]json.RawMessage {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	return m
}

// text is a JSON string that can be shown, or "".
func text(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil || !printable(s) {
		return ""
	}
	return s
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) < 0
}

// session returns the pseudonym of a session: of the first session cookie that a Cookie
// header holds, or of the id that was logged by itself.
func (r *Resolver) session(s string) string {
	if len(s) > maxHeaderBytes {
		s = s[:maxHeaderBytes]
	}
	if !isCookieHeader(s) {
		if slices.Contains(r.cfg.SessionCookies, strings.TrimRight(s, "=")) {
			return "" // a cookie without a value
		}
		return r.pseudonym(kindSession, strings.Trim(s, " \t\""))
	}
	for _, name := range r.cfg.SessionCookies {
		if v := cookie(s, name); v != "" {
			return r.pseudonym(kindSession, v)
		}
	}
	return ""
}

// isCookieHeader tells name=value from a bare id, which may end with base64's padding.
func isCookieHeader(s string) bool {
	k := strings.IndexByte(s, '=')
	return k > 0 && strings.Trim(s[k:], "=") != "" && !strings.ContainsAny(s[:k], " \t\",")
}

// cookie returns the value of a cookie (RFC 6265, section 4.2), without quotes.
func cookie(header, name string) string {
	for header != "" {
		var pair string
		pair, header, _ = strings.Cut(header, ";")
		pair = strings.Trim(pair, " \t")
		if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
			return strings.Trim(pair[len(name)+1:], "\"")
		}
	}
	return ""
}

// consumer sets the consumer by the configured order.
func (r *Resolver) consumer(ev *ingest.Event, claimed string) {
	gateway, wasClaimed := ev.Consumer, ev.Flags&ingest.FlagClaimed != 0
	ev.Consumer, ev.Flags = "", ev.Flags&^ingest.FlagClaimed
	for _, from := range r.cfg.Consumer {
		switch from {
		case consumerGateway:
			ev.Consumer = gateway
			if wasClaimed && gateway != "" {
				ev.Flags |= ingest.FlagClaimed
			}
		case consumerUser:
			ev.Consumer = ev.User
		case consumerSubject:
			ev.Consumer = r.commonName(ev.Subject)
		case consumerJWT:
			if ev.Consumer = claimed; claimed != "" {
				ev.Flags |= ingest.FlagClaimed
			}
		}
		if ev.Consumer != "" {
			return
		}
	}
}

// names remembers common names that had to be put together; it starts anew when full.
type names map[string]string

const (
	maxNames  = 1024
	longestDN = 1024
)

// commonName returns the most specific CN of a distinguished name: as RFC 4514 (and
// 2253) writes it, the first, or as OpenSSL's old form /C=US/CN=x does, the last.
// Without one it is the whole name.
func (r *Resolver) commonName(dn string) string {
	if dn == "" || dn == "-" || len(dn) > longestDN {
		return dn[:min(len(dn), longestDN)]
	}
	if dn[0] == '/' {
		if k := strings.LastIndex(dn, "/CN="); k >= 0 {
			cn, _, _ := strings.Cut(dn[k+len("/CN="):], "/")
			return cn
		}
		return dn
	}
	raw := cnOf(dn)
	switch {
	case raw == "":
		return dn
	case !strings.ContainsAny(raw, "\\\""):
		return raw
	}
	if cn, ok := r.subjects[raw]; ok {
		return cn
	}
	if r.subjects == nil || len(r.subjects) >= maxNames {
		r.subjects = names{}
	}
	cn := unescapeDN(raw)
	r.subjects[strings.Clone(raw)] = cn
	return cn
}

// cnOf returns the value of the first CN, its escapes in place.
func cnOf(dn string) string {
	for dn != "" {
		part, quoted, i := dn, false, 0
	scan:
		for ; i < len(dn); i++ {
			switch c := dn[i]; {
			case c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case (c == ',' || c == '+' || c == ';') && !quoted:
				break scan
			}
		}
		part, dn = dn[:min(i, len(dn))], dn[min(i+1, len(dn)):]
		name, value, _ := strings.Cut(part, "=")
		if name = strings.Trim(name, " "); strings.EqualFold(name, "CN") || name == "2.5.4.3" {
			return strings.Trim(value, " ")
		}
	}
	return ""
}

// unescapeDN undoes the escapes of a value (RFC 4514, section 2.4) and takes RFC 2253's quotes off.
func unescapeDN(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
		case s[i] == '\\' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c, _ := hex.DecodeString(s[i+1 : i+3]) // both are digits
			b.Write(c)
			i += 2
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
