package enrich

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/oschwald/maxminddb-golang/v2"
)

// GeoConfig is the "geoip" part of the "enrich" section. The files are in the MaxMind DB
// format (maxmind.github.io/MaxMind-DB): GeoLite2 and GeoIP2, DB-IP, IPinfo, ip-location-db
// and others that name their fields alike. One file may be named under several keys.
type GeoConfig struct {
	Country string        `yaml:"country" doc:"MMDB file that knows countries, such as GeoLite2-Country.mmdb; empty: none"`
	City    string        `yaml:"city" doc:"MMDB file that knows cities, such as GeoLite2-City.mmdb; it knows countries too, so country may stay empty"`
	ASN     string        `yaml:"asn" doc:"MMDB file that knows autonomous systems, such as GeoLite2-ASN.mmdb; empty: none"`
	Reload  time.Duration `yaml:"reload" default:"1m" doc:"How often the files are looked at; a newer version is taken over without a restart. 0: never."`
}

// Check reports times that make no sense. That a file is missing is no mistake of the
// config: the program says so when it runs, and takes the file once it is there.
func (c *GeoConfig) Check(report func(key, message string)) {
	if c.Reload < 0 || c.Reload > 0 && c.Reload < time.Second {
		report("reload", "must be 1s or more, or 0 for never")
	}
}

// maxGeoFile bounds a database: all of it is held in memory. The largest public one
// (GeoIP2-City) has about 130 MB.
const maxGeoFile = 1 << 30

// Geo tells where addresses are registered. It is safe for concurrent use.
type Geo struct {
	files   [3]watched[*maxminddb.Reader] // country, city, asn; for Reload only
	current atomic.Pointer[geoSet]
}

// geoSet is one state of the files; nil readers are absent.
type geoSet struct {
	country, city, asn *maxminddb.Reader
	version            uint32
}

// Place is what is known of an address. Empty fields are unknown.
type Place struct {
	Country      string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	CountryName  string `json:"country_name,omitempty"`
	City         string `json:"city,omitempty"`
	ASN          uint32 `json:"asn,omitempty"`
	Organization string `json:"organization,omitempty"` // of the autonomous system
}

// NewGeo opens the files that the config names. One that cannot be read is told to say,
// which may be nil, and is tried again by Reload.
func NewGeo(cfg GeoConfig, say func(string)) *Geo {
	g := &Geo{}
	for i, f := range []struct{ key, path string }{{"country", cfg.Country}, {"city", cfg.City}, {"asn", cfg.ASN}} {
		g.files[i] = watched[*maxminddb.Reader]{key: "enrich.geoip." + f.key, path: f.path, most: maxGeoFile, parse: openGeo}
	}
	g.current.Store(&geoSet{})
	g.Reload(say)
	return g
}

// Reload takes over files that changed. A broken one is told once and leaves the version
// read before in use. Only one goroutine may call it at a time.
func (g *Geo) Reload(say func(string)) {
	changed := false
	for i := range g.files {
		f := &g.files[i]
		if f.path == "" {
			continue
		}
		fresh, tell := f.poll()
		changed = changed || fresh
		if tell != "" && say != nil {
			say(tell)
		}
	}
	if !changed {
		return
	}
	old := g.current.Load()
	g.current.Store(&geoSet{country: g.files[0].value, city: g.files[1].value, asn: g.files[2].value, version: old.version + 1})
}

// any tells whether the config names a file.
func (g *Geo) any() bool {
	for i := range g.files {
		if g.files[i].path != "" {
			return true
		}
	}
	return false
}

// openGeo opens a database and walks through all of it once, so that a damaged file is
// refused here and not met later, address by address. The library's own Verify is not
// used: it refuses real files for an empty description (ip-location-db).
func openGeo(data []byte) (*maxminddb.Reader, error) {
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind DB file (.mmdb): %.200q", err.Error())
	}
	seen := map[uintptr]struct{}{} // many networks share a record
	useful, leaves := false, uint64(0)
	for n := range r.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		// A tree has one leaf more than nodes, and its IPv4 part may be reached by some aliases
		// more (Teredo, 6to4). One whose branches meet again and again would never end.
		if leaves++; leaves > 8*uint64(r.Metadata.NodeCount+1) {
			return nil, fmt.Errorf("the MaxMind DB file is damaged, fetch it again: its search tree is no tree")
		}
		if n.Err() == nil && !n.Found() {
			continue
		}
		if _, twice := seen[n.Offset()]; twice && n.Err() == nil {
			continue
		}
		seen[n.Offset()] = struct{}{}
		rec := record{full: true}
		if err := n.Decode(&rec); err != nil {
			return nil, fmt.Errorf("the MaxMind DB file is damaged, fetch it again: %.200q", err.Error())
		}
		useful = useful || rec.country != [2]byte{} || rec.registered != [2]byte{} || rec.asn != 0
	}
	if !useful {
		return nil, fmt.Errorf("no entry of this MaxMind DB file (%.80q) has a country or an AS number in a field that is known here", r.Metadata.DatabaseType)
	}
	return r, nil
}

// readers in the order in which they are believed.
func (s *geoSet) readers() [3]*maxminddb.Reader {
	return [3]*maxminddb.Reader{s.country, s.city, s.asn}
}

// find looks an address up in one file.
func find(r *maxminddb.Reader, a netip.Addr) (found maxminddb.Result, ok bool) {
	if r == nil || a.Is6() && r.Metadata.IPVersion == 4 {
		return found, false
	}
	found = r.Lookup(a)
	return found, found.Found()
}

// Describe looks an address up for people: it is slower than a GeoWorker and knows more.
func (g *Geo) Describe(a netip.Addr) Place {
	if !a.IsValid() {
		return Place{}
	}
	a = a.Unmap().WithZone("")
	var rec record
	for _, r := range g.current.Load().readers() {
		if found, ok := find(r, a); ok {
			one := record{full: true}
			if found.Decode(&one) == nil { // openGeo has read every record
				rec.merge(&one)
			}
		}
	}
	rec.finish()
	p := Place{CountryName: shown(rec.countryName), City: shown(rec.city), ASN: rec.asn, Organization: shown(rec.organization)}
	if rec.country != ([2]byte{}) {
		p.Country = string(rec.country[:])
	}
	return p
}

// shown makes a text of a file fit for a page: valid, printable, not endless.
func shown(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// geoSlots is a power of two; 16384 slots of 32 bytes fit a core's second-level cache.
const geoSlots = 1 << 14

// GeoWorker looks up addresses for one goroutine, and remembers the last ones.
type GeoWorker struct {
	geo      *Geo
	slots    []geoSlot
	records  []recordSlot
	rec, one record
}

// recordSlots is a power of two. GeoLite2-ASN has some 80 000 records, of which a gateway
// meets few often.
const recordSlots = 1 << 12

// recordSlot remembers one record of one file.
type recordSlot struct {
	key                 uint64
	version, asn        uint32
	country, registered [2]byte
}

// geoSlot remembers one address, as long as the files are of the same version.
type geoSlot struct {
	hi, lo  uint64
	version uint32
	asn     uint32
	country [2]byte
}

// Worker returns a GeoWorker for one goroutine.
func (g *Geo) Worker() *GeoWorker {
	return &GeoWorker{geo: g, slots: make([]geoSlot, geoSlots), records: make([]recordSlot, recordSlots)}
}

// Locate returns the country (ISO 3166-1 alpha-2) and the autonomous system of an
// address; zeros are unknown.
func (w *GeoWorker) Locate(a netip.Addr) (country [2]byte, asn uint32) {
	set := w.geo.current.Load()
	if set.version == 0 || !a.IsValid() {
		return country, 0
	}
	hi, lo := halves(a)
	at := mix(hi, lo) % geoSlots
	first, second := &w.slots[at], &w.slots[at^1] // neighbours: an address that collides does not throw the other out
	if first.lo == lo && first.hi == hi && first.version == set.version {
		return first.country, first.asn
	}
	if second.lo == lo && second.hi == hi && second.version == set.version {
		return second.country, second.asn
	}
	w.look(set, a.Unmap().WithZone(""))
	*second = *first
	*first = geoSlot{hi: hi, lo: lo, version: set.version, asn: w.rec.asn, country: w.rec.country}
	return first.country, first.asn
}

// look fills w.rec. Few records serve many addresses, so the last records are remembered,
// by their place in the file: they are decoded once.
func (w *GeoWorker) look(set *geoSet, a netip.Addr) {
	w.rec = record{}
	for i, r := range set.readers() {
		found, ok := find(r, a)
		if !ok {
			continue
		}
		key := uint64(found.Offset())<<2 | uint64(i)
		s := &w.records[mix(key, uint64(set.version))%recordSlots]
		if s.key != key || s.version != set.version {
			w.one = record{}
			if found.Decode(&w.one) != nil {
				w.one = record{} // openGeo has read every record, so this does not happen
			}
			*s = recordSlot{key: key, version: set.version, asn: w.one.asn, country: w.one.country, registered: w.one.registered}
		}
		w.rec.merge(&record{asn: s.asn, country: s.country, registered: s.registered})
	}
	w.rec.finish()
}

// halves are the two halves of an address; an IPv4 address is the same as within IPv6.
func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return word(string(b[:8])), word(string(b[8:]))
}

// mix spreads addresses: both halves of a 128-bit product, folded.
func mix(hi, lo uint64) uint64 {
	a, b := bits.Mul64(hi^0x9e3779b97f4a7c15, lo^0xd6e8feb86659fd93)
	a, b = bits.Mul64(a^b, 0x9e3779b97f4a7c15)
	return a ^ b
}
