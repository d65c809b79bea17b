package identity

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// keyZero was computed by another program, see TestKey.
const keyZero = "1e59d43808793f4b"

func testKey() (k [KeyBytes]byte) {
	copy(k[:], "a key for tests, not a secret...")
	return k
}

func newResolver(t testing.TB, trusted ...string) *Resolver {
	t.Helper()
	r, err := New(Config{TrustedProxies: trusted, Key: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClient(t *testing.T) {
	for _, c := range []struct{ trusted, peer, chain, want string }{
		{"127.0.0.0/8", "203.0.113.7", "", "203.0.113.7"},
		{"127.0.0.0/8", "127.0.0.1", "", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "203.0.113.1", "203.0.113.1"},
		{"127.0.0.0/8", "203.0.113.7", "198.51.100.1", "203.0.113.7"},
		{"127.0.0.0/8", "127.0.0.1", "198.51.100.1, 203.0.113.1", "203.0.113.1"},
		{"127.0.0.0/8,203.0.113.1", "127.0.0.1", "198.51.100.1, 203.0.113.1", "198.51.100.1"},
		{"127.0.0.0/8,10.0.0.0/8", "10.0.0.9", "192.0.2.1,198.51.100.1 ,\t10.1.1.1", "198.51.100.1"},
		{"127.0.0.0/8,10.0.0.0/8", "10.0.0.9", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
		{"::1/128", "::1", "2001:db8::0, 10.0.0.1", "10.0.0.1"},
		{"::1/128,10.0.0.0/8", "::1", "2001:db8::1, 10.0.0.1", "2001:db8::1"},
		{"127.0.0.0/8", "127.0.0.1", "203.0.113.9:1234", "203.0.113.9"},
		{"127.0.0.0/8", "127.0.0.1", "[2001:db8::7]:443", "2001:db8::7"},
		{"127.0.0.0/8", "127.0.0.1", "[2001:db8::7]", "2001:db8::7"},
		{"127.0.0.0/8", "127.0.0.1", "2001:db8::7", "2001:db8::7"},
		{"127.0.0.0/8", "127.0.0.1", "fe80::7%eth0", "fe80::7"},
		{"127.0.0.0/8", "127.0.0.1", "::ffff:203.0.113.1", "203.0.113.1"},
		{"127.0.0.0/8,203.0.113.0/24", "127.0.0.1", "198.51.100.2, ::ffff:203.0.113.1", "198.51.100.2"},
		{"::ffff:127.0.0.0/104", "127.0.0.1", "203.0.113.1", "203.0.113.1"},
		{"127.0.0.0/8", "127.0.0.1", `1.2.3.4, "evil", <x>`, "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", ";drop table", "127.0.0.1"},
		{"127.0.0.0/8,10.0.0.0/8", "127.0.0.1", "1.2.3.4, unknown, 10.0.0.1", "10.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "203.0.113.1,", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "0.0.0.0", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "203.0.113.1:x", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "[2001:db8::7", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", "010.1.1.1", "127.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1", strings.Repeat("1", 200), "127.0.0.1"},
		{"127.0.0.0/8", "", "203.0.113.1", "invalid IP"},
	} {
		r := newResolver(t, strings.Split(c.trusted, ",")...)
		var ev ingest.Event
		if c.peer != "" {
			ev.Peer = netip.MustParseAddr(c.peer)
		}
		ev.Chain = c.chain
		for range 2 { // the second time the peer is remembered
			r.Resolve(&ev)
			if got := ev.Client.String(); got != c.want {
				t.Errorf("trusted %s, peer %s, chain %q: client %s, want %s", c.trusted, c.peer, c.chain, got, c.want)
			}
		}
		if ev.Chain != c.chain {
			t.Errorf("the chain %q was changed to %q", c.chain, ev.Chain)
		}
	}
}

// TestClientIsVouched: whatever a client writes to the left of what the hops append,
// it does not become the client.
func TestClientIsVouched(t *testing.T) {
	hops := []string{"10.0.0.1", "10.0.0.2", "127.0.0.1", "::1"}
	r := newResolver(t, "10.0.0.0/8", "127.0.0.0/8", "::1")
	rapid.Check(t, func(t *rapid.T) {
		client := rapid.SampledFrom([]string{"203.0.113.5", "2001:db8::5", "198.51.100.77"}).Draw(t, "client")
		forged := rapid.String().Draw(t, "forged")
		chain := client
		if forged != "" {
			chain = forged + ", " + client
		}
		path := rapid.SliceOfN(rapid.SampledFrom(hops), 1, 4).Draw(t, "hops")
		for _, h := range path[:len(path)-1] {
			chain += ", " + h
		}
		ev := ingest.Event{Peer: netip.MustParseAddr(path[len(path)-1]), Chain: chain}
		r.Resolve(&ev)
		if ev.Client.String() != client {
			t.Fatalf("chain %q from %s: client %s, want %s", chain, ev.Peer, ev.Client, client)
		}
	})
}

func TestTrusted(t *testing.T) {
	r := newResolver(t, "127.0.0.0/8", "::1/128", "192.0.2.7")
	for addr, want := range map[string]bool{"127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "192.0.2.7": true, "192.0.2.8": false, "::2": false} {
		if got := r.Trusted(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Trusted(%s) = %v", addr, got)
		}
	}
	if r.Trusted(netip.Addr{}) {
		t.Error("no address is trusted")
	}
}

func TestConfigErrors(t *testing.T) {
	c := Config{TrustedProxies: []string{"10.0.0.0/8", "10.0.0.0/99", "loopback", "::ffff:0.0.0.0/90"}, KeyCache: -1}
	var got []string
	c.Check(func(key, message string) { got = append(got, key+": "+message) })
	want := "[trusted_proxies[1]: \"10.0.0.0/99\" is no network: write it like 10.0.0.0/8 or 2001:db8::/32 " +
		"trusted_proxies[2]: \"loopback\" is no network: write it like 10.0.0.0/8 or 2001:db8::/32 " +
		"trusted_proxies[3]: \"::ffff:0.0.0.0/90\" mixes IPv4 and IPv6: write the IPv4 network key_cache: must not be negative]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := New(c); err == nil {
		t.Error("New took a network that is none")
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "pseudonym key is missing") {
		t.Errorf("New without a key: %v", err)
	}
}

func TestKey(t *testing.T) {
	r := newResolver(t)
	resolve := func(key string) string {
		ev := ingest.Event{Key: key}
		r.Resolve(&ev)
		return ev.Key
	}
	first := resolve("key-0")
	// openssl dgst -sha256 -hmac 'a key for tests, not a secret...' of "key-0"
	if first != "k_"+keyZero {
		t.Errorf("pseudonym of key-0 is %s, want k_%s", first, keyZero)
	}
	if resolve("key-0") != first || resolve("key-1") == first || resolve("") != "" {
		t.Error("a pseudonym is not one per key")
	}
	long := strings.Repeat("x", 10_000)
	if a, b := resolve(long), resolve(long); a != b || len(a) != 18 || !r.mint.cache.Contains(r.mint.digest(kindKey, long)) {
		t.Errorf("long key: %s, %s, cached %v", a, b, r.mint.cache.Contains(r.mint.digest(kindKey, long)))
	}
	for i := range 40_000 {
		resolve(fmt.Sprint("churn", i))
	}
	if n := r.mint.cache.Len(); n > 16384 {
		t.Errorf("the cache grew to %d", n)
	}
	other, err := New(Config{Key: [KeyBytes]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	ev := ingest.Event{Key: "key-0"}
	if other.Resolve(&ev); ev.Key == first {
		t.Error("two installations give one pseudonym")
	}
}

func TestResolveAllocates(t *testing.T) {
	r := newResolver(t, "127.0.0.0/8")
	peer := netip.MustParseAddr("127.0.0.1")
	for name, ev := range map[string]ingest.Event{
		"no chain": {Peer: peer},
		"chain":    {Peer: peer, Chain: "198.51.100.1, 203.0.113.9"},
		"garbage":  {Peer: peer, Chain: "unknown"},
		"key":      {Peer: peer, Key: "key-0"},
	} {
		if n := testing.AllocsPerRun(100, func() { e := ev; r.Resolve(&e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	r := newResolver(b, "127.0.0.0/8", "10.0.0.0/8")
	peer := netip.MustParseAddr("127.0.0.1")
	for _, c := range []ingest.Event{{Peer: peer}, {Peer: peer, Chain: "203.0.113.9"}, {Peer: peer, Chain: "198.51.100.1, 203.0.113.9, 10.0.0.7"}, {Peer: peer, Key: "key-0"}} {
		b.Run(fmt.Sprintf("chain=%d,key=%v", strings.Count(c.Chain, "."), c.Key != ""), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ev := c
				r.Resolve(&ev)
			}
		})
	}
}
