package field

import (
	"bytes"
	"math/rand"
	"net/netip"
	"testing"
)

// TestLookTwin holds the one pass over a line against looking for each thing by itself,
// with every odd byte in every place.
func TestLookTwin(t *testing.T) {
	for n := range 100 {
		line := bytes.Repeat([]byte("a"), n)
		for k := -1; k < n; k++ {
			for _, c := range []byte{0, 1, '\\', '[', ']', 0x7f, 0x80, 0xdc, 0xff} {
				if k >= 0 {
					line[k] = c
				}
				nul, escapes, high := Look(line)
				if nul != bytes.Contains(line, []byte{0}) || escapes != bytes.Contains(line, []byte(`\`)) || high != (k >= 0 && c >= 0x80) {
					t.Fatalf("%q: NUL %v, escapes %v, beyond ASCII %v", line, nul, escapes, high)
				}
			}
			if k >= 0 {
				line[k] = 'a'
			}
		}
	}
}

// slowPeername is Peername without its way for plain IPv4.
func slowPeername(v []byte) (netip.Addr, bool) {
	if a, end := Address(v, 0, false); end == len(v) {
		return a, true
	}
	if len(v) > 0 && v[0] == '@' || bytes.HasPrefix(v, []byte("unix:")) {
		return loopback, true
	}
	v = WithoutPort(v)
	v, zone, zoned := bytes.Cut(v, []byte("%"))
	a, end := Address(v, 0, false)
	return a, end == len(v) && (!zoned || len(zone) > 0 && bytes.IndexByte(v, ':') >= 0)
}

// FuzzPeername holds the way for plain IPv4, alone or with a port, against the other.
func FuzzPeername(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4:80", "255.255.255.255:65535", "256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:123456", "1.2.3.4x", "::1", "[::1]:80", "", "@", "1.2.3.4%eth0", "0.0.0.0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(againstSlow)
}

func againstSlow(t *testing.T, v []byte) {
	a, ok := Peername(v)
	b, okSlow := slowPeername(v)
	if ok != okSlow || ok && a != b {
		t.Fatalf("%q is %s %v, the slow way says %s %v", v, a, ok, b, okSlow)
	}
}

// TestZones: what stands behind % must be there, and only IPv6 has it.
func TestZones(t *testing.T) {
	for v, want := range map[string]bool{"fe80::1%eth0": true, "::ffff:1.2.3.4%eth0": true, "[fe80::1%eth0]:80": true, "::%": false, "[::1%]:80": false, "1.2.3.4%eth0": false, "1.2.3.4%": false, "%eth0": false} {
		if a, ok := Peername([]byte(v)); ok != want {
			t.Errorf("%q is %s, %v", v, a, ok)
		}
	}
}

func TestPeernameTwin(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	atoms := []string{"0", "1", "25", "255", "256", "1000", ".", ".", ".", ".", ":", ":80", "a", "%", "01", "[", "]"}
	for range 300_000 {
		var v []byte
		for range 1 + random.Intn(9) {
			v = append(v, atoms[random.Intn(len(atoms))]...)
		}
		againstSlow(t, v)
	}
}

// againstAddressPort holds the way for plain IPv4 with a port against the other.
func againstAddressPort(t *testing.T, b []byte, i int) {
	i = min(max(i, 0), len(b))
	a, end := AddressPort(b, i)
	if c, slow := addressPort(b, i); end != slow || end >= 0 && a != c {
		t.Fatalf("%q from %d on is %s up to %d, the slow way says %s, %d", b, i, a, end, c, slow)
	}
}

func FuzzAddressPort(f *testing.F) {
	for _, s := range []string{"1.2.3.4:80", "1.2.3.4:80 x", "255.255.255.255:65535", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:-", "1.2.3.4:80:", "1.2.3.4:80.1", "1.2.3.4:8a", "1.2.3.4",
		"1.2.3.04:5", "1.2.3.4567:8", "::1", "[::1]:80", "1::2:3", "1.2.3.4:1234567890123456789", ""} {
		f.Add([]byte(s), 0)
		f.Add([]byte("x "+s), 2)
	}
	f.Fuzz(againstAddressPort)
}
