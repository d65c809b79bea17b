package gateway

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
)

// newApacheRig configures an Apache that includes the file that setup makes.
func newApacheRig(t testing.TB) (*rig, *Apache) {
	t.Helper()
	r := newRig(t, "apache")
	g, err := NewApache(ApacheConfig{Dir: r.path("portcullis"), Subjects: map[string]string{"consumer": "X-Consumer", "key": "x-api-key"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.prepare(); err != nil {
		t.Fatal(err)
	}
	program := gateways.Program(t, "apache")
	load := ""
	for _, m := range []string{"mpm_event", "unixd", "log_config", "authz_core", "proxy", "proxy_http", "rewrite", "setenvif", "remoteip"} {
		load += fmt.Sprintf("<IfModule !%[1]s_module>\nLoadModule %[1]s_module \"%[2]s/mod_%[1]s.so\"\n</IfModule>\n", m, apacheModules(t, program))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "User #65534\nGroup #65534\n"
	}
	conf := r.write("apache.conf", fmt.Sprintf(`ServerRoot "%[1]s"
DefaultRuntimeDir "%[1]s"
PidFile "%[1]s/pid"
ErrorLog /dev/stderr
ServerName localhost
%[2]s%[3]sStartServers 1
ServerLimit 2
Listen %[4]s
<VirtualHost *:*>
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
Include %[5]s
ProxyPass / http://%[6]s/ nocanon
</VirtualHost>
`, r.dir, load, user, r.addr, g.path(apacheInclude), r.api))
	r.program = []string{program, "-D", "FOREGROUND", "-f", conf}
	return r, g
}

// apacheModules finds the folder with the modules.
func apacheModules(t testing.TB, program string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"usr/lib/apache2/modules", "../lib/apache2/modules", "../lib64/httpd/modules"} {
		dir = filepath.Join(filepath.Dir(real), dir)
		if _, err := os.Stat(filepath.Join(dir, "mod_proxy.so")); err == nil {
			return dir
		}
	}
	t.Fatal("mod_proxy.so is in none of the usual folders")
	return ""
}

func TestApacheContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r, g := newApacheRig(t)
		r.start()
		return g, enforcetest.Probe{
			Status: r.status,
			Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
			Kinds:  []string{"consumer", "key"},
			Break: func(testing.TB) func() {
				dir := g.cfg.Dir
				g.cfg.Dir = "/proc/nowhere"
				return func() { g.cfg.Dir = dir }
			},
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
			Sabotage: r.saboteur(replaced(g.path("portcullis-address.txt"), "192.0.2.1 ", "198.51.100.9 "),
				func(testing.TB) { r.write("portcullis/portcullis-address.txt", "\x00non sense\n192.0.2.1\n") }, nil),
			Held: func(testing.TB) string {
				text := ""
				for name := range g.maps(nil) {
					text += readString(t, g.path(name))
				}
				return text
			},
		}
	})
}

// TestApacheFindsEveryForm: an IPv6 address may be written with its zeros anywhere.
func TestApacheFindsEveryForm(t *testing.T) {
	r, g := newApacheRig(t)
	r.start()
	hit := []string{"2001:db8:0:1::5", "2001:db8:0:1:2:3:4:5", "2001:db8:0:1:0:0:0:1", "2001:0:0:7::1", "2001::7:1:2:3:4", "2001:db8:9:0:1:2:3:4", "2001:db8:9::1", "2002::1", "2002::1:2:3:4", "2003:1::1", "2003:1:0:0:5:6:7:8"}
	miss := []string{"2001:db8:0:2::5", "2001:db8:0:10::5", "2001::8:1:2:3:4", "2001:db8:8::1", "2002:0:0:1::1", "2002::1:1:2:3:4", "2003:1:0:1::1"}
	apply(t, g, block("2001:db8:0:1::/64"), block("2001:0:0:7::/64"), block("2001:db8:9::/64"), block("2002::/64"), block("2003:1::/64"))
	r.want(403, hit...)
	r.want(200, miss...)
	apply(t, g, block("2001:db8::/48"), block("2002::/48"), block("198.51.0.0/16"), block("192.0.2.0/23"))
	r.want(403, "2001:db8::1", "2001:db8:0:ffff::1", "2002::5:1:2:3:4", "2002:0:0:9:1:1:1:1", "198.51.255.1", "192.0.2.1", "192.0.3.255")
	r.want(200, "2001:db8:1::1", "2002:0:1::1", "198.52.0.1", "192.0.4.1", "192.0.1.255")
	for _, p := range []string{"10.0.0.0/15", "2001:db8::/47", "2001:db8::/100"} {
		if g.Holds(enforce.Target{Prefix: netip.MustParsePrefix(p)}, enforce.Block) == nil {
			t.Errorf("it says that it can hold %s", p)
		}
	}
}

// TestApacheKeys: the keys of a prefix are those of just its addresses.
func TestApacheKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(20, 32).Draw(t, "bits")
		raw := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")
		a, _ := netip.AddrFromSlice(raw)
		p, _ := a.Prefix(bits)
		keys := map[string]bool{}
		for _, k := range apacheKeys(p) {
			keys[k] = true
		}
		inside := func(a netip.Addr) bool {
			s := a.String()
			three := s[:strings.LastIndexByte(s, '.')]
			return keys[s] || keys[three] || keys[three[:strings.LastIndexByte(three, '.')]]
		}
		raw = rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "other")
		b := netip.AddrFrom4([4]byte{p.Addr().As4()[0], p.Addr().As4()[1], raw[0], raw[1]})
		for _, x := range []netip.Addr{a, b, p.Addr()} {
			if inside(x) != p.Contains(x) {
				t.Fatalf("%s in %s: found %v", x, p, inside(x))
			}
		}
	})
}

// TestApacheSabotage: maps edited or taken away are mended, and a folder that cannot be
// written is said to be.
func TestApacheSabotage(t *testing.T) {
	r, g := newApacheRig(t)
	r.start()
	apply(t, g, block("192.0.2.1/32"))
	r.write("portcullis/portcullis-address.txt", "198.51.100.1 block\n")
	if done := apply(t, g, block("192.0.2.1/32")); done.Changed != 1 {
		t.Errorf("mended: %+v", done)
	}
	r.want(403, "192.0.2.1")
	r.want(200, "198.51.100.1")
	if err := os.Remove(g.path("portcullis-address.txt")); err != nil {
		t.Fatal(err)
	}
	r.want(200, "192.0.2.1", "203.0.113.1") // open, and honest traffic goes on
	apply(t, g, block("192.0.2.1/32"))
	r.want(403, "192.0.2.1")
	r.stop()
	r.start()
	r.want(403, "192.0.2.1")
	undo := blocked(t, g.cfg.Dir)
	_, err := g.Apply(t.Context(), nil)
	wantError(t, err, "cannot write", "is a file")
	wantError(t, g.Check(t.Context()), "cannot write")
	undo()
}

func TestApacheMeasured(t *testing.T) {
	r, g := newApacheRig(t)
	r.start()
	r.measure(g, measured()...)
}
