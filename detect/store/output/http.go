package output

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/hook"
)

// web is a service that is told by HTTP.
type web struct {
	client *http.Client
	url    string
	header []string // names and values in turn
}

// newWeb makes one.
func newWeb(url string, t hook.TLS, header ...string) (*web, error) {
	conf, err := t.Client()
	if err != nil {
		return nil, err
	}
	return &web{url: url, header: header, client: hook.Client(&http.Transport{
		TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	})}, nil
}

// post sends a body; an answer that is no success is a *Refusal.
func (w *web) post(ctx context.Context, body []byte, header ...string) (hook.Answer, error) {
	a, err := hook.Post(ctx, w.client, w.url, body, append(header, w.header...)...)
	if err == nil && !a.OK() {
		return a, a.Refusal(time.Now())
	}
	return a, err
}

// checkURL reports the address of a service that may not be called.
func checkURL(text string, report func(key, message string)) {
	if text == "" {
		report("url", "is missing")
	} else if bad := hook.BadURL(text, "what was found, and the token,"); bad != "" {
		report("url", bad)
	}
}

// bearer is the header of a token; none without one.
func bearer(token string) []string {
	if token = strings.TrimSpace(token); token == "" {
		return nil
	}
	return []string{"Authorization", "Bearer " + token}
}
