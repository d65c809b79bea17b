package rule

import "encoding/binary"

// hashText is the same in every process, since it decides what is saved. It takes eight
// bytes at a time.
func hashText(s string) uint64 {
	h := uint64(len(s)) * 0x9e3779b97f4a7c15
	for len(s) >= 8 {
		h = (h ^ word(s)) * 0xd6e8feb86659fd93
		h ^= h >> 32
		s = s[8:]
	}
	var rest uint64
	for i := range len(s) {
		rest = rest<<8 | uint64(s[i])
	}
	h = (h ^ rest) * 0xd6e8feb86659fd93
	return h ^ h>>32
}

func word(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s[:8])) }

// hashTarget is the hash of a target's path.
func hashTarget(target string) uint64 {
	for i := range len(target) {
		if target[i] == '?' {
			return hashText(target[:i])
		}
	}
	return hashText(target)
}
