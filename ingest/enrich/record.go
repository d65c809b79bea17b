package enrich

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// record is what one entry of a database says, whoever made it. The names of the fields are
// those of MaxMind (dev.maxmind.com/geoip/docs/databases), DB-IP (db-ip.com/db/format), IPinfo
// (ipinfo.io/developers/ipinfo-lite-database) and ip-location-db
// (github.com/sapics/ip-location-db), as of 2026-11-23.
type record struct {
	full       bool // names are wanted, too
	country    [2]byte
	registered [2]byte // where the network is registered, if nobody says where it is used
	asn        uint32

	countryName, city, organization string
}

// maxFields bounds what is read of a map; MaxMind's largest has about twenty entries.
const maxFields = 64

// merge takes from another record what this one lacks.
func (r *record) merge(o *record) {
	if r.country == [2]byte{} {
		r.country = o.country
	}
	if r.registered == [2]byte{} {
		r.registered = o.registered
	}
	if r.asn == 0 {
		r.asn = o.asn
	}
	r.countryName = cmp.Or(r.countryName, o.countryName)
	r.city = cmp.Or(r.city, o.city)
	r.organization = cmp.Or(r.organization, o.organization)
}

// finish falls back on where the network is registered.
func (r *record) finish() {
	if r.country == [2]byte{} {
		r.country = r.registered
	}
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (r *record) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return eachField(c, r.field)
}

// eachField calls read for the entries of a map, and skips any other value.
func eachField(c mmdbdata.Cursor, read func(key string, v mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindMap {
		return c.Skip()
	}
	m, err := c.Map()
	if err != nil {
		return c, err
	}
	if m.Size() > maxFields {
		return c.Skip()
	}
	var next mmdbdata.Cursor
	for key, v, ok := m.Next(next); ok; key, v, ok = m.Next(next) {
		if next, err = read(string(key), v); err != nil {
			return c, err
		}
	}
	return m.End()
}

func (r *record) field(key string, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch key {
	case "country":
		if kind, err := v.Kind(); err == nil && kind == mmdbdata.KindString {
			return r.text(v, func(s string) { // IPinfo: a code, or a name next to country_code
				if !setCode(&r.country, s) {
					r.countryName = s
				}
			})
		}
		return r.place(v, &r.country, &r.countryName)
	case "registered_country":
		var name string
		return r.place(v, &r.registered, &name)
	case "city":
		if kind, err := v.Kind(); err == nil && kind == mmdbdata.KindString {
			return r.name(v, &r.city)
		}
		var none [2]byte
		return r.place(v, &none, &r.city)
	case "country_code", "country_iso_code":
		return r.text(v, func(s string) { setCode(&r.country, s) })
	case "country_name":
		return r.name(v, &r.countryName)
	case "autonomous_system_number", "asn", "as_number":
		return r.number(v)
	case "autonomous_system_organization", "as_organization", "organization", "as_name":
		return r.name(v, &r.organization)
	}
	return v.Skip()
}

// place reads what MaxMind writes for a country or a city: iso_code and names by language.
func (r *record) place(c mmdbdata.Cursor, code *[2]byte, name *string) (mmdbdata.Cursor, error) {
	return eachField(c, func(key string, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch {
		case key == "iso_code":
			return r.text(v, func(s string) { setCode(code, s) })
		case key == "names" && r.full:
			return eachField(v, func(language string, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
				if language == "en" {
					return r.name(v, name)
				}
				return v.Skip()
			})
		}
		return v.Skip()
	})
}

// name reads a text that only people want.
func (r *record) name(v mmdbdata.Cursor, to *string) (mmdbdata.Cursor, error) {
	if !r.full {
		return v.Skip()
	}
	return r.text(v, func(s string) { *to = s })
}

func (r *record) text(v mmdbdata.Cursor, use func(string)) (mmdbdata.Cursor, error) {
	if kind, err := v.Kind(); err != nil || kind != mmdbdata.KindString {
		return v.Skip()
	}
	s, next, err := v.ReadString()
	if err == nil {
		use(s)
	}
	return next, err
}

// number reads an AS number: 15169, or "AS15169" as IPinfo writes it.
func (r *record) number(v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return v, err
	}
	switch kind {
	case mmdbdata.KindString:
		return r.text(v, func(s string) {
			if n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32); err == nil {
				r.asn = uint32(n)
			}
		})
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
		n, next, err := v.ReadUint()
		if err == nil && n <= 1<<32-1 {
			r.asn = uint32(n)
		}
		return next, err
	}
	return v.Skip()
}

// setCode takes a country code of two letters, and tells whether it was one.
func setCode(to *[2]byte, s string) bool {
	if len(s) != 2 || s[0]|0x20 < 'a' || s[0]|0x20 > 'z' || s[1]|0x20 < 'a' || s[1]|0x20 > 'z' {
		return false
	}
	*to = [2]byte{s[0] &^ 0x20, s[1] &^ 0x20}
	return true
}
