package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

func newCaddyRig(t testing.TB) (*rig, *Caddy) {
	t.Helper()
	r := newRig(t, "caddy")
	admin := testbed.FreeAddr(t)
	_, port, _ := strings.Cut(r.addr, ":")
	conf := r.write("Caddyfile", fmt.Sprintf(`{
	admin %s
	auto_https off
	persist_config off
	grace_period 2s
	servers {
		trusted_proxies static 127.0.0.0/8
	}
}
http://:%s {
	bind 127.0.0.1
	handle /own/* {
		respond "own" 204
	}
	reverse_proxy %s
}
`, admin, port, r.api))
	r.program = []string{gateways.Program(t, "caddy"), "run", "--adapter", "caddyfile", "--config", conf}
	r.env = []string{"XDG_DATA_HOME=" + r.dir, "XDG_CONFIG_HOME=" + r.dir}
	g, err := NewCaddy(CaddyConfig{Admin: "http://" + admin, Timeout: 20 * time.Second,
		Subjects: map[string]string{"consumer": "http.request.header.X-Consumer", "key": "http.request.header.X-Api-Key"}})
	if err != nil {
		t.Fatal(err)
	}
	return r, g
}

func TestCaddyContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r, g := newCaddyRig(t)
		r.drops = true
		r.start()
		return g, enforcetest.Probe{
			Status: r.status,
			Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
			Kinds:  []string{"consumer", "key"},
			Break: func(testing.TB) func() {
				base := g.api.base
				g.api.base = "http://127.0.0.1:1"
				return func() { g.api.base = base }
			},
			Sabotage: r.saboteur(func(t testing.TB) {
				if _, err := g.api.call(t.Context(), "PATCH", "/id/portcullis-srv0/match/0/client_ip/ranges", []string{"198.51.100.9/32", "192.0.2.3/32"}, nil); err != nil {
					t.Fatal(err)
				}
			}, func(t testing.TB) {
				if _, err := g.api.call(t.Context(), "DELETE", "/id/portcullis-srv0", nil, nil); err != nil {
					t.Fatal(err)
				}
			}, hanging(&g.api.base)),
			Restart: func(testing.TB) { r.stop(); r.start() },
			Held:    func(t testing.TB) string { return g.config(t) },
		}
	})
}

// config is all that Caddy was told.
func (g *Caddy) config(t testing.TB) string {
	t.Helper()
	var all json.RawMessage
	if _, err := g.api.call(t.Context(), "GET", "/config/", nil, &all); err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// TestCaddySabotage: the site's own configuration stays as it was; what somebody changes in
// our route, or puts before it, is mended; a Caddy that is gone is said to be.
func TestCaddySabotage(t *testing.T) {
	r, g := newCaddyRig(t)
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "gateway caddy", "refused")
	r.start()
	before := g.config(t)
	apply(t, g, block("192.0.2.1/32"), onSubject("consumer", "acme", enforce.Block))
	first := caddyServers + "/srv0/routes/0"
	for what, change := range map[string]func() error{
		"another route before it": func() error {
			_, err := g.api.call(t.Context(), "PUT", first, object{"handle": []object{{"handler": "static_response", "status_code": 201}}, "match": []object{{"path": []string{"/other"}}}}, nil)
			return err
		},
		"other addresses": func() error {
			_, err := g.api.call(t.Context(), "PATCH", "/id/portcullis-srv0/match/0/client_ip/ranges", []string{"198.51.100.0/24"}, nil)
			return err
		},
		"another answer": func() error {
			_, err := g.api.call(t.Context(), "PATCH", "/id/portcullis-srv0/handle/0/status_code", 200, nil)
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if done := apply(t, g, block("192.0.2.1/32"), onSubject("consumer", "acme", enforce.Block)); done.Changed == 0 {
			t.Errorf("%s: nothing was mended", what)
		}
		r.want(403, "192.0.2.1")
		r.want(200, "198.51.100.1")
	}
	if _, err := g.api.call(t.Context(), "DELETE", caddyServers+"/srv0/routes/1", nil, nil); err != nil {
		t.Fatal(err)
	}
	apply(t, g)
	if after := g.config(t); after != before {
		t.Errorf("the site's configuration was\n%s\nand is\n%s", before, after)
	}
	g.cfg.Servers = []string{"nope"}
	_, err = g.Apply(t.Context(), nil)
	wantError(t, err, "no server", "nope", "srv0")
}

// TestCaddyRoutes: the site's own routes stay, a closed route is closed for all.
func TestCaddyRoutes(t *testing.T) {
	r, g := newCaddyRig(t)
	r.start()
	apply(t, g, onSubject("route", "/closed/{id}", enforce.Block))
	for path, status := range map[string]int{"/closed/1": 403, "/closed/1/2": 200, "/own/x": 204} {
		if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr("192.0.2.1"), Path: path}); got != status {
			t.Errorf("%s: got %d, want %d", path, got, status)
		}
	}
}

// TestCaddySomebodyElse: a change in between is not overwritten.
func TestCaddySomebodyElse(t *testing.T) {
	r, g := newCaddyRig(t)
	r.start()
	var servers map[string]any
	header, err := g.api.call(t.Context(), "GET", caddyServers, nil, &servers)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, g, block("192.0.2.1/32"))
	_, err = g.api.call(t.Context(), http.MethodPatch, caddyServers, servers, nil, "If-Match", header.Get("Etag"))
	if !refusedWith(err, 412) {
		t.Errorf("an old state was written: %v", err)
	}
	r.want(403, "192.0.2.1")
}

func TestCaddyMeasured(t *testing.T) {
	r, g := newCaddyRig(t)
	r.drops = true
	r.start()
	r.measure(g, measured()...)
}
