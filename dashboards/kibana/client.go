package kibana

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/telemetry"
)

// Options say which Kibana, and with what.
type Options struct {
	URL    string // with the path that server.basePath gives it
	Space  string // "" is the default space
	APIKey string // in its encoded form; "" sends none
	CA     string // PEM file of the authorities; "" = those of the system
}

// Client speaks to the API of a Kibana.
type Client struct {
	base string
	opt  Options
	http *http.Client
}

// Bounds of a conversation.
const (
	patience  = 2 * time.Minute // an import of all objects takes seconds
	answerMax = 16 << 20
)

var spaces = regexp.MustCompile(`^[a-z0-9_-]+$`)

// New checks the options and makes a client.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("kibana: %s is no address: it is like https://kibana.example.org:5601", telemetry.Quote(o.URL))
	}
	if u.User != nil {
		return nil, errors.New("kibana: the address holds a password: give an API key by file instead")
	}
	if o.Space != "" && !spaces.MatchString(o.Space) {
		return nil, fmt.Errorf("kibana: %s is no name of a space: it has lower case letters, digits, _ and - only, as in its address", telemetry.Quote(o.Space))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("kibana: authorities: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kibana: %s holds no certificate in PEM", telemetry.Quote(o.CA))
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	base := strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/")
	if o.Space != "" && o.Space != "default" {
		base += "/s/" + o.Space
	}
	// A redirect is never followed: it leads to a login page, or takes the key elsewhere.
	return &Client{base: base, opt: o, http: &http.Client{Timeout: patience, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	what   string // as Kibana said it
}

// Error says what was refused, and what to do about it.
func (r *refusal) Error() string {
	hint := map[int]string{
		http.StatusUnauthorized:          ": the API key is wrong, expired or missing: --api-key-file, or PORTCULLIS_KIBANA_API_KEY",
		http.StatusForbidden:             ": the API key may not do this: it needs the Kibana privilege for Saved Objects Management (all), for rules that of Rules or Security",
		http.StatusNotFound:              ": is the space there, and is the path of the address that of server.basePath?",
		http.StatusRequestEntityTooLarge: ": raise savedObjects.maxImportPayloadBytes, or the limit of the proxy before Kibana",
		http.StatusServiceUnavailable:    ": Kibana starts, or its Elasticsearch is away: try again",
	}[r.status]
	if hint == "" && r.status >= 300 && r.status < 400 {
		hint = ": it leads elsewhere, to a login perhaps: name the address that Kibana itself answers at"
	}
	return fmt.Sprintf("%d %s%s", r.status, r.what, hint)
}

// call sends a request and reads its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path, kind string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("kbn-xsrf", "true")
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.opt.APIKey != "" {
		req.Header.Set("Authorization", "ApiKey "+c.opt.APIKey)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or nobody wants the rest
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refusal{resp.StatusCode, said(data)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer is none of Kibana: %s", telemetry.Quote(string(data)))
	}
	return nil
}

// said is the message of an error, or its text.
func said(data []byte) string {
	var e struct{ Message string }
	if json.Unmarshal(data, &e) == nil && e.Message != "" {
		return telemetry.Quote(e.Message)
	}
	return telemetry.Quote(strings.TrimSpace(string(data)))
}

// upload sends a file as a form, the way in which Kibana imports.
func (c *Client) upload(ctx context.Context, path, name string, data []byte, out any) error {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(data)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, form.FormDataContentType(), b.Bytes(), out)
}
