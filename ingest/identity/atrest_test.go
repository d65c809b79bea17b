package identity

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func testCloak(t testing.TB, first byte) *Cloak {
	t.Helper()
	c, err := NewCloak([KeyBytes]byte{first})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHideText(t *testing.T) {
	c := testCloak(t, 7)
	ip := func(s string) string { return c.Hide(netip.MustParseAddr(s)) }
	net := func(s string) string { return c.HidePrefix(netip.MustParsePrefix(s)) }
	for _, x := range []struct{ in, want string }{
		{"", ""},
		{"203.0.113.7", ip("203.0.113.7")},
		{"::ffff:203.0.113.7", ip("203.0.113.7")},
		{"2001:db8::7", ip("2001:db8::7")},
		{"203.0.113.0/24", net("203.0.113.0/24")},
		{"203.0.113.7/32", ip("203.0.113.7")},
		{"2001:db8:0:7::/64", net("2001:db8:0:7::/64")},
		{"ip:203.0.113.7", "ip:" + ip("203.0.113.7")},
		{"released ab12 (block 2001:db8:0:7::/64), cd34 (block 203.0.113.7)", "released ab12 (block " + net("2001:db8:0:7::/64") + "), cd34 (block " + ip("203.0.113.7") + ")"},
		{"203.0.113.0/24 and 198.51.100.0/24", net("203.0.113.0/24") + " and " + net("198.51.100.0/24")},
		{"GET /203.0.113.7/24 of 10/24/7", "GET /" + ip("203.0.113.7") + "/24 of 10/24/7"}, // a path, not a network
		{"consumer:alice", "consumer:alice"},
		{"Chrome/120.0.0.0 at 12/Mar/2026:10:00:00", "Chrome/120.0.0.0 at 12/Mar/2026:10:00:00"},
		{ip("203.0.113.7") + " " + net("203.0.113.0/24"), ip("203.0.113.7") + " " + net("203.0.113.0/24")},
	} {
		got := c.HideText(x.in)
		if got != x.want {
			t.Errorf("HideText(%q) = %q, want %q", x.in, got, x.want)
		}
		if HasAddress(x.in) != (got != x.in) {
			t.Errorf("HasAddress(%q) = %v", x.in, HasAddress(x.in))
		}
		if strings.Contains(x.in, "::ffff") || strings.Contains(x.in, "/32") || x.in == got {
			continue
		}
		if back := c.ShowText(got); back != x.in {
			t.Errorf("ShowText(%q) = %q, want %q", got, back, x.in)
		}
	}
	if s := "zip_aaaaaaaaaaaaaaaaaaaaaaaaaa ip_tooshort net_"; c.ShowText(s) != s || IsHidden(s) {
		t.Errorf("no hidden form, and shown as %q", c.ShowText(s))
	}
	if !IsHidden(ip("::1")) || !IsHidden(net("203.0.113.0/24")) || IsHidden("203.0.113.7") {
		t.Error("IsHidden")
	}
}

func TestSeal(t *testing.T) {
	c, other := testCloak(t, 7), testCloak(t, 8)
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte{203, 0, 113, 7}, 1<<16)} {
		sealed, err := c.Seal("shard/001", plain)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := c.Seal("shard/001", plain)
		if bytes.Equal(sealed, again) || len(plain) > 4 && bytes.Contains(sealed, plain[:4]) {
			t.Errorf("%d bytes: the same twice, or in clear", len(plain))
		}
		if got, err := c.Open("shard/001", sealed); err != nil || got == nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d (%v)", len(plain), len(got), err)
		}
		if got, err := c.Open("engine", plain); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("what is not sealed came back as %d bytes (%v)", len(got), err)
		}
		flipped := bytes.Clone(sealed)
		flipped[len(flipped)-1] ^= 1
		for name, try := range map[string]func() ([]byte, error){
			"another key":  func() ([]byte, error) { return other.Open("shard/001", sealed) },
			"another name": func() ([]byte, error) { return c.Open("shard/002", sealed) },
			"a bit":        func() ([]byte, error) { return c.Open("shard/001", flipped) },
			"cut":          func() ([]byte, error) { return c.Open("shard/001", sealed[:len(sealed)-1]) },
		} {
			if _, err := try(); err == nil || !strings.Contains(err.Error(), "same backup") {
				t.Errorf("%d bytes, %s: %v", len(plain), name, err)
			}
		}
	}
}

// FuzzHideText: hiding twice is hiding once, an address never stays, and nothing
// that is made up stops ShowText.
func FuzzHideText(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "a 2001:db8::/32, 1.2.3.4/8", "x/1.2.3.0/24/", "ip_aaaaaaaaaaaaaaaaaaaaaaaaaa", "::/0", "[::1]:80", "1.2.3.4:80,5.6.7.8", "\xff/9"} {
		f.Add(s)
	}
	c := testCloak(f, 9)
	f.Fuzz(func(t *testing.T, s string) {
		once := c.HideText(s)
		if twice := c.HideText(once); twice != once {
			t.Errorf("%q hides to %q, and that to %q", s, once, twice)
		}
		c.ShowText(s)
		if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil && !a.WithZone("").IsUnspecified() && strings.Contains(once, s) && s != "" {
			t.Errorf("%q is an address and stays %q", s, once)
		}
	})
}
