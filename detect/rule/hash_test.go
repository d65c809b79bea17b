package rule

import (
	"fmt"
	"testing"
)

// TestHashText: the hash of a text is the one that earlier versions saved, and texts that
// differ anywhere have others.
func TestHashText(t *testing.T) {
	if got := hashText("GET /api/v1/products"); got != 0xc9a3fec8324c0498 {
		t.Errorf("hash %#x, saved as %#x", got, uint64(0xc9a3fec8324c0498))
	}
	seen := map[uint64]string{}
	for i := range 20_000 {
		for _, s := range []string{fmt.Sprint("/a/", i), fmt.Sprint(i, "/a/long/path"), fmt.Sprint("/some/path/", i, "/x")} {
			h := hashText(s)
			if other, known := seen[h]; known {
				t.Fatalf("%q and %q have one hash", s, other)
			}
			seen[h] = s
		}
	}
	if hashTarget("/a?b=1") != hashTarget("/a?c") || hashTarget("/a") == hashTarget("/b") {
		t.Error("the hash of a target is not that of its path")
	}
}
