package enrich

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

type entries map[string]mmdbtype.DataType

// mmdb makes a database with the library of MaxMind.
func mmdb(t testing.TB, version int, list entries) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", IPVersion: version, RecordSize: 24, IncludeReservedNetworks: true, DisableIPv4Aliasing: version == 4})
	if err != nil {
		t.Fatal(err)
	}
	for network, value := range list {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, value); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// replace writes a file as careful programs do: beside, then renamed.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db.mmdb")
	replace(t, path, data)
	return path
}

// says collects what is told to the operator.
type says []string

func (s *says) say(text string) { *s = append(*s, text) }

type (
	m = mmdbtype.Map
	s = mmdbtype.String
)

func named(name string) m {
	return m{"names": m{"de": s("x"), "en": s(name)}, "geoname_id": mmdbtype.Uint32(7)}
}

func isoCountry(code, name string) m {
	c := named(name)
	c["iso_code"] = s(code)
	return c
}

// TestLayouts: who made the file does not matter.
func TestLayouts(t *testing.T) {
	maxCountry := file(t, mmdb(t, 6, entries{
		"203.0.113.0/24":  m{"country": isoCountry("AT", "Austria"), "registered_country": isoCountry("DE", "Germany")},
		"198.51.100.0/24": m{"registered_country": isoCountry("DE", "Germany"), "continent": m{"code": s("EU")}},
		"2001:db8::/32":   m{"country": isoCountry("NL", "Netherlands")},
	}))
	maxCity := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"city": named("Vienna"), "country": isoCountry("AT", "Austria"),
		"subdivisions": mmdbtype.Slice{m{"iso_code": s("9")}}, "location": m{"latitude": mmdbtype.Float64(48.2)}}}))
	maxASN := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": s("Example Net")}}))
	ipinfo := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"country": s("Austria"), "country_code": s("AT"), "asn": s("AS64500"), "as_name": s("Example Net"), "as_domain": s("example.net")}}))
	ipinfoOld := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"country": s("AT"), "country_name": s("Austria")}}))
	flat := file(t, mmdb(t, 4, entries{"203.0.113.0/24": m{"country_code": s("at"), "city": s("Vienna"), "state1": s("Vienna"), "latitude": mmdbtype.Float32(48)}}))
	wide := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"country_code": s("AUT"), "asn": mmdbtype.Uint64(1 << 40), "city": mmdbtype.Bool(true), "as_name": s("Ex\x1b[2J\xffample\n")},
		"198.51.100.0/24": m{"asn": mmdbtype.Uint16(64500)}}))
	for _, c := range []struct {
		name string
		cfg  GeoConfig
		addr string
		want Place
	}{
		{"MaxMind", GeoConfig{Country: maxCountry, City: maxCity, ASN: maxASN}, "203.0.113.9", Place{"AT", "Austria", "Vienna", 64500, "Example Net"}},
		{"MaxMind, in IPv6", GeoConfig{Country: maxCountry, ASN: maxASN}, "::ffff:203.0.113.9", Place{"AT", "Austria", "", 64500, "Example Net"}},
		{"MaxMind, IPv6", GeoConfig{Country: maxCountry}, "2001:db8::1", Place{"NL", "Netherlands", "", 0, ""}},
		{"MaxMind, zone", GeoConfig{Country: maxCountry}, "2001:db8::1%eth0", Place{"NL", "Netherlands", "", 0, ""}},
		{"MaxMind, registered", GeoConfig{Country: maxCountry}, "198.51.100.1", Place{Country: "DE"}},
		{"MaxMind, city alone", GeoConfig{City: maxCity}, "203.0.113.9", Place{"AT", "Austria", "Vienna", 0, ""}},
		{"IPinfo, one file twice", GeoConfig{Country: ipinfo, ASN: ipinfo}, "203.0.113.9", Place{"AT", "Austria", "", 64500, "Example Net"}},
		{"IPinfo, old", GeoConfig{Country: ipinfoOld}, "203.0.113.9", Place{"AT", "Austria", "", 0, ""}},
		{"ip-location-db, IPv4 file", GeoConfig{City: flat}, "203.0.113.9", Place{"AT", "", "Vienna", 0, ""}},
		{"IPv6 in an IPv4 file", GeoConfig{City: flat}, "2001:db8::1", Place{}},
		{"odd values", GeoConfig{ASN: wide}, "203.0.113.9", Place{Organization: "Ex[2Jample"}},
		{"a small number", GeoConfig{ASN: wide}, "198.51.100.9", Place{ASN: 64500}},
		{"unknown", GeoConfig{Country: maxCountry, ASN: maxASN}, "192.0.2.1", Place{}},
		{"no files", GeoConfig{}, "203.0.113.9", Place{}},
	} {
		var told says
		g := NewGeo(c.cfg, told.say)
		addr := netip.MustParseAddr(c.addr)
		if got := g.Describe(addr); got != c.want {
			t.Errorf("%s: %+v, want %+v (%q)", c.name, got, c.want, told)
		}
		w := g.Worker()
		for range 2 {
			country, asn := w.Locate(addr)
			if got := strings.Trim(string(country[:]), "\x00"); got != c.want.Country || asn != c.want.ASN {
				t.Errorf("%s: worker says %q, %d; want %q, %d", c.name, got, asn, c.want.Country, c.want.ASN)
			}
		}
	}
	g := NewGeo(GeoConfig{Country: maxCountry}, nil)
	if country, asn := g.Worker().Locate(netip.Addr{}); country != [2]byte{} || asn != 0 || g.Describe(netip.Addr{}) != (Place{}) {
		t.Error("no address has a place")
	}
}

func countryFile(t testing.TB, code string) []byte {
	return mmdb(t, 6, entries{"203.0.113.0/24": m{"country_code": s(code)}, "2001:db8::/32": m{"country_code": s("XK")}})
}

// TestReload: a new version counts at once, a broken one changes nothing and is told once.
func TestReload(t *testing.T) {
	path := file(t, countryFile(t, "AT"))
	var told says
	g := NewGeo(GeoConfig{Country: path}, told.say)
	w, addr := g.Worker(), netip.MustParseAddr("203.0.113.9")
	check := func(step, want string, messages int, words string) {
		t.Helper()
		before := len(told)
		g.Reload(told.say)
		country, _ := w.Locate(addr)
		if string(country[:]) != want {
			t.Errorf("%s: country %q, want %q", step, country, want)
		}
		if new := told[before:]; len(new) != messages || messages > 0 && !strings.Contains(new[0], words) {
			t.Errorf("%s: told %q, want %d with %q", step, new, messages, words)
		}
	}
	check("unchanged", "AT", 0, "")
	replace(t, path, countryFile(t, "DE"))
	check("renamed over", "DE", 1, "is loaded")
	good := countryFile(t, "NL")
	if err := os.WriteFile(path, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	check("half written", "DE", 1, "no MaxMind DB file")
	check("still half written", "DE", 0, "")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	check("written in place", "NL", 1, "is loaded")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("removed", "NL", 1, "the version read before stays in use")
	check("still removed", "NL", 0, "")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	check("a folder", "NL", 1, "no regular file")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	replace(t, path, mmdb(t, 6, entries{"203.0.113.0/24": m{"weather": s("fine")}}))
	check("another database", "NL", 1, "no entry")
	damaged := bytes.Clone(good)
	at := bytes.Index(damaged, []byte("country_code")) - 1
	damaged[at] = 0xff // the kind and the size of the key
	replace(t, path, damaged)
	check("damaged", "NL", 1, "damaged")
	replace(t, path, countryFile(t, "PL"))
	check("repaired", "PL", 1, "is loaded")
}

// TestMissingAtFirst: the file may come after the start.
func TestMissingAtFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later.mmdb")
	var told says
	g := NewGeo(GeoConfig{ASN: path}, told.say)
	w, addr := g.Worker(), netip.MustParseAddr("203.0.113.9")
	if _, asn := w.Locate(addr); asn != 0 || len(told) != 1 || !strings.Contains(told[0], "enrich.geoip.asn") || !strings.Contains(told[0], "nothing is known") {
		t.Fatalf("AS %d, told %q", asn, told)
	}
	replace(t, path, mmdb(t, 6, entries{"203.0.113.0/24": m{"asn": s("AS64500")}}))
	g.Reload(nil)
	if _, asn := w.Locate(addr); asn != 64500 {
		t.Errorf("AS %d once the file is there", asn)
	}
}

// TestFileTouched: the same bytes with another time are read again, which does no harm.
func TestFileTouched(t *testing.T) {
	path := file(t, countryFile(t, "AT"))
	g := NewGeo(GeoConfig{Country: path}, nil)
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var told says
	if g.Reload(told.say); len(told) != 1 || g.Describe(netip.MustParseAddr("2001:db8::1")).Country != "XK" {
		t.Errorf("told %q", told)
	}
}

// TestManyAddresses: remembered and fresh answers are the same.
func TestManyAddresses(t *testing.T) {
	list := entries{}
	for i := range 200 {
		list[fmt.Sprintf("198.18.%d.0/24", i)] = m{"country_code": s(fmt.Sprintf("%c%c", 'A'+i%26, 'A'+i/26)), "asn": mmdbtype.Uint32(64500 + i%7)}
	}
	path := file(t, mmdb(t, 6, list))
	g := NewGeo(GeoConfig{Country: path, ASN: path}, nil)
	w := g.Worker()
	for round := range 2 {
		for i := range 60_000 {
			addr := netip.AddrFrom4([4]byte{198, 18, byte(i % 203), byte(i / 203)})
			country, asn := w.Locate(addr)
			want := g.Describe(addr)
			if got := strings.Trim(string(country[:]), "\x00"); got != want.Country || asn != want.ASN {
				t.Fatalf("round %d, %s: %q, %d; want %+v", round, addr, got, asn, want)
			}
		}
	}
}

func TestLocateDoesNotAllocate(t *testing.T) {
	path := file(t, countryFile(t, "AT"))
	w := NewGeo(GeoConfig{Country: path, ASN: path}, nil).Worker()
	n := 0
	miss := func() {
		w.Locate(netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}))
		w.Locate(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		n++
	}
	miss()
	if got := testing.AllocsPerRun(5000, miss); got != 0 {
		t.Errorf("%v allocations for an address", got)
	}
}

func FuzzMMDB(f *testing.F) {
	good := countryFile(f, "AT")
	f.Add(good)
	f.Add(good[:len(good)-40])
	f.Add(mmdb(f, 4, entries{"203.0.113.0/24": m{"country": isoCountry("AT", "Austria"), "asn": s("AS1"), "city": mmdbtype.Slice{s("x")}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openGeo(data)
		if err != nil {
			return
		}
		set := &geoSet{country: r, asn: r, version: 1}
		g := &Geo{}
		g.current.Store(set)
		w := g.Worker()
		for _, a := range []string{"203.0.113.9", "2001:db8::1", "::", "255.255.255.255"} {
			addr := netip.MustParseAddr(a)
			country, asn := w.Locate(addr)
			if p := g.Describe(addr); p.ASN != asn || p.Country != strings.Trim(string(country[:]), "\x00") || len(p.Organization) > 124 {
				t.Errorf("%s: worker says %q %d, Describe %+v", a, country, asn, p)
			}
		}
	})
}

func benchmarkLocate(b *testing.B, n int) {
	list := entries{}
	for i := range 250 {
		list[fmt.Sprintf("%d.0.0.0/9", i)] = m{"country_code": s("AT"), "asn": mmdbtype.Uint32(i)}
	}
	path := file(b, mmdb(b, 6, list))
	w := NewGeo(GeoConfig{Country: path, ASN: path}, nil).Worker()
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{byte(i * 7), byte(i >> 8), byte(i >> 16), byte(i)})
		w.Locate(addrs[i])
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		w.Locate(addrs[i&(n-1)])
	}
}

// A hit: 64 clients that come again.
func BenchmarkLocateHit(b *testing.B) { benchmarkLocate(b, 64) }

// A miss: each address is new.
func BenchmarkLocateMiss(b *testing.B) { benchmarkLocate(b, 1<<18) }

// TestEndlessTree: a damaged tree whose branches meet again has 2^100 ways through it.
func TestEndlessTree(t *testing.T) {
	data := countryFile(t, "AT")
	r, err := openGeo(data)
	if err != nil {
		t.Fatal(err)
	}
	const deep = 100
	n := int(r.Metadata.NodeCount)
	if n <= deep || r.Metadata.RecordSize != 24 {
		t.Fatalf("%d nodes of %d bits: the test wants another file", n, r.Metadata.RecordSize)
	}
	for i := range deep {
		to := i + 1
		if to == deep {
			to = n // the end of a branch without data
		}
		next := []byte{byte(to >> 16), byte(to >> 8), byte(to)}
		copy(data[6*i:], next)
		copy(data[6*i+3:], next)
	}
	if _, err := openGeo(data); err == nil || !strings.Contains(err.Error(), "no tree") {
		t.Errorf("the tree was accepted: %v", err)
	}
}
