// Package gateways holds reference configurations of gateways, and the tests that
// audit them and start them with real requests.
package gateways

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/audit"
	_ "github.com/portcullis/portcullis/enforce/audit/read" // the gateways
)

// TestReferencesGetBestGrades: the reference configurations are what they are for.
func TestReferencesGetBestGrades(t *testing.T) {
	for _, path := range []string{"nginx/nginx.conf", "envoy/envoy.yaml"} {
		c, err := audit.Read("auto", []string{path}, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := audit.Audit(c)
		for _, p := range audit.Practices() {
			if r.Grades[p] != "A" {
				t.Errorf("%s: %s is graded %s", path, p, r.Grades[p])
			}
		}
		for _, f := range r.Findings {
			t.Errorf("%s:%d: %s: %s", f.At.Name(), f.At.Line(), f.Check.ID, f.Saw)
		}
	}
}

// TestNGINX starts the reference configuration and asks it.
func TestNGINX(t *testing.T) {
	e := startNGINX(t)
	for _, c := range []struct {
		name, method, path string
		header             map[string]string
		body               int
		status             int
	}{
		{"no key", "GET", "/v1/orders", nil, 0, 401},
		{"wrong key", "GET", "/v1/orders", map[string]string{"X-Api-Key": "guess"}, 0, 401},
		{"key", "GET", "/v1/orders", key, 0, 200},
		{"key in the URL", "GET", "/v1/orders?api_key=k-2b7e151628aed2a6", nil, 0, 401},
		{"method", "TRACE", "/v1/orders", key, 0, 405},
		{"body", "POST", "/v1/orders", key, 2 << 20, 413},
		{"injection", "GET", "/v1/orders?id=1%27%20OR%20%271%27=%271", key, 0, 403},
		{"injection at the login", "GET", "/login?u=1%27%20OR%20%271%27=%271", nil, 0, 403},
		{"docs", "GET", "/docs", nil, 0, 401},
		{"docs with a password", "GET", "/docs", map[string]string{"Authorization": "Basic cmVhZGVyOnNlY3JldA=="}, 0, 200},
		{"schema", "GET", "/openapi.json", key, 0, 401},
		{"health", "GET", "/healthz", nil, 0, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, _ := e.ask(t, c.method, "https://"+e.secure+c.path, c.header, c.body)
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if h := resp.Header.Get("Strict-Transport-Security"); !strings.Contains(h, "max-age=63072000") {
				t.Errorf("Strict-Transport-Security: %q", h)
			}
			if s := resp.Header.Get("Server"); s != "nginx" {
				t.Errorf("Server: %q", s)
			}
		})
	}
	if resp, _ := e.ask(t, "GET", "http://"+e.plain+"/v1/orders?a=b", nil, 0); resp.StatusCode != 301 || resp.Header.Get("Location") != "https://api.example.com/v1/orders?a=b" {
		t.Errorf("over plain HTTP: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, body := e.ask(t, "GET", "https://"+e.secure+"/v1/orders", key, 0); body != "shop" {
		t.Errorf("the service is told that the consumer is %q", body)
	}
	t.Run("old TLS", e.oldTLS)
	t.Run("limit", e.limit)
	t.Run("log", e.logs)
}

// logs: requests arrive at the log's address, with their consumer and without keys.
func (e *edge) logs(t *testing.T) {
	buf := make([]byte, 8<<10)
	var seen string
	if err := e.syslog.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(seen, `- shop [`) || !strings.Contains(seen, "TLSv1.") {
		n, _, err := e.syslog.ReadFrom(buf)
		if err != nil {
			t.Fatalf("the log has no request of the consumer: %v; it has\n%.2000s", err, seen)
		}
		seen += string(buf[:n]) + "\n"
	}
	if !strings.Contains(seen, "api_gateway: ") || !strings.Contains(seen, `"GET /v1/orders HTTP/`) {
		t.Errorf("the log has\n%.2000s", seen)
	}
}

// startNGINX starts the reference configuration with other ports and folders.
func startNGINX(t *testing.T) *edge {
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not here: apt-get install nginx-light, or make testbed")
	}
	dir := t.TempDir()
	service, decision := behind(t)
	syslog, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syslog.Close() })
	e := &edge{plain: freeAddress(t), secure: freeAddress(t), syslog: syslog, client: newClient()}
	text, err := os.ReadFile("nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	paths := "http {\n    "
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += kind + "_temp_path " + dir + "/" + kind + "; "
	}
	conf := strings.NewReplacer("http {\n", paths+"\n", "listen 80", "listen "+e.plain, "listen 443", "listen "+e.secure,
		"127.0.0.1:9000", service, "127.0.0.1:8471", decision,
		"127.0.0.1:514", syslog.LocalAddr().String(), "/etc/nginx/gateway", dir+"/gateway").Replace(string(text))
	write(t, filepath.Join(dir, "nginx.conf"), "daemon off; master_process off; pid "+dir+"/pid;\n"+conf)
	write(t, filepath.Join(dir, "mime.types"), "types { application/json json; }\n")
	write(t, filepath.Join(dir, "gateway", "keys.map"), "\"k-2b7e151628aed2a6\" shop;\n")
	write(t, filepath.Join(dir, "gateway", "users"), "reader:{PLAIN}secret\n")
	certificate(t, filepath.Join(dir, "gateway"))
	run(t, e.plain, program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	return e
}
