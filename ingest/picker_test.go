package ingest

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// drawBatch is some lines of a file, with sizes and gaps or without.
func drawBatch(rt *rapid.T) *Batch {
	b := &Batch{Source: "s", File: 1, Offset: rapid.Int64Range(0, 99).Draw(rt, "offset")}
	lines := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,5}\n`), 0, 9).Draw(rt, "lines")
	for _, l := range lines {
		b.Data = append(b.Data, l...)
	}
	of := func(what string) (list []int32) {
		if rapid.Bool().Draw(rt, what) {
			list = rapid.SliceOfN(rapid.Int32Range(1, 9), len(lines), len(lines)).Draw(rt, what+" of lines")
		}
		return list
	}
	b.Sizes, b.Gaps = of("sizes"), of("gaps")
	return b
}

// TestEnd: a batch ends where its last line does.
func TestEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := drawBatch(rt)
		c := b.Begin()
		for b.Next(&c) {
		}
		if got := b.End(); got != c.At+c.Size {
			rt.Fatalf("ends at %d, its last line at %d", got, c.At+c.Size)
		}
	})
}

// TestPickerSpare: with memory that comes back a Picker makes the batches that it makes
// without, and nobody's bytes change before they are released.
func TestPickerSpare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		again, fresh := Picker{Spare: new(Spare)}, Picker{}
		type held struct {
			batch, was Batch
		}
		var out []held
		for range rapid.IntRange(1, 9).Draw(rt, "batches") {
			b := drawBatch(rt)
			for c := b.Begin(); b.Next(&c); {
				if rapid.Bool().Draw(rt, "pick") {
					if a, f := again.Add(b, &c), fresh.Add(b, &c); a != f {
						rt.Fatalf("added: %v, without spare memory: %v", a, f)
					}
				}
			}
			if !fresh.Empty() && rapid.Bool().Draw(rt, "take") {
				out = append(out, held{again.Take(), fresh.Take()})
			}
			for i := range out {
				got := out[i].batch
				got.Free = nil
				if !reflect.DeepEqual(got, out[i].was) {
					rt.Fatalf("batch %d is %+v, want %+v", i, got, out[i].was)
				}
			}
			if len(out) > 0 && rapid.Bool().Draw(rt, "release") {
				out[0].batch.Release()
				out = out[1:]
			}
		}
		if again.Empty() != fresh.Empty() || !bytes.Equal(again.b.Data, fresh.b.Data) {
			rt.Fatalf("what is left is %q, want %q", again.b.Data, fresh.b.Data)
		}
	})
}
