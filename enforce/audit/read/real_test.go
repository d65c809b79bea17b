package read

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realCheck is how a gateway itself checks a configuration; PATH has to lead to it.
type realCheck struct {
	program string
	command func(t *testing.T, s sampleConf) []string
}

var realChecks = map[string]realCheck{
	"nginx": {"nginx", func(t *testing.T, s sampleConf) []string {
		// Debian's build wants folders that only its package makes.
		paths := "http {"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			paths += " " + kind + "_temp_path logs/" + kind + ";"
		}
		data, err := os.ReadFile(s.main[0])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "scgi_temp_path") {
			writeFile(t, s.main[0], []byte(strings.Replace(string(data), "http {", paths, 1)))
		}
		return []string{"-t", "-q", "-p", s.dir, "-c", s.main[0], "-g", "pid " + s.dir + "/nginx.pid;"}
	}},
	"haproxy": {"haproxy", func(_ *testing.T, s sampleConf) []string {
		return []string{"-c", "-C", s.dir, "-f", s.main[0]}
	}},
	"envoy": {"envoy", func(_ *testing.T, s sampleConf) []string {
		return []string{"--mode", "validate", "-l", "error", "-c", s.main[0]}
	}},
	"caddy": {"caddy", func(_ *testing.T, s sampleConf) []string {
		return []string{"validate", "--config", s.main[0]}
	}},
}

// needsMore are configurations of the corpus that the real server refuses for what
// is not part of it: a module that is not installed, a template not filled.
func needsMore(s sampleConf) bool {
	return strings.Contains(string(s.archive.Comment), "needs: ")
}

// TestRealServersTakeCorpus: what the corpus holds are configurations that the gateways
// accept, as they are and with every patch applied.
func TestRealServersTakeCorpus(t *testing.T) {
	for gateway, check := range realChecks {
		program, err := exec.LookPath(check.program)
		if err != nil {
			t.Run(gateway, func(t *testing.T) {
				t.Skip(check.program + " is not here: make testbed fetches it, or install it")
			})
			continue
		}
		for _, s := range corpus(t, gateway) {
			t.Run(gateway+"/"+s.name, func(t *testing.T) {
				if needsMore(s) {
					return
				}
				if err := os.MkdirAll(filepath.Join(s.dir, "logs"), 0o755); err != nil {
					t.Fatal(err)
				}
				if out, err := runIn(s.dir, program, check.command(t, s)...); err != nil {
					t.Fatalf("%s refuses it: %v\n%s", check.program, err, out)
				}
				apply(t, s.audit(t).Edits())
				if out, err := runIn(s.dir, program, check.command(t, s)...); err != nil {
					t.Errorf("%s refuses it once patched: %v\n%s", check.program, err, out)
				}
			})
		}
	}
}

// runIn runs a program in a folder.
func runIn(dir, program string, args ...string) ([]byte, error) {
	c := exec.Command(program, args...)
	c.Dir = dir
	return c.CombinedOutput()
}
