package task

import (
	"fmt"
	"slices"
	"testing"
)

// TestSeenBy: of each file the farthest mark counts, and the marks that were touched
// last are kept.
func TestSeenBy(t *testing.T) {
	at := func(file uint64, offset int64) placeAt { return placeAt{place{"s", file}, offset} }
	got := seenBy([]frontMeta{
		{Seen: []placeAt{at(1, 10), at(2, 20), at(3, 30)}},
		{Seen: []placeAt{at(3, 35), at(1, 5)}},
		{},
	})
	if want := []placeAt{at(2, 20), at(3, 35), at(1, 10)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var many [2]frontMeta
	for i := range uint64(maxPlaces) {
		many[0].Seen = append(many[0].Seen, at(i, 1))
		many[1].Seen = append(many[1].Seen, at(i+maxPlaces, 1))
	}
	got = seenBy(many[:])
	if first := fmt.Sprint(got[0]); len(got) != maxPlaces || first != fmt.Sprint(at(maxPlaces/2, 1)) {
		t.Errorf("%d are kept, from %s on", len(got), first)
	}
}
