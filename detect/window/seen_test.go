package window

import "testing"

func TestSeenForgetsAfterTwoSpans(t *testing.T) {
	var s Seen
	const bits, width = 1 << 14, 1000
	const n = bits / 20
	for i := range uint64(n) {
		s.Add(5000, i*7919+1, bits, width)
	}
	wrong := 0
	for i := range uint64(n) {
		if !s.Has(6999, i*7919+1, width) {
			t.Fatalf("%d is forgotten within a span", i)
		}
		if s.Has(5000, i*7919+2, width) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d that were not added are taken for seen", wrong, n)
	}
	w := NewWriter(nil)
	s.Code(w)
	var again Seen
	r := NewReader(w.Bytes())
	again.Code(r)
	if r.Done(); r.Err() != nil || !again.Has(5999, 1, width) {
		t.Errorf("read back: %v", r.Err())
	}
	s.Add(6000, 3, bits, width)
	if !s.Has(6000, 1, width) || !s.Has(6000, 3, width) {
		t.Error("the span before is forgotten")
	}
	s.Add(7000, 4, bits, width)
	if s.Has(7000, 7919+1, width) || !s.Has(7000, 3, width) || s.Has(9000, 4, width) {
		t.Error("what is two spans old is not forgotten, or what is one span old is")
	}
}

func TestSeenRefusesDamage(t *testing.T) {
	var s Seen
	r := NewReader([]byte{2, 3, 0, 0, 0, 0})
	if s.Code(r); r.Err() == nil {
		t.Error("a filter of 192 bits is taken")
	}
}
