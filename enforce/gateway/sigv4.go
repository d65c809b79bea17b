package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// awsKeys are credentials of AWS.
type awsKeys struct{ id, secret, token string }

// sign adds AWS Signature Version 4 to a request without a query, whose path needs no
// escapes. All headers that it has are signed.
func (k awsKeys) sign(req *http.Request, body []byte, region, service string, now time.Time) {
	at := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", at)
	if k.token != "" {
		req.Header.Set("X-Amz-Security-Token", k.token)
	}
	names := []string{"host"}
	for name := range req.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	path := req.URL.Path
	if path == "" {
		path = "/"
	}
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n\n", req.Method, path)
	for _, name := range names {
		value := req.Header.Get(name)
		if name == "host" {
			value = req.URL.Host
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(value))
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, hexSum([]byte(body)))
	scope := strings.Join([]string{at[:8], region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at, scope, hexSum([]byte(canonical.String()))}, "\n")
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{at[:8], region, service, "aws4_request"} {
		key = macOf(key, part)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		k.id, scope, signed, hex.EncodeToString(macOf(key, text))))
}

func macOf(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
