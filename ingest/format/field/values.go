package field

import (
	"net/netip"
	"strings"
	"unsafe"
)

// Str borrows bytes as a string: valid as long as they are not written to.
func Str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// loopback is what a peer on a unix socket is taken for: it is this machine.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Address reads the Address that starts at b[i] and returns it with the index
// behind it, or an index of -1. IPv4 in IPv6 becomes IPv4, so that one client has
// one Address. colon says that the literal behind the Address is a colon.
func Address(b []byte, i int, colon bool) (netip.Addr, int) {
	if a, n := IPv4(b[i:]); n > 0 && (i+n >= len(b) || !AddrBytes[b[i+n]] || colon) {
		return a, i + n
	}
	var quad [4]byte
	j := i
	for k := range quad {
		n, digits := 0, 0
		for j < len(b) && digits < 3 {
			d := b[j] - '0'
			if d > 9 || digits == 1 && n == 0 {
				break
			}
			n = n*10 + int(d)
			digits++
			j++
		}
		if digits == 0 || n > 255 {
			return address6(b, i, colon)
		}
		quad[k] = byte(n)
		if k < 3 {
			if j >= len(b) || b[j] != '.' {
				return address6(b, i, colon)
			}
			j++
		}
	}
	if j < len(b) && AddrBytes[b[j]] && !colon {
		return netip.Addr{}, -1
	}
	return netip.AddrFrom4(quad), j
}

// AddrBytes marks the bytes of an Address's text.
var AddrBytes = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF:.") {
		t[c] = true
	}
	return t
}()

// address6 reads what is not plain IPv4.
func address6(b []byte, i int, colon bool) (netip.Addr, int) {
	const socket = "unix:"
	if len(b)-i >= len(socket) && string(b[i:i+len(socket)]) == socket {
		return loopback, i + len(socket)
	}
	j := i
	for j < len(b) && AddrBytes[b[j]] {
		j++
	}
	if j == i || j-i > 64 {
		return netip.Addr{}, -1
	}
	if colon {
		for j--; j > i && b[j] != ':'; j-- {
		}
	}
	a, err := netip.ParseAddr(Str(b[i:j]))
	if err != nil {
		return netip.Addr{}, -1
	}
	return a.Unmap(), j
}

// Integer reads up to 18 digits; "-" and nothing at all are 0. The index behind
// is -1 if there are more.
func Integer(b []byte, i int) (int64, int) {
	var n int64
	j := i
	for ; j < len(b); j++ {
		d := b[j] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int64(d)
		if j-i >= 18 {
			return 0, -1
		}
	}
	if j == i && j < len(b) && b[j] == '-' {
		j++
	}
	return n, j
}

// Seconds reads "12.345" as nanoseconds; "-" and nothing at all are 0.
func Seconds(b []byte, i int) (int64, int) {
	n, j := Integer(b, i)
	if j < 0 || n > 9_000_000_000 {
		return 0, -1
	}
	n *= 1e9
	if j == i || b[j-1] == '-' || j >= len(b) || b[j] != '.' {
		return n, j
	}
	unit := int64(1e8)
	start := j + 1
	for j = start; j < len(b); j++ {
		d := b[j] - '0'
		if d > 9 {
			break
		}
		n += int64(d) * unit
		unit /= 10
	}
	if j == start {
		return 0, -1
	}
	return n, j
}

// SecondsList adds up what nginx writes for several upstreams, "0.1, 0.2 : -".
func SecondsList(b []byte, i int) (int64, int) {
	sum, j := Seconds(b, i)
	for j >= 0 {
		k := ListSeparator(b, j)
		if k == j {
			break
		}
		var n int64
		if n, k = Seconds(b, k); k < 0 {
			return 0, -1
		}
		sum, j = sum+n, k
	}
	return sum, j
}

// ListSeparator returns the index behind a ", " or " : " at b[i], or i.
func ListSeparator(b []byte, i int) int {
	rest := b[i:]
	switch {
	case len(rest) > 2 && rest[0] == ',' && rest[1] == ' ' && ItemBytes[rest[2]]:
		return i + 2
	case len(rest) > 3 && rest[0] == ' ' && rest[1] == ':' && rest[2] == ' ' && ItemBytes[rest[3]]:
		return i + 3
	}
	return i
}

// ItemBytes marks the bytes of what the gateway itself writes as one word: addresses,
// protocols, ciphers, names of servers. WordBytes marks those of plainer ones.
var ItemBytes, WordBytes = func() (item, word [256]bool) {
	for c := '!'; c <= '~'; c++ {
		item[c] = strings.IndexByte(`",;|\`, byte(c)) < 0
		word[c] = IsName(byte(c)) || c == '-'
	}
	return item, word
}()

// List passes over a List of words that the gateway wrote.
func List(b []byte, i int) int {
	j := Run(b, i, &ItemBytes)
	for {
		k := ListSeparator(b, j)
		if k == j {
			return j
		}
		j = Run(b, k, &ItemBytes)
	}
}

// Run passes over bytes of a set.
func Run(b []byte, i int, set *[256]bool) int {
	for i < len(b) && set[b[i]] {
		i++
	}
	return i
}

// Status reads three digits. nginx writes 000 where it sent no answer and 009 for
// some HTTP/0.9 requests: both mean that there is none, which is 0.
func Status(b []byte, i int) (uint16, int) {
	if len(b)-i < 3 {
		return 0, -1
	}
	x, y, z := b[i]-'0', b[i+1]-'0', b[i+2]-'0'
	if x > 9 || y > 9 || z > 9 {
		return 0, -1
	}
	n := uint16(x)*100 + uint16(y)*10 + uint16(z)
	switch {
	case n >= 100:
		return n, i + 3
	case n == 0 || n == 9:
		return 0, i + 3
	}
	return 0, -1
}

// IsName tells the bytes of a variable's or parameter's name.
func IsName(c byte) bool {
	return c == '_' || c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
}
