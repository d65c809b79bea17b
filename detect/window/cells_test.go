package window

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cellsTwin is Cells as one would write it without a care: a map by second.
type cellsTwin map[int64]Cell

func (m cellsTwin) sum(from, to int64) (count, weight uint32, first int64) {
	for sec, c := range m {
		if sec > from && sec <= to {
			count, weight = count+c.Count, weight+c.Weight
			if first == 0 || sec < first {
				first = sec
			}
		}
	}
	return count, weight, first
}

func TestCellsTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var c Cells
		twin := cellsTwin{}
		second := rapid.Int64Range(1, 40)
		for n := rapid.IntRange(0, 60).Draw(rt, "steps"); n > 0; n-- {
			if rapid.IntRange(0, 9).Draw(rt, "forget") == 0 {
				upto := second.Draw(rt, "upto")
				c.Forget(upto)
				for sec := range twin {
					if sec <= upto {
						delete(twin, sec)
					}
				}
				continue
			}
			sec, n, w := second.Draw(rt, "sec"), rapid.Uint32Range(1, 3).Draw(rt, "n"), rapid.Uint32Range(0, 9).Draw(rt, "w")
			_, known := twin[sec]
			if fresh := c.Add(sec, n, w); fresh == known {
				rt.Fatalf("Add(%d) says new=%v, the twin knew it: %v", sec, fresh, known)
			}
			twin[sec] = Cell{sec, twin[sec].Count + n, twin[sec].Weight + w}
		}
		checkCells(rt, &c, twin)
		checkCells(rt, recode(rt, &c, new(Cells)), twin)
	})
}

func checkCells(rt *rapid.T, c *Cells, twin cellsTwin) {
	if c.Empty() != (len(twin) == 0) {
		rt.Fatalf("Empty() = %v with %d seconds", c.Empty(), len(twin))
	}
	if _, w, _ := twin.sum(0, 1<<40); c.Total() != w {
		rt.Fatalf("Total() = %d, want %d", c.Total(), w)
	}
	for sec := int64(0); sec <= 41; sec++ {
		if c.At(sec) != twin[sec] {
			rt.Fatalf("At(%d) = %+v, want %+v", sec, c.At(sec), twin[sec])
		}
		for _, width := range []int64{1, 7, 60} {
			n, w, f := c.Sum(sec-width, sec)
			if wn, ww, wf := twin.sum(sec-width, sec); n != wn || w != ww || f != wf {
				rt.Fatalf("Sum(%d, %d) = %d %d %d, want %d %d %d", sec-width, sec, n, w, f, wn, ww, wf)
			}
		}
	}
}

func TestCellsCommute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		secs := rapid.SliceOfN(rapid.Int64Range(1, 30), 1, 40).Draw(rt, "secs")
		fill := func(list []int64) *Cells {
			c := new(Cells)
			for _, s := range list {
				c.Add(s, 1, uint32(s%5))
			}
			return c
		}
		a, b := fill(secs), fill(rapid.Permutation(secs).Draw(rt, "other order"))
		if !slices.Equal(a.cells, b.cells) || a.total != b.total {
			rt.Fatalf("order matters: %+v and %+v", a.cells, b.cells)
		}
	})
}

// coded is what every piece of state offers a snapshot.
type coded interface{ Code(*Codec) }

// recode writes one value and reads it into another.
func recode[T coded](t interface{ Fatalf(string, ...any) }, from, to T) T {
	w := NewWriter(nil)
	from.Code(w)
	r := NewReader(w.Bytes())
	to.Code(r)
	if r.Err() != nil || len(r.Bytes()) != 0 {
		t.Fatalf("read back: %v, %d bytes left", r.Err(), len(r.Bytes()))
	}
	return to
}
