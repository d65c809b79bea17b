package gateway

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

func newNginxLuaRig(t testing.TB) (*rig, *NginxLua) {
	t.Helper()
	r := newRig(t, "nginx")
	program, lua := gateways.Program(t, "nginx"), gateways.NeedLua(t)
	g, err := NewNginxLua(NginxLuaConfig{Dir: r.path("portcullis"), Listen: testbed.FreeAddr(t), DictMB: 64, Timeout: 20 * time.Second,
		Subjects: map[string]string{"consumer": "$http_x_consumer", "key": "$http_x_api_key"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.prepare(); err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	conf := r.write("nginx.conf", fmt.Sprintf(`%[1]s%[2]sworker_processes 2;
daemon off;
pid %[3]s/nginx.pid;
error_log %[3]s/error.log;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy; fastcgi_temp_path %[3]s/fcgi;
	uwsgi_temp_path %[3]s/uwsgi; scgi_temp_path %[3]s/scgi;
	lua_package_path "%[4]s/?.lua;;";
	set_real_ip_from 127.0.0.1;
	real_ip_header X-Forwarded-For;
	include %[5]s;
	server {
		include %[6]s;
		listen %[7]s;
		location / { proxy_pass http://%[8]s; }
	}
}
`, lua.Load, user, r.dir, lua.Path, g.path(nginxLuaHTTPFile), g.path(nginxLuaServer), r.addr, r.api))
	r.program, r.env = []string{program, "-c", conf, "-e", r.path("error.log")}, []string{lua.Env}
	return r, g
}

func TestNginxLuaContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r, g := newNginxLuaRig(t)
		r.start()
		return g, enforcetest.Probe{
			Status: r.status,
			Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
			Kinds:  []string{"consumer", "key"},
			Break: func(testing.TB) func() {
				base := g.base
				g.base = "http://127.0.0.1:1"
				return func() { g.base = base }
			},
			Restart: func(t testing.TB) {
				r.stop()
				if err := os.Remove(g.path(nginxLuaList)); err != nil {
					t.Fatal(err)
				}
				r.start()
			},
			Sabotage: r.saboteur(func(t testing.TB) {
				state := nginxLuaState([]enforce.Entry{block("192.0.2.3/32"), block("198.51.100.9/32")})
				lines := nginxLuaChanges(nginxLuaState([]enforce.Entry{block("192.0.2.1/32"), block("192.0.2.3/32")}), state)
				if _, err := g.ask(t.Context(), "POST", "/", []byte(strings.Join(lines, ""))); err != nil {
					t.Fatal(err)
				}
			}, func(t testing.TB) {
				r.write("portcullis/"+nginxLuaList, "+ zz nonsense\nm mark\n")
			}, hanging(&g.base)),
			Held: func(testing.TB) string { return r.held(g.cfg.Dir) },
		}
	})
}

// TestNginxLuaRestarts: an nginx that restarts without Portcullis has the list of the last
// push, one that reloads keeps its dictionary, and neither takes changes from strangers.
func TestNginxLuaRestarts(t *testing.T) {
	r, g := newNginxLuaRig(t)
	r.start()
	apply(t, g, block("192.0.2.1/32"), block("2001:db8::/48"), onSubject("key", "a\"b\\c $x", enforce.Block))
	check := func() {
		t.Helper()
		r.want(403, "192.0.2.1", "2001:db8:0:9::1")
		r.want(200, "192.0.2.2", "2001:db8:1::1")
	}
	check()
	r.stop()
	r.start()
	check()
	r.write("portcullis/"+nginxLuaList, "nonsense")
	if again := apply(t, g, block("192.0.2.1/32"), block("2001:db8::/48"), onSubject("key", "a\"b\\c $x", enforce.Block)); again.Changed != 0 {
		t.Errorf("a broken file, and the same state: %+v", again)
	}
	r.stop()
	r.start()
	check()
	other, err := NewNginxLua(g.cfg) // Portcullis restarts too, and does not know what is there
	if err != nil {
		t.Fatal(err)
	}
	if again := apply(t, other, block("192.0.2.1/32"), block("2001:db8::/48"), onSubject("key", "a\"b\\c $x", enforce.Block)); again.Changed != 0 {
		t.Errorf("the same after both restarted: %+v", again)
	}
	if one := apply(t, other, block("192.0.2.2/32")); one.Changed != 4 {
		t.Errorf("three gone, one new: %+v", one)
	}
	r.want(200, "192.0.2.1", "2001:db8::1")
	r.want(403, "192.0.2.2")
	resp, err := http.Post(g.base, "text/plain", strings.NewReader("m mark 00\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token it answers %d", resp.StatusCode)
	}
	if info, err := os.Stat(g.path(nginxLuaToken)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info.Mode(), err)
	}
}

// TestNginxLuaFull: what does not fit is refused, and nothing that is held makes room.
func TestNginxLuaFull(t *testing.T) {
	r, g := newNginxLuaRig(t)
	text := strings.Replace(g.httpFile(), "portcullis 64m", "portcullis 1m", 1)
	r.write("portcullis/"+nginxLuaHTTPFile, text)
	r.start()
	apply(t, g, block("192.0.2.1/32"))
	_, err := g.Apply(t.Context(), append(addresses(20_000), block("192.0.2.1/32")))
	wantError(t, err, "dict_mb", "full")
	r.want(403, "192.0.2.1")
	apply(t, g, block("192.0.2.1/32"))
	r.want(200, "192.0.2.2")
}

func TestNginxLuaMeasured(t *testing.T) {
	r, g := newNginxLuaRig(t)
	r.start()
	r.measure(g, measured()...)
}

// FuzzNginxLuaChanges: whatever a subject or a route is called, it is one line of digits,
// which reads back as the entry that was meant.
func FuzzNginxLuaChanges(f *testing.F) {
	for _, v := range enforcetest.HostileValues {
		f.Add(v, "/"+v)
	}
	g, err := NewNginxLua(NginxLuaConfig{Dir: "/d", Listen: "127.0.0.1:1", DictMB: 1, Timeout: 1, Subjects: map[string]string{"key": "$http_x"}})
	if err != nil {
		f.Fatal(err)
	}
	place := func(route string) string {
		if route == "" {
			return ""
		}
		return label(route)
	}
	line := regexp.MustCompile(`^(\+ [0-9a-f]+|m [a-z0-9]+) [0-9a-f]*\n$`)
	f.Fuzz(func(t *testing.T, value, route string) {
		list, err := g.normal(fuzzed(g, value, route))
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, l := range nginxLuaChanges(nil, nginxLuaState(list)) {
			if !line.MatchString(l) {
				t.Fatalf("%q and %q became %q", value, route, l)
			}
			if key, ok := strings.CutPrefix(l, "+ "); ok {
				key, _, _ = strings.Cut(key, " ")
				raw, err := hex.DecodeString(key)
				if err != nil || string(raw) != "|skey|"+value && string(raw) != place(route)+"|4\x20\xc0\x00\x02\x01" {
					t.Fatalf("%q and %q became the key %q, %v", value, route, raw, err)
				}
				read++
			}
		}
		if read != len(list) {
			t.Fatalf("%d entries became %d lines", len(list), read)
		}
	})
}
