package field

import (
	"encoding/binary"
	"net/netip"
)

// IPv4 reads a dotted quad at the beginning of a line, with the index behind it,
// or 0. Where a dot stands is told by one look at four bytes at a time.
func IPv4(line []byte) (netip.Addr, int) {
	var quad [4]byte
	i := 0
	for k := range quad {
		if len(line)-i < 4 {
			return netip.Addr{}, 0
		}
		w := binary.LittleEndian.Uint32(line[i:])
		a, b, c := w&0xff-'0', w>>8&0xff-'0', w>>16&0xff-'0'
		var n uint32
		var width int
		switch {
		case a > 9 || a == 0 && b <= 9:
			return netip.Addr{}, 0
		case b > 9:
			n, width = a, 1
		case c > 9:
			n, width = a*10+b, 2
		default:
			n, width = a*100+b*10+c, 3
		}
		if n > 255 {
			return netip.Addr{}, 0
		}
		quad[k] = byte(n)
		i += width
		if k < 3 {
			if line[i] != '.' {
				return netip.Addr{}, 0
			}
			i++
		}
	}
	return netip.AddrFrom4(quad), i
}

// quad is IPv4 for a value that may end right behind it.
func quad(v []byte) (netip.Addr, int) {
	var four [4]byte
	n, digits, k := 0, 0, 0
	for i := 0; ; i++ {
		var d byte = 10
		if i < len(v) {
			d = v[i] - '0'
		}
		switch {
		case d <= 9 && digits < 3 && (digits == 0 || n > 0):
			n = n*10 + int(d)
			digits++
		case d <= 9 || digits == 0 || n > 255:
			return netip.Addr{}, 0
		case k == 3:
			four[3] = byte(n)
			return netip.AddrFrom4(four), i
		case d != 254: // a dot
			return netip.Addr{}, 0
		default:
			four[k] = byte(n)
			n, digits = 0, 0
			k++
		}
	}
}

// Signed reads HAProxy's numbers: -1 where something did not happen, which is 0, and
// a + before what went on after the line was written, or on another server. There is
// at least a sign or a digit.
func Signed(b []byte, i int) (int64, int) {
	minus := false
	j := i
	if j < len(b) && (b[j] == '+' || b[j] == '-') {
		minus = b[j] == '-'
		j++
	}
	n, end := Integer(b, j)
	if end < 0 || end == j && !minus {
		return 0, -1
	}
	if minus {
		n = 0
	}
	return n, end
}
