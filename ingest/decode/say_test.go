package decode

import "testing"

func TestUnknownFormatIsSaidOnce(t *testing.T) {
	n := 0
	d := decoder(t, plan(t, "auto", Options{Say: func(source, name, why string) { n++ }}))
	for range 100 {
		told(d, batch("junk\n"))
	}
	if n > 1 {
		t.Errorf("said %d times that the format is unknown", n)
	}
}
