package field

import (
	"bytes"
	"crypto/tls"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Peername reads a whole value that is an address with or without a port, as Go's
// net.Addr and Envoy's %DOWNSTREAM_REMOTE_ADDRESS% write it: "192.0.2.1",
// "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80", "fe80::1%eth0". A unix socket
// ("unix:", "@" in Go) is this machine.
func Peername(v []byte) (netip.Addr, bool) {
	if a, end := quad(v); end == len(v) && end > 0 || end > 0 && isPort(v[end:]) {
		return a, true
	}
	if a, end := Address(v, 0, false); end == len(v) {
		return a, true
	}
	if len(v) > 0 && v[0] == '@' || bytes.HasPrefix(v, []byte("unix:")) {
		return loopback, true
	}
	v = WithoutPort(v)
	v, zone, zoned := bytes.Cut(v, []byte("%"))
	a, end := Address(v, 0, false)
	// A zone is not empty, and nothing but IPv6 has one (RFC 6874, section 2).
	return a, end == len(v) && (!zoned || len(zone) > 0 && bytes.IndexByte(v, ':') >= 0)
}

// WithoutPort cuts the port and the brackets from an address; of anything else it
// leaves all.
func WithoutPort(v []byte) []byte {
	k := bytes.LastIndexByte(v, ':')
	switch {
	case len(v) > 0 && v[0] == '[':
		if k = bytes.IndexByte(v, ']'); k > 0 && (k+1 == len(v) || isPort(v[k+1:])) {
			return v[1:k]
		}
	case k > 0 && bytes.IndexByte(v, ':') == k && isPort(v[k:]):
		return v[:k]
	}
	return v
}

// isPort tells ":" and one to five digits.
func isPort(v []byte) bool {
	if len(v) < 2 || len(v) > 6 || v[0] != ':' {
		return false
	}
	for _, c := range v[1:] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// Scaled reads a number, with or without a fraction, that counts units of the given
// number of nanoseconds. Below zero means "never got that far" in several gateways
// (HAProxy, Kong) and is 0.
func Scaled(v []byte, unit int64) (int64, bool) {
	if len(v) > 1 && v[0] == '-' {
		_, ok := Scaled(v[1:], unit)
		return 0, ok
	}
	n, j := Integer(v, 0)
	if j < 1 || v[0] == '-' || n > math.MaxInt64/unit {
		return float(v, unit)
	}
	n *= unit
	if j == len(v) {
		return n, true
	}
	if v[j] != '.' || j+1 == len(v) {
		return float(v, unit)
	}
	var frac int64
	scale := int64(1)
	for j++; j < len(v); j++ {
		d := v[j] - '0'
		if d > 9 {
			return float(v, unit)
		}
		if scale < 1e9 {
			frac, scale = frac*10+int64(d), scale*10
		}
	}
	if scale <= unit {
		frac *= unit / scale
	} else {
		frac /= scale / unit
	}
	return n + frac, n <= math.MaxInt64-frac
}

// float reads the numbers that are not plain digits, such as 1.2e-05.
func float(v []byte, unit int64) (int64, bool) {
	for _, c := range v { // neither "Inf" nor "0x1p4", nor underscores
		if c-'0' > 9 && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(Str(v), 64)
	x *= float64(unit)
	if err != nil || x < 0 || x > math.MaxInt64/2 {
		return 0, false
	}
	return int64(math.Round(x)), true
}

// Took reads a duration with its unit, as Go ("1.5ms", "1m2s") and protobuf's JSON
// ("0.000958300s") write it.
func Took(v []byte) (int64, bool) {
	if k := len(v) - 1; k > 0 && v[k] == 's' && v[k-1]-'0' <= 9 {
		if n, end := Seconds(v[:k], 0); end == k {
			return n, true
		}
	}
	d, err := time.ParseDuration(Str(v))
	return max(int64(d), 0), err == nil
}

// Epoch reads a number of seconds, milliseconds, microseconds or nanoseconds since
// 1970 with or without a fraction. Which of them it is its size tells: from 1973 to
// 2286 no two of them can be meant.
func Epoch(v []byte) (int64, bool) {
	n, j := int64(0), 0
	for j < len(v) && j < 19 && v[j]-'0' <= 9 {
		n = n*10 + int64(v[j]-'0')
		j++
	}
	switch {
	case n < 1e8 || j == 19 && (n < 0 || j < len(v)):
		return 0, false
	case n < 1e11:
		return Scaled(v, 1e9)
	case n < 1e14:
		return Scaled(v, 1e6)
	case n < 1e17:
		return Scaled(v, 1e3)
	}
	if j < len(v) && v[j] != '.' {
		return 0, false
	}
	return n, true
}

// versions are other spellings of what OpenSSL calls a protocol.
var versions = map[string]string{
	"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3", "TLS10": "TLSv1", "TLS11": "TLSv1.1", "TLS12": "TLSv1.2", "TLS13": "TLSv1.3",
	"TLSv1_0": "TLSv1", "TLSv1_1": "TLSv1.1", "TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3", "769": "TLSv1", "770": "TLSv1.1", "771": "TLSv1.2", "772": "TLSv1.3",
	"TLS 1.0": "TLSv1", "TLS 1.1": "TLSv1.1", "TLS 1.2": "TLSv1.2", "TLS 1.3": "TLSv1.3", "tls1.0": "TLSv1", "tls1.1": "TLSv1.1", "tls1.2": "TLSv1.2", "tls1.3": "TLSv1.3",
	"TLSv1.0": "TLSv1",
}

// TLSVersion returns a protocol version as OpenSSL spells it, "TLSv1.3"; 772 is the
// number on the wire (RFC 8446, section 4.1.2), which Go's gateways log.
func TLSVersion(v []byte) string {
	if s, ok := versions[Str(v)]; ok {
		return s
	}
	return Str(v)
}

// ciphers are the names of cipher suites by their number (IANA, TLS Cipher Suites).
var ciphers = func() map[string]string {
	m := map[string]string{}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		m[strconv.Itoa(int(s.ID))] = s.Name
	}
	return m
}()

// CipherName returns the name of a cipher suite that is logged by its number, or the
// value as it is.
func CipherName(v []byte) string {
	if s, ok := ciphers[Str(v)]; ok {
		return s
	}
	return Str(v)
}
