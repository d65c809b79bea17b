package window

import (
	"errors"
	"math"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// everything is one value of each kind that a Codec passes.
type everything struct {
	a uint64
	b int64
	c uint32
	d uint16
	e uint8
	f bool
	g float64
	h string
	n int
}

func (x *everything) code(k *Codec) {
	k.U64(&x.a)
	k.I64(&x.b)
	k.U32(&x.c)
	k.U16(&x.d)
	k.U8(&x.e)
	k.Bool(&x.f)
	k.F64(&x.g)
	k.String(&x.h)
	x.n = k.Len(x.n)
	for range x.n {
		var one uint8
		k.U8(&one)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := everything{rapid.Uint64().Draw(rt, "a"), rapid.Int64().Draw(rt, "b"), rapid.Uint32().Draw(rt, "c"), rapid.Uint16().Draw(rt, "d"),
			rapid.Uint8().Draw(rt, "e"), rapid.Bool().Draw(rt, "f"), rapid.Float64().Draw(rt, "g"), rapid.String().Draw(rt, "h"), rapid.IntRange(0, 9).Draw(rt, "n")}
		w := NewWriter(nil)
		want.code(w)
		var got everything
		r := NewReader(w.Bytes())
		got.code(r)
		if got != want || r.Err() != nil || len(r.Bytes()) != 0 {
			rt.Fatalf("wrote %+v, read %+v, error %v, %d bytes left", want, got, r.Err(), len(r.Bytes()))
		}
		cut := w.Bytes()[:rapid.IntRange(0, len(w.Bytes())-1).Draw(rt, "cut")]
		short := NewReader(cut)
		new(everything).code(short)
		if !errors.Is(short.Err(), ErrCorrupt) {
			rt.Fatalf("cut to %d of %d bytes: error %v, want ErrCorrupt", len(cut), len(w.Bytes()), short.Err())
		}
	})
}

func TestCodecExtremes(t *testing.T) {
	for _, v := range []int64{0, -1, 1, math.MinInt64, math.MaxInt64} {
		w := NewWriter(nil)
		w.I64(&v)
		var got int64
		if r := NewReader(w.Bytes()); true {
			r.I64(&got)
		}
		if got != v {
			t.Errorf("%d came back as %d", v, got)
		}
	}
}

func TestBlockIsSkippable(t *testing.T) {
	w := NewWriter(nil)
	w.Block(func(k *Codec) { s := "unknown"; k.String(&s) }, nil)
	tail := uint64(42)
	w.U64(&tail)
	r := NewReader(w.Bytes())
	r.Block(nil, func(*Codec) {}) // reads nothing of it
	var got uint64
	if r.U64(&got); got != tail || r.Err() != nil {
		t.Errorf("behind a skipped block: %d, error %v; want %d", got, r.Err(), tail)
	}
}

// readAll reads a snapshot of all pieces, one behind the other.
func readAll(k *Codec) {
	for _, c := range []coded{new(Cells), new(Samples), new(Distinct), new(Ring), new(Mins), new(Blocks), new(Visits), new(Norm)} {
		c.Code(k)
	}
	new(everything).code(k)
	k.Block(nil, func(k *Codec) { new(Cells).Code(k) })
}

// FuzzCodecReader: a damaged snapshot neither panics nor takes more memory than
// a fixed multiple of its size.
func FuzzCodecReader(f *testing.F) {
	w := NewWriter(nil)
	var c Cells
	c.Add(1_700_000_000, 1, 3)
	var d Distinct
	d.Add(1_700_000_000, 99, 2, 60)
	var s Samples
	s.Add(Sample{Time: 5, Line: "GET /"}, 30)
	for _, x := range []coded{&c, &s, &d, new(Ring)} {
		x.Code(w)
	}
	(&everything{h: "text", n: 3}).code(w)
	w.Block(c.Code, nil)
	f.Add(w.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readAll(NewReader(data))
		runtime.ReadMemStats(&after)
		if took, most := after.TotalAlloc-before.TotalAlloc, uint64(len(data))*512+64<<10; took > most {
			t.Fatalf("%d bytes made it allocate %d, more than %d", len(data), took, most)
		}
	})
}
