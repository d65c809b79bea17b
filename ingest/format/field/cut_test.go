package field

import (
	"bytes"
	"testing"
)

// againstSplit holds Cuts against bytes.Split, with room for all and for fewer.
func againstSplit(t *testing.T, b []byte, sep byte) {
	t.Helper()
	columns := bytes.Split(b, []byte{sep})
	for _, room := range []int{0, 1, len(columns) - 2, len(columns) - 1, len(columns) + 1} {
		out := make([]int, max(room, 0))
		n, at := Cuts(b, sep, out), 0
		if n != min(len(out), len(columns)-1) {
			t.Fatalf("%q has %d separators, not %d", b, len(columns)-1, n)
		}
		for k, end := range out[:n] {
			if at += len(columns[k]); end != at {
				t.Fatalf("%q: column %d ends at %d, Split says %d", b, k, end, at)
			}
			at++
		}
	}
}

func TestCuts(t *testing.T) {
	for n := range 40 {
		for k := range n + 1 {
			for _, fill := range []byte("a\x00\x01\x08\x0a\x89\x80\xff!") {
				b := bytes.Repeat([]byte{fill}, n)
				againstSplit(t, b, '\t')
				if k < n {
					b[k] = '\t'
					againstSplit(t, b, '\t')
					b[n-1] = '\t'
					againstSplit(t, b, '\t')
				}
				againstSplit(t, b[:k], ' ')
			}
		}
	}
}

func FuzzCuts(f *testing.F) {
	f.Add([]byte("a\tb\t\tc"), byte('\t'))
	f.Add([]byte("2026-11-23 13:03:36 10.0.0.3 GET / - 443 - 1.2.3.4 a+b - 200 0 0 12 "), byte(' '))
	f.Add([]byte("\x00\x01\x80\x81\xff\x00\x00\x00\x00"), byte(0))
	f.Fuzz(againstSplit)
}

// TestReplace has what is replaced in every place, and its neighbours.
func TestReplace(t *testing.T) {
	var s Scratch
	for n := range 40 {
		for k := range n {
			for _, fill := range []byte("*+,\xab\x00\xff") {
				v := bytes.Repeat([]byte{fill}, n)
				v[k], v[n-1] = '+', '+'
				if got, want := s.Replace(v, '+', ' '), bytes.ReplaceAll(v, []byte("+"), []byte(" ")); !bytes.Equal(got, want) {
					t.Fatalf("%q gives %q, want %q", v, got, want)
				}
			}
		}
	}
}
