package gateways

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAudit: what is shipped gets the best grade in all six practices, with nothing found
// and nothing left unjudged but what is said here.
func TestAudit(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"nginx", "haproxy", "traefik", "caddy", "envoy"} {
		certificate(t, filepath.Join(root, "etc", dir, "gateway"))
	}
	// NGINX's paths are relative to its folder.
	nginx := filepath.Join(root, "etc", "nginx")
	for _, name := range []string{"nginx.conf", "gateway/ask.conf"} {
		write(t, filepath.Join(nginx, name), read(t, filepath.Join("nginx", name)))
	}
	for _, c := range []struct {
		gateway string
		files   []string
		blind   []string
	}{
		{"nginx", []string{filepath.Join(nginx, "nginx.conf")}, nil},
		{"haproxy", []string{"haproxy/haproxy.cfg"}, nil},
		{"traefik", []string{"traefik/traefik.yaml", "traefik/dynamic.yaml"}, nil},
		{"caddy", []string{adapted(t, root)}, nil},
		{"envoy", []string{"envoy/envoy.yaml"}, []string{"failure_mode_allow"}},
	} {
		t.Run(c.gateway, func(t *testing.T) {
			if c.files[0] == "" {
				t.Skip("caddy is not here: make testbed fetches it")
			}
			var report struct {
				Gateway  string
				Grades   map[string]string
				Findings []struct{ Check, Where, Subject, Saw string }
				Blind    []string
			}
			p := &portcullis{settings: "portcullis.yaml"}
			out := p.command(t, "", append([]string{"audit", "--root", root, "--report", "json", "--fail-on", "never"}, c.files...)...)
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatalf("%v in %.2000s", err, out)
			}
			if report.Gateway != c.gateway {
				t.Errorf("it is taken for one of %s", report.Gateway)
			}
			for _, practice := range []string{"authentication", "limits", "validation", "encryption", "logging", "exposure"} {
				if g := report.Grades[practice]; g != "A" {
					t.Errorf("%s is graded %q", practice, g)
				}
			}
			if len(report.Findings) > 0 {
				t.Errorf("findings: %+v", report.Findings)
			}
			for _, said := range report.Blind {
				if !slices.ContainsFunc(c.blind, func(word string) bool { return strings.Contains(said, word) }) {
					t.Errorf("not judged: %s", said)
				}
			}
		})
	}
}

// adapted is the Caddyfile as Caddy understands it, "" without Caddy.
func adapted(t *testing.T, root string) string {
	t.Helper()
	program, err := exec.LookPath("caddy")
	if err != nil {
		return ""
	}
	dir := filepath.Join(root, "etc", "caddy")
	write(t, filepath.Join(dir, "gateway", "users"), "reader "+readerBcrypt[len("reader:"):]+"\n")
	write(t, filepath.Join(dir, "Caddyfile"), replaced(t, read(t, "caddy/Caddyfile"), "import /etc/caddy", "import "+dir))
	text, err := exec.Command(program, "adapt", "--pretty", "--config", filepath.Join(dir, "Caddyfile")).Output()
	if err != nil {
		t.Fatalf("caddy adapt: %v", err)
	}
	write(t, filepath.Join(dir, "caddy.json"), string(text))
	return filepath.Join(dir, "caddy.json")
}
