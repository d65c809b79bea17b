package gateway

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

func TestNginxContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		s := newSite(t, "")
		s.start()
		g := s.gateway()
		return g, enforcetest.Probe{
			Sabotage: s.saboteur(g),
			Status:   func(_ testing.TB, client netip.Addr) int { return s.get(client.String()) },
			Ask: func(_ testing.TB, a enforcetest.Ask) int {
				header := map[string]string{"consumer": "X-Consumer", "key": "X-Api-Key"}[a.As.Kind]
				resp, err := s.requestAs(a.Client.String(), a.Path, header, a.As.Value)
				if err != nil {
					t.Fatal(err)
				}
				return resp.StatusCode
			},
			Kinds: []string{"consumer", "key"},
			Break: func(testing.TB) func() {
				good := readString(t, s.cfg.Conf)
				s.write("nginx.conf", good+"\nno_such_directive on;\n")
				return func() { s.write("nginx.conf", good) }
			},
			Restart: func(testing.TB) { s.restartEmpty() },
			Held:    func(testing.TB) string { return s.held() },
		}
	})
}

// saboteur edits the include and reloads, breaks it without, and has nginx -t hang.
func (s *site) saboteur(g *Nginx) enforcetest.Saboteur {
	return enforcetest.Saboteur{
		Edit: func(t testing.TB) {
			replaced(g.path(NginxHTTPFile), "192.0.2.1/32", "198.51.100.9/32")(t)
			if err := s.proc.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		},
		Corrupt: func(testing.TB) { s.write("portcullis/"+NginxHTTPFile, "geo $portcullis_deny { nonsense") },
		Hang: func(testing.TB) func() {
			g.cfg.TestCommand = []string{"sleep", "60"}
			return func() { g.cfg.TestCommand = nil }
		},
		Kill: func(testing.TB) func() { s.stop(); return s.start },
		Honest: func(testing.TB) func() (int64, int64) {
			stop := s.honestTraffic()
			return func() (int64, int64) { return stop(), 1 }
		},
	}
}

// restartEmpty is a machine replaced by a fresh one: no state, no marker.
func (s *site) restartEmpty() {
	s.stop()
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		s.t.Fatal(err)
	}
	if err := PrepareNginx(s.cfg); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// held reads all that the gateway wrote.
func (s *site) held() string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*"))
	if err != nil || len(files) < 3 {
		s.t.Fatalf("files %v, %v", files, err)
	}
	var all strings.Builder
	for _, f := range files {
		all.WriteString(readString(s.t, f))
	}
	return all.String()
}
