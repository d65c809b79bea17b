package gateways

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/quic"
)

// edge is a running gateway with Portcullis beside it.
type edge struct {
	plain, secure string
	portcullis    *portcullis
	log           *lines
	format        string // of the log's lines, as portcullis.yaml has it
	server        string // what stays of the banner
	moved         int    // status of the redirect
	undecided     int    // status where a key is needed and nobody can tell
	untold        int    // status of a large body that does not say how large it is
	quic          bool
	key           string
}

const (
	host   = "api.example.com" // the name in the configurations
	client = "203.0.113.9"     // as the load balancer says, which the tests play
)

// newClient follows no redirect, and trusts the gateway's own certificate.
func newClient(h2 bool, from string) *http.Client {
	dialer := new(net.Dialer)
	if ip := net.ParseIP(from); ip != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Protocols: protocols, DisableKeepAlives: true, DialContext: dialer.DialContext,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host}}}
}

// request is one request of a client, and what is to come of it.
type request struct {
	name, method, path string
	header             map[string]string
	body               int
	status             int
	says               string // is part of the answer
	from               string // the address to ask from; empty = the load balancer's
}

// send sends a request that is to be answered.
func (e *edge) send(t *testing.T, r request) (*http.Response, string) {
	t.Helper()
	resp, said, err := e.try(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return resp, said
}

// try sends a request; its body is of so many bytes, or of unknown length below 0.
func (e *edge) try(t *testing.T, r request) (*http.Response, string, error) {
	c := newClient(len(r.name)%2 == 0, r.from) // HTTP/1.1 and HTTP/2 by turns
	var body io.Reader
	switch {
	case r.body > 0:
		body = bytes.NewReader(make([]byte, r.body))
	case r.body < 0:
		body = io.LimitReader(endless{}, int64(-r.body))
	}
	base := "https://" + e.secure
	if strings.HasPrefix(r.path, "http://") {
		base, c = "", newClient(false, "")
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, base+r.path, body)
	if err != nil {
		return nil, "", err
	}
	req.Host = host
	req.Header.Set("X-Forwarded-For", client)
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	return resp, string(said), err
}

// endless is a body without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// suite asks a gateway for everything that the README promises.
func (e *edge) suite(t *testing.T) {
	waitFor(t, "its rules are in force", func() error { // Traefik reads them after it listens
		resp, _, err := e.try(t, request{method: "GET", path: "/healthz"})
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("/healthz: %s", resp.Status)
		}
		return err
	})
	reader := map[string]string{"Authorization": "Basic cmVhZGVyOnNlY3JldA=="}
	forged := map[string]string{"X-Portcullis-Consumer": "admin"}
	for _, r := range []request{
		{"health", "GET", "/healthz", forged, 0, 200, "consumer= ", ""},
		{"method", "TRACE", "/healthz", nil, 0, 405, "", ""},
		{"body", "POST", "/login", nil, 2 << 20, 413, "", ""},
		{"body by HTTP/1", "POST", "/v1/orders", map[string]string{"X-Api-Key": e.key}, 2 << 20, 413, "", ""},
		{"body that fits", "POST", "/v1/orders", map[string]string{"X-Api-Key": e.key}, 900_000, 200, "consumer=shop", ""},
		{"body of no told length", "POST", "/v1/orders", map[string]string{"X-Api-Key": e.key}, -2 << 20, e.untold, "", ""},
		{"docs", "GET", "/docs", nil, 0, 401, "", ""},
		{"docs in other words", "GET", "/%64ocs/index.html", nil, 0, 401, "", ""},
		{"docs with a password", "GET", "/docs", reader, 0, 200, "authorization=", ""},
		{"schema", "GET", "/openapi.json", nil, 0, 401, "", ""},
		{"no key", "GET", "/v1/orders", nil, 0, 401, "", ""},
		{"wrong key", "GET", "/v1/orders", map[string]string{"X-Api-Key": "pcc_0123456789_guess"}, 0, 401, "", ""},
		{"key", "GET", "/v1/orders", map[string]string{"X-Api-Key": e.key}, 0, 200, "consumer=shop key= ", ""},
		{"key as a token", "GET", "/v1/orders", map[string]string{"Authorization": "ApiKey " + e.key}, 0, 200, "consumer=shop ", ""},
		{"key in the URL", "GET", "/v1/orders?api_key=" + e.key, nil, 0, 401, "", ""},
		{"key beside a forged name", "GET", "/v1/orders", map[string]string{"X-Api-Key": e.key, "X-Portcullis-Consumer": "admin"}, 0, 200, "consumer=shop ", ""},
		{"key and a forged target", "GET", "/v1/orders", map[string]string{"X-Forwarded-Uri": "/healthz", "X-Forwarded-Method": "GET"}, 0, 401, "", ""},
		{"injection", "GET", "/v1/orders?id=1%27%20OR%20%271%27=%271", map[string]string{"X-Api-Key": e.key}, 0, 403, "", ""},
		{"injection on an open route", "GET", "/healthz?u=1%27%20OR%20%271%27=%271", nil, 0, 403, "", ""},
		{"other spelling of an open route", "GET", "/healthz/..%2fv1/orders", nil, 0, 401, "", ""},
	} {
		t.Run(r.name, func(t *testing.T) { e.one(t, r) })
	}
	t.Run("redirect", e.redirect)
	t.Run("TLS versions", e.versions)
	t.Run("limit", func(t *testing.T) { e.limit(t, request{method: "POST", path: "/login"}) })
	t.Run("limit of who forges", func(t *testing.T) { e.limit(t, request{method: "POST", path: "/login", from: "127.0.0.2"}) })
	t.Run("log", e.logged)
	t.Run("HTTP3", e.http3)

	t.Run("silence", e.silence)
}

// one sends a request and looks at the answer.
func (e *edge) one(t *testing.T, r request) {
	resp, said := e.send(t, r)
	if resp.StatusCode != r.status {
		t.Errorf("status %d, want %d: %.300s", resp.StatusCode, r.status, said)
	}
	if !strings.Contains(said, r.says) {
		t.Errorf("it says %.300q, want %q", said, r.says)
	}
	for name, want := range map[string]string{"Strict-Transport-Security": "max-age=63072000; includeSubDomains", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer", "Server": e.server, "X-Powered-By": ""} {
		if have := resp.Header.Values(name); strings.Join(have, " | ") != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
}

// redirect: all of plain HTTP goes to https, with path and query.
func (e *edge) redirect(t *testing.T) {
	resp, _ := e.send(t, request{method: "GET", path: "http://" + e.plain + "/v1/orders?a=b"})
	to := resp.Header.Get("Location")
	to = strings.Replace(to, "https://"+host+":"+port(t, e.secure), "https://"+host, 1) // the tests' own port
	if resp.StatusCode != e.moved || to != "https://"+host+"/v1/orders?a=b" {
		t.Errorf("over plain HTTP: %d to %q", resp.StatusCode, to)
	}
}

// versions: TLS 1.0 and 1.1 are refused, 1.2 and 1.3 are not; HTTP/2 is spoken.
func (e *edge) versions(t *testing.T) {
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", e.secure, &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"h2", "http/1.1"}, MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err != nil {
			continue
		}
		if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
			t.Errorf("%s: %q is spoken, want h2", tls.VersionName(version), p)
		}
		conn.Close()
	}
}

// limit: one client has ten tries at the login, some of which may be used up already; and
// no more where it makes up addresses itself.
func (e *edge) limit(t *testing.T, r request) {
	for i := range 11 {
		if r.from != "" {
			r.header = map[string]string{"X-Forwarded-For": fmt.Sprintf("198.51.100.%d", i)}
		}
		resp, _ := e.send(t, r)
		if resp.StatusCode != http.StatusTooManyRequests {
			continue
		}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
			t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
		}
		return
	}
	t.Error("the eleventh login in a minute is not refused with 429")
}

// logged: a request is one line, with all that detection needs, and without the key.
func (e *edge) logged(t *testing.T) {
	e.send(t, request{method: "GET", path: "/v1/orders?unmistakable=1", header: map[string]string{"X-Api-Key": e.key, "User-Agent": "tests/1"}})
	line := e.log.with(t, "unmistakable=1")
	if strings.Contains(line, e.key) {
		t.Errorf("the key is in the log: %s", line)
	}
	var got struct {
		Rejected string
		Fields   []struct{ Field, Value string }
	}
	out := e.portcullis.command(t, line+"\n", "explain", "--output", "jsonl", "--format", e.format)
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Rejected != "" {
		t.Fatalf("%v, %s in %s", err, got.Rejected, out)
	}
	fields := map[string]string{}
	for _, f := range got.Fields {
		fields[f.Field] = f.Value
	}
	for field, want := range map[string]string{"client.ip": client, "http.request.method": "GET", "url.original": "/v1/orders?unmistakable=1", "url.domain": host,
		"http.version": "HTTP/2.0", "http.response.status_code": "200", "user_agent.original": "tests/1", "tls.version": "TLSv1.3", "consumer": "shop"} {
		if !strings.HasPrefix(fields[field], want) {
			t.Errorf("%s: %q, want %q", field, fields[field], want)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", line, out)
	}
}

// http3: a QUIC connection is made, for HTTP/3.
func (e *edge) http3(t *testing.T) {
	if !e.quic {
		return
	}
	end, err := quic.Listen("udp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer end.Close(ctx)
	conn, err := end.Dial(ctx, "udp", e.secure, &quic.Config{TLSConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}})
	if err != nil {
		t.Fatalf("QUIC: %v", err)
	}
	conn.Abort(nil)
	resp, _ := e.send(t, request{method: "GET", path: "/healthz"})
	if alt := resp.Header.Get("Alt-Svc"); !strings.Contains(alt, `h3=":`) {
		t.Errorf("Alt-Svc: %q", alt)
	}
}

// silence: while Portcullis does not answer, what needs a key is refused, and what needs
// none is not.
func (e *edge) silence(t *testing.T) {
	e.portcullis.stop()
	e.one(t, request{name: "health", method: "GET", path: "/healthz", status: 200, says: "consumer="})
	resp, _ := e.send(t, request{method: "GET", path: "/v1/orders", header: map[string]string{"X-Api-Key": e.key}})
	if resp.StatusCode != e.undecided {
		t.Errorf("with nobody to ask, a request for a key's route gets %d, want %d", resp.StatusCode, e.undecided)
	}
}
