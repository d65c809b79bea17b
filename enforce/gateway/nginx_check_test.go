package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func TestNginxCheckExplains(t *testing.T) {
	s := newSite(t, "")
	check := func(alter func(*NginxConfig)) error {
		cfg := s.cfg
		alter(&cfg)
		g, err := NewNginx(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return g.Check(context.Background())
	}
	if err := check(func(*NginxConfig) {}); err != nil {
		t.Errorf("a good site: %v", err)
	}
	wantError(t, check(func(c *NginxConfig) { c.Binary = "no-such-nginx" }), "no-such-nginx", "apt-get install")
	wantError(t, check(func(c *NginxConfig) { c.Dir = filepath.Join(s.dir, "absent") }), "portcullis setup nginx", "does not read")
	wantError(t, check(func(c *NginxConfig) { c.Dir = s.cfg.Conf }), "is a file")
	wantError(t, check(func(c *NginxConfig) { c.Conf = filepath.Join(s.dir, "absent.conf") }), "absent.conf")
	viaCommand := func(c *NginxConfig) { c.TestCommand = []string{"nginx", "-t", "-q", "-c", s.cfg.Conf} }
	if err := check(viaCommand); err != nil {
		t.Errorf("a good site, by a test command: %v", err)
	}
	bare := strings.ReplaceAll(readString(t, s.cfg.Conf), "include", "#")
	s.write("nginx.conf", bare)
	for _, alter := range []func(*NginxConfig){func(*NginxConfig) {}, viaCommand} {
		wantError(t, check(alter), "include "+s.cfg.Dir+"/"+NginxHTTPFile+";", "include "+s.cfg.Dir+"/"+NginxServerFile+";", "first line")
	}
	s.write("nginx.conf", bare+"}")
	wantError(t, check(func(*NginxConfig) {}), `unexpected \"}\"`)
}

func TestNginxConfigIsChecked(t *testing.T) {
	for _, dir := range []string{"relative", "/a b", "/a;b", "/a{b", "/a$b", "/a*b", "/a\"b", "/a\nb"} {
		if _, err := NewNginx(NginxConfig{Dir: dir}); err == nil {
			t.Errorf("dir %q was taken", dir)
		}
	}
	_, err := NewNginx(NginxConfig{ZoneKB: 1, Timeout: -1})
	wantError(t, err, "zone_kb", "timeout")
}

func TestNginxTimeout(t *testing.T) {
	s := newSite(t, "")
	s.cfg.Timeout = 30 * time.Millisecond
	s.cfg.TestCommand = []string{"sleep", "20"}
	_, err := s.gateway().Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "took longer than 30ms")
	s.cfg.TestCommand = []string{"true"}
	s.cfg.Timeout = 2 * time.Second
	s.start()
	s.cfg.ReloadCommand = []string{"true"} // pretends to reload
	before := readString(t, s.gateway().path(NginxHTTPFile))
	s.cfg.Timeout = 200 * time.Millisecond
	_, err = s.gateway().Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "old workers still accept and 0 new ones started", "error log")
	if readString(t, s.gateway().path(NginxHTTPFile)) != before {
		t.Error("a reload that did not happen left its file")
	}
}

// addresses makes n spread-out single addresses, a third of them IPv6.
func addresses(n int) []enforce.Entry {
	list := make([]enforce.Entry, n)
	for i := range list {
		a := netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)})
		if i%3 == 0 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i), 15: 1})
		}
		list[i] = enforce.Entry{Prefix: netip.PrefixFrom(a, a.BitLen()), Action: enforce.Block}
		if i%10 == 0 {
			list[i].Action, list[i].Rate = enforce.Throttle, 5
		}
	}
	return list
}

func TestNginxManyEntries(t *testing.T) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if n > 10_000 && testing.Short() {
				t.Skip("long, and one push after the other: leave out -short")
			}
			s := newSite(t, "")
			s.start()
			g := s.gateway()
			list := addresses(n)
			stop := s.honestTraffic()
			done := apply(t, g, list...)
			if done.Entries != n || done.Changed != n {
				t.Errorf("applied %+v, want %d", done, n)
			}
			last := list[n-1].Prefix.Addr().String()
			s.want(403, list[1].Prefix.Addr().String(), last)
			one := apply(t, g, list[:n-1]...)
			if one.Changed != 1 || one.Entries != n-1 {
				t.Errorf("without the last: %+v, want 1 changed", one)
			}
			s.want(200, last)
			again := apply(t, g, list[:n-1]...)
			if again.Changed != 0 {
				t.Errorf("repeated: %+v", again)
			}
			if bad := stop(); bad != 0 {
				t.Errorf("%d honest requests failed", bad)
			}
			t.Logf("%d entries: first push %v, one removed %v, repeated %v", n, done.Took, one.Took, again.Took)
		})
	}
}

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
		name  string
	}{
		{0.01, -1, "r0_1b0"}, {0.1, 0, "r0_1b0"}, {0.49, 4, "r0_1b0"}, {0.5, 5, "r0_5b5"}, {1, 19, "r1b10"},
		{1.99, 20, "r1b20"}, {49.9, 0, "r20b0"}, {100, 0, "r100b0"}, {1e9, 1 << 30, "r100b20"},
	} {
		if got := classOf(c.rate, c.burst).name(); got != c.name {
			t.Errorf("classOf(%v, %d) = %s, want %s", c.rate, c.burst, got, c.name)
		}
	}
	g, err := NewNginx(NginxConfig{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := g.normal([]enforce.Entry{throttle("192.0.2.1/32", 50, 0), throttle("192.0.2.1/32", 1, 5), throttle("192.0.2.1/32", 1, 0), throttle("192.0.2.2/32", 1, 0), block("192.0.2.2/32")})
	s := newNginxState(list, nil)
	if err != nil || len(s.throttle) != 1 || len(s.deny) != 1 || s.throttle[0].class.name() != "r1b0" {
		t.Errorf("of several actions on a prefix the tightest counts: %+v, %v", s, err)
	}
	// A class stays on offer once used, so that the server file never refers to
	// a zone that is not there.
	later := newNginxState([]enforce.Entry{throttle("192.0.2.1/32", 2, 10)}, s.httpFile(g.cfg))
	if len(later.classes) != 2 || later.classes[0].name() != "r1b0" || later.classes[1].name() != "r2b10" {
		t.Errorf("classes %+v", later.classes)
	}
}

func TestRegistry(t *testing.T) {
	spec, err := Lookup("nginx")
	if err != nil || spec.Doc == "" || len(spec.Actions) != 2 {
		t.Fatalf("nginx: %+v, %v", spec, err)
	}
	g, err := spec.Open(spec.Config())
	if err != nil || g.Name() != "nginx" {
		t.Errorf("opened %v, %v", g, err)
	}
	_, err = Lookup("ngnix")
	wantError(t, err, "ngnix", "nginx")
}
