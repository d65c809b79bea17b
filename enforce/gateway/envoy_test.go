package gateway

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// newEnvoyRig configures an Envoy by the filter that setup prints.
func newEnvoyRig(t testing.TB) (*rig, *Envoy) {
	t.Helper()
	r := newRig(t, "envoy")
	admin := testbed.FreeAddr(t)
	g, err := NewEnvoy(EnvoyConfig{Dir: r.path("list"), Admin: "http://" + admin, Timeout: 20 * time.Second, Subjects: map[string]string{"consumer": "X-Consumer", "key": "x-api-key"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.prepare(); err != nil {
		t.Fatal(err)
	}
	address := func(hostport string) string {
		a := netip.MustParseAddrPort(hostport)
		return fmt.Sprintf("{socket_address: {address: %s, port_value: %d}}", a.Addr(), a.Port())
	}
	conf := r.write("envoy.yaml", fmt.Sprintf(`
node: {id: x, cluster: x}
admin: {address: %s}
static_resources:
  listeners:
  - address: %s
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: site
          use_remote_address: true
          xff_num_trusted_hops: 1
          http_filters:
%s
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: api}}]}]}
  clusters:
  - {name: api, type: STATIC, load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]}}
`, address(admin), address(r.addr), strings.ReplaceAll(strings.TrimRight(indented(g.filter()), "\n"), "\t", "          "), address(r.api)))
	r.program = []string{gateways.Program(t, "envoy"), "-c", conf, "--concurrency", "1", "--disable-hot-restart", "-l", "error"}
	return r, g
}

// blocked puts a file in the place of a folder, and returns what undoes it.
func blocked(t testing.TB, dir string) (undo func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(dir, dir+".x"))
	must(os.WriteFile(dir, nil, 0o644))
	return func() {
		must(os.Remove(dir))
		must(os.Rename(dir+".x", dir))
	}
}

func TestEnvoyContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r, g := newEnvoyRig(t)
		r.start()
		return g, enforcetest.Probe{
			Status: r.status,
			Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
			Kinds:  []string{"consumer", "key"},
			Break:  func(t testing.TB) func() { return blocked(t, g.cfg.Dir) },
			Restart: func(t testing.TB) {
				r.stop()
				if err := os.RemoveAll(g.cfg.Dir); err != nil {
					t.Fatal(err)
				}
				if err := g.prepare(); err != nil {
					t.Fatal(err)
				}
				r.start()
			},
			Sabotage: r.saboteur(func(t testing.TB) {
				replaced(g.path(envoyFile), `"version_info":"`, `"version_info":"edited-`)(t)
				replaced(g.path(envoyFile), `192.0.2.1"`, `198.51.100.9"`)(t)
			}, func(testing.TB) { r.write("list/"+envoyFile, "nonsense") }, hanging(&g.admin.base)),
			Held: func(testing.TB) string { return r.held(g.cfg.Dir) },
		}
	})
}

// TestEnvoyNested: a narrow prefix that is confined to a route does not hide the wider one
// that is not, and a route can be closed for all.
func TestEnvoyNested(t *testing.T) {
	r, g := newEnvoyRig(t)
	r.start()
	narrow, wide := block("192.0.2.7/32"), block("198.51.100.0/24")
	narrow.Route, wide.Route = "/c", "/d/{id}"
	apply(t, g, narrow, wide, block("192.0.2.0/25"), onSubject("route", "/closed", enforce.Block))
	for _, c := range []struct {
		client, path string
		status       int
	}{{"192.0.2.7", "/c", 403}, {"192.0.2.7", "/x", 403}, {"192.0.2.200", "/x", 200}, {"198.51.100.1", "/d/1?q=1", 403}, {"198.51.100.1", "/d/1/2", 200},
		{"203.0.113.1", "/closed", 403}, {"203.0.113.1", "/closed?x", 403}, {"203.0.113.1", "/closed/x", 200}} {
		if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr(c.client), Path: c.path}); got != c.status {
			t.Errorf("%s on %s: got %d, want %d", c.client, c.path, got, c.status)
		}
	}
}

// TestEnvoySabotage: a list that somebody else broke is replaced; what Envoy refuses is told
// and taken back; an Envoy that is gone is said to be, and the file is put back.
func TestEnvoySabotage(t *testing.T) {
	r, g := newEnvoyRig(t)
	r.start()
	apply(t, g, block("192.0.2.1/32"))
	good := readString(t, g.path(envoyFile))
	bad := strings.Replace(good, "192.0.2.1", "nonsense", 1)
	if err := writeAtomic(g.path(envoyFile), []byte(bad)); err != nil {
		t.Fatal(err)
	}
	r.want(403, "192.0.2.1")
	apply(t, g, block("192.0.2.1/32"))
	r.want(403, "192.0.2.1")
	err := g.put(t.Context(), g.path(envoyFile), strings.Replace(bad, `"version_info":"`, `"version_info":"other-`, 1), "other")
	wantError(t, err, "refused the list")
	if readString(t, g.path(envoyFile)) != good {
		t.Error("the list that Envoy refused stays")
	}
	r.want(403, "192.0.2.1")
	r.stop()
	_, err = g.Apply(t.Context(), []enforce.Entry{block("192.0.2.2/32")})
	wantError(t, err, "gateway envoy", "admin interface", "connection refused")
	r.start()
	r.want(403, "192.0.2.1")
	r.want(200, "192.0.2.2")
}

// TestEnvoyTooMany: above the bound nothing is written, the last list stays in force, and
// the error leads to what is for so many.
func TestEnvoyTooMany(t *testing.T) {
	r, g := newEnvoyRig(t)
	r.start()
	g.cfg.Most = 2
	apply(t, g, block("192.0.2.1/32"), block("192.0.2.2/32"))
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.2/32"), block("192.0.2.3/32"), block("192.0.2.4/32")})
	wantError(t, err, "gateway envoy", "3 entries are wanted", "max_entries is 2", "the last list stays", "ext_authz")
	r.want(403, "192.0.2.1", "192.0.2.2")
	r.want(200, "192.0.2.3")
	apply(t, g, block("192.0.2.2/32"), block("192.0.2.3/32"))
	r.want(403, "192.0.2.3")
}

func TestEnvoyMeasured(t *testing.T) {
	r, g := newEnvoyRig(t)
	r.start()
	r.measure(g, measured()...)
}

// FuzzEnvoyRender: whatever a subject is called, the file is JSON in which the name is one
// key of one map.
func FuzzEnvoyRender(f *testing.F) {
	for _, v := range enforcetest.HostileValues {
		f.Add(v)
	}
	g, err := NewEnvoy(EnvoyConfig{Dir: "/d", Timeout: time.Second, Subjects: map[string]string{"consumer": "x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, err := g.normal([]enforce.Entry{onSubject("consumer", value, enforce.Block)})
		if err != nil {
			return
		}
		text, _, err := envoyDiscovery(list, g.cfg.Subjects)
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Resources []struct {
				TypedConfig struct {
					Matcher struct {
						MatcherTree struct {
							ExactMatchMap struct {
								Map map[string]any `json:"map"`
							} `json:"exact_match_map"`
						} `json:"matcher_tree"`
					} `json:"matcher"`
				} `json:"typed_config"`
			} `json:"resources"`
		}
		if err := json.Unmarshal([]byte(text), &back); err != nil {
			t.Fatal(err)
		}
		names := back.Resources[0].TypedConfig.Matcher.MatcherTree.ExactMatchMap.Map
		if _, ok := names[value]; !ok || len(names) != 1 {
			t.Fatalf("%q became %v", value, names)
		}
	})
}
