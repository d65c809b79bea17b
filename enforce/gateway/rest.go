package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// rest speaks JSON over HTTP with a gateway's API.
type rest struct {
	base    string
	header  http.Header // sent with every request
	client  *http.Client
	timeout time.Duration // of one request
}

// answerMax bounds what is read of an answer.
const answerMax = 256 << 20

// newREST makes a client that follows no redirection: where a key is sent is up to the
// settings alone.
func newREST(base string, timeout time.Duration, header ...string) *rest {
	r := &rest{base: strings.TrimRight(base, "/"), header: http.Header{}, timeout: timeout}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.header.Set(header[i], header[i+1])
		}
	}
	r.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r
}

// refusal is an answer that is no success.
type refusal struct {
	method, path string
	status       int
	said         string
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("%s %s: status %d: %.300q", r.method, r.path, r.status, r.said)
}

// refusedWith tells whether an error is an answer with one of these statuses.
func refusedWith(err error, status ...int) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, s := range status {
		if r.status == s {
			return true
		}
	}
	return false
}

// call sends in (nil = nothing) as JSON and reads the answer into out (nil = it does not
// matter). It returns the answer's header.
func (r *rest) call(ctx context.Context, method, path string, in, out any, header ...string) (http.Header, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	if in != nil {
		header = append([]string{"Content-Type", "application/json"}, header...)
	}
	fields, answer, err := r.send(ctx, method, path, body, header...)
	if err != nil || out == nil {
		return fields, err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fields, fmt.Errorf("%s %s: the answer is not the JSON that was expected: %w", method, path, err)
	}
	return fields, nil
}

// raw sends a body as it is and returns the answer's.
func (r *rest) raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	_, answer, err := r.send(ctx, method, path, body)
	return answer, err
}

func (r *rest) send(ctx context.Context, method, path string, body []byte, header ...string) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if method == http.MethodGet && errors.Is(err, syscall.ECONNRESET) {
		resp, err = r.client.Do(req) // Caddy drops connections to its API while it takes in a change
	}
	if err != nil {
		var u *url.Error // without the whole address, which is in the settings
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return resp.Header, nil, &refusal{method, path, resp.StatusCode, string(answer)}
	}
	return resp.Header, answer, nil
}

// checkURL reports an address that is none.
func checkURL(key, text string, report func(key, message string)) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		report(key, fmt.Sprintf("%.100q is no address: want http://HOST:PORT or https://HOST", text))
	}
}

// until asks again until the answer is yes, an error, or the end of ctx.
func until(ctx context.Context, every time.Duration, ask func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
