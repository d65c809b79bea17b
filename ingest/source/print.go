package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// headBytes is how much of a file's beginning tells it from others. 1 KiB holds
// several log lines and costs one read of a page that is cached.
const headBytes = 1 << 10

// digest is a 64-bit hash that a client cannot steer into a collision by what
// it makes the gateway log; 0 is kept for "not known".
func digest(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}

// fileID is the identity of a file in every Position: a hash of its first line,
// which no append, rename, copy or compression changes. Header lines ('#', as
// W3C logs have) are the same in every generation, so they are hashed together
// with the first line behind them. 0 means that this line is not complete yet.
func fileID(head []byte, final bool) uint64 {
	rest := head
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		line := rest
		rest = rest[end+1:]
		if line[0] != '#' {
			return digest(head[:len(head)-len(rest)-1])
		}
	}
	if len(head) >= headBytes || final && len(head) > 0 {
		return digest(head)
	}
	return 0
}

// agree says whether two beginnings are the same as far as both are known.
func agree(a, b []byte) bool {
	n := min(len(a), len(b))
	return bytes.Equal(a[:n], b[:n])
}
