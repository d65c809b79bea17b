package identity

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func newCloak(t testing.TB) *Cloak {
	t.Helper()
	c, err := NewCloak(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCloak(t *testing.T) {
	c := newCloak(t)
	seen := map[string]string{}
	for _, s := range []string{"203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8::2", "::1", "255.255.255.255", "64:ff9b::cb00:7107"} {
		a := netip.MustParseAddr(s)
		h := c.Hide(a)
		if !regexp.MustCompile(`^ip_[a-z2-7]{26}$`).MatchString(h) || seen[h] != "" {
			t.Errorf("%s is hidden as %s, like %q", s, h, seen[h])
		}
		seen[h] = s
		if back, ok := c.Show(h); !ok || back != a {
			t.Errorf("%s comes back as %s, %v", s, back, ok)
		}
	}
	if c.Hide(netip.MustParseAddr("::ffff:203.0.113.7")) != c.Hide(netip.MustParseAddr("203.0.113.7")) || c.Hide(netip.Addr{}) != "" {
		t.Error("one client has two names")
	}
	other, err := NewCloak([KeyBytes]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := other.Show(c.Hide(netip.MustParseAddr("203.0.113.7"))); ok && a.Is4() {
		t.Errorf("another installation shows %s", a)
	}
	for _, bad := range []string{"", "ip_", "ip_abc", "ip_" + strings.Repeat("a", 27), "ip_" + strings.Repeat("A", 26), "ip_" + strings.Repeat("a", 25) + "b", "net_" + strings.Repeat("a", 26), "203.0.113.7"} {
		if a, ok := c.Show(bad); ok {
			t.Errorf("%q is shown as %s", bad, a)
		}
	}
	if _, err := NewCloak([KeyBytes]byte{}); err == nil {
		t.Error("a cloak without a key")
	}
}

func TestCloakPrefix(t *testing.T) {
	c := newCloak(t)
	seen := map[string]bool{}
	for _, s := range []string{"203.0.113.0/24", "203.0.113.0/25", "203.0.112.0/24", "2001:db8::/64", "2001:db8::/63", "0.0.0.0/0", "::/0", "2001:db8::100/120"} {
		p := netip.MustParsePrefix(s)
		h := c.HidePrefix(p)
		if !strings.HasPrefix(h, "net_") || seen[h] {
			t.Errorf("%s is hidden as %s", s, h)
		}
		seen[h] = true
		if back, ok := c.ShowPrefix(h); !ok || back != p {
			t.Errorf("%s comes back as %s, %v", s, back, ok)
		}
	}
	one := netip.MustParseAddr("203.0.113.7")
	if c.HidePrefix(netip.PrefixFrom(one, 32)) != c.Hide(one) || c.HidePrefix(netip.MustParsePrefix("::ffff:203.0.113.7/120")) != c.HidePrefix(netip.MustParsePrefix("203.0.113.0/24")) {
		t.Error("one network has two names")
	}
	if _, ok := c.ShowPrefix(c.Hide(one)); ok {
		t.Error("an address is shown as a network")
	}
}

var hidden = regexp.MustCompile(`ip_[a-z2-7]{26}`)

func TestCloakLine(t *testing.T) {
	c := newCloak(t)
	for line, want := range map[string]string{
		`203.0.113.7 - - [02/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200`:       `* - - [02/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200`,
		`"xff":"203.0.113.7, 10.0.0.1","a":"[2001:db8::1]:443 2001:db8::2"`:       `"xff":"*, *","a":"[*]:443 *"`,
		`203.0.113.7:1234 http://203.0.113.7:80/ client:203.0.113.7,`:             `*:1234 http://*:80/ client:*,`,
		`::ffff:203.0.113.7 fe80::1%eth0 203.0.113.0/24 (203.0.113.7).`:           `* *%eth0 */24 (*).`,
		`Chrome/120.0.0.0 nginx/1.22.1 v1.2.3.4 10:00:00 aa:bb:cc:dd:ee:ff 1.2.3`: `Chrome/120.0.0.0 nginx/1.22.1 v1.2.3.4 10:00:00 aa:bb:cc:dd:ee:ff 1.2.3`,
		`/a%20203.0.113.7 for=203.0.113.7;x \n203.0.113.7 \x22203.0.113.7\x22`:    `/a%20* for=*;x \n* \x22*\x22`,
		`300.0.113.7 std::fmt :: 0.0.0.0 2026-03-02T10:00:00`:                     `300.0.113.7 std::fmt :: 0.0.0.0 2026-03-02T10:00:00`,
		`the client is 203.0.113.7. And 2001:db8::7: it`:                          `the client is *. And *: it`,
	} {
		got := c.Line(line)
		if hidden.ReplaceAllString(got, "*") != want {
			t.Errorf("%s\n got %s\nwant %s", line, hidden.ReplaceAllString(got, "*"), want)
		}
		if again := c.Line(got); again != got {
			t.Errorf("twice is not once: %s, %s", got, again)
		}
		if back := hidden.ReplaceAllStringFunc(got, func(s string) string { a, _ := c.Show(s); return a.String() }); back != strings.ReplaceAll(line, "::ffff:", "") {
			t.Errorf("%s comes back as %s", line, back)
		}
	}
}

func FuzzCloak(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "::1", "2001:db8::1%eth0", "203.0.113.0/24", "ip_aaaaaaaaaaaaaaaaaaaaaaaaaa", "[2001:db8::1]:443 1.2.3.4:5", "a:b::c.d", "%201.2.3.4", "1.2.3.4:", "::ffff:1.2.3.4"} {
		f.Add(s)
	}
	c := newCloak(f)
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := netip.ParseAddr(s); err == nil {
			if back, ok := c.Show(c.Hide(a)); !ok || back != a.Unmap().WithZone("") {
				t.Errorf("%s comes back as %s", a, back)
			}
		}
		if a, ok := c.Show(s); ok && c.Hide(a) != s {
			t.Errorf("%q shows %s, which hides as %q", s, a, c.Hide(a))
		}
		if p, err := netip.ParsePrefix(s); err == nil && !p.IsSingleIP() && p.Bits() <= 120 && !p.Addr().Is4In6() && p.Addr().As16()[0] != 0xff {
			if back, ok := c.ShowPrefix(c.HidePrefix(p)); !ok || back != p.Masked() {
				t.Errorf("%s comes back as %s", p, back)
			}
		}
		once := c.Line(s)
		if again := c.Line(once); again != once {
			t.Errorf("%q: %q, then %q", s, once, again)
		}
	})
}

func BenchmarkCloakLine(b *testing.B) {
	c := newCloak(b)
	line := `203.0.113.77 - alice [02/Mar/2026:10:00:00 +0000] "GET /api/v1/orders/4711?sort=asc HTTP/1.1" 200 1234 "-" "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0 Safari"`
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		c.Line(line)
	}
}
