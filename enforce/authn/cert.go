package authn

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
)

const maxCert = 16 << 10

// sameCert tells whether what a gateway says of the client's certificate is the certificate
// with this SHA-256: Envoy's X-Forwarded-Client-Cert, whose last element is the nearest
// client's, or the certificate itself as PEM, percent-encoded as NGINX's
// $ssl_client_escaped_cert and Envoy's attributes have it.
func sameCert(told string, want *[sha256.Size]byte) bool {
	have, ok := certSum(told)
	return ok && subtle.ConstantTimeCompare(have[:], want[:]) == 1
}

func certSum(told string) (sum [sha256.Size]byte, ok bool) {
	if told == "" || len(told) > maxCert {
		return sum, false
	}
	if strings.HasPrefix(told, "-----BEGIN") {
		text, err := url.PathUnescape(told)
		block, _ := pem.Decode([]byte(text))
		if err != nil || block == nil || block.Type != "CERTIFICATE" {
			return sum, false
		}
		return sha256.Sum256(block.Bytes), true
	}
	for _, pair := range xfccPairs(told) {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(name, "Hash") {
			b, err := hex.DecodeString(strings.Trim(value, `"`))
			return sum, err == nil && copy(sum[:], b) == len(sum) && len(b) == len(sum)
		}
	}
	return sum, false
}

// xfccPairs are the pairs of the last element of an X-Forwarded-Client-Cert field.
func xfccPairs(s string) (pairs []string) {
	quoted, from := false, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] == '\\':
			i++
		case i < len(s) && s[i] == '"':
			quoted = !quoted
		case i == len(s) || !quoted && (s[i] == ';' || s[i] == ','):
			pairs = append(pairs, strings.TrimSpace(s[from:min(i, len(s))]))
			if from = i + 1; i < len(s) && s[i] == ',' {
				pairs = pairs[:0] // another element follows
			}
		}
	}
	return pairs
}
