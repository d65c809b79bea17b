package field

import (
	"bytes"
	"encoding/binary"
)

const (
	tops    = 0x8080808080808080
	ones    = 0x0101010101010101
	slashes = '\\' * ones
)

// Look passes over a line once: does it hold a NUL byte, a backslash, and bytes
// beyond ASCII? Plain lines hold none, and that is all the first pass tells.
func Look(b []byte) (nul, escapes, high bool) {
	any := sum(b)
	if any&tops == 0 {
		return false, false, false
	}
	return bytes.IndexByte(b, 0) >= 0, bytes.IndexByte(b, '\\') >= 0, HighBytes(b)
}

// sum has no top bit set for a line of ASCII bytes without NUL and backslash. Subtracting
// one from each byte of a word borrows, and so sets a top bit, only where there is a
// zero, as long as no byte has its top bit set already, which counts as not plain too.
func sum(b []byte) uint64 {
	if len(b) < 16 {
		for _, c := range b {
			if c == 0 || c == '\\' || c >= 0x80 {
				return tops
			}
		}
		return 0
	}
	// The last 16 bytes are looked at twice, which costs less than a loop over bytes.
	end := b[len(b)-16:]
	u, v := odd(binary.LittleEndian.Uint64(end)), odd(binary.LittleEndian.Uint64(end[8:]))
	for ; len(b) >= 32; b = b[32:] {
		a := (*[32]byte)(b)
		u |= odd(binary.LittleEndian.Uint64(a[0:])) | odd(binary.LittleEndian.Uint64(a[8:]))
		v |= odd(binary.LittleEndian.Uint64(a[16:])) | odd(binary.LittleEndian.Uint64(a[24:]))
	}
	if len(b) >= 16 {
		u |= odd(binary.LittleEndian.Uint64(b)) | odd(binary.LittleEndian.Uint64(b[8:]))
	}
	return u | v
}

// odd sets the top bit of some byte if one of the eight is not plain.
func odd(w uint64) uint64 { return w | (w - ones) | ((w ^ slashes) - ones) }

// HighBytes reports whether there are bytes beyond ASCII.
func HighBytes(b []byte) bool {
	if len(b) < 16 {
		for _, c := range b {
			if c >= 0x80 {
				return true
			}
		}
		return false
	}
	end := b[len(b)-16:]
	u, v := binary.LittleEndian.Uint64(end), binary.LittleEndian.Uint64(end[8:])
	for ; len(b) >= 32; b = b[32:] {
		a := (*[32]byte)(b)
		u |= binary.LittleEndian.Uint64(a[0:]) | binary.LittleEndian.Uint64(a[8:])
		v |= binary.LittleEndian.Uint64(a[16:]) | binary.LittleEndian.Uint64(a[24:])
	}
	if len(b) >= 16 {
		u |= binary.LittleEndian.Uint64(b) | binary.LittleEndian.Uint64(b[8:])
	}
	return (u|v)&tops != 0
}
