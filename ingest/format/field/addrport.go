package field

import (
	"bytes"
	"net/netip"
)

// AddressPort reads an address with a port behind it: 203.0.113.7:443,
// [2001:db8::7]:443, and also an address alone. The port is dropped. It returns the
// index behind it, or -1.
func AddressPort(b []byte, i int) (netip.Addr, int) {
	if a, n := IPv4(b[i:]); n > 0 && i+n < len(b) && b[i+n] == ':' {
		if end := port(b, i+n); end > 0 && (end == len(b) || !AddrBytes[b[end]]) {
			return a, end
		}
	}
	return addressPort(b, i)
}

// addressPort is AddressPort without its way for plain IPv4 with a port.
func addressPort(b []byte, i int) (netip.Addr, int) {
	if i < len(b) && b[i] == '[' {
		k := bytes.IndexByte(b[i:], ']')
		if k < 0 || k > 64 {
			return netip.Addr{}, -1
		}
		a, end := Address(b[:i+k], i+1, false)
		if end != i+k {
			return netip.Addr{}, -1
		}
		return a, port(b, i+k+1)
	}
	end := Run(b, i, &AddrBytes)
	colon := bytes.IndexByte(b[i:end], ':')
	if colon < 0 || bytes.IndexByte(b[i+colon+1:end], ':') >= 0 {
		a, at := Address(b[:end], i, false) // none, or IPv6 without a port
		return a, at
	}
	a, at := Address(b[:i+colon], i, false)
	if at != i+colon {
		return netip.Addr{}, -1
	}
	return a, port(b, at)
}

// port passes over a colon and a port, if they are there.
func port(b []byte, i int) int {
	if i >= len(b) || b[i] != ':' {
		return i
	}
	_, end := Integer(b, i+1)
	if end == i+1 {
		return -1
	}
	return end
}
