package gateways

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEnvoy starts the reference configuration and asks it.
func TestEnvoy(t *testing.T) {
	e := startEnvoy(t)
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
		})
	}
	if resp, _ := e.ask(t, "GET", "http://"+e.plain+"/v1/orders?a=b", nil, 0); resp.StatusCode != 301 || !strings.HasPrefix(resp.Header.Get("Location"), "https://api.example.com") {
		t.Errorf("over plain HTTP: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, body := e.ask(t, "GET", "https://"+e.secure+"/v1/orders", key, 0); body != "shop" {
		t.Errorf("the service is told that the consumer is %q", body)
	}
	t.Run("old TLS", e.oldTLS)
	t.Run("limit", e.limit)
}

// startEnvoy starts the reference configuration with other ports and folders.
func startEnvoy(t *testing.T) *edge {
	program, err := exec.LookPath("envoy")
	if err != nil {
		t.Skip("envoy is not here: make testbed fetches it")
	}
	dir := t.TempDir()
	service, decision := behind(t)
	e := &edge{plain: freeAddress(t), secure: freeAddress(t), client: newClient()}
	text, err := os.ReadFile("envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pair := []string{}
	for from, to := range map[string]string{"80": e.plain, "443": e.secure, "9000": service, "8471": decision, "9901": freeAddress(t)} {
		_, port, err := net.SplitHostPort(to)
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, "port_value: "+from+"}", "port_value: "+port+"}")
	}
	pair = append(pair, "127.0.0.1:8471", decision, "/etc/envoy", dir, "0.0.0.0", "127.0.0.1")
	write(t, filepath.Join(dir, "envoy.yaml"), strings.NewReplacer(pair...).Replace(string(text)))
	certificate(t, dir)
	run(t, e.secure, program, "-c", filepath.Join(dir, "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	return e
}
