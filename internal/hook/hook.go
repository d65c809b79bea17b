// Package hook is how other services are told: POST requests, their signatures as Standard
// Webhooks has them, what addresses may be called, and how Splunk's collector and a syslog
// server take what they are sent.
package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Key is the key that the text of a secret stands for: the text, or behind whsec_ its
// base64.
func Key(secret string) ([]byte, error) {
	if coded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		return base64.StdEncoding.DecodeString(coded)
	}
	return []byte(secret), nil
}

// Signature is the base64 of the HMAC-SHA-256 of id, time and body, with dots between.
func Signature(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, at)
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// BadURL says what is wrong with the address of a service, "" if nothing is: https, or
// http on this machine. what is what would be readable on the way.
func BadURL(text, what string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		return fmt.Sprintf("%.100q is no address: want https://HOST/PATH", text)
	case u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
		return "must be https: " + what + " would be readable by all on the way"
	}
	return ""
}

// Client returns a client that follows no redirection: where a secret is sent is up to
// the settings alone.
func Client(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
