package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// site is a real nginx on loopback with a directory of its own.
type site struct {
	t      testing.TB
	dir    string
	addr   string
	cfg    NginxConfig
	client *http.Client
	proc   *exec.Cmd
}

// needNginx skips loudly without nginx, and fails in CI, which installs it.
func needNginx(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is missing: apt-get install -y nginx-light")
		}
		t.Skip("SKIPPED, nginx is missing: apt-get install -y nginx-light")
	}
}

// newSite lays out an nginx whose server includes the generated files; extra
// goes into its server block. It is not started yet.
func newSite(t testing.TB, extra string) *site {
	t.Helper()
	needNginx(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir, err := os.MkdirTemp("", "portcullis-nginx-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // tests also look from another user
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, addr: addr, client: &http.Client{Timeout: 10 * time.Second}}
	s.cfg = NginxConfig{Conf: filepath.Join(dir, "nginx.conf"), Dir: filepath.Join(dir, "portcullis"),
		Subjects: map[string]string{"consumer": "$http_x_consumer", "key": "$http_x_api_key"}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.stop()
		os.RemoveAll(dir)
	})
	if err := PrepareNginx(s.cfg); err != nil {
		t.Fatal(err)
	}
	s.writeConf(extra)
	return s
}

// writeConf writes nginx.conf.
func (s *site) writeConf(extra string) {
	s.t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	s.write("nginx.conf", fmt.Sprintf(`%s
worker_processes 2;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log;
events { worker_connections 256; }
http {
	access_log %[2]s/access.log;
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fcgi;
	uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
	set_real_ip_from 127.0.0.1;
	real_ip_header X-Forwarded-For;
	add_header X-Site kept always;
	server {
		include %[2]s/portcullis/portcullis-server.conf;
		listen %[3]s;
		location / { empty_gif; }
		%[4]s
	}
	map_hash_max_size 4096;
	include %[2]s/portcullis/portcullis-http.conf;
}
`, user, s.dir, s.addr, extra))
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// start runs nginx in the foreground and waits until its pid file and both its
// workers are there: the port alone answers before.
func (s *site) start() {
	s.t.Helper()
	s.proc = exec.Command("nginx", "-c", s.cfg.Conf, "-g", "daemon off;")
	s.proc.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.proc.Start(); err != nil {
		s.t.Fatal(err)
	}
	pid := s.proc.Process.Pid
	for deadline := time.Now().Add(20 * time.Second); ; waitBriefly() {
		text, _ := os.ReadFile(filepath.Join(s.dir, "nginx.pid"))
		workers, _ := workersOf(pid)
		if strings.TrimSpace(string(text)) == strconv.Itoa(pid) && len(workers) == 2 {
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "error.log"))
			s.t.Fatalf("nginx does not come up: pid file %q, workers %v\n%s", text, workers, log)
		}
	}
}

// waitBriefly yields between two polls with a deadline.
func waitBriefly() { <-time.After(5 * time.Millisecond) }

// stop ends nginx with all its workers, as a kill -9 of the service would.
func (s *site) stop() {
	if s.proc != nil {
		_ = syscall.Kill(-s.proc.Process.Pid, syscall.SIGKILL)
		_ = s.proc.Wait()
		s.proc = nil
	}
}

// get asks as the client and returns the status.
func (s *site) get(client string) int {
	s.t.Helper()
	return s.fetch(client, "/").StatusCode
}

func (s *site) fetch(client, path string) *http.Response {
	s.t.Helper()
	resp, err := s.request(client, path)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

func (s *site) request(client, path string) (*http.Response, error) {
	return s.requestAs(client, path, "", "")
}

func (s *site) requestAs(client, path, header, value string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", client)
	if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

// want asserts the status that clients see.
func (s *site) want(status int, clients ...string) {
	s.t.Helper()
	for _, c := range clients {
		if got := s.get(c); got != status {
			s.t.Errorf("client %s got %d, want %d", c, got, status)
		}
	}
}

// gateway opens the gateway under test.
func (s *site) gateway() *Nginx {
	s.t.Helper()
	g, err := NewNginx(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// apply pushes and fails the test on an error.
func apply(t testing.TB, g enforce.Gateway, want ...enforce.Entry) enforce.Applied {
	t.Helper()
	done, err := g.Apply(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func block(prefix string) enforce.Entry {
	return enforce.Entry{Decision: "d-" + prefix, Prefix: netip.MustParsePrefix(prefix), Action: enforce.Block}
}

func throttle(prefix string, rate float64, burst int) enforce.Entry {
	e := block(prefix)
	e.Action, e.Rate, e.Burst = enforce.Throttle, rate, burst
	return e
}

// wantError asserts that an error says what an operator needs.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}
