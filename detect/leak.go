package detect

import "strings"

// LeakedName returns the name of a parameter of the target that carries a credential,
// "" if there is none: an API key, a bearer token (RFC 6750 section 5.3 forbids that), a
// password, a session. The token of a form or of a page of a list is none.
func LeakedName(target string) string {
	at := strings.IndexByte(target, '?')
	if at < 0 {
		return ""
	}
	for query := target[at+1:]; query != ""; {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if value != "" && isCredential(name) {
			return name
		}
	}
	return ""
}

// longestCredential bounds the names looked at: the longest known one with dashes.
const longestCredential = 24

// isCredential compares without case, dashes, dots and underscores.
func isCredential(name string) bool {
	if len(name) < 3 || len(name) > longestCredential {
		return false
	}
	switch name[len(name)-1] | 0x20 { // most names end otherwise
	case 'n', 'y', 't', 'd', 'r':
	default:
		return false
	}
	var b [longestCredential]byte
	n := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			b[n] = c | 0x20
			n++
		case c != '_' && c != '-' && c != '.':
			b[n] = c
			n++
		}
	}
	switch string(b[:n]) {
	case "accesstoken", "refreshtoken", "authtoken", "idtoken", "bearertoken", "sessiontoken", "oauthtoken",
		"apikey", "xapikey", "accesskey", "secretkey", "subscriptionkey", "authorization", "bearer", "jwt",
		"password", "passwd", "pwd", "secret", "clientsecret", "sessionid", "jsessionid", "phpsessid":
		return true
	}
	return false
}
