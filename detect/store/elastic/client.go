package elastic

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	elasticsearch "github.com/elastic/go-elasticsearch/v8"
)

// answerMax bounds what is read of one answer: a page of 10 000 findings with all
// their evidence fits.
const answerMax = 256 << 20

// ErrProduct says that what answers is not Elasticsearch: the official client
// refuses OpenSearch and others by their answers.
var ErrProduct = errors.New("what answers is not Elasticsearch: the client library refuses OpenSearch, Amazon's service and gateways that drop the header X-Elastic-Product; " +
	"write to Elasticsearch 8.13 or newer, or keep SQLite as the store")

// web is how requests reach the cluster.
type web struct {
	client  *elasticsearch.BaseClient
	base    *http.Transport
	timeout time.Duration
	auth    atomic.Pointer[string] // value of the header Authorization; "" = none
}

func newWeb(cfg Config) (*web, error) {
	t, err := clientTLS(cfg)
	if err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	w := &web{timeout: cfg.Timeout, base: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   cfg.Bulk.Parallel + 4,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}}
	w.login(cfg.APIKey, cfg.Username, cfg.Password)
	w.client, err = elasticsearch.NewBaseClient(elasticsearch.Config{
		Addresses: cfg.URLs, CloudID: cfg.CloudID, Transport: w,
		DisableRetry:        true, // the writer repeats single documents, not requests
		CompressRequestBody: cfg.Compress, CompressRequestBodyLevel: 1, PoolCompressor: true,
	})
	if err != nil {
		return nil, fmt.Errorf("elastic: %w: check urls, or cloud_id", err)
	}
	return w, nil
}

// clientTLS reads the files now, so that a wrong name is an error at the start.
func clientTLS(cfg Config) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if out.RootCAs = x509.NewCertPool(); !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate in PEM form", cfg.CA)
		}
	}
	if cfg.Cert == "" {
		return out, nil
	}
	if _, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key); err != nil {
		return nil, fmt.Errorf("cert, key: %w", err)
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		return &pair, err
	}
	return out, nil
}

func (w *web) close() { w.base.CloseIdleConnections() }

func (w *web) login(apiKey, username, password string) {
	auth := ""
	switch {
	case apiKey != "":
		auth = "ApiKey " + apiKey
	case username != "":
		auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
	}
	w.auth.Store(&auth)
}

// RoundTrip implements http.RoundTripper for the client library.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	if auth := *w.auth.Load(); auth != "" {
		r.Header.Set("Authorization", auth)
	}
	return w.base.RoundTrip(r)
}

// call makes one request. A nil out drops the answer. An answer other than 2xx is
// a *fault.
func (w *web) call(ctx context.Context, method, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, path, in)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(path, "/_bulk") {
			r.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	a, err := w.client.Perform(r)
	if err != nil {
		return transportFault(err)
	}
	defer a.Body.Close()
	data, err := io.ReadAll(io.LimitReader(a.Body, answerMax+1))
	if err == nil && len(data) > answerMax {
		err = fmt.Errorf("the answer is longer than %d bytes", answerMax)
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if a.StatusCode < 200 || a.StatusCode > 299 {
		return newFault(a.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer to %s is not JSON (is there a proxy in between?): %w", method, err)
	}
	return nil
}

// transportFault puts what no HTTP answer said into words. The client library has
// no error value of its own for what its check of the product refuses.
func transportFault(err error) error {
	var cert *tls.CertificateVerificationError
	switch {
	case strings.Contains(err.Error(), "not Elasticsearch"):
		return ErrProduct
	case errors.As(err, &cert):
		return fmt.Errorf("%w: name the authority that signed it as elasticsearch.ca", err)
	}
	return err
}
