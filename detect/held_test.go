package detect

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What waits comes back in the order in which it came, and then sorted by second and
// route, whether nearly all of it is already or nothing.
func TestHeldInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p packs
		var first [2]uint32
		var came [2][]Request
		late := rapid.Uint32Range(0, 40).Draw(t, "late")
		for i := range rapid.Uint32Range(0, 120).Draw(t, "requests") {
			r := Request{Object: uint64(i), Sec: 1000 + i/8 - rapid.Uint32Range(0, late).Draw(t, "by"), Route: rapid.Uint32Range(0, 2).Draw(t, "route")}
			who := rapid.IntRange(0, 1).Draw(t, "who")
			first[who] = p.push(first[who], &r)
			came[who] = append(came[who], r)
		}
		for who := range came {
			list := p.list(first[who], nil)
			if !slices.Equal(list, came[who]) {
				t.Fatalf("came %v, came back %v", came[who], list)
			}
			bySecond(list)
			if !slices.IsSortedFunc(list, func(a, b Request) int { return cmp.Compare(a.order(), b.order()) }) {
				t.Fatalf("not in order: %v", list)
			}
			slices.SortFunc(list, func(a, b Request) int { return cmp.Compare(a.Object, b.Object) })
			if !slices.Equal(list, came[who]) {
				t.Fatalf("sorting lost some of %v: %v", came[who], list)
			}
		}
	})
}
