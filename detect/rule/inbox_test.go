package rule

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// TestInboxHandsSecondsOverInOrder: whatever order they come in, each once, with all
// that came of them.
func TestInboxHandsSecondsOverInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b inbox[uint32]
		want := map[int64]uint32{}
		closed, last := int64(0), int64(-1)
		take := func(to int64) {
			b.take(to, func(sec int64, v *uint32) {
				if sec <= last || sec > to || *v != want[sec] {
					rt.Fatalf("second %d with %d after %d, want %d", sec, *v, last, want[sec])
				}
				last = sec
				delete(want, sec)
			})
			closed = max(closed, to+1)
		}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch sec := closed + rapid.Int64Range(0, 40).Draw(rt, "ahead"); rapid.IntRange(0, 4).Draw(rt, "do") {
			case 0:
				take(sec)
			case 1:
				w := window.NewWriter(nil)
				b.code(w, func(v *uint32, k *window.Codec) { k.U32(v) })
				b = inbox[uint32]{}
				b.code(window.NewReader(w.Bytes()), func(v *uint32, k *window.Codec) { k.U32(v) })
			default:
				v, fresh := b.at(sec)
				if _, known := want[sec]; known == fresh {
					rt.Fatalf("second %d: new %v, known %v", sec, fresh, known)
				}
				*v++
				want[sec]++
			}
		}
		take(closed + 100)
		if len(want) > 0 || !b.empty() || slices.ContainsFunc(b.list, func(d dated[uint32]) bool { return d.sec != 0 }) {
			rt.Fatalf("left over: %v", want)
		}
	})
}
