package kafka

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
)

// TestSnappyOfOthers: a block without a header, as some clients write it, and what is damaged or
// claims to become more than is taken.
func TestSnappyOfOthers(t *testing.T) {
	u, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte(strings.Repeat("a line of a log\n", 5000))
	framed, err := packSnappy(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	const snappy = 2
	for name, packed := range map[string][]byte{"one block": s2.EncodeSnappy(nil, plain), "blocks": framed} {
		got, err := u.unpack([]byte("before "), snappy, packed)
		if err != nil || !bytes.Equal(got, append([]byte("before "), plain...)) {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
	}
	claims := append(binary.AppendUvarint(nil, mostPlain+1), 0)
	for name, packed := range map[string][]byte{
		"nothing": nil, "torn": framed[:len(framed)-1], "torn size": framed[:len(snappyHead)+2],
		"no block": []byte("no block"), "too much": claims,
	} {
		if got, err := u.unpack(nil, snappy, packed); err == nil {
			t.Errorf("%s: %d bytes, no error", name, len(got))
		}
	}
}
