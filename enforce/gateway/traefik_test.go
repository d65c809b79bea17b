package gateway

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

func newTraefikRig(t testing.TB) (*rig, *Traefik) {
	t.Helper()
	r := newRig(t, "traefik")
	r.proxy = true
	api := testbed.FreeAddr(t)
	g, err := NewTraefik(TraefikConfig{Dir: r.path("dynamic"), API: "http://" + api, Timeout: 20 * time.Second, Subjects: map[string]string{"consumer": "X-Consumer", "key": "X-Api-Key"}})
	if err != nil {
		t.Fatal(err)
	}
	r.write("dynamic/site.yml", fmt.Sprintf("http:\n  routers:\n    all: {entryPoints: [main], rule: 'PathPrefix(`/`)', service: api}\n  services:\n    api: {loadBalancer: {servers: [{url: 'http://%s'}]}}\n", r.api))
	conf := r.write("traefik.yml", fmt.Sprintf(`global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints:
  main: {address: %q, proxyProtocol: {trustedIPs: [127.0.0.0/8]}}
  traefik: {address: %q}
api: {insecure: true}
log: {level: ERROR}
providers:
  providersThrottleDuration: 50ms
  file: {directory: %s, watch: true}
`, r.addr, api, g.cfg.Dir))
	r.program = []string{gateways.Program(t, "traefik"), "--configfile=" + conf}
	return r, g
}

func TestTraefikContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r, g := newTraefikRig(t)
		r.start()
		return g, enforcetest.Probe{
			Status: r.status,
			Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
			Kinds:  []string{"consumer", "key"},
			Many:   3000,
			Break: func(testing.TB) func() {
				dir := g.cfg.Dir
				g.cfg.Dir = "/proc/nowhere"
				return func() { g.cfg.Dir = dir }
			},
			Restart: func(t testing.TB) {
				r.stop()
				if err := os.Remove(g.path(traefikFile)); err != nil {
					t.Fatal(err)
				}
				r.start()
			},
			Sabotage: r.saboteur(replaced(g.path(traefikFile), "192.0.2.1/", "198.51.100.9/"),
				func(testing.TB) { r.write("dynamic/"+traefikFile, "{{ nonsense") }, hanging(&g.api.base)),
			Held: func(testing.TB) string { return readString(t, g.path(traefikFile)) },
		}
	})
}

// TestTraefikSabotage: the site's routes stay; a list that somebody broke or took away is
// mended; a Traefik that is gone, or that reads another folder, is said to be.
func TestTraefikSabotage(t *testing.T) {
	r, g := newTraefikRig(t)
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "gateway traefik", "API", "refused")
	r.start()
	apply(t, g, block("192.0.2.1/32"), onSubject("route", "/closed/{id}", enforce.Block))
	for path, status := range map[string]int{"/closed/1": 403, "/closed/1/2": 200} {
		if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr("203.0.113.1"), Path: path}); got != status {
			t.Errorf("%s: got %d, want %d", path, got, status)
		}
	}
	r.write("dynamic/"+traefikFile, "{{ nonsense")
	apply(t, g, block("192.0.2.1/32"))
	r.want(403, "192.0.2.1")
	r.want(200, "203.0.113.1")
	g.cfg.Timeout = 300 * time.Millisecond
	real := g.cfg.Dir
	g.cfg.Dir = r.path("other")
	r.write("other/x", "")
	_, err = g.Apply(t.Context(), []enforce.Entry{block("192.0.2.2/32")})
	wantError(t, err, "does its file provider watch", "deadline")
	g.cfg.Dir = real
	r.want(403, "192.0.2.1")
}

func TestTraefikMeasured(t *testing.T) {
	r, g := newTraefikRig(t)
	r.start()
	sizes := measured()
	r.measure(g, sizes[:2]...)
}
