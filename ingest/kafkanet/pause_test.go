package kafkanet

import "testing"

func TestPause(t *testing.T) {
	p := NewPause()
	for range 20 {
		if d := p.Next(); d < p.First/2 || d > p.Last {
			t.Fatalf("pause of %s", d)
		}
	}
	if p.now != p.Last {
		t.Errorf("pauses grow to %s, want %s", p.now, p.Last)
	}
	p.Reset()
	if d := p.Next(); d > p.First {
		t.Errorf("after a success the pause is %s", d)
	}
}
